"""The figure of `probe mode=design`: what the data say about each constant, before and after the design."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from worldmodel.figures import style

_COLOURS = {"given": style.PALE_BLUE, "designed": style.BLUE}


def design(path: Path, content: Mapping[str, Any]) -> Path:
    """Draw bounds, their growth with the window, information by direction, and correlations of the best excitation.

    content: as `worldmodel.design.study` writes it, with "given" and perhaps "designed".
    """
    parts = {name: content[name] for name in _COLOURS if name in content}
    last = [*parts.values()][-1]
    with style.styled():
        figure, axes = style.panels(4, 4, (3.0, 3.0))
        _bounds(axes[0], parts, content["identifiable_r2"])
        _growth(axes[1], last, content["control_dt_s"])
        _spectrum(axes[2], parts)
        _correlations(axes[3], last)
        return style.save_png(figure, path)


def _bounds(axes: Axes, parts: Mapping[str, Any], threshold: float) -> None:
    names = list(next(iter(parts.values()))["r2_bound"])
    height = 0.8 / len(parts)
    for index, (part, judged) in enumerate(parts.items()):
        rows = np.arange(len(names)) + (index - (len(parts) - 1) / 2) * height
        values = [judged["r2_bound"][name] for name in names]
        errors = np.hstack(
            [style.interval_errors(judged["r2_bound"][name], judged["r2_bound_interval"][name]) for name in names]
        )
        label = f"{part}: {judged['policy']['name']}"
        axes.barh(rows, values, height, color=_COLOURS[part], xerr=errors, label=label, error_kw={"linewidth": 0.8})
    axes.axvline(threshold, color=style.MUTED, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(names)), [style.readable_name(name) for name in names])
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), xlabel="bound on R², one window", title="What can be read")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))


def _growth(axes: Axes, judged: Mapping[str, Any], control_dt_s: float) -> None:
    grid = judged["r2_bound_by_noise_and_steps"]
    for index, name in enumerate(judged["r2_bound"]):
        for ratio, line in ((1.0, "-"), (2.0, "--")):
            points = [(item["window_steps"] * control_dt_s, item["r2_bound"][name])
                      for item in grid if item["noise_ratio"] == ratio]  # fmt: skip
            label = style.readable_name(name) if ratio == 1 else None
            axes.plot(*zip(*points, strict=True), line, color=style.SERIES[index % len(style.SERIES)], label=label)
    axes.set(ylim=(0, 1), xlabel="window (s); dashed: twice the noise", title="How it sharpens")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    style.light_grid(axes)


def _spectrum(axes: Axes, parts: Mapping[str, Any]) -> None:
    for part, judged in parts.items():
        values = np.maximum(judged["information"], 1e-3)
        axes.semilogy(1 + np.arange(len(values)), values, "o-", color=_COLOURS[part], label=part)
    axes.axhline(1, color=style.MUTED, linewidth=0.8)
    axes.set_xticks(1 + np.arange(len(next(iter(parts.values()))["information"])))
    axes.set(xlabel="direction", title="Information (the prior's is 1)")
    axes.legend(loc="best")


def _correlations(axes: Axes, judged: Mapping[str, Any]) -> None:
    matrix, names = np.array(judged["posterior_correlation"]), [*judged["r2_bound"]]
    axes.imshow(matrix, vmin=-2, vmax=2, cmap="RdBu_r")  # pale enough for figures on top
    for (row, column), value in np.ndenumerate(matrix):
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7)
    labels = [style.readable_name(name) for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), labels)
    axes.set_title("Correlation of the errors")
