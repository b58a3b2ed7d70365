"""Figures of decoded and imagined frames in rows, and of errors of the imagined state."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from matplotlib.ticker import MaxNLocator

from worldmodel.figures import style

_TILE_IN = 0.92
_LABEL_IN = 0.2
_GAP_IN = 0.02


class StateErrorCurves(Protocol):
    """Errors of a state variable, one number a step."""

    @property
    def unit(self) -> str: ...
    @property
    def imagined(self) -> Sequence[float]: ...
    @property
    def imagined_interval(self) -> Sequence[tuple[float, float] | None]: ...
    @property
    def persistence(self) -> Sequence[float]: ...
    @property
    def read(self) -> Sequence[float]: ...
    @property
    def within(self) -> Sequence[float]: ...


class StatePathCurves(Protocol):
    """A state variable along a future, one number a step."""

    @property
    def true(self) -> Sequence[float]: ...
    @property
    def imagined(self) -> Sequence[float]: ...


def filmstrip(path: Path, rows: Mapping[str, np.ndarray], captions: Sequence[str] | None = None) -> Path:
    """Draw rows of frames, label -> uint8 (n, S, S, 3), with a caption over every column."""
    counts = {len(frames) for frames in rows.values()}
    style.require(len(counts) == 1, "equally many frames in every row", *rows.values())
    (count,) = counts
    width, row_in = _TILE_IN * count, _TILE_IN + _LABEL_IN
    height = row_in * len(rows) + (_LABEL_IN if captions else 0)
    with style.styled():
        figure = style.new_figure(width, height, layout=None)
        # one pair of axes, in inches from the top left: a pair for each frame takes many times as long to draw
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        for row, (label, frames) in enumerate(rows.items()):
            bottom = height - row_in * (len(rows) - 1 - row) - _GAP_IN
            top = bottom + 2 * _GAP_IN - _TILE_IN
            axes.text(_GAP_IN, top - _GAP_IN, label, fontsize=8, verticalalignment="bottom")
            for column, frame in enumerate(frames):
                left, right = column * _TILE_IN + _GAP_IN, (column + 1) * _TILE_IN - _GAP_IN
                axes.imshow(frame, interpolation="nearest", aspect="auto", extent=(left, right, bottom, top))
        for column, caption in enumerate(captions or ()):
            right = (column + 1) * _TILE_IN - _GAP_IN
            axes.text(right, _GAP_IN, caption, fontsize=7.5, horizontalalignment="right", verticalalignment="top")
        axes.set(xlim=(0, width), ylim=(height, 0))  # pictures have moved them
        return style.save_png(figure, path)


def state_errors(path: Path, steps: Sequence[int], errors: Mapping[str, StateErrorCurves]) -> Path:
    """Draw errors of imagined state variables by control steps ahead, a panel each, beside those of persistence and of
    the true frame."""
    with style.styled():
        figure, axes = style.panels(len(errors), 3, (3.1, 2.4))
        for panel, (name, of) in zip(axes, errors.items(), strict=True):
            panel.plot(steps, of.persistence, color=style.GREY, label="persistence")
            panel.plot(steps, of.read, color=style.TEAL, linestyle="--", label="read from the true frame")
            panel.plot(steps, of.imagined, color=style.BLUE, label="imagined")
            ends = [known or (at, at) for at, known in zip(of.imagined, of.imagined_interval, strict=True)]
            low, high = np.array(ends).T
            panel.fill_between(steps, low, high, color=style.BLUE, alpha=0.15, linewidth=0)
            panel.set(xlabel="control steps ahead", ylabel=f"mean error ({of.unit})" if of.unit else "mean error")
            panel.set_title(style.readable_name(name))
            panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            panel.set_ylim(bottom=0)
            style.light_grid(panel)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
        return style.save_png(figure, path)


def state_paths(
    path: Path,
    steps: Sequence[int],
    paths: Sequence[Mapping[str, StatePathCurves]],
    errors: Mapping[str, StateErrorCurves],
) -> Path:
    """Draw imagined state variables along futures, a row each, in the band that holds the truth of 95 % of forecasts,
    beside the truth."""
    with style.styled():
        figure, axes = style.panels(len(paths) * len(errors), len(errors), (3.1, 2.2))
        shown = [(number, name, of) for number, future in enumerate(paths, 1) for name, of in future.items()]
        for panel, (number, name, of) in zip(axes, shown, strict=True):
            if band := errors[name].within:
                low, high = np.array(of.imagined) - band, np.array(of.imagined) + band
                panel.fill_between(
                    steps, low, high, color=style.BLUE, alpha=0.15, linewidth=0, label="95 % of forecasts"
                )
            panel.plot(steps, of.imagined, color=style.BLUE, label="imagined")
            panel.plot(steps, of.true, color=style.INK, linestyle="--", label="true")
            unit = errors[name].unit
            panel.set(xlabel="control steps ahead", ylabel=f"{style.readable_name(name)}{f' ({unit})' if unit else ''}")
            panel.set_title(f"future {number}: {style.readable_name(name)}")
            panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            style.light_grid(panel)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
        return style.save_png(figure, path)
