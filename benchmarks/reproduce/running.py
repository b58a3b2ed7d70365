"""How a table is measured: settings chosen on a validation split, finished cells kept on the disk."""

import time
from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np

from benchmarks.reproduce.definitions import (
    VALIDATION,
    Cell,
    Condition,
    Figures,
    Published,
    Table,
    read_published,
    wanted,
)
from benchmarks.reproduce.printing import row_line
from benchmarks.reproduce.result import MeasuredFigure, RowResult, TableResult
from benchmarks.settings import ReproduceConfig
from worldmodel.measures import best_known, over_seeds
from worldmodel.runs import CellKey, CellStore, cell_key, command_line, this_machine, versions
from worldmodel.system import write_json


@dataclass(frozen=True)
class FinishedCell:
    """Figures and cost of a cell."""

    figures: dict[str, float | None]
    """Name -> value; None where it cannot be determined."""
    cpu_s: float
    """CPU seconds of this process, or the cell's share of several that were measured together."""
    wall_s: float
    """Wall seconds, in the same way."""


@dataclass(frozen=True)
class MeasuredRow:
    """A finished condition."""

    condition: Condition
    """The condition that was measured."""
    chosen: Mapping[str, Any]
    """The candidate whose figures these are."""
    figures: dict[str, list[float | None]]
    """Name -> a value for each seed; None where it cannot be determined."""
    cpu_s: list[float]
    """CPU seconds of each seed."""
    wall_s: list[float]
    """Seconds of each seed."""
    tried: list[dict[str, Any]] = field(default_factory=list)
    """Every candidate and its validation figure, where there was a choice."""


class Runner:
    """Measures the cells of one request for a table, and keeps them in the request's folder."""

    def __init__(self, table: Table, request: ReproduceConfig) -> None:
        self._table, self._request = table, request
        self._cells = CellStore(request.folder / "cells", FinishedCell)

    def measured(self, conditions: list[Condition]) -> TableResult:
        """Every condition measured, in order; results.json grows row by row."""
        published = read_published(self._table.name)
        if self._table.measure_together and self._request.together:
            self._fill_together(conditions)
        rows: list[RowResult] = []
        for condition in self._tuned(conditions):
            rows.append(_row_result(self._row(condition), published))
            print(row_line(self._table, rows[-1]), flush=True)
            self._write(rows, published)
        return self._write(rows, published)

    def _write(self, rows: list[RowResult], published: Published) -> TableResult:
        table, request = self._table, self._request
        result = TableResult(
            table=table.name,
            title=table.title,
            note=table.note,
            measures=dict(table.measures),
            scale=request.scale,
            seeds=list(request.seeds),
            source=published.source,
            rows=rows,
            command=command_line(),
            versions=versions(),
            hardware=this_machine(),
        )
        write_json(request.folder / "results.json", msgspec.to_builtins(result))
        return result

    def _fill_together(self, conditions: list[Condition]) -> None:
        """Measure all cells that any choice may ask for, those of one shape side by side, and keep them."""
        assert self._table.measure_together
        pending: dict[Hashable, list[tuple[CellKey, Cell]]] = defaultdict(list)
        for condition in conditions:
            for choice in condition.candidates:
                for seed in self._request.seeds:
                    key, cell = self._cell(condition, choice, seed)
                    if not self._cells.path(key).exists():
                        pending[self._table.shape(cell.settings)].append((key, cell))
        for group in pending.values():
            clock = _Clock()
            found = self._table.measure_together([cell for _, cell in group])
            for (key, _), figures in zip(group, found, strict=True):
                # the time spent so far, shared equally: nearly all of it is the training of the whole group
                self._cells.keep(key, clock.finished(figures, len(group)))

    def _tuned(self, conditions: list[Condition]) -> list[Condition]:
        """The conditions, with what `tuned_on` chose as the only candidate of all the others."""
        for condition in conditions:
            if condition.key == self._table.tuned_on:
                chosen = (self._row(condition).chosen,)
                return [other if other is condition else replace(other, candidates=chosen) for other in conditions]
        return conditions

    def _row(self, condition: Condition) -> MeasuredRow:
        first, *others = self._request.seeds
        trials = [self._measured(condition, choice, first) for choice in condition.candidates]
        best = 0
        if len(trials) > 1:
            best = best_known({index: trial.figures[VALIDATION] for index, trial in enumerate(trials)})
        chosen = condition.candidates[best]
        cells = [trials[best], *(self._measured(condition, chosen, seed) for seed in others)]
        names = [name for name in cells[0].figures if name != VALIDATION]
        figures: dict[str, list[float | None]] = {name: [cell.figures[name] for cell in cells] for name in names}
        if self._table.known is not None:
            figures |= {name: [value] for name, value in self._table.known(condition).items()}
        tried = [
            {"settings": dict(choice), VALIDATION: trial.figures.get(VALIDATION)}
            for choice, trial in zip(condition.candidates, trials, strict=True)
        ]
        cpu_s, wall_s = [cell.cpu_s for cell in cells], [cell.wall_s for cell in cells]
        return MeasuredRow(condition, chosen, figures, cpu_s, wall_s, tried if len(tried) > 1 else [])

    def _measured(self, condition: Condition, choice: Mapping[str, Any], seed: int) -> FinishedCell:
        key, cell = self._cell(condition, choice, seed)

        def measure() -> FinishedCell:
            clock = _Clock()
            return clock.finished(self._table.measure(cell), 1)

        return self._cells.result(key, measure)

    def _cell(self, condition: Condition, choice: Mapping[str, Any], seed: int) -> tuple[CellKey, Cell]:
        settings = {**condition.settings, **choice}
        request = replace(self._request, table=self._table.name)
        key = cell_key(f"{condition.key}-seed{seed}", request=request, settings=settings, seed=seed)
        return key, Cell(settings, seed, self._request.folder / "cells" / key.name, self._request)


class _Clock:
    """Seconds since it was made: of this process on the CPU, and on the wall."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def finished(self, figures: Figures, num_cells: int) -> FinishedCell:
        """A cell with these figures, and what each of so many cells cost."""
        cpu_s, wall_s = time.process_time() - self._cpu, time.monotonic() - self._wall
        known = {name: float(value) if np.isfinite(value) else None for name, value in figures.items()}
        return FinishedCell(known, round(cpu_s / num_cells, 2), round(wall_s / num_cells, 2))


def run_table(table: Table, request: ReproduceConfig) -> TableResult:
    """Measure every row that is asked for; `results.json` in the request's folder grows row by row."""
    return Runner(table, request).measured(wanted(table, request))


def _row_result(row: MeasuredRow, published: Published) -> RowResult:
    theirs = published.of(row.condition)
    return RowResult(
        key=row.condition.key,
        series=row.condition.series,
        x=row.condition.x,
        settings={**row.condition.settings, **row.chosen},
        tried=row.tried,
        measures={name: _figure(values, theirs.get(name)) for name, values in row.figures.items()},
        cpu_s=float(np.median(row.cpu_s)),
        wall_s=float(np.median(row.wall_s)),
    )


def _figure(values: list[float | None], published: float | None) -> MeasuredFigure:
    """A figure, to seven significant digits."""
    found = over_seeds(values)
    low, high = (_rounded(end) for end in found.interval or (None, None))
    interval = None if low is None or high is None else (low, high)
    return MeasuredFigure(_rounded(found.mean), interval, [_rounded(value) for value in found.values], published)


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(f"{value:.7g}")
