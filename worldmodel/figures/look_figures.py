"""Figures of looks: how each shows a goal, and how many goals are reached under it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.ticker import PercentFormatter

from worldmodel.figures import style
from worldmodel.figures.control_figures import Rate


def looks_sheet(path: Path, frames: Mapping[str, np.ndarray]) -> Path:
    """Draw look -> frames uint8 (I, S, S, 3), its instances side by side; several looks in a row."""
    num_instances = max(len(of) for of in frames.values())
    columns = max(1, 12 // num_instances)
    with style.styled():
        figure, axes = style.panels(len(frames), columns, (0.72 * num_instances, 0.95))
        for panel, (label, of) in zip(axes, frames.items(), strict=True):
            panel.imshow(np.concatenate(list(of), 1), interpolation="nearest")
            panel.set_title(label, fontsize=7.5, pad=3)
            panel.set_axis_off()
        return style.save_png(figure, path)


def looks_success(path: Path, rates: Mapping[str, Mapping[str, Rate]]) -> Path:
    """Draw the share of goals reached: encoder -> look -> rate with its interval; a bar for each encoder and look."""
    labels = list(dict.fromkeys(label for of in rates.values() for label in of))
    thickness = 0.8 / len(rates)
    with style.styled():
        figure = style.new_figure(6.0, 0.9 + 0.26 * len(labels) * max(1.0, 0.7 * len(rates)))
        axes = figure.add_subplot()
        for number, of in enumerate(rates.values()):
            for label, (rate, low, high) in of.items():
                row = labels.index(label) + (number - (len(rates) - 1) / 2) * thickness
                axes.barh(row, rate, height=0.9 * thickness, color=(style.BLUE, style.GREY)[number % 2])
                error = style.interval_errors(rate, (low, high))
                axes.errorbar(rate, row, xerr=error, color=style.INK, linewidth=0.9, capsize=2)
                axes.text(1.04, row, f"{rate:.0%}", va="center", fontsize=7, color=style.INK, clip_on=False)
        axes.set(xlim=(0, 1.02), ylim=(len(labels) - 0.4, -0.6), xlabel="goals reached")
        axes.set_yticks(range(len(labels)), labels)
        axes.tick_params(axis="y", length=0, labelsize=8, labelcolor=style.INK)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        if len(rates) > 1:
            handles = [axes.barh([-9], [0], color=(style.BLUE, style.GREY)[i % 2]) for i in range(len(rates))]
            axes.legend(handles, list(rates), loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(rates))
        style.light_grid(axes, "x")
        return style.save_png(figure, path)
