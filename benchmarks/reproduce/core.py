"""What every table shares: conditions times seeds, cells kept on the disk, rows beside published values.

A table is a list of conditions and a function that measures one of them with one seed. Everything else is here:
settings chosen on a validation split, cells that a cut-off run does not lose, intervals, the printed table, JSON and a
figure.
"""

import hashlib
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.measures.statistics import best_told, over_seeds
from worldmodel.runs.run_directory import command_line, hardware, versions
from worldmodel.system.errors import UserError
from worldmodel.system.files import write_json

PUBLISHED = Path(__file__).with_name("published.json")
VALIDATION = "validation"


@dataclass(frozen=True)
class Request:
    """What the user asked of a table.

    rhos: autocorrelations; empty takes the table's own. world: what pixel tables look at; empty takes the table's own.
    rows: patterns of row keys ("s=1-*"); empty takes all rows. together: train the cells of a table side by side, where
    it knows how (on a GPU).
    data: folder of data sets. workers: rendering processes; 0 takes every core.
    polish: also read the latents through `worldmodel.measures.canonical`.
    """

    scale: str
    seeds: tuple[int, ...]
    rhos: tuple[float, ...] = ()
    world: str = ""
    data: Path = Path("data/reproduce")
    workers: int = 0
    device: str = "auto"
    polish: bool = True
    rows: tuple[str, ...] = ()
    together: bool = False

    @property
    def full(self) -> bool:
        return self.scale == "full"

    def pick(self, quick: Any, full: Any) -> Any:
        return full if self.full else quick


@dataclass(frozen=True)
class Condition:
    """One row: its key (also among the published values), and settings that `Table.measure` understands.

    candidates: settings to choose from. Each is run with the first seed; the one with the highest "validation" figure
    goes on to the other seeds. series, x: where the row stands in the figure.
    """

    key: str
    settings: Mapping[str, Any]
    candidates: Sequence[Mapping[str, Any]] = ({},)
    series: str = ""
    x: float | None = None


@dataclass(frozen=True)
class Cell:
    """A condition with one choice of settings and one seed, and a folder of its own for what training leaves."""

    settings: Mapping[str, Any]
    seed: int
    folder: Path
    request: Request


@dataclass(frozen=True)
class Table:
    """A table that can be reproduced.

    measures: name of a figure -> column header, in the order of printing; the first are drawn (`num_drawn`).
    known: figures of a row that need no measurement, such as what the theory allows.
    tuned_on: key of the one condition whose validation chooses for all rows; empty: every row chooses for itself.
    conditions: the rows of a request. measure: the figures of one cell; may hold "validation" and anything in measures.
    measure_together: the same for several cells whose settings agree in `shape`, in their order, as they are ready.
    """

    name: str
    title: str
    measures: Mapping[str, str]
    conditions: Callable[[Request], list[Condition]]
    measure: Callable[[Cell], dict[str, float]]
    known: Callable[[Condition], dict[str, float]] | None = None
    measure_together: Callable[[list[Cell]], Iterator[dict[str, float]]] | None = None
    shape: Callable[[Mapping[str, Any]], Hashable] = lambda settings: ()
    num_drawn: int = 2
    tuned_on: str = ""
    x_label: str = ""
    log_x: bool = False
    logit_y: bool = False
    note: str = ""


@dataclass
class Row:
    """A finished condition: values by seed for every figure (None: cannot be told), and which candidate they are of."""

    condition: Condition
    chosen: Mapping[str, Any]
    figures: dict[str, list[float | None]]
    cpu_s: list[float]
    wall_s: list[float]
    tried: list[dict[str, Any]] = field(default_factory=list)


def run_table(table: Table, request: Request, out: Path) -> tuple[list[Row], dict[str, Any]]:
    """Measure every row, keeping each cell under `out`/cells as soon as it is done, and `results.json` after each row.

    Returns the rows and what `results.json` holds.
    """
    published = read_published(table.name)
    conditions = wanted(table, request)
    if request.together and table.measure_together:
        _fill_together(table, conditions, request, out)
    rows, content = [], {}
    for condition in _tuned(table, conditions, request, out):
        rows.append(_run_condition(table, condition, request, out))
        print(_row_text(table, rows[-1], published), flush=True)
        content = _content(table, request, rows, published)
        write_json(out / "results.json", content)
    return rows, content


