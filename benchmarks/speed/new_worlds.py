"""Seconds from `worldmodel worlds env=NAME` to the pictures and factors of a world that was never seen before."""

import tempfile
import time
from statistics import median
from typing import Any

from benchmarks.settings import BenchConfig
from benchmarks.speed.cpu_time import worldmodel_cpu_s

WORLDS = ("gym:HalfCheetah-v5", "gym:Humanoid-v5", "gym:Pusher-v5", "dog-walk", "lqr-lqr_6_2")
"""Worlds of Gymnasium and dm_control without a recipe: robots with few parts and with many, and none."""


def first_look(config: BenchConfig) -> dict[str, Any]:
    """Median seconds of the whole command, in an empty folder, for each world, and for the slowest."""
    seconds = {name: median(_seconds(name) for _ in range(config.repeats)) for name in WORLDS}
    return {"slowest_s": max(seconds.values()), "seconds": seconds}


def _seconds(world: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        worldmodel_cpu_s(["worlds", f"env={world}", "out=sheet.png"], folder)
        return time.monotonic() - begun
