"""The style of every figure: palette, type, axes, and the only function that writes a figure to a file."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, LogFormatterMathtext

from worldmodel.system.errors import UserError
from worldmodel.system.files import write_atomically
from worldmodel.system.printable import say

DPI = 130

INK = "#1d2733"
MUTED = "#6b7684"
RULE = "#d9dee4"
BLUE = "#2f6db5"
PALE_BLUE = "#9dbfe3"
TEAL = "#12897b"
AMBER = "#d98e04"
ROSE = "#c2453d"
GREY = "#a3acb7"
SERIES = (BLUE, AMBER, TEAL, ROSE, "#7a5aa6", GREY)

# Blue to amber through a light, slightly warm middle that still stands out from a white card.
TRUTH_COLOURS = LinearSegmentedColormap.from_list(
    "truth", ["#123b73", "#2f6db5", "#7fb2c9", "#e8c671", "#d98e04", "#a2480b"]
)

_RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.parse_math": False,  # names of others may hold a $
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.8,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.titley": 1.0,  # to search for a place above the ticks takes up to a quarter of the time of a figure
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
    "axes.facecolor": "white",
}


def styled() -> AbstractContextManager[None]:
    """The report's settings, for the length of a `with` block; the caller's own settings come back after it."""
    return matplotlib.rc_context(_RC)  # pyright: ignore[reportArgumentType]


def new_figure(width_in: float, height_in: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """An empty figure of `width_in` by `height_in` inches that no global state knows about.

    layout: "constrained" makes room for labels, None leaves axes where they are put.
    """
    figure = Figure(figsize=(width_in, height_in), dpi=DPI, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def panels(
    count: int,
    columns: int,
    panel_in: tuple[float, float],
    margins_in: tuple[float, float, float, float] | None = None,
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` equal panels, `columns` to a row at most, each `panel_in` (width, height) inches.

    margins_in: (left, right, bottom, top) inches around the axes of each panel. None fits them to the labels, which
    makes a figure of many panels take four times as long.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    width, height = panel_in[0] * columns, panel_in[1] * rows
    figure = new_figure(width, height, None if margins_in else "constrained")
    if margins_in:
        left, right, bottom, top = margins_in
        figure.subplots_adjust(
            left=left / width,
            right=1 - right / width,
            bottom=bottom / height,
            top=1 - top / height,
            wspace=(left + right) / (panel_in[0] - left - right),
            hspace=(bottom + top) / (panel_in[1] - bottom - top),
        )
    axes = [figure.add_subplot(rows, columns, index + 1) for index in range(count)]
    return figure, axes


@contextmanager
def drawing(what: str) -> Iterator[None]:
    """Draw in this context, so that an error is reported in one line and the command's result is kept.

    UserError, such as of a full disk, is raised all the same.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        say(f"note: {what} could not be drawn ({' '.join(str(error).split())[:200]})")


def save_png(figure: Figure, path: Path) -> Path:
    """Write `figure` to `path` as a PNG at `DPI`, atomically."""
    _write_powers_plainly(figure)
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=DPI))
    return path


class _PlainPowers(LogFormatter):
    """0.01, not 10 to the power of -2; which ticks have a label is Matplotlib's choice."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def _write_powers_plainly(figure: Figure) -> None:
    """Ticks of logarithmic axes as plain numbers: Matplotlib writes them as formulas, which are not set here."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_formatter(), LogFormatterMathtext):
                axis.set_major_formatter(_PlainPowers(labelOnlyBase=True))
            if isinstance(axis.get_minor_formatter(), LogFormatterMathtext):
                axis.set_minor_formatter(_PlainPowers(labelOnlyBase=False, minor_thresholds=(1, 0.4)))


def with_unit(name: str, unit: str | None) -> str:
    """`mass` and `kg` to `mass (kg)`; names lose their underscores."""
    label = name.replace("_", " ")
    return f"{label} ({unit})" if unit else label


def readable_name(name: str) -> str:
    """`effective_rank` to `effective rank`; `sigreg` to `SIGReg`."""
    special = {"sigreg": "SIGReg", "lr": "learning rate"}
    return special.get(name, name.replace("_", " "))


def light_grid(axes: Axes, axis: str = "y") -> None:
    """Hairlines behind the data along `axis` ("x", "y" or "both")."""
    axes.grid(True, axis=axis, color=RULE, linewidth=0.6)  # pyright: ignore[reportArgumentType]


def thin(count: int, most: int) -> np.ndarray:
    """Indices (<= most,) that spread evenly over `count` rows, so that a scatter stays legible."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def interval_errors(value: float, interval: Sequence[float] | None) -> np.ndarray:
    """Whisker lengths (2, 1) below and above `value` for matplotlib; zero where there is no interval."""
    if interval is None:
        return np.zeros((2, 1))
    return np.array([[max(value - interval[0], 0.0)], [max(interval[1] - value, 0.0)]])


def scatter(axes: Axes, x: np.ndarray, y: np.ndarray, colour: str) -> None:
    """Up to 3000 dots, fainter the more there are."""
    chosen = thin(len(x), 3000)
    alpha = float(np.clip(250 / len(chosen), 0.18, 0.7))
    axes.scatter(x[chosen], y[chosen], s=7, color=colour, alpha=alpha, linewidths=0)


def padded_range(values: np.ndarray) -> tuple[float, float]:
    """The range of finite `values` with a margin of four per cent at either end; never empty."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    air = 0.04 * (high - low) or 0.5
    return low - air, high + air


def require(holds: bool, expected: str, *given: Any) -> None:
    """Raise ValueError naming what was expected and the shapes that came."""
    if not holds:
        raise ValueError(f"expected {expected}, got shapes {', '.join(str(np.shape(item)) for item in given)}")
