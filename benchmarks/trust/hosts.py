"""Three machines and one shared folder: the same data set collected, and the same run trained, by all of them at once.

A machine is a process with a host name, process numbers and network of its own (`unshare`, Linux, as root). The files
that they leave are compared with those of one machine that works alone.
"""

import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.trust.comparing import same_files, same_training
from benchmarks.trust.subjects import ShortShards, collecting, training
from worldmodel.data import record, recording_of
from worldmodel.learning import train
from worldmodel.system import UserError, read_json, write_json

NUM_HOSTS = 3
EPISODES = (12, 16, 20)
"""Episodes of the data set that each machine asks for."""
_PATIENCE_S = 1800.0


@dataclass(frozen=True)
class HostReport:
    """Events on one machine."""

    turned_away: dict[str, int]
    """Process and machine that held the run -> how often this machine was refused because of it."""
    trained_s: float
    """Seconds of its own training; nearly none where another machine had trained the run."""


def hosts(scratch: Path) -> dict[str, Any]:
    """Let the machines work; returns failures, differences and the machines' reports."""
    alone, shared = scratch / "alone", scratch / "shared"
    _work(alone, max(EPISODES))
    processes = [_start(shared, number) for number in range(NUM_HOSTS)]
    ended = [process.wait(_PATIENCE_S) for process in processes]
    reports = [msgspec.convert(read_json(shared / f"host-{number}.json"), HostReport) for number in range(NUM_HOSTS)]
    return {
        "hosts": NUM_HOSTS,
        "failed": sum(status != 0 for status in ended),
        "data_differing": same_files(alone / "data", shared / "data"),
        "run_differing": same_training(alone / "run", shared / "run"),
        "reports": [asdict(report) for report in reports],
    }


def _start(folder: Path, number: int) -> subprocess.Popen[bytes]:
    if shutil.which("unshare") is None:
        raise UserError("there is no unshare here, which makes one machine look like several; run this on Linux")
    code = f"from benchmarks.trust.hosts import at_work; at_work({str(folder)!r}, {number})"
    script = f'hostname host-{number} && exec {sys.executable} -c "{code}"'
    return subprocess.Popen(["unshare", "--uts", "--pid", "--fork", "--mount-proc", "--net", "sh", "-c", script])


def at_work(folder: str, number: int) -> None:
    """The work of one machine, which writes its report into the folder."""
    write_json(Path(folder) / f"host-{number}.json", asdict(_work(Path(folder), EPISODES[number])))


def _work(folder: Path, episodes: int) -> HostReport:
    collection = collecting(folder / "data", episodes)
    record(collection.directory, ShortShards(**vars(recording_of(collection))), episodes, 1)
    turned_away: Counter[str] = Counter()
    give_up = time.monotonic() + _PATIENCE_S
    while time.monotonic() < give_up:
        start = time.monotonic()
        try:
            train(replace(training(folder), decoder=False, robust=False))
            return HostReport(dict(turned_away), round(time.monotonic() - start, 2))
        except UserError as error:
            if "is in use by" not in str(error):
                raise
            turned_away[str(error).partition(" (process ")[2].partition(")")[0]] += 1
            time.sleep(1)
    raise UserError("the other machines have not ended their training")
