"""One figure for every table: measured values with intervals, published ones as open diamonds."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from benchmarks.reproduce.definitions import Table
from benchmarks.reproduce.result import RowResult
from worldmodel.figures import style


def draw(table: Table, rows: list[RowResult], path: Path) -> Path:
    """Draw the table's first measures, a panel each, against its x, one line a series; rows: those of results.json."""
    names = list(table.measures)[: table.num_drawn]
    with style.styled():
        figure, axes = style.panels(len(names), min(len(names), 4), (3.1, 2.9))
        for axis, name in zip(axes, names, strict=False):
            _panel(axis, table, name, rows)
        return style.save_png(figure, path)


def _panel(axis: Axes, table: Table, name: str, rows: list[RowResult]) -> None:
    series = list(dict.fromkeys(row.series for row in rows))
    for index, label in enumerate(series):
        shown = [
            (row, found.mean)
            for row in rows
            if row.series == label and (found := row.measures.get(name)) and found.mean is not None
        ]
        if not shown:
            continue
        colour = style.SERIES[index % len(style.SERIES)]
        x = np.array([place if row.x is None else row.x for place, (row, _) in enumerate(shown)], float)
        mean = np.array([value for _, value in shown])
        intervals = [row.measures[name].interval for row, _ in shown]
        errors = np.hstack([style.interval_errors(*found) for found in zip(mean, intervals, strict=True)])
        axis.errorbar(
            x, mean, errors, fmt="o-" if table.x_label else "o", color=colour, ms=4, lw=1.4,
            capsize=2, label=label or "ours",
        )  # fmt: skip
        theirs = [(place, row.measures[name].published) for place, (row, _) in zip(x, shown, strict=True)]
        theirs = [(place, value) for place, value in theirs if value is not None]
        if theirs:
            axis.plot(*zip(*theirs, strict=True), "D", mfc="none", mec=colour, ms=7, ls="none", label="published")
        if not table.x_label:
            axis.set_xticks(x, [row.key for row, _ in shown], rotation=30, ha="right")
    if table.log_x:
        axis.set_xscale("log")
    axis.set(title=table.measures[name], xlabel=table.x_label)
    axis.legend(fontsize=7)
