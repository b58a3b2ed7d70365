"""`python -m benchmarks.trust`: what damage and malice can do to a run and a data set."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.provenance import with_provenance
from benchmarks.settings import TrustConfig
from benchmarks.trust.flips import flips
from benchmarks.trust.fuzzing.campaign import fuzz
from benchmarks.trust.fuzzing.valid import make_valid
from benchmarks.trust.hostile import hostile
from benchmarks.trust.hosts import hosts
from benchmarks.trust.subjects import Subjects
from benchmarks.trust.verification import verification
from worldmodel.system import write_json

_MEASURES: dict[str, Callable[[TrustConfig, Path], dict[str, Any]]] = {
    "flips": lambda config, folder: {
        name: asdict(found)
        for name, found in flips(_subjects(folder), folder / "scratch", config.repeats, config.seed).items()
    },
    "hostile": lambda config, folder: hostile(_subjects(folder), folder / "scratch"),
    "fuzz": fuzz,
    "hosts": lambda config, folder: hosts(folder),
    "verification": lambda config, folder: verification(config.world, config.repeats, folder / "runs"),
}

_IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""A folder in memory, where there is one: a disk takes longer to keep a changed file than a reader to refuse it."""


def _subjects(folder: Path) -> Subjects:
    make_valid(folder / "valid")
    return Subjects(folder / "valid" / "data", folder / "valid" / "run")


def measure(config: TrustConfig) -> dict[str, Any]:
    """Run the measurement `config.what`; returns its figures by name, and writes them to `config.out` as JSON."""
    with tempfile.TemporaryDirectory(dir=_IN_MEMORY if config.what == "fuzz" else None) as folder:
        figures = _MEASURES[config.what](config, Path(folder))
    if config.out:
        write_json(Path(config.out), with_provenance({"what": config.what, **figures}))
    return figures


def figure_lines(figures: dict[str, Any]) -> str:
    """A line for each figure."""
    return "\n".join(f"  {name}: {value}" for name, value in figures.items())
