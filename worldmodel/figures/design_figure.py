"""The figure of `design`: bounds on each constant, before and after the design."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from worldmodel.figures import style

_COLOURS = {"given": style.PALE_BLUE, "designed": style.BLUE}


@dataclass(frozen=True)
class Excitation:
    """One excitation, for P constants."""

    policy: str
    """Name of its policy."""
    bounds: Mapping[str, float]
    """Constant -> bound on R2 from one window."""
    intervals: Mapping[str, Sequence[float] | None]
    """Constant -> 95 % interval of its bound."""
    growth: Sequence[tuple[float, float, Mapping[str, float]]]
    """(multiple of the noise, seconds of a window, constant -> bound)."""
    information: Sequence[float]
    """Information along each of P directions, falling; the prior's is 1."""
    correlation: np.ndarray
    """Correlations (P, P) of the remaining errors."""


def design(path: Path, excitations: Mapping[str, Excitation], threshold: float) -> Path:
    """Draw bounds, information by direction, and of the best excitation how bounds grow and errors correlate.

    excitations: "given", and perhaps "designed". threshold: bound from which a constant is identifiable.
    """
    best = [*excitations.values()][-1]
    with style.styled():
        figure, axes = style.panels(4, 4, (3.0, 3.0))
        _bounds(axes[0], excitations, threshold)
        _growth(axes[1], best)
        _spectrum(axes[2], excitations)
        _correlations(axes[3], best)
        return style.save_png(figure, path)


def _bounds(axes: Axes, excitations: Mapping[str, Excitation], threshold: float) -> None:
    names = list(next(iter(excitations.values())).bounds)
    height = 0.8 / len(excitations)
    for index, (part, drawn) in enumerate(excitations.items()):
        rows = np.arange(len(names)) + (index - (len(excitations) - 1) / 2) * height
        values = [drawn.bounds[name] for name in names]
        errors = np.hstack([style.interval_errors(drawn.bounds[name], drawn.intervals[name]) for name in names])
        label = f"{part}: {drawn.policy}"
        axes.barh(rows, values, height, color=_COLOURS[part], xerr=errors, label=label, error_kw={"linewidth": 0.8})
    axes.axvline(threshold, color=style.MUTED, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(names)), [style.readable_name(name) for name in names])
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), xlabel="bound on R², one window", title="What can be read")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))


def _growth(axes: Axes, drawn: Excitation) -> None:
    for index, name in enumerate(drawn.bounds):
        for ratio, line in ((1.0, "-"), (2.0, "--")):
            points = [(seconds, bounds[name]) for noise, seconds, bounds in drawn.growth if noise == ratio]
            label = style.readable_name(name) if ratio == 1 else None
            axes.plot(*zip(*points, strict=True), line, color=style.SERIES[index % len(style.SERIES)], label=label)
    axes.set(ylim=(0, 1), xlabel="window (s); dashed: twice the noise", title="How it sharpens")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    style.light_grid(axes)


def _spectrum(axes: Axes, excitations: Mapping[str, Excitation]) -> None:
    for part, drawn in excitations.items():
        values = np.maximum(drawn.information, 1e-3)
        axes.semilogy(1 + np.arange(len(values)), values, "o-", color=_COLOURS[part], label=part)
    axes.axhline(1, color=style.MUTED, linewidth=0.8)
    axes.set_xticks(1 + np.arange(len(next(iter(excitations.values())).information)))
    axes.set(xlabel="direction", title="Information (the prior's is 1)")
    axes.legend(loc="best")


def _correlations(axes: Axes, drawn: Excitation) -> None:
    axes.imshow(drawn.correlation, vmin=-2, vmax=2, cmap="RdBu_r")  # pale enough for figures on top
    for (row, column), value in np.ndenumerate(drawn.correlation):
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7)
    labels = [style.readable_name(name) for name in drawn.bounds]
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_title("Correlation of the errors")
