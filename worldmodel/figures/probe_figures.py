"""Figures of probes: predictions against the truth, R2 of every reader, how many constants, from how long a window."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from worldmodel.figures import style
from worldmodel.measures.wording import with_interval

Interval = Sequence[float]
_CONTROL_MARKS = {"true_state": "D", "raw_pixels": "s", "random_encoder": "o", "shuffled_labels": "x"}


class Probed(Protocol):
    """How well a variable is read: R2 by a linear probe and by an MLP, with 95 % intervals; None where unknown."""

    @property
    def unit(self) -> str: ...
    @property
    def r2_linear(self) -> float | None: ...
    @property
    def r2_linear_interval(self) -> Interval | None: ...
    @property
    def r2_mlp(self) -> float | None: ...
    @property
    def r2_mlp_interval(self) -> Interval | None: ...
    @property
    def controls(self) -> Mapping[str, float | None]:
        """Control -> R2 of a linear probe of it."""
        ...


def probe_scatter(
    path: Path,
    name: str,
    unit: str,
    truth: np.ndarray,
    prediction: np.ndarray,
    r2: float | None,
    interval: Interval | None,
    log: bool = False,
) -> Path:
    """Draw a probe's held-out predictions against the truth, both (N,) in `unit`.

    The line is a perfect probe; the band around it is one root mean squared error wide on either side.

    Args:
        r2, interval: R² and its 95 % interval; None where the truth moves too little to tell them.
        log: R² is of the logarithm, and so are the axes and the band.
    """
    truth, prediction = np.ravel(truth), np.ravel(prediction)
    style.require(len(truth) == len(prediction) > 0, "equally many truths and predictions", truth, prediction)
    if log:
        truth, prediction = np.log(truth), np.log(prediction)
    rmse = float(np.sqrt(np.mean((truth - prediction) ** 2)))
    low, high = style.padded_range(np.concatenate([truth, prediction]))
    shown = np.exp if log else np.asarray
    with style.styled():
        figure = style.new_figure(3.2, 3.3)
        axes = figure.add_subplot()
        line = np.array([low, high])
        axes.fill_between(
            shown(line), shown(line - rmse), shown(line + rmse), color=style.BLUE, alpha=0.10, linewidth=0
        )
        axes.plot(shown(line), shown(line), color=style.INK, linewidth=1.0)
        style.scatter(axes, shown(truth), shown(prediction), style.BLUE)
        if log:
            axes.set(xscale="log", yscale="log")
        axes.set(xlim=shown(line), ylim=shown(line), xlabel=style.with_unit(f"true {name}", unit))
        axes.set_ylabel(style.with_unit(f"predicted {name}", unit))
        axes.set_aspect("equal")
        axes.set_title(f"{'log ' if log else ''}{style.readable_name(name)}\nR² {with_interval(r2, interval)}")
        error = f"± RMSE {100 * np.expm1(rmse):.3g} %" if log else f"± RMSE {rmse:.3g} {unit}"
        axes.text(0.97, 0.04, error, transform=axes.transAxes, ha="right", color=style.MUTED, fontsize=8)
        return style.save_png(figure, path)


def probe_bars(path: Path, variables: Mapping[str, Probed]) -> Path:
    """Draw every variable's linear and MLP R² with their intervals, and its controls as marks on the same row.

    A row whose R² is None says so.
    """
    if not variables:
        raise ValueError("probe bars need at least one variable; got an empty mapping")
    with style.styled():
        figure = style.new_figure(8.4, 1.15 + 0.62 * len(variables))
        axes = figure.add_subplot()
        floor = _probe_floor(variables)
        for row, probe in enumerate(variables.values()):
            _probe_row(axes, row, probe, floor)
        axes.set(xlim=(floor, 1.03), ylim=(len(variables) - 0.5, -0.5), xlabel="R² on held-out episodes")
        labels = [style.with_unit(name, probe.unit) for name, probe in variables.items()]
        axes.set_yticks(range(len(variables)), labels)
        axes.tick_params(axis="y", length=0, pad=9, labelsize=9, labelcolor=style.INK)
        axes.axvline(0, color=style.MUTED, linewidth=0.8)
        style.light_grid(axes, "x")
        axes.spines["left"].set_visible(False)
        handles, labels = axes.get_legend_handles_labels()
        pairs = sorted(zip(labels, handles, strict=True), key=lambda pair: not pair[0].endswith("probe"))
        unique = dict(pairs)
        figure.legend(
            unique.values(), unique.keys(), loc="outside upper left", ncols=min(len(unique), 6), handletextpad=0.4
        )
        return style.save_png(figure, path)


def canonical_correlations(path: Path, correlations: Sequence[float] | np.ndarray, drift_rho: float) -> Path:
    """Draw canonical correlations (d,) between two views, sorted, against the ladder rho, rho², rho³.

    In a Gaussian world whose constants drift with autocorrelation `drift_rho`, a linear function of them correlates by
    rho, a polynomial of degree k by rho**k; so the number of bars on the top rung is the number of constants.
    """
    if not 0 < drift_rho < 1:
        raise ValueError(f"drift_rho must lie strictly between 0 and 1, got {drift_rho}")
    values = np.sort(np.asarray(correlations, float))[::-1]
    rungs = drift_rho ** np.arange(1, 4)
    nearest = np.argmin(np.abs(values[:, None] - np.append(rungs, 0.0)), axis=1)
    colours = [style.BLUE, style.AMBER, style.ROSE, style.GREY]
    with style.styled():
        figure = style.new_figure(max(4.6, 1.6 + 0.34 * len(values)), 2.9)
        axes = figure.add_subplot()
        axes.bar(1 + np.arange(len(values)), values, width=0.62, color=[colours[rung] for rung in nearest])
        for power, rung in enumerate(rungs):
            axes.axhline(rung, color=colours[power], linewidth=1.0, linestyle=(0, (4, 3)))
            label = f"ρ{('', '²', '³')[power]} = {rung:.2f}"
            axes.text(
                1.01, rung, label, transform=axes.get_yaxis_transform(), va="center", color=colours[power], fontsize=8
            )
        top = int(np.sum(nearest == 0))
        axes.set_title(f"{top} of {len(values)} directions drift as slowly as a constant (ρ)")
        axes.set(xlabel="canonical direction", ylabel="correlation between views", ylim=(0, 1))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return style.save_png(figure, path)


def sharpening(path: Path, lengths: Sequence[int], r2: Sequence[Sequence[float | None]], names: Sequence[str]) -> Path:
    """Draw how R² of each constant (a row of `r2`) grows with the window it is read from, in control steps."""
    known = [value for values in r2 for value in values if value is not None]
    with style.styled():
        figure = style.new_figure(4.6, 2.9)
        axes = figure.add_subplot()
        for k, (name, values) in enumerate(zip(names, r2, strict=True)):
            shown = np.array(values, float)  # None becomes NaN, which is left out
            colour = style.SERIES[k % len(style.SERIES)]
            axes.plot(lengths, shown, marker="o", markersize=3.5, color=colour, label=style.readable_name(name))
        axes.set(xlabel="window (control steps)", ylabel="linear R²", ylim=(min([0.0, *known]), 1.0))
        axes.set_title("The estimate sharpens")
        axes.legend(loc="lower right")
        style.light_grid(axes)
        return style.save_png(figure, path)


def _probe_row(axes: Axes, row: int, probe: Probed, floor: float) -> None:
    """One variable: linear bar above, MLP bar below, controls as marks across both."""
    bars = (
        (probe.r2_linear, probe.r2_linear_interval, -0.15, 0.26, style.BLUE, "linear probe"),
        (probe.r2_mlp, probe.r2_mlp_interval, 0.15, 0.18, style.PALE_BLUE, "MLP probe"),
    )
    if probe.r2_linear is None and probe.r2_mlp is None:
        axes.text(0.015, row, "cannot be determined: it stands still", va="center", color=style.MUTED, fontsize=8)
        return
    for value, interval, offset, height, colour, label in bars:
        if value is None:
            continue
        axes.barh(row + offset, max(value, floor), height=height, color=colour, label=label)
        error = style.interval_errors(value, interval)
        axes.errorbar(value, row + offset, xerr=error, color=style.INK, linewidth=1.1, capsize=2.5)
    for position, (control, value) in enumerate(probe.controls.items()):
        if value is None:
            continue
        colour = style.SERIES[1 + position % 4]
        mark = _CONTROL_MARKS.get(control, "v")
        label = style.readable_name(control)
        axes.plot(max(value, floor), row, mark, color=colour, markersize=6, label=label, clip_on=False, zorder=3)
        if value < floor:
            axes.text(floor + 0.015, row, f"{value:.2g}", va="center", color=colour, fontsize=8)


def _probe_floor(variables: Mapping[str, Probed]) -> float:
    """Where the R² axis starts: below the lowest value, at most at -0.25; a mark left of that bears its number."""
    shown: list[float | None] = [0.0]
    for probe in variables.values():
        shown += [probe.r2_linear, probe.r2_mlp, *probe.controls.values()]
    return max(min(value for value in shown if value is not None) - 0.04, -0.25)
