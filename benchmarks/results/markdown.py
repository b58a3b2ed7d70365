"""How figures are written: medians and means with their ranges, and tables in Markdown."""

import statistics
from collections.abc import Sequence
from typing import Any

# what was measured, its figure, the target, and the command that measures it
Row = tuple[str, str, str, str]


def mean_interval(found: dict[str, Any], form: str = ".3f") -> str:
    """A mean over seeds [its interval]; the mean alone where there is none."""
    if not found["interval"]:
        return format(found["mean"], form)
    low, high = found["interval"]
    return f"{found['mean']:{form}} [{low:{form}}, {high:{form}}]"


def spread(values: Sequence[float], form: str) -> str:
    """Median [lowest, highest] of several seeds; the value of one."""
    middle = format(statistics.median(values), form)
    return middle if len(values) == 1 else f"{middle} [{min(values):{form}}, {max(values):{form}}]"


def row_table(rows: Sequence[Row]) -> str:
    """A table of figures beside their targets."""
    lines = ["| what | measured | target | command |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def grid(columns: Sequence[str], rows: dict[str, list[str]]) -> str:
    """A table of named rows; the first column is the names'."""
    head = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return "\n".join([*head, *(f"| {name} | {' | '.join(values)} |" for name, values in rows.items())])
