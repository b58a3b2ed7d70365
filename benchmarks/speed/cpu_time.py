"""CPU seconds: of this process and of the processes that it starts."""

import os
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def cpu_seconds() -> float:
    """CPU seconds of this process, its children, and what these have waited for: workers belong to a server process."""
    usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ticks = 0
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            # after the name in brackets: state, and from the twelfth on utime, stime, cutime, cstime
            ticks += sum(map(int, Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[11:15]))
    return sum(part.ru_utime + part.ru_stime for part in usage) + ticks / os.sysconf("SC_CLK_TCK")


def median_cpu_s(work: Callable[[], Any], repeats: int) -> float:
    """Median CPU seconds that this process spends in one call, after one call to warm up."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)
