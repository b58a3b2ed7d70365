"""Figures of methods side by side: recovery, convergence and sweeps; ball and light, told apart."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from worldmodel.figures import style

_COLOURS = {
    "lejepa": style.BLUE,
    "lewm": style.PALE_BLUE,
    "jepa_ema": style.ROSE,
    "jepa_stop_gradient": "#d98a84",
    "jepa_none": "#7c2a24",
    "infonce": style.AMBER,
    "infonce_cosine": "#e8c671",
    "vicreg": style.TEAL,
    "whitening": "#7a5aa6",
    "autoencoder": style.MUTED,
    "vae": style.GREY,
    "supervised": style.INK,
}


@dataclass(frozen=True)
class MethodFigures:
    """The figures of one method."""

    r2: float
    """R2 of the true variables from latents, on test episodes."""
    interval: Sequence[float] | None
    """Its interval."""
    curve: Sequence[tuple[float, float]]
    """CPU seconds of training, and R2 on validation episodes."""
    by_batch: Mapping[int, float]
    """Pairs in a batch -> R2 on test episodes; empty where the method was not swept, as below."""
    by_frames: Mapping[int, float]
    """Training frames -> R2 on test episodes."""
    shifted_rmse: Mapping[int, float]
    """Training frames -> root mean squared error in standard deviations, mean over shifted test sets."""


Methods = Mapping[str, MethodFigures]
_Panel = Callable[[Axes, Methods], None]


def methods(path: Path, drawn: Methods) -> Path:
    """Draw recovery with its intervals, convergence, and the sweeps that were measured."""
    panels: list[_Panel] = [_recovery, _convergence]
    panels += [_batch] * any(method.by_batch for method in drawn.values())
    panels += [_data] * any(method.by_frames for method in drawn.values())
    panels += [_shifted] * any(method.shifted_rmse for method in drawn.values())
    with style.styled():
        figure, axes = style.panels(len(panels), 3, (3.6, 3.1))
        for draw, panel in zip(panels, axes, strict=True):
            draw(panel, drawn)
            style.light_grid(panel)
        handles = [axes[1].plot([], [], color=_COLOURS[name], label=style.readable_name(name))[0] for name in drawn]
        figure.legend(handles=handles, loc="outside lower center", ncols=6)
        return style.save_png(figure, path)


def _recovery(axes: Axes, drawn: Methods) -> None:
    names = sorted(drawn, key=lambda name: drawn[name].r2)
    for position, name in enumerate(names):
        method = drawn[name]
        axes.barh(position, max(method.r2, 0), color=_COLOURS[name], height=0.62)
        whisker = style.interval_errors(method.r2, method.interval)
        axes.errorbar(method.r2, position, xerr=whisker, color=style.INK, linewidth=1)
    axes.set_yticks(range(len(names)), [style.readable_name(name) for name in names])
    axes.set(xlim=(0, 1.02), xlabel="R², latents to truth, test episodes")
    axes.set_title("recovery")


def _convergence(axes: Axes, drawn: Methods) -> None:
    for name, method in drawn.items():
        axes.plot(*np.array(method.curve).T, color=_COLOURS[name], linewidth=1.4)
    axes.set_xscale("log")
    axes.set(ylim=(0, 1.02), xlabel="CPU seconds of training", ylabel="R², validation")
    axes.set_title("convergence")


def _sweep(axes: Axes, curves: Mapping[str, Mapping[int, float]], base: int) -> None:
    """A line for each method that was swept, over a logarithmic axis."""
    for name, curve in curves.items():
        if curve:
            sizes = sorted(curve)
            values = [curve[size] for size in sizes]
            axes.plot(sizes, values, "o-", ms=3, color=_COLOURS[name], linewidth=1.4)
    axes.set_xscale("log", base=base)


def _batch(axes: Axes, drawn: Methods) -> None:
    _sweep(axes, {name: method.by_batch for name, method in drawn.items()}, base=2)
    axes.set(ylim=(0, 1.02), xlabel="pairs in a batch", ylabel="R², test")
    axes.set_title("batch size, pairs in all alike")


def _data(axes: Axes, drawn: Methods) -> None:
    _sweep(axes, {name: method.by_frames for name, method in drawn.items()}, base=10)
    axes.set(ylim=(0, 1.02), xlabel="training frames", ylabel="R², test")
    axes.set_title("data size")


def _shifted(axes: Axes, drawn: Methods) -> None:
    _sweep(axes, {name: method.shifted_rmse for name, method in drawn.items()}, base=10)
    axes.set_yscale("log")
    axes.set(xlabel="training frames", ylabel="RMSE (sd)")
    axes.set_title("unseen poses, light, colours")


@dataclass(frozen=True)
class SeparationFigures:
    """The figures of one method in one condition of the study of the lit ball."""

    ball: float
    """R2 of the ball's position."""
    light: float
    """R2 of the light."""
    shifted_rmse: Mapping[str, float]
    """Shifted test set -> root mean squared error of the ball's position, in standard deviations."""


def separation(path: Path, conditions: Mapping[str, Mapping[str, SeparationFigures]]) -> Path:
    """R2 of ball and light by method, a panel for each kind of pairs, and the ball under shifts below."""
    with style.styled():
        figure, axes = style.panels(2 * len(conditions), len(conditions), (3.6, 2.9))
        for index, (name, drawn) in enumerate(conditions.items()):
            _separation(axes[index], name, drawn)
            _transfer(axes[len(conditions) + index], drawn)
        return style.save_png(figure, path)


def _separation(axes: Axes, name: str, drawn: Mapping[str, SeparationFigures]) -> None:
    positions = np.arange(len(drawn))
    balls = [max(method.ball, 0) for method in drawn.values()]
    lights = [max(method.light, 0) for method in drawn.values()]
    for offset, values, colour, label in ((-0.2, balls, style.BLUE, "ball"), (0.2, lights, style.AMBER, "light")):
        axes.barh(positions + offset, values, height=0.36, color=colour, label=label)
    axes.set_yticks(positions, [style.readable_name(method) for method in drawn])
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.02), xlabel="R², read linearly from the latents")
    axes.set_title(name)
    axes.legend(loc="lower right")


def _transfer(axes: Axes, drawn: Mapping[str, SeparationFigures]) -> None:
    shifts = list(next(iter(drawn.values())).shifted_rmse)
    for name, method in drawn.items():
        values = [method.shifted_rmse[shift] for shift in shifts]
        axes.plot(values, range(len(shifts)), "o", ms=5, color=_COLOURS[name], label=style.readable_name(name))
    axes.set_yticks(range(len(shifts)), shifts)
    axes.set_xscale("log")
    axes.set(xlabel="RMSE of the ball's position (sd)")
    style.light_grid(axes, "x")
    axes.legend(fontsize=6, ncols=2)
