"""CPU-seconds of importing the package, and of every `--help`."""

import re
import resource
import statistics
import subprocess
import sys
from typing import Any

from benchmarks.settings import BenchConfig

_COMMAND = (sys.executable, "-m", "worldmodel")


def startup(config: BenchConfig) -> dict[str, Any]:
    """Median CPU-seconds of whole processes, and of the slowest verb's help."""
    listed = subprocess.run([*_COMMAND, "--help"], capture_output=True, text=True, check=True).stdout
    verbs = re.findall(r"^  (?!worldmodel)(\w+) ", listed, re.M)
    helps = {verb: _cpu_s([*_COMMAND, verb, "--help"], config.repeats) for verb in verbs}
    return {
        "python_cpu_s": _cpu_s([sys.executable, "-c", ""], config.repeats),
        "import_cpu_s": _cpu_s([sys.executable, "-c", "import worldmodel"], config.repeats),
        "help_cpu_s": _cpu_s([*_COMMAND, "--help"], config.repeats),
        "slowest_verb_help_cpu_s": max(helps.values()),
        "verb_help_cpu_s": helps,
    }


def _cpu_s(command: list[str], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        before = _of_children()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(_of_children() - before)
    return statistics.median(seconds)


def _of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
