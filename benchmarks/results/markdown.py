"""How figures are written: medians and means with their ranges, and tables in Markdown."""

import math
import statistics
from collections.abc import Sequence

from worldmodel.measures import OverSeeds, digits, with_interval
from worldmodel.runs import ControllerName, ControlResult

__all__ = ["Row", "digits", "grid", "lowest_first", "mean_interval", "rated", "row_table", "spread", "with_interval"]

# what was measured, its figure, the target, and the command that measures it
Row = tuple[str, str, str, str]


def mean_interval(found: OverSeeds, form: str = ".3f") -> str:
    """A mean over seeds [its interval], or the mean alone where there is no interval."""
    return with_interval(found.mean, found.interval, form)


def spread(values: Sequence[float | None], form: str) -> str:
    """Median [lowest, highest] of several seeds; the value of one, a dash of none. Seeds that cannot tell are left
    out."""
    known = [value for value in values if value is not None]
    middle = digits(statistics.median(known) if known else None, form)
    return middle if len(known) < 2 else f"{middle} [{min(known):{form}}, {max(known):{form}}]"


def lowest_first(figure: float | None) -> float:
    """Key to sort figures by; one that cannot be determined comes last."""
    return math.inf if figure is None else figure


def row_table(rows: Sequence[Row]) -> str:
    """A table of figures beside their targets."""
    lines = ["| what | measured | target | command |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def grid(columns: Sequence[str], rows: dict[str, list[str]]) -> str:
    """A table of named rows; the first column is the names'."""
    head = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return "\n".join([*head, *(f"| {name} | {' | '.join(values)} |" for name, values in rows.items())])


def rated(of: ControlResult, name: ControllerName = "latent") -> str:
    """A controller's success rate with its interval; a dash where it was not run."""
    found = of.controllers.get(name)
    if found is None or found.success is None:
        return "–"
    return with_interval(found.success.rate, found.success.interval, ".1%")


def shown_possible(of: ControlResult) -> str:
    """What shows that the tasks can be done: the oracle's success rate, or that of recorded actions in its place."""
    return f"{rated(of, 'recorded')} (recorded actions)" if "recorded" in of.controllers else rated(of, "oracle")
