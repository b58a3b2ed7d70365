"""CPU seconds of this process and of the processes that it starts."""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from worldmodel.system import UserError


def cpu_seconds() -> float:
    """CPU seconds of this process, its children, and their ended children: workers belong to a server process."""
    usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ticks = 0
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            # after the name in brackets: state, and from the twelfth on utime, stime, cutime, cstime
            ticks += sum(map(int, Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[11:15]))
    return sum(part.ru_utime + part.ru_stime for part in usage) + ticks / os.sysconf("SC_CLK_TCK")


def cpu_s_of(command: Sequence[str], folder: Path | str = ".") -> float:
    """CPU seconds of a command that runs in a folder on one thread, and finds this package where it is found here.

    Raises:
        UserError: it fails; the end of its error output.
    """
    source = os.pathsep.join(path for path in (str(Path.cwd()), os.environ.get("PYTHONPATH", "")) if path)
    variables = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
    start = cpu_seconds()
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"the command under measurement failed: {' '.join(done.stderr.split())[-300:]}")
    return cpu_seconds() - start


def worldmodel_cpu_s(arguments: Sequence[str], folder: Path | str = ".") -> float:
    """CPU seconds of `worldmodel ARGUMENTS`, as `cpu_s_of` runs it."""
    return cpu_s_of([sys.executable, "-m", "worldmodel.cli", *arguments], folder)


def tree_cpu_s(process: int) -> float:
    """CPU seconds so far of a process and of its descendants that still run."""
    parents, ticks = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # one that has just ended
            fields = path.read_text().rsplit(")", 1)[1].split()  # as above; the second is the parent
            parents[int(path.parent.name)], ticks[int(path.parent.name)] = int(fields[1]), sum(map(int, fields[11:13]))
    family = {process}
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(ticks.get(member, 0) for member in family) / os.sysconf("SC_CLK_TCK")


def median_cpu_s(work: Callable[[], Any], repeats: int) -> float:
    """Median CPU seconds that this process spends in one call, after one call to warm up."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)
