"""Figures of a comparison."""

from pathlib import Path
from typing import Any

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


def draw_table(path: Path, content: dict[str, Any]) -> Path:
    """Recovery with its intervals, convergence, and whatever sweeps the content has."""
    table = content["methods"]
    drawn = [_recovery, _convergence]
    if any(row.get("batch") for row in table.values()):
        drawn.append(_batch)
    if any(row.get("data") for row in table.values()):
        drawn.append(_data)
        drawn += [_shifted] * any(found["shifts"] for row in table.values() for found in row.get("data", {}).values())
    with style.styled():
        figure, axes = style.panels(len(drawn), 3, (3.6, 3.1))
        for draw, panel in zip(drawn, axes, strict=True):
            draw(panel, table)
            style.light_grid(panel)
        names = list(table)
        handles = [axes[1].plot([], [], color=_COLOURS[name], label=style.readable_name(name))[0] for name in names]
        figure.legend(handles=handles, loc="outside lower center", ncols=6)
        return style.save_png(figure, path)


def _recovery(axes: Axes, table: dict[str, Any]) -> None:
    names = sorted(table, key=lambda name: table[name]["r2_h_to_z"]["mean"])
    for position, name in enumerate(names):
        found = table[name]["r2_h_to_z"]
        axes.barh(position, max(found["mean"], 0), color=_COLOURS[name], height=0.62)
        whisker = style.interval_errors(found["mean"], found["interval"])
        axes.errorbar(found["mean"], position, xerr=whisker, color=style.INK, linewidth=1)
    axes.set_yticks(range(len(names)), [style.readable_name(name) for name in names])
    axes.set(xlim=(0, 1.02), xlabel="R², latents to truth, test episodes")
    axes.set_title("recovery")


def _convergence(axes: Axes, table: dict[str, Any]) -> None:
    for name, row in table.items():
        curve = np.array(row["curve"])
        axes.plot(curve[:, 1], curve[:, 2], color=_COLOURS[name], linewidth=1.4)
    axes.set_xscale("log")
    axes.set(ylim=(0, 1.02), xlabel="CPU seconds of training", ylabel="R², validation")
    axes.set_title("convergence")


def _sweep(axes: Axes, table: dict[str, Any], part: str, pick: Any) -> None:
    for name, row in table.items():
        if row.get(part):
            sizes = sorted(row[part], key=int)
            axes.plot(
                [int(s) for s in sizes],
                [pick(row[part][s]) for s in sizes],
                "o-",
                ms=3,
                color=_COLOURS[name],
                linewidth=1.4,
            )
    axes.set_xscale("log", base=2 if part == "batch" else 10)


def _batch(axes: Axes, table: dict[str, Any]) -> None:
    _sweep(axes, table, "batch", lambda found: found["mean"])
    axes.set(ylim=(0, 1.02), xlabel="pairs in a batch", ylabel="R², test")
    axes.set_title("batch size, pairs in all alike")


def _data(axes: Axes, table: dict[str, Any]) -> None:
    _sweep(axes, table, "data", lambda found: found["test"]["mean"])
    axes.set(ylim=(0, 1.02), xlabel="training frames", ylabel="R², test")
    axes.set_title("data size")


def _shifted(axes: Axes, table: dict[str, Any]) -> None:
    _sweep(axes, table, "data", lambda found: float(np.mean([s["rmse_sd"]["mean"] for s in found["shifts"].values()])))
    axes.set_yscale("log")
    axes.set(xlabel="training frames", ylabel="RMSE (sd)")
    axes.set_title("unseen poses, light, colours")


def draw_separation(path: Path, content: dict[str, Any]) -> Path:
    """R2 of ball and light by method, a panel for each kind of pairs, and the ball under shifts below."""
    conditions = content["conditions"]
    with style.styled():
        figure, axes = style.panels(2 * len(conditions), len(conditions), (3.6, 2.9))
        for index, (name, condition) in enumerate(conditions.items()):
            _separation(axes[index], name, condition["methods"])
            _transfer(axes[len(conditions) + index], condition["methods"])
        return style.save_png(figure, path)


def _separation(axes: Axes, name: str, rows: dict[str, Any]) -> None:
    positions = np.arange(len(rows))
    for offset, key, colour in ((-0.2, "x", style.BLUE), (0.2, "light", style.AMBER)):
        values = [max(row[key]["mean"] or 0, 0) for row in rows.values()]
        axes.barh(positions + offset, values, height=0.36, color=colour, label={"x": "ball", "light": "light"}[key])
    axes.set_yticks(positions, [style.readable_name(method) for method in rows])
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.02), xlabel="R², read linearly from the latents")
    axes.set_title(name)
    axes.legend(loc="lower right")


def _transfer(axes: Axes, rows: dict[str, Any]) -> None:
    shifts = list(next(iter(rows.values()))["x_under_shift"])
    for method, row in rows.items():
        values = [row["x_under_shift"][shift]["rmse_sd"]["mean"] for shift in shifts]
        axes.plot(values, range(len(shifts)), "o", ms=5, color=_COLOURS[method], label=style.readable_name(method))
    axes.set_yticks(range(len(shifts)), shifts)
    axes.set_xscale("log")
    axes.set(xlabel="RMSE of the ball's position (sd)")
    style.light_grid(axes, "x")
    axes.legend(fontsize=6, ncols=2)
