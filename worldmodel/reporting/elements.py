"""The elements of a page: cells, tables, charts, sections; and how its numbers are written. No HTML here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from worldmodel.measures.wording import DASH


@dataclass(frozen=True)
class Cell:
    """One table cell."""

    text: str
    """What is shown."""
    numeric: bool = False
    """Whether it is a number, which is aligned right."""
    share: float | None = None
    """Share in [0, 1] drawn as a bar behind the text."""
    link: str | None = None
    """Where a click leads."""
    exact: str = ""
    """Every digit, shown when the pointer rests on the cell."""


@dataclass(frozen=True)
class Table:
    """A table with one caption; every row has as many cells as there are headers."""

    caption: str
    headers: tuple[str, ...]
    rows: list[list[Cell]]
    folded: bool = False
    """Whether it is shown only when a reader asks for it."""


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    label: str
    """Its name in the legend."""
    x: Sequence[float]
    """Its x values."""
    y: Sequence[float | None]
    """Its y values; None leaves a point out."""
    colour: Literal["accent", "second", "quiet"] = "accent"
    """Which of the page's colours it has."""
    low: Sequence[float | None] | None = None
    """Lower end of an interval around each point."""
    high: Sequence[float | None] | None = None
    """Upper end."""


@dataclass(frozen=True)
class Chart:
    """Lines that show their values at the pointer, and can be enlarged."""

    title: str
    x_label: str
    series: list[Line]
    log: bool = False
    """Whether the y axis is logarithmic."""
    from_zero: bool = True
    """Whether the y axis begins at 0 where all values are positive and not all far from 0."""


@dataclass(frozen=True)
class Tile:
    """One headline number."""

    label: str
    """The name of the number."""
    value: str
    """The number."""
    detail: str
    """A figure to compare it with."""


@dataclass(frozen=True)
class Section:
    """One finding."""

    key: str
    """Its anchor on the page."""
    title: str
    sees: str
    """What the section shows."""
    reads: str
    """How to read it."""
    command: str
    """The command that makes it again."""
    evidence: Sequence[Path | Table | Chart] = ()
    """Pictures, tables and charts."""
    verdict: str = ""
    """What was found, in a sentence."""
    videos: list[Path] = field(default_factory=list)
    """Films."""


@dataclass(frozen=True)
class Missing:
    """Something that has not been run, and the command that would run it."""

    title: str
    command: str


def number(value: float | None, digits: int, bar: bool = False) -> Cell:
    """A number of fixed digits; a dash for None; thousands apart by thin spaces. bar: it is a share of 1."""
    if value is None or not math.isfinite(value):
        return Cell(DASH, True)
    text = f"{value:,.{digits}f}".replace(",", "\u202f").replace("-", "\u2212")
    return Cell(text, True, share(value) if bar else None, exact=repr(value))


def short(value: float | None) -> Cell:
    """A number of four significant digits, for quantities of any size."""
    return Cell(DASH, True) if value is None else Cell(f"{value:.4g}".replace("-", "\u2212"), True, exact=repr(value))


def scientific(value: float | None) -> Cell:
    """`1.2e-05`, or a dash."""
    return Cell(DASH, True) if value is None else Cell(f"{value:.1e}", True, exact=repr(value))


def interval(ends: Sequence[float] | None, digits: int) -> Cell:
    """`[0.88, 0.92]`, or a dash."""
    if ends is None:
        return Cell(DASH, True)
    low, high = (number(end, digits).text for end in ends)
    return Cell(f"[{low}, {high}]", True, exact=f"[{ends[0]!r}, {ends[1]!r}]")


def percent(rate: float | None) -> Cell:
    """`97 %` with a bar, or a dash."""
    if rate is None:
        return Cell(DASH, True)
    return Cell(f"{100 * rate:.0f}\u202f%", True, share(rate), exact=repr(rate))


def percent_interval(ends: Sequence[float] | None) -> Cell:
    """`[92, 99] %`, or a dash."""
    if ends is None:
        return Cell(DASH, True)
    text = f"[{100 * ends[0]:.0f}, {100 * ends[1]:.0f}]\u202f%".replace("-", "\u2212")
    return Cell(text, True, exact=f"[{ends[0]!r}, {ends[1]!r}]")


def duration(seconds: float | None) -> str:
    """`252.3` to `4 min 12 s`."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {round(seconds) % 60} s"


def setting(value: object) -> Cell:
    """A setting as text for people: yes or no, integers with thousands apart, lists joined."""
    if value is None:
        return Cell(DASH, True)
    if isinstance(value, bool):
        return Cell("yes" if value else "no", True)
    if isinstance(value, int):
        return number(value, 0)
    if isinstance(value, float):
        return short(value)
    return Cell(", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value), True)


def facts(caption: str, values: dict[str, object]) -> Table:
    """A table of what is known, a row each; None is not known, or does not apply, and has no row."""
    known = {name: value for name, value in values.items() if value is not None}
    return Table(caption, ("What", "Value"), [[Cell(plain(name)), setting(value)] for name, value in known.items()])


def without_empty_columns(table: Table) -> Table:
    """The table without the columns that hold nothing but dashes."""
    shown = [k for k in range(len(table.headers)) if any(row[k].text not in ("", DASH) for row in table.rows)]
    rows = [[row[k] for k in shown] for row in table.rows]
    return replace(table, headers=tuple(table.headers[k] for k in shown), rows=rows)


def plain(name: str) -> str:
    """A name without underscores."""
    return name.replace("_", " ")


def share(value: float) -> float:
    """A number as the length of a bar, clipped to [0, 1]."""
    return min(max(value, 0.0), 1.0)
