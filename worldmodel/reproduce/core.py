"""What every table shares: conditions times seeds, cells kept on the disk, rows beside published values.

A table is a list of conditions and a function that measures one of them with one seed. Everything else is here:
settings chosen on a validation split, cells that a cut-off run does not lose, intervals, the printed table, JSON and a
figure.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.files import write_json
from worldmodel.run_directory import command_line, hardware, versions
from worldmodel.statistics import over_seeds

PUBLISHED = Path(__file__).with_name("published.json")
VALIDATION = "validation"


@dataclass(frozen=True)
class Request:
    """What the user asked of a table.

    rhos: autocorrelations; empty takes the table's own. world: what pixel tables look at; empty takes the table's own.
    data: folder of data sets. workers: rendering processes; 0 takes every core.
    polish: also read the latents through `worldmodel.canonical`.
    """

    scale: str
    seeds: tuple[int, ...]
    rhos: tuple[float, ...] = ()
    world: str = ""
    data: Path = Path("data/reproduce")
    workers: int = 0
    device: str = "auto"
    polish: bool = True

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
    """

    name: str
    title: str
    measures: Mapping[str, str]
    conditions: Callable[[Request], list[Condition]]
    measure: Callable[[Cell], dict[str, float]]
    known: Callable[[Condition], dict[str, float]] | None = None
    num_drawn: int = 2
    tuned_on: str = ""
    x_label: str = ""
    log_x: bool = False
    logit_y: bool = False
    note: str = ""


@dataclass
class Row:
    """A finished condition: values by seed for every figure, and which candidate they are of."""

    condition: Condition
    chosen: Mapping[str, Any]
    figures: dict[str, list[float]]
    cpu_s: list[float]
    tried: list[dict[str, Any]] = field(default_factory=list)


def run_table(table: Table, request: Request, out: Path) -> tuple[list[Row], dict[str, Any]]:
    """Measure every row, keeping each cell under `out`/cells as soon as it is done. Returns rows and `results.json`."""
    published = read_published(table.name)
    rows = []
    for condition in _tuned(table, request, out):
        rows.append(_run_condition(table, condition, request, out))
        print(_row_text(table, rows[-1], published), flush=True)
    content = _content(table, request, rows, published)
    write_json(out / "results.json", content)
    return rows, content


def _tuned(table: Table, request: Request, out: Path) -> list[Condition]:
    """The conditions, with what `tuned_on` chose as the only candidate of all the others."""
    conditions = table.conditions(request)
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
        best = max(range(len(trials)), key=lambda index: trials[index]["figures"][VALIDATION])
    chosen = condition.candidates[best]
    cells = [trials[best], *(_run_cell(table, condition, chosen, seed, request, out) for seed in others)]
    names = [name for name in cells[0]["figures"] if name != VALIDATION]
    figures = {name: [cell["figures"][name] for cell in cells] for name in names}
    if table.known is not None:
        figures |= {name: [value] for name, value in table.known(condition).items()}
    tried = [
        {"settings": dict(choice), VALIDATION: trial["figures"].get(VALIDATION)}
        for choice, trial in zip(condition.candidates, trials, strict=True)
    ]
    return Row(condition, chosen, figures, [cell["cpu_s"] for cell in cells], tried if len(tried) > 1 else [])


def _run_cell(
    table: Table, condition: Condition, choice: Mapping[str, Any], seed: int, request: Request, out: Path
) -> dict[str, Any]:
    settings = {**condition.settings, **choice}
    identity = {"table": table.name, "settings": settings, "seed": seed, "world": request.world}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    path = out / "cells" / f"{condition.key}-seed{seed}-{digest}.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    start = time.process_time()
    figures = table.measure(Cell(settings, seed, path.with_suffix(""), request))
    cell = {
        **identity,
        "figures": {name: float(value) for name, value in figures.items()},
        "cpu_s": round(time.process_time() - start, 2),
    }
    write_json(path, cell)
    return cell


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
            text = _number(found["mean"])
            text += f"±{found['interval'][1] - found['mean']:.1g}" if found["interval"] else ""
        text += f" ({_number(reference)})" if reference is not None else ""
        shown.append(f"{text:>{_width(header)}}")
    return f"{row.condition.key:{_LABEL}}  {'  '.join(shown)}  {np.median(row.cpu_s):6.1f}"


def _number(value: float) -> str:
    """Four digits, and more where a value is within 1e-3 of 1."""
    return f"{value:.6f}" if 0 < 1 - value < 1e-3 else f"{value:.4g}"