def wanted(table: Table, request: Request) -> list[Condition]:
    """The conditions that the request asks for by pattern.

    Raises UserError for patterns that no row fits.
    """
    conditions = table.conditions(request)
    if not request.rows:
        return conditions
    found = [one for one in conditions if any(fnmatchcase(one.key, pattern) for pattern in request.rows)]
    if not found:
        keys = ", ".join(one.key for one in conditions)
        raise UserError(f"no row of table {table.name} fits rows={list(request.rows)}; it has {keys}")
    return found


def _fill_together(table: Table, conditions: list[Condition], request: Request, out: Path) -> None:
    """Measure all cells that any choice may ask for, those of one shape side by side, and keep them."""
    assert table.measure_together
    pending: dict[Hashable, list[tuple[Condition, Cell]]] = defaultdict(list)
    for condition in conditions:
        for choice in condition.candidates:
            for seed in request.seeds:
                cell = _cell(table, condition, choice, seed, request, out)
                if not _kept(cell).exists():
                    pending[table.shape(cell.settings)].append((condition, cell))
    for group in pending.values():
        clock = _Clock()
        for (_, cell), figures in zip(group, table.measure_together([cell for _, cell in group]), strict=True):
            # what was spent so far, shared: the training is all of it but for the reading of each
            _keep(table, cell, figures, clock.share(len(group)))


def _tuned(table: Table, conditions: list[Condition], request: Request, out: Path) -> list[Condition]:
    """The conditions, with what `tuned_on` chose as the only candidate of all the others."""
    for condition in conditions:
        if condition.key == table.tuned_on:
            chosen = (_run_condition(table, condition, request, out).chosen,)
            return [other if other is condition else replace(other, candidates=chosen) for other in conditions]
    return conditions


def read_published(name: str) -> dict[str, Any]:
    """The published side of a table: {"source": ..., "rows": {condition key: {figure: value}}}."""
    return json.loads(PUBLISHED.read_text(encoding="utf-8")).get(name, {"source": "none", "rows": {}})


def _run_condition(table: Table, condition: Condition, request: Request, out: Path) -> Row:
    first, *others = request.seeds
    trials = [_run_cell(table, condition, choice, first, request, out) for choice in condition.candidates]
    best = 0
    if len(trials) > 1:
        best = best_told({index: trial["figures"][VALIDATION] for index, trial in enumerate(trials)})
    chosen = condition.candidates[best]
    cells = [trials[best], *(_run_cell(table, condition, chosen, seed, request, out) for seed in others)]
    names = [name for name in cells[0]["figures"] if name != VALIDATION]
    figures: dict[str, list[float | None]] = {name: [cell["figures"][name] for cell in cells] for name in names}
    if table.known is not None:
        figures |= {name: [value] for name, value in table.known(condition).items()}
    tried = [
        {"settings": dict(choice), VALIDATION: trial["figures"].get(VALIDATION)}
        for choice, trial in zip(condition.candidates, trials, strict=True)
    ]
    cpu_s, wall_s = ([cell.get(name, 0.0) for cell in cells] for name in ("cpu_s", "wall_s"))
    return Row(condition, chosen, figures, cpu_s, wall_s, tried if len(tried) > 1 else [])


def _run_cell(
    table: Table, condition: Condition, choice: Mapping[str, Any], seed: int, request: Request, out: Path
) -> dict[str, Any]:
    cell = _cell(table, condition, choice, seed, request, out)
    if _kept(cell).exists():
        return json.loads(_kept(cell).read_text(encoding="utf-8"))
    clock = _Clock()
    return _keep(table, cell, table.measure(cell), clock.share(1))


def _cell(
    table: Table, condition: Condition, choice: Mapping[str, Any], seed: int, request: Request, out: Path
) -> Cell:
    settings = {**condition.settings, **choice}
    digest = hashlib.sha256(json.dumps(_identity(table, settings, seed, request), sort_keys=True).encode()).hexdigest()
    return Cell(settings, seed, out / "cells" / f"{condition.key}-seed{seed}-{digest[:12]}", request)


