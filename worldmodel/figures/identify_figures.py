"""The figures of `identify`: constants beside their priors, readings beside the fit, and pictures side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from worldmodel.figures import style

SIMULATOR_COLOURS = {
    "calibrated": style.BLUE,
    "written": style.PALE_BLUE,
    "true": style.TEAL,
    "learned": style.AMBER,
    "nominal": style.ROSE,
}
"""Simulators that predict the end of a recording."""


@dataclass(frozen=True)
class DrawnConstant:
    """A constant, divided by its nominal value where its prior is logarithmic; else in its unit."""

    label: str
    """Its name."""
    value: float
    """The estimate."""
    interval: Sequence[float] | None
    """Its interval."""
    prior: Sequence[float]
    """95 % interval of the prior."""
    true: float | None
    """The true value; None where it is not known."""


@dataclass(frozen=True)
class DrawnJoint:
    """Readings of a joint, and its fitted motion."""

    name: str
    """Name of the joint."""
    unit: str
    """m or rad."""
    read: np.ndarray
    """Readings (T+1,)."""
    fitted: np.ndarray
    """The fit (T+1,)."""


def constants_and_fit(
    path: Path, constants: Sequence[DrawnConstant], joints: Sequence[DrawnJoint], dt_s: float
) -> Path:
    """Draw every constant with its interval, and the first recording's joints over time."""
    with style.styled():
        figure, axes = style.panels(1 + len(joints), 3, (3.4, 2.8))
        _constants(axes[0], constants)
        for panel, joint in zip(axes[1:], joints, strict=True):
            seconds = dt_s * np.arange(len(joint.read))
            panel.plot(seconds, joint.read, ".", color=style.GREY, markersize=4, label="read")
            panel.plot(seconds, joint.fitted, color=style.BLUE, linewidth=1.2, label="calibrated simulator")
            panel.set(xlabel="seconds", ylabel=joint.unit, title=style.readable_name(joint.name))
        axes[1].legend()
        return style.save_png(figure, path)


def _constants(axes: Axes, constants: Sequence[DrawnConstant]) -> None:
    for row, drawn in enumerate(constants):
        axes.plot(drawn.prior, [row, row], color=style.RULE, linewidth=7, solid_capstyle="butt")
        if drawn.interval is not None:
            axes.plot(drawn.interval, [row, row], color=style.BLUE, linewidth=3, solid_capstyle="butt")
        axes.plot([drawn.value], [row], "o", color=style.BLUE if drawn.interval else style.GREY, markersize=5)
        if drawn.true is not None:
            axes.plot([drawn.true], [row], "|", color=style.ROSE, markersize=15, markeredgewidth=1.5)
    axes.set_yticks(range(len(constants)), [drawn.label for drawn in constants])
    axes.set(ylim=(len(constants) - 0.5, -0.5), xlabel="over nominal; grey: prior, red: true", title="Constants, 95 %")


def simulator_errors(
    path: Path, rms: Mapping[str, Mapping[str, Sequence[float]]], units: Mapping[str, str], dt_s: float
) -> Path:
    """Draw how far each simulator is off, by how far it looks ahead; joint -> simulator -> error at each step."""
    with style.styled():
        figure, axes = style.panels(len(rms), 3, (3.4, 2.8))
        for panel, (joint, by_simulator) in zip(axes, rms.items(), strict=True):
            for name, errors in by_simulator.items():
                seconds = dt_s * np.arange(1, len(errors) + 1)
                panel.plot(seconds, errors, color=SIMULATOR_COLOURS[name], label=name)
            panel.set(xlabel="seconds ahead", ylabel=f"RMS error ({units[joint]})", title=style.readable_name(joint))
            panel.set_yscale("log")
            style.light_grid(panel)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
        return style.save_png(figure, path)


def filmstrip(path: Path, rows: Mapping[str, np.ndarray], seconds: Sequence[float]) -> Path:
    """Pictures at the same moments one above another: label -> uint8 (n, S, S, 3)."""
    num = len(seconds)
    with style.styled():
        figure = style.new_figure(1.25 * num + 1.0, 1.3 * len(rows) + 0.3)
        for row, (label, frames) in enumerate(rows.items()):
            style.require(len(frames) == num, f"{num} frames", frames)
            for column, frame in enumerate(frames):
                axes = figure.add_subplot(len(rows), num, row * num + column + 1)
                axes.imshow(frame, interpolation="nearest")
                axes.set_xticks([])
                axes.set_yticks([])
                if column == 0:
                    axes.set_ylabel(label)
                if row == 0:
                    axes.set_title(f"+{seconds[column]:.2f} s")
        return style.save_png(figure, path)
