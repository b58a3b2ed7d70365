"""`python -m benchmarks.speed`: rates per CPU-second and medians, each beside its floor or its peer's rate."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.endurance import endurance
from benchmarks.engines import engines
from benchmarks.faults import faults
from benchmarks.provenance import with_provenance
from benchmarks.settings import BenchConfig
from benchmarks.speed.first_goals import first_goals
from benchmarks.speed.loading import load
from benchmarks.speed.new_worlds import first_look
from benchmarks.speed.oracle import oracle_cost
from benchmarks.speed.planning import plan
from benchmarks.speed.recording import collect, render
from benchmarks.speed.regularizer import sigreg_cost
from benchmarks.speed.startup import startup
from benchmarks.speed.training import processes, train_memory
from benchmarks.speed.viewing import view_rate
from worldmodel.system import write_json

_MEASURES: dict[str, Callable[[BenchConfig], dict[str, Any]]] = {
    "render": render,
    "collect": collect,
    "plan": plan,
    "train": train_memory,
    "sigreg": sigreg_cost,
    "load": load,
    "processes": processes,
    "startup": startup,
    "view": view_rate,
    "goals": first_goals,
    "worlds": first_look,
    "oracle": oracle_cost,
    "engines": lambda config: engines(),
    "faults": faults,
    "memory": lambda config: endurance(config.repeats, config.world),
}


def bench(config: BenchConfig) -> dict[str, Any]:
    """Measure one thing; its figures by name, which are also written as JSON where `out` says."""
    figures = _MEASURES[config.what](config)
    if config.out:
        described = {"what": config.what, "env": config.world, **figures}
        write_json(Path(config.out), with_provenance(described))
    return figures


def bench_lines(what: str, figures: dict[str, Any]) -> str:
    """A line for each figure."""
    width = max(map(len, figures))
    lines = (f"  {name:<{width}}  {_shown(value)}" for name, value in figures.items())
    return "\n".join([what, *lines])


def _shown(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
