"""Figures of what a world model has learned: arrays in, the path of a PNG out; nothing global is touched.

Letters: N samples, Z true variables, D latents, I planner iterations, B episodes, T control steps, H horizons,
S image side.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from worldmodel.figures import style
from worldmodel.figures.geometry import linear_readout, rotate_onto, truth_grid
from worldmodel.measures.wording import with_interval

Rate = tuple[float, float, float]

_TRAINING_ORDER = ("loss", "alignment", "sigreg", "prediction", "effective_rank")
_NOT_CURVES = {"stage", "step", "seconds", "epoch"}
_CONTROL_MARKS = {"true_state": "D", "raw_pixels": "s", "random_encoder": "o", "shuffled_labels": "x"}


def latents_against_truth(
    path: Path, truth: np.ndarray, latents: np.ndarray, names: Sequence[str], units: Sequence[str]
) -> Path:
    """Draw each true variable against its linear readout and, for two variables, the rotated latent plane.

    The readout is fitted on one half of the rows (alternate blocks) and drawn on the other. The plane shows the latents
    after the best rotation onto the standardised truth and nothing else: no stretching, so a regular grid of true
    values that stays a regular grid is the proof by eye. truth (N, Z) in `units`; latents (N, D).
    """
    _require(
        len(truth) == len(latents) and truth.ndim == latents.ndim == 2,
        "truth (N, Z) and latents (N, D)",
        truth,
        latents,
    )
    _require(len(names) == len(units) == truth.shape[1], f"{truth.shape[1]} names and units", names, units)
    held_out, readout = linear_readout(truth, latents)
    with style.styled():
        has_plane = truth.shape[1] == 2 and latents.shape[1] >= 2
        count = truth.shape[1] + (2 if has_plane else 0)
        figure, axes = style.panels(count, 4, (2.75, 2.95))
        for index, name in enumerate(names):
            _readout_panel(axes[index], truth[held_out, index], readout[:, index], name, units[index], index)
        if has_plane:
            _plane_panels(axes[2:], truth, latents, names)
        return style.save_png(figure, path)


def training_curves(path: Path, metrics: Sequence[Mapping[str, Any]]) -> Path:
    """Draw every logged quantity of every stage against its step, a panel each; metrics are rows of `metrics.jsonl`."""
    curves = _curves(metrics)
    if not curves:
        raise ValueError(
            "training curves need at least one row with a stage, a step and a finite value; the metrics hold none"
        )
    with style.styled():
        figure, axes = style.panels(len(curves), 4, (2.75, 2.05))
        for panel, ((stage, key), (steps, values)) in zip(axes, curves.items(), strict=True):
            _curve_panel(panel, stage, key, steps, values)
        return style.save_png(figure, path)


def has_curves(metrics: Sequence[Mapping[str, Any]]) -> bool:
    """Whether `training_curves` would find anything to draw in these rows."""
    return bool(_curves(metrics))


def probe_scatter(
    path: Path,
    name: str,
    unit: str,
    truth: np.ndarray,
    prediction: np.ndarray,
    r2: float | None,
    interval: Sequence[float] | None,
) -> Path:
    """Draw a probe's held-out predictions against the truth, both (N,) in `unit`; `interval` is of R², at 95 %.

    r2, interval: None where the truth moves too little to tell them.

    The line is a perfect probe; the band around it is one root mean squared error wide on either side.
    """
    truth, prediction = np.ravel(truth), np.ravel(prediction)
    _require(len(truth) == len(prediction) > 0, "equally many truths and predictions", truth, prediction)
    rmse = float(np.sqrt(np.mean((truth - prediction) ** 2)))
    low, high = _padded_range(np.concatenate([truth, prediction]))
    with style.styled():
        figure = style.new_figure(3.2, 3.3)
        axes = figure.add_subplot()
        line = np.array([low, high])
        axes.fill_between(line, line - rmse, line + rmse, color=style.BLUE, alpha=0.10, linewidth=0)
        axes.plot(line, line, color=style.INK, linewidth=1.0)
        _scatter(axes, truth, prediction, style.BLUE)
        axes.set(xlim=(low, high), ylim=(low, high), xlabel=style.with_unit(f"true {name}", unit))
        axes.set_ylabel(style.with_unit(f"predicted {name}", unit))
        axes.set_aspect("equal")
        axes.set_title(f"{style.readable_name(name)}  R² {with_interval(r2, interval, '.2f')}")
        axes.text(
            0.97, 0.04, f"± RMSE {rmse:.3g} {unit}", transform=axes.transAxes, ha="right", color=style.MUTED, fontsize=8
        )
        return style.save_png(figure, path)


def probe_bars(path: Path, probes: Mapping[str, Mapping[str, Any]]) -> Path:
    """Draw every probe's linear and MLP R² with their intervals, and its controls as marks on the same row.

    probes maps a name to `r2_linear`, `r2_mlp`, their `_interval`s, `kind` ("physical" or "state") and `controls`.
    A row whose R² is None says so.
    """
    if not probes:
        raise ValueError("probe bars need at least one probe; got an empty mapping")
    ordered = sorted(probes.items(), key=lambda item: item[1].get("kind") != "physical")
    with style.styled():
        figure = style.new_figure(8.4, 1.15 + 0.62 * len(ordered))
        axes = figure.add_subplot()
        floor = _probe_floor(probes)
        for row, (_, probe) in enumerate(ordered):
            _probe_row(axes, row, probe, floor)
        axes.set(xlim=(floor, 1.03), ylim=(len(ordered) - 0.5, -0.5), xlabel="R² on held-out episodes")
        axes.set_yticks(range(len(ordered)), [style.with_unit(name, probe.get("unit")) for name, probe in ordered])
        axes.tick_params(axis="y", length=0, pad=9, labelsize=9, labelcolor=style.INK)
        axes.axvline(0, color=style.MUTED, linewidth=0.8)
        style.light_grid(axes, "x")
        axes.spines["left"].set_visible(False)
        handles, labels = axes.get_legend_handles_labels()
        pairs = sorted(zip(labels, handles, strict=True), key=lambda pair: not pair[0].endswith("probe"))
        unique = dict(pairs)
        figure.legend(unique.values(), unique.keys(), loc="outside upper left", ncols=len(unique), handletextpad=0.4)
        return style.save_png(figure, path)


def planner_cost(path: Path, cost_curve: np.ndarray, goal_distance: np.ndarray) -> Path:
    """Draw how planning converges: best cost by planner iteration (I, B), latent distance to the goal by step (T+1, B).

    Thin lines are single episodes, the thick line their median, the band the middle half. NaN after an episode's end
    is left out.
    """
    _require(
        cost_curve.ndim == goal_distance.ndim == 2,
        "cost_curve (I, B) and goal_distance (T+1, B)",
        cost_curve,
        goal_distance,
    )
    with style.styled():
        figure, (left, right) = style.panels(2, 2, (3.9, 2.7))
        _bundle(left, 1 + np.arange(len(cost_curve)), cost_curve, style.BLUE)
        left.set(xlabel="planner iteration", ylabel="best cost (latent units²)", title="Within one decision")
        _bundle(right, np.arange(len(goal_distance)), goal_distance, style.TEAL)
        right.set(xlabel="control step", ylabel="distance to goal (latent units)", title="Over the episode")
        for axes in (left, right):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return style.save_png(figure, path)


def surprise_curves(
    path: Path, scores: Mapping[str, np.ndarray], first_step: int, event_step: int, control_dt_s: float
) -> Path:
    """Draw surprise (n, W) by event against time: median and middle half; column 0 is known at `first_step`."""
    with style.styled():
        figure, (axes,) = style.panels(1, 1, (5.2, 2.9))
        for (name, values), colour in zip(scores.items(), style.SERIES, strict=False):
            time_s = control_dt_s * (first_step + np.arange(values.shape[1]))
            low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
            axes.fill_between(time_s, low, high, color=colour, alpha=0.15, linewidth=0)
            axes.plot(time_s, middle, color=colour, label="as ever" if name == "none" else style.readable_name(name))
        axes.axvline(event_step * control_dt_s, color=style.MUTED, linewidth=0.8, linestyle=":")
        told = any((values > 0).any() for values in scores.values())  # a logarithmic axis wants a number
        axes.set(xlabel="time (s)", ylabel="surprise (1: as ever)", yscale="log" if told else "linear")
        axes.legend()
        return style.save_png(figure, path)


def predictor_error(
    path: Path,
    horizons: Sequence[int] | np.ndarray,
    model_error: Sequence[float] | np.ndarray,
    persistence_error: Sequence[float] | np.ndarray,
    quantity: str = "mean squared latent error",
) -> Path:
    """Draw the prediction error against the horizon (H,) in control steps, beside the forecast that nothing moves."""
    model, still = np.asarray(model_error, float), np.asarray(persistence_error, float)
    _require(len(horizons) == len(model) == len(still) > 0, "equally many horizons and errors", model, still)
    with style.styled():
        figure = style.new_figure(5.4, 2.9)
        axes = figure.add_subplot()
        axes.plot(horizons, still, color=style.GREY, marker="o", markersize=4, label="persistence (nothing moves)")
        axes.plot(horizons, model, color=style.BLUE, marker="o", markersize=4, label="latent predictor")
        axes.fill_between(horizons, model, still, where=list(model < still), color=style.BLUE, alpha=0.08, linewidth=0)
        axes.set(xlabel="horizon (control steps)", ylabel=quantity)
        axes.set_ylim(bottom=0, top=1.08 * max(np.nanmax(model), np.nanmax(still)))
        if len(horizons) <= 12:
            axes.set_xticks(list(horizons))
        style.light_grid(axes)
        figure.legend(loc="outside upper left", ncols=2)
        return style.save_png(figure, path)


def success_bars(path: Path, rates: Mapping[str, Rate]) -> Path:
    """Draw success rates with their 95 % intervals; rates maps a controller to (rate, low, high), each in [0, 1]."""
    if not rates:
        raise ValueError("success bars need at least one controller; got an empty mapping")
    with style.styled():
        figure = style.new_figure(5.0, 0.75 + 0.42 * len(rates))
        _success_panel(figure.add_subplot(), rates)
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
        axes.set_title(f"{top} direction{'' if top == 1 else 's'} on the top rung")
        axes.set(xlabel="canonical direction", ylabel="correlation between views", ylim=(0, 1))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return style.save_png(figure, path)


def sharpening(path: Path, lengths: Sequence[int], r2: Sequence[Sequence[float | None]], names: Sequence[str]) -> Path:
    """Draw how R2 of each constant (a row of `r2`) grows with the window it is read from, in control steps."""
    known = [value for values in r2 for value in values if value is not None]
    with style.styled():
        figure = style.new_figure(4.6, 2.9)
        axes = figure.add_subplot()
        for k, (name, values) in enumerate(zip(names, r2, strict=True)):
            shown = np.array(values, float)  # None becomes NaN, which is left out
            colour = style.SERIES[k % len(style.SERIES)]
            axes.plot(lengths, shown, marker="o", markersize=3.5, color=colour, label=style.readable_name(name))
        axes.set(xlabel="window (control steps)", ylabel="linear R2", ylim=(min([0.0, *known]), 1.0))
        axes.set_title("The estimate sharpens")
        axes.legend(loc="lower right")
        style.light_grid(axes)
        return style.save_png(figure, path)


def hero(
    path: Path,
    frames: np.ndarray,
    truth: np.ndarray,
    latents: np.ndarray,
    names: Sequence[str],
    rates: Mapping[str, Rate],
) -> Path:
    """Draw the one picture that tells the story: what it sees, what it learns, what it does.

    frames (N, S, S, 3) uint8 fill a strip, truth (M, 2) and latents (M, D) the plane; rates as for `success_bars`.
    """
    _require(truth.shape[1] == 2, "two true variables", truth, latents)
    with style.styled():
        figure = style.new_figure(11.0, 5.0)
        strip, below = figure.subfigures(2, 1, height_ratios=[1.0, 2.1], squeeze=False)[:, 0]
        shown = frames[style.thin(len(frames), 8)]
        for index, frame in enumerate(shown):
            axes = strip.add_subplot(1, len(shown), index + 1)
            axes.imshow(frame, interpolation="nearest")
            axes.set_axis_off()
        strip.suptitle("what the robot sees", x=0.012, ha="left", fontsize=9.5, fontweight="bold")
        planes, outcome = below.subfigures(1, 2, width_ratios=[2, 1.35], wspace=0.04)
        _plane_panels([planes.add_subplot(1, 2, 1), planes.add_subplot(1, 2, 2)], truth, latents, names)
        bars = outcome.add_subplot()
        _success_panel(bars, rates)
        bars.set_title("reaching goal images")
        return style.save_png(figure, path)


def _readout_panel(axes: Axes, truth: np.ndarray, readout: np.ndarray, name: str, unit: str, index: int) -> None:
    """One true variable (N,) against its held-out linear readout (N,)."""
    low, high = _padded_range(truth)
    axes.plot([low, high], [low, high], color=style.INK, linewidth=1.0)
    _scatter(axes, truth, readout, style.SERIES[index % 5])
    r2 = 1 - np.mean((truth - readout) ** 2) / max(np.var(truth), 1e-12)
    axes.set(xlim=(low, high), ylim=(low, high), xlabel=style.with_unit(f"true {name}", unit))
    axes.set_ylabel(style.with_unit("linear readout", unit))
    axes.set_aspect("equal")
    axes.set_title(f"{style.readable_name(name)}  R² {r2:.3f}")


def _plane_panels(axes: Sequence[Axes], truth: np.ndarray, latents: np.ndarray, names: Sequence[str]) -> None:
    """The rotated latent plane twice, coloured by either true variable, under the image of a grid of true values."""
    plane = rotate_onto(truth, latents)
    lines = truth_grid(truth, plane)
    chosen = style.thin(len(plane), 4000)
    reach = 1.05 * float(np.quantile(np.abs(plane), 0.995))
    for index, panel in enumerate(axes):
        low, high = np.quantile(truth[:, index], [0.01, 0.99])
        colour = truth[chosen, index]
        panel.scatter(
            *plane[chosen].T, c=colour, cmap=style.TRUTH_COLOURS, vmin=low, vmax=high, s=5, alpha=0.55, linewidths=0
        )
        for line in lines:
            panel.plot(*line.T, color=style.INK, linewidth=0.9, alpha=0.85)
        panel.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="rotated latent 1", ylabel="rotated latent 2")
        panel.set_aspect("equal")
        panel.set_title(f"latents, by {style.readable_name(names[index])}")


def _scatter(axes: Axes, x: np.ndarray, y: np.ndarray, colour: str) -> None:
    """Up to 3000 dots, fainter the more there are."""
    chosen = style.thin(len(x), 3000)
    alpha = float(np.clip(250 / len(chosen), 0.18, 0.7))
    axes.scatter(x[chosen], y[chosen], s=7, color=colour, alpha=alpha, linewidths=0)


def _curves(metrics: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    """(stage, quantity) to steps (M,) and values (M,), stages as they came, well-known quantities first."""
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in metrics:
        for key, value in row.items():
            if (
                key in _NOT_CURVES
                or isinstance(value, bool)
                or not isinstance(value, (int, float))
                or not np.isfinite(value)
            ):
                continue
            points.setdefault((str(row.get("stage", "training")), key), []).append(
                (float(row.get("step", 0)), float(value))
            )
    stages = list(dict.fromkeys(stage for stage, _ in points))
    rank = {key: position for position, key in enumerate(_TRAINING_ORDER)}
    ordered = sorted(points, key=lambda item: (stages.index(item[0]), rank.get(item[1], len(rank)), item[1]))
    return {key: (np.array(points[key])[:, 0], np.array(points[key])[:, 1]) for key in ordered}


def _curve_panel(axes: Axes, stage: str, key: str, steps: np.ndarray, values: np.ndarray) -> None:
    """One quantity against the step: values faint, a running median on top; logarithmic where it spans a decade."""
    noisy = len(values) >= 60
    axes.plot(steps, values, color=style.BLUE, linewidth=0.8 if noisy else 1.6, alpha=0.3 if noisy else 1.0)
    if noisy:
        width = max(len(values) // 15, 5)
        padded = np.pad(values, (width // 2, width - 1 - width // 2), mode="edge")
        median = np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1)
        axes.plot(steps, median, color=style.BLUE, linewidth=1.6)
    if np.all(values > 0) and np.max(values) > 10 * np.min(values):
        axes.set_yscale("log")
    if np.ptp(values) == 0:
        axes.set_yticks([values[0]], [f"{values[0]:.3g}"])
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    style.light_grid(axes)
    axes.set_title(f"{stage} · {style.readable_name(key)}")
    axes.set_xlabel("step")


def _probe_row(axes: Axes, row: int, probe: Mapping[str, Any], floor: float) -> None:
    """One probe: linear bar above, MLP bar below, controls as marks across both."""
    bars = (
        ("r2_linear", -0.15, 0.26, style.BLUE, "linear probe"),
        ("r2_mlp", 0.15, 0.18, style.PALE_BLUE, "MLP probe"),
    )
    if probe.get("r2_linear") is None and probe.get("r2_mlp") is None:
        axes.text(0.015, row, "cannot be told: it stands still", va="center", color=style.MUTED, fontsize=8)
        return
    for key, offset, height, colour, label in bars:
        value = probe.get(key)
        if value is None:
            continue
        axes.barh(row + offset, max(value, floor), height=height, color=colour, label=label)
        error = style.interval_errors(value, probe.get(f"{key}_interval"))
        axes.errorbar(value, row + offset, xerr=error, color=style.INK, linewidth=1.1, capsize=2.5)
    for position, (control, value) in enumerate((probe.get("controls") or {}).items()):
        if value is None:
            continue
        colour = style.SERIES[1 + position % 4]
        mark = _CONTROL_MARKS.get(control, "v")
        label = style.readable_name(control)
        axes.plot(max(value, floor), row, mark, color=colour, markersize=6, label=label, clip_on=False, zorder=3)
        if value < floor:
            axes.text(floor + 0.015, row, f"{value:.2g}", va="center", color=colour, fontsize=8)


def _probe_floor(probes: Mapping[str, Mapping[str, Any]]) -> float:
    """Where the R² axis starts: below the lowest value, at most at -0.25; a mark left of that bears its number."""
    shown = [0.0]
    for probe in probes.values():
        shown += [probe.get("r2_linear"), probe.get("r2_mlp"), *(probe.get("controls") or {}).values()]
    return max(min(value for value in shown if value is not None) - 0.04, -0.25)


def _success_panel(axes: Axes, rates: Mapping[str, Rate]) -> None:
    """Horizontal bars of success rates, best known controller's colour first, the rate written at the bar's end."""
    for row, (name, (rate, low, high)) in enumerate(rates.items()):
        colour = style.GREY if name.startswith(("random", "simulator")) else style.BLUE
        axes.barh(row, rate, height=0.56, color=colour)
        axes.errorbar(
            rate, row, xerr=style.interval_errors(rate, (low, high)), color=style.INK, linewidth=1.2, capsize=3
        )
        axes.text(1.04, row, f"{rate:.0%}", va="center", fontweight="bold", color=style.INK, clip_on=False)
    axes.set(xlim=(0, 1.02), ylim=(len(rates) - 0.5, -0.5), xlabel="episodes that reach the goal")
    axes.set_yticks(range(len(rates)), list(rates))
    axes.tick_params(axis="y", length=0, labelsize=9, labelcolor=style.INK)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    style.light_grid(axes, "x")


def _bundle(axes: Axes, x: np.ndarray, lines: np.ndarray, colour: str) -> None:
    """Lines (L, B): a few episodes thin, the median thick, the middle half as a band; what is not finite left out."""
    lines = np.where(np.isfinite(lines), lines, np.nan)
    shown = ~np.all(np.isnan(lines), axis=1)
    x, lines = x[shown], lines[shown]
    if not len(lines):
        return
    low, median, high = np.nanquantile(lines, [0.25, 0.5, 0.75], axis=1)
    axes.plot(x, lines[:, style.thin(lines.shape[1], 25)], color=colour, linewidth=0.6, alpha=0.22)
    axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(x, median, color=colour, linewidth=2.2)
    axes.set_ylim(bottom=min(0.0, float(np.nanmin(lines))))
    style.light_grid(axes)


def _padded_range(values: np.ndarray) -> tuple[float, float]:
    """The range of finite `values` with four per cent of air at either end; never empty."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    air = 0.04 * (high - low) or 0.5
    return low - air, high + air


def _require(holds: bool, expected: str, *given: Any) -> None:
    """Raise ValueError naming what was expected and the shapes that came."""
    if not holds:
        raise ValueError(f"expected {expected}, got shapes {', '.join(str(np.shape(item)) for item in given)}")
