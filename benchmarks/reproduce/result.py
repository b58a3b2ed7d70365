"""The content of a table's `results.json`: figures of every row, published values beside measured ones."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from worldmodel.measures import OverSeeds
from worldmodel.runs import Hardware
from worldmodel.system import UserError, read_json


@dataclass(frozen=True)
class MeasuredFigure:
    """A figure over several seeds, beside the published one; None stands for a value that cannot be determined."""

    mean: float | None
    """Mean of the values that are known."""
    interval: tuple[float, float] | None
    """Its 95 % interval by Student's t; None from fewer than two values."""
    values: list[float | None]
    """One value for each seed."""
    published: float | None = None
    """The published value; None where there is none."""

    @property
    def over_seeds(self) -> OverSeeds:
        """The measured values alone."""
        return OverSeeds(self.mean, self.interval, self.values)


@dataclass(frozen=True)
class RowResult:
    """A measured row."""

    key: str
    """Its name."""
    series: str
    """The line of the figure that it belongs to."""
    x: float | None
    """Its x value on that line."""
    settings: dict[str, Any]
    """Settings of the condition, with those of the chosen candidate."""
    tried: list[dict[str, Any]]
    """Every candidate and its validation figure, where there was a choice."""
    measures: dict[str, MeasuredFigure]
    """Name of a figure -> its values."""
    cpu_s: float
    """CPU seconds, median over seeds."""
    wall_s: float | None = None
    """Seconds on the clock, median over seeds; None where the version that measured kept none."""


@dataclass(frozen=True)
class TableResult:
    """A table, measured again."""

    table: str
    """Its name."""
    title: str
    """What it shows."""
    note: str
    """What a reader of the table must know."""
    scale: str
    """quick or full."""
    seeds: list[int]
    """Seeds of training."""
    source: str
    """Where it was published."""
    rows: list[RowResult]
    """The measured rows."""
    command: str
    """The command that measured it."""
    versions: dict[str, str]
    """Package -> its version."""
    hardware: Hardware
    """The machine."""
    measures: dict[str, str] = field(default_factory=dict)
    """Name of a figure -> column header; empty in a file of the first version."""


def read_table(path: Path) -> TableResult:
    """The table in a `results.json`.

    Raises:
        UserError: the file holds something else.
    """
    try:
        return msgspec.convert(read_json(path), TableResult)
    except ValueError as error:
        raise UserError(f"{path} is no measured table ({error}); see python -m benchmarks.reproduce") from error
