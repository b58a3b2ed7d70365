"""The definition of a table: conditions, a function that measures one of them with one seed, and published values."""

import json
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmarks.settings import ReproduceConfig
from worldmodel.system import UserError

PUBLISHED = Path(__file__).with_name("published.json")
VALIDATION = "validation"
"""The figure by which a candidate is chosen; it is not reported."""


@dataclass(frozen=True)
class Condition:
    """One row of a table."""

    key: str
    """Its name, also among the published values."""
    settings: Mapping[str, Any]
    """Settings that `Table.measure` gets."""
    candidates: Sequence[Mapping[str, Any]] = ({},)
    """Settings to choose from. Each is run with the first seed; the one with the highest "validation" figure goes on to
    the other seeds."""
    series: str = ""
    """The line of the figure that it belongs to."""
    x: float | None = None
    """Its x value on that line."""


@dataclass(frozen=True)
class Cell:
    """A condition with one choice of settings and one seed."""

    settings: Mapping[str, Any]
    """Settings of the condition, with those of one candidate in their place."""
    seed: int
    """Seed of training."""
    folder: Path
    """Folder for the files of its training; no other cell uses it."""
    request: ReproduceConfig
    """The settings of the command."""


Figures = Mapping[str, float]
"""Name of a figure -> value; NaN where it cannot be determined."""


@dataclass(frozen=True)
class Table:
    """A table that can be reproduced."""

    name: str
    """Its name in `table=`."""
    title: str
    """What it shows."""
    measures: Mapping[str, str]
    """Name of a figure -> column header, in the order of printing."""
    conditions: Callable[[ReproduceConfig], list[Condition]]
    """The rows of a request."""
    measure: Callable[[Cell], Figures]
    """The figures of one cell: any of `measures`, and "validation"."""
    known: Callable[[Condition], Figures] | None = None
    """Figures of a row that need no measurement, such as a limit from theory."""
    measure_together: Callable[[list[Cell]], Iterator[Figures]] | None = None
    """As `measure`, for several cells that agree in `shape`, in their order, as they are ready."""
    shape: Callable[[Mapping[str, Any]], Hashable] = lambda settings: ()
    """What the settings of cells that are measured together have in common."""
    num_drawn: int = 2
    """How many of the measures are drawn, from the first on."""
    tuned_on: str = ""
    """Key of the one condition whose validation chooses for all rows; empty: every row chooses for itself."""
    x_label: str = ""
    """Label of the figure's x axis."""
    log_x: bool = False
    """Draw x on a logarithmic axis."""
    note: str = ""
    """What a reader of the table must know."""


def wanted(table: Table, request: ReproduceConfig) -> list[Condition]:
    """The conditions that the request asks for by pattern.

    Raises:
        UserError: no row fits the patterns.
    """
    conditions = table.conditions(request)
    if not request.rows:
        return conditions
    found = [one for one in conditions if any(fnmatchcase(one.key, pattern) for pattern in request.rows)]
    if not found:
        keys = ", ".join(one.key for one in conditions)
        raise UserError(f"no row of table {table.name} fits rows={list(request.rows)}; it has {keys}")
    return found


@dataclass(frozen=True)
class Published:
    """The published side of a table."""

    source: str = "none"
    """Where it was published."""
    rows: Mapping[str, Mapping[str, float]] | None = None
    """Key of a condition -> figure -> value."""

    def of(self, condition: Condition) -> Mapping[str, float]:
        """The published figures of a row; none where it was not published."""
        return (self.rows or {}).get(condition.key, {})


def read_published(name: str) -> Published:
    """The published side of the table of this name."""
    content = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return Published(**content[name]) if name in content else Published()


def or_nan(value: float | None) -> float:
    """A figure as tables take it: NaN in place of None, for one that cannot be determined."""
    return math.nan if value is None else value
