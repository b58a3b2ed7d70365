"""What the commands wrote: the files of docs/results, by name; results typed, figures of benchmarks plain JSON."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from worldmodel.comparing import CompareResult, LitBallResult
from worldmodel.designing import DesignResult
from worldmodel.evaluation import PositionsResult
from worldmodel.runs import (
    ChangeResult,
    ControlResult,
    DemoResult,
    Record,
    RobustResult,
    Summary,
    SurpriseResult,
    read_record,
    read_summary,
)

FOLDER = Path("docs/results")
ResultT = TypeVar("ResultT", ControlResult, DemoResult, RobustResult, SurpriseResult)
StudyT = TypeVar("StudyT", CompareResult, DesignResult, LitBallResult, PositionsResult)


def paths(pattern: str = "*.json") -> list[Path]:
    """The files that match, in the order of their names."""
    return sorted(FOLDER.glob(pattern))


def read_control(name: str) -> ControlResult | None:
    """`control-NAME.json`, which `worldmodel control` wrote; None where it was not measured."""
    return next((found for _, found in _results(f"control-{name}.json", ControlResult)), None)


def read_controls() -> list[tuple[str, ControlResult]]:
    """Every evaluation of `worldmodel control`, each behind its name."""
    return [(path.stem.removeprefix("control-"), found) for path, found in _results("control-*.json", ControlResult)]


def read_changes() -> list[tuple[ControlResult, ChangeResult]]:
    """Every evaluation of `worldmodel control change=…`."""
    return [(found, found.change) for _, found in _results("change-*.json", ControlResult) if found.change is not None]


def read_surprises() -> list[SurpriseResult]:
    """Every evaluation of `worldmodel surprise`."""
    return [found for _, found in _results("surprise-*.json", SurpriseResult)]


def read_robusts() -> list[tuple[str, RobustResult]]:
    """Every evaluation of `worldmodel robust`, each behind its name."""
    return [(path.stem.removeprefix("robust-"), found) for path, found in _results("robust-*.json", RobustResult)]


def read_demos() -> list[DemoResult]:
    """Every seed of the demo."""
    return [found for _, found in _results("demo-seed*.json", DemoResult)]


def read_runs(name: str) -> list[Summary]:
    """The summary of every seed of a training."""
    return [read_summary(path) for path in paths(f"{name}-seed*.json")]


def _results(pattern: str, cls: type[ResultT]) -> Iterator[tuple[Path, ResultT]]:
    return ((path, read_record(path, cls).result) for path in paths(pattern))


def read(name: str) -> dict[str, Any] | None:
    """The figures of a benchmark, or None where they were not measured."""
    path = FOLDER / name
    return json.loads(path.read_text()) if path.exists() else None


def read_all(pattern: str) -> list[dict[str, Any]]:
    """The figures of every benchmark that matches."""
    return [json.loads(path.read_text()) for path in paths(pattern)]


def records(pattern: str, cls: type[StudyT]) -> list[Record[StudyT]]:
    """Every file of a study that matches, with the command that wrote it, in the order of their names."""
    return [read_record(path, cls) for path in paths(pattern)]
