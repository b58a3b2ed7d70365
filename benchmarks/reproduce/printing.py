"""The table as it grows in the terminal: theirs in brackets beside ours."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.reproduce.definitions import Published, Table, read_published
from benchmarks.settings import ReproduceConfig
from worldmodel.measures import over_seeds

_LABEL = 26


def header_lines(table: Table, request: ReproduceConfig) -> str:
    """The lines above the rows."""
    source = read_published(table.name).source
    columns = "  ".join(f"{header:>{_width(header)}}" for header in table.measures.values())
    return (
        f"{table.title}\nscale {request.scale}, seeds {', '.join(map(str, request.seeds))}; mean ± half 95 % interval "
        f"(published: {source})\n{table.note}\n{'':{_LABEL}}  {columns}   CPU s"
    )


def row_line(
    table: Table,
    key: str,
    figures: Mapping[str, Sequence[float | None]],
    cpu_s: Sequence[float],
    published: Published,
) -> str:
    """A finished row: key of its condition, values by seed for every figure, CPU seconds by seed."""
    theirs = (published.rows or {}).get(key, {})
    shown = []
    for name, header in table.measures.items():
        values, reference = figures.get(name), theirs.get(name)
        text = "-"
        if values is not None:
            found = over_seeds(values)
            text = "-" if found["mean"] is None else _number(found["mean"])
            text += f"±{found['interval'][1] - found['mean']:.1g}" if found["interval"] else ""
        text += f" ({_number(reference)})" if reference is not None else ""
        shown.append(f"{text:>{_width(header)}}")
    return f"{key:{_LABEL}}  {'  '.join(shown)}  {np.median(cpu_s):6.1f}"


def _width(header: str) -> int:
    return max(24, len(header))


def _number(value: float) -> str:
    """Four digits, and more where a value is within 1e-3 of 1."""
    return f"{value:.6f}" if 0 < 1 - value < 1e-3 else f"{value:.4g}"
