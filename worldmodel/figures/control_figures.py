"""Figures of planning: share of goals reached, how a plan converges, and surprise at events.

Letters: I planner iterations, B episodes, T control steps.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from worldmodel.figures import style

Rate = tuple[float, float, float]
"""A rate in [0, 1] with its 95 % interval: rate, low, high."""


def success_bars(path: Path, rates: Mapping[str, Rate]) -> Path:
    """Draw the share of tasks that each controller solved, the one in question first."""
    if not rates:
        raise ValueError("success bars need at least one controller; got an empty mapping")
    with style.styled():
        figure = style.new_figure(5.0, 0.75 + 0.42 * len(rates))
        success_panel(figure.add_subplot(), rates)
        return style.save_png(figure, path)


def planner_cost(
    path: Path, cost_curve: np.ndarray, progress: np.ndarray, label: str = "distance to goal (latent units)"
) -> Path:
    """Draw how planning converges: best cost by planner iteration (I, B), and how far tasks come by step (T+1, B).

    Thin lines are single episodes, the thick line their median, the band the middle half. NaN after an episode's end
    is left out. label: what `progress` is.
    """
    style.require(
        cost_curve.ndim == progress.ndim == 2,
        "cost_curve (I, B) and progress (T+1, B)",
        cost_curve,
        progress,
    )
    with style.styled():
        figure, (left, right) = style.panels(2, 2, (3.9, 2.7))
        _bundle(left, 1 + np.arange(len(cost_curve)), cost_curve, style.BLUE)
        left.set(xlabel="planner iteration", ylabel="best cost", title="Within one decision")
        _bundle(right, np.arange(len(progress)), progress, style.TEAL)
        right.set(xlabel="control step", ylabel=label, title="Over the episode")
        for axes in (left, right):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return style.save_png(figure, path)


def surprise_curves(
    path: Path, scores: Mapping[str, np.ndarray], first_step: int, event_step: int, control_dt_s: float
) -> Path:
    """Draw surprise (n, W) by event against time: median and middle half; column 0 is known at control step
    `first_step`."""
    with style.styled():
        figure, (axes,) = style.panels(1, 1, (5.2, 2.9))
        for (name, values), colour in zip(scores.items(), style.SERIES, strict=False):
            time_s = control_dt_s * (first_step + np.arange(values.shape[1]))
            low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
            axes.fill_between(time_s, low, high, color=colour, alpha=0.15, linewidth=0)
            axes.plot(time_s, middle, color=colour, label="no event" if name == "none" else style.readable_name(name))
        axes.axvline(event_step * control_dt_s, color=style.MUTED, linewidth=0.8, linestyle=":")
        has_positive = any((values > 0).any() for values in scores.values())  # a logarithmic axis wants a number
        axes.set(xlabel="time (s)", ylabel="surprise (1: usual)", yscale="log" if has_positive else "linear")
        axes.legend()
        return style.save_png(figure, path)


def success_panel(axes: Axes, rates: Mapping[str, Rate]) -> None:
    """Horizontal bars of success rates, the first coloured, the others grey; the rate stands at the bar's end."""
    for row, (rate, low, high) in enumerate(rates.values()):
        colour = style.GREY if row else style.BLUE
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
