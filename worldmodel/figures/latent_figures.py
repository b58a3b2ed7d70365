"""Figures of latents: each true variable against its readout, and the latent plane under a grid of true values.

Letters: N samples, Z true variables, D latents, S image side.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from worldmodel.figures import style
from worldmodel.figures.control_figures import Rate, success_panel
from worldmodel.figures.geometry import rotate_onto, truth_grid
from worldmodel.measures.wording import digits


def latents_against_truth(
    path: Path,
    truth: np.ndarray,
    readout: np.ndarray,
    latents: np.ndarray,
    names: Sequence[str],
    units: Sequence[str],
    r2: Sequence[float | None],
) -> Path:
    """Draw each true variable against its linear readout and, for two variables, the rotated latent plane.

    The plane shows the latents after the best rotation onto the standardised truth and nothing else: no stretching, so
    a regular grid of true values that stays a regular grid is the proof by eye.

    Args:
        truth, readout: (N, Z) in `units`, of held-out frames.
        latents: (N, D) of the same frames.
        r2: R2 of every variable's readout; None where it cannot be determined.
    """
    fits = truth.ndim == latents.ndim == 2 and len(truth) == len(latents) and truth.shape == readout.shape
    style.require(fits, "truth and readout (N, Z) and latents (N, D)", truth, readout, latents)
    style.require(len(names) == len(units) == truth.shape[1], f"{truth.shape[1]} names and units", names, units)
    with style.styled():
        has_plane = truth.shape[1] == 2 and latents.shape[1] >= 2
        count = truth.shape[1] + (2 if has_plane else 0)
        figure, axes = style.panels(count, 4, (2.75, 2.95))
        for index, name in enumerate(names):
            _readout_panel(axes[index], truth[:, index], readout[:, index], style.SERIES[index % 5])
            axes[index].set_xlabel(style.with_unit(f"true {name}", units[index]))
            axes[index].set_ylabel(style.with_unit("linear readout", units[index]))
            axes[index].set_title(f"{style.readable_name(name)}  R² {digits(r2[index])}")
        if has_plane:
            _plane_panels(axes[2:], truth, latents, names)
        return style.save_png(figure, path)


def hero(
    path: Path,
    frames: np.ndarray,
    truth: np.ndarray,
    latents: np.ndarray,
    names: Sequence[str],
    rates: Mapping[str, Rate],
) -> Path:
    """Draw the demo in one picture: frames, the latent plane, and the share of goals reached.

    frames (N, S, S, 3) uint8 fill a strip, truth (M, 2) and latents (M, D) the plane; rates as for `success_bars`.
    """
    style.require(truth.shape[1] == 2, "two true variables", truth, latents)
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
        success_panel(bars, rates)
        bars.set_title("reaching goal images")
        return style.save_png(figure, path)


def _readout_panel(axes: Axes, truth: np.ndarray, readout: np.ndarray, colour: str) -> None:
    """One true variable (N,) against its linear readout (N,)."""
    low, high = style.padded_range(truth)
    axes.plot([low, high], [low, high], color=style.INK, linewidth=1.0)
    style.scatter(axes, truth, readout, colour)
    axes.set(xlim=(low, high), ylim=(low, high))
    axes.set_aspect("equal")


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
