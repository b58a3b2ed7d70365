"""How fast worlds are rendered, and whole data sets collected."""

import dataclasses
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.settings import BenchConfig
from benchmarks.speed.cpu_time import cpu_seconds, median_cpu_s
from worldmodel import envs
from worldmodel.data import record, recording_of
from worldmodel.envs import make_policy
from worldmodel.settings import recipe

# frames per CPU-second of stable-worldmodel on reacher at 64 x 64, measured on a 2-core CPU without a GPU
PEER_COLLECT_FRAMES_PER_CPU_S = 30.0


def render(config: BenchConfig) -> dict[str, Any]:
    """Frames per CPU-second of rendering alone and of a whole control step, with physics alone as the floor."""
    env = recipe(config.world).env
    world = envs.make(**env.make_arguments())
    world.reset(seed=0)
    act = make_policy("uniform").begin(world, np.random.default_rng(0))
    chunk = 200

    def steps(rendered: bool) -> None:
        for _ in range(chunk):
            world.advance(act(world.state()))
            if rendered:
                world.frame()

    def frames() -> None:
        for _ in range(chunk):
            world.frame()

    figures = {
        "image_size": env.image_size,
        "render_frames_per_cpu_s": chunk / median_cpu_s(frames, config.repeats),
        "step_frames_per_cpu_s": chunk / median_cpu_s(lambda: steps(True), config.repeats),
        "physics_steps_per_cpu_s": chunk / median_cpu_s(lambda: steps(False), config.repeats),
    }
    world.close()
    return figures


def collect(config: BenchConfig) -> dict[str, Any]:
    """Frames per CPU-second of whole collections: start of the workers, rendering, physics and writing included.

    With MuJoCo Warp frames per second too, since a GPU does the work; a first collection, which compiles, is left out.
    """
    collection = dataclasses.replace(recipe(config.world).collection, warp_worlds=config.warp_worlds)
    num_frames = config.episodes * (collection.episode_steps + 1)
    batched = config.warp_worlds is not None
    cpu_rates, rates = [], []
    for repeat in range(config.repeats + batched):
        with tempfile.TemporaryDirectory() as folder:
            cpu, wall = cpu_seconds(), time.monotonic()
            record(Path(folder), recording_of(collection), config.episodes, collection.workers)
            if repeat or not batched:
                cpu_rates.append(num_frames / (cpu_seconds() - cpu))
                rates.append(num_frames / (time.monotonic() - wall))
    rate = statistics.median(cpu_rates)
    of_batches = {"worlds": config.warp_worlds, "frames_per_s": statistics.median(rates)} if batched else {}
    return {
        "image_size": collection.env.image_size,
        "engine": "warp" if batched else "classic",
        **of_batches,
        "frames_per_cpu_s": rate,
        "frames_per_cpu_s_lowest": min(cpu_rates),
        "frames_per_cpu_s_highest": max(cpu_rates),
        "peer_frames_per_cpu_s": PEER_COLLECT_FRAMES_PER_CPU_S,
        "ratio_to_peer": rate / PEER_COLLECT_FRAMES_PER_CPU_S,
    }
