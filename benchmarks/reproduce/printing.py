"""The table as it grows in the terminal: published values in brackets beside the measured ones."""

from benchmarks.reproduce.definitions import Table, read_published
from benchmarks.reproduce.result import MeasuredFigure, RowResult
from benchmarks.settings import ReproduceConfig

_LABEL = 26


def header_lines(table: Table, request: ReproduceConfig) -> str:
    """The lines above the rows."""
    source = read_published(table.name).source
    columns = "  ".join(f"{header:>{_width(header)}}" for header in table.measures.values())
    return (
        f"{table.title}\nscale {request.scale}, seeds {', '.join(map(str, request.seeds))}; mean ± half 95 % interval "
        f"(published: {source})\n{table.note}\n{'':{_LABEL}}  {columns}   CPU s"
    )


def row_line(table: Table, row: RowResult) -> str:
    """A finished row."""
    shown = [f"{_cell(row.measures.get(name)):>{_width(header)}}" for name, header in table.measures.items()]
    return f"{row.key:{_LABEL}}  {'  '.join(shown)}  {row.cpu_s:6.1f}"


def _cell(found: MeasuredFigure | None) -> str:
    """The measured value, half its interval, and the published value in brackets."""
    if found is None or found.mean is None:
        return "-"
    half = f"±{found.interval[1] - found.mean:.1g}" if found.interval else ""
    theirs = f" ({_number(found.published)})" if found.published is not None else ""
    return f"{_number(found.mean)}{half}{theirs}"


def _width(header: str) -> int:
    return max(24, len(header))


def _number(value: float) -> str:
    """Four digits, and more where a value is within 1e-3 of 1."""
    return f"{value:.6f}" if 0 < 1 - value < 1e-3 else f"{value:.4g}"