def _identity(table: Table, settings: Mapping[str, Any], seed: int, request: Request) -> dict[str, Any]:
    return {"table": table.name, "settings": settings, "seed": seed, "world": request.world}


def or_nan(value: float | None) -> float:
    """A figure as tables take it, NaN where it cannot be told: JSON has null for both."""
    return math.nan if value is None else value


def _kept(cell: Cell) -> Path:
    return cell.folder.with_name(f"{cell.folder.name}.json")


def _keep(table: Table, cell: Cell, figures: Mapping[str, float], spent: dict[str, float]) -> dict[str, Any]:
    content = {
        **_identity(table, cell.settings, cell.seed, cell.request),
        "figures": {name: float(value) if np.isfinite(value) else None for name, value in figures.items()},
        **spent,
    }
    write_json(_kept(cell), content)
    return content


class _Clock:
    """Seconds since it was made: of this process on the CPU, and on the wall."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def share(self, num_cells: int) -> dict[str, float]:
        """What each of so many cells cost."""
        cpu_s, wall_s = time.process_time() - self._cpu, time.monotonic() - self._wall
        return {"cpu_s": round(cpu_s / num_cells, 2), "wall_s": round(wall_s / num_cells, 2)}


def _content(table: Table, request: Request, rows: list[Row], published: dict[str, Any]) -> dict[str, Any]:
    return {
        "table": table.name,
        "title": table.title,
        "note": table.note,
        "measures": dict(table.measures),
        "scale": request.scale,
        "seeds": list(request.seeds),
        "source": published["source"],
        "rows": [_row_content(row, published) for row in rows],
        "command": command_line(),
        "versions": versions(),
        "hardware": hardware(),
    }


def _row_content(row: Row, published: dict[str, Any]) -> dict[str, Any]:
    theirs = published["rows"].get(row.condition.key, {})
    measures: dict[str, Any] = {}
    for name, values in row.figures.items():
        measures[name] = _rounded(over_seeds(values)) | {"published": theirs.get(name)}
    return {
        "key": row.condition.key,
        "series": row.condition.series,
        "x": row.condition.x,
        "settings": {**row.condition.settings, **row.chosen},
        "tried": row.tried,
        "measures": measures,
        "cpu_s": float(np.median(row.cpu_s)),
        "wall_s": float(np.median(row.wall_s)),
    }


def _rounded(content: Any) -> Any:
    """Numbers in dictionaries and lists to seven significant digits; None for what JSON has no number for."""
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_rounded(value) for value in content]
    if isinstance(content, float):
        return float(f"{content:.7g}") if np.isfinite(content) else None
    return content


# ---------------------------------------------------------------------------------------------------------------------
# printing


def header_text(table: Table, request: Request) -> str:
    """The lines above the rows."""
    source = read_published(table.name)["source"]
    columns = "  ".join(f"{header:>{_width(header)}}" for header in table.measures.values())
    return (
        f"{table.title}\nscale {request.scale}, seeds {', '.join(map(str, request.seeds))}; mean ± half 95 % interval "
        f"(published: {source})\n{table.note}\n{'':{_LABEL}}  {columns}   CPU s"
    )


_LABEL = 26


def _width(header: str) -> int:
    return max(24, len(header))


def _row_text(table: Table, row: Row, published: dict[str, Any]) -> str:
    theirs = published["rows"].get(row.condition.key, {})
    shown = []
    for name, header in table.measures.items():
        values, reference = row.figures.get(name), theirs.get(name)
        text = "-"
        if values is not None:
            found = over_seeds(values)
            text = "-" if found["mean"] is None else _number(found["mean"])
            text += f"±{found['interval'][1] - found['mean']:.1g}" if found["interval"] else ""
        text += f" ({_number(reference)})" if reference is not None else ""
        shown.append(f"{text:>{_width(header)}}")
    return f"{row.condition.key:{_LABEL}}  {'  '.join(shown)}  {np.median(row.cpu_s):6.1f}"


def _number(value: float) -> str:
    """Four digits, and more where a value is within 1e-3 of 1."""
    return f"{value:.6f}" if 0 < 1 - value < 1e-3 else f"{value:.4g}"
