"""The memory of training, and what a second process costs and gains."""

import secrets
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.exactness import gradient_differences
from benchmarks.settings import BenchConfig
from benchmarks.speed.cpu_time import cpu_s_of, worldmodel_cpu_s
from worldmodel.data import record, recording_of, write_arrays
from worldmodel.runs import Run
from worldmodel.settings import CollectConfig, EnvConfig

TOTAL_BATCH = 256
_ENCODERS = {
    "mlp": ["encoder.kind=mlp"],
    "cnn": ["encoder.kind=cnn", "encoder.input_size=32", "encoder.channels=[16,32,64]", "encoder.hidden=128"],
}


def train_memory(config: BenchConfig) -> dict[str, Any]:
    """Peak memory of the default training of `world`, in a process of its own: all its data and every stage, but few
    steps, since memory does not depend on their number. `worldmodel train` finds or collects the data."""
    stages = ("method.optim", "predictor_training", "context_training.optim", "decoder_training", "distillation.optim")
    steps = [f"{stage}.steps=20" for stage in stages]
    with tempfile.TemporaryDirectory() as folder:
        run = [f"env={config.world}", f"runs={folder}", "name=run", "device=cpu"]
        worldmodel_cpu_s(["train", *run, *steps])
        found = Run(Path(folder) / "run").train
    return {"peak_memory_mb": found.peak_memory_mb, **{f"data_{key}": n for key, n in asdict(found.data).items()}}


def processes(config: BenchConfig) -> dict[str, Any]:
    """What two CPU processes compute, cost and gain against one, at the same total batch: differences of gradients, CPU
    and wall seconds of a step.

    The steps of a short training are taken from those of a long one, so that imports and set-up drop out.
    """
    num_steps = {"short": 20, "long": 20 + 40 * config.repeats}
    measured = num_steps["long"] - num_steps["short"]
    figures: dict[str, Any] = {"total_batch": TOTAL_BATCH, "steps": measured}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures |= _gradient_differences(folder)
        _train_in_processes(1, ["method.optim.steps=1"], folder)  # collects
        for kind, options in _ENCODERS.items():
            for num in (1, 2):
                cost = {
                    length: _train_in_processes(num, [*options, f"method.optim.steps={steps}"], folder)
                    for length, steps in num_steps.items()
                }
                for unit, index in (("cpu", 0), ("wall", 1)):
                    ms = 1e3 * (cost["long"][index] - cost["short"][index]) / measured
                    figures[f"{kind}_{unit}_ms_per_step_{num}"] = ms
            for unit, ideal in (("cpu", 1), ("wall", 2)):
                one, two = (figures[f"{kind}_{unit}_ms_per_step_{num}"] for num in (1, 2))
                figures[f"{kind}_{unit}_efficiency"] = one / (ideal * two)
    return figures


def _gradient_differences(folder: Path) -> dict[str, Any]:
    """Differences of two processes' gradients from one's, for every method, on frames of noise and on rendered ones.

    Where pictures hardly differ, as rendered ones do, BatchNorm magnifies the rounding of float32.
    """
    rng = np.random.default_rng(0)

    def episode() -> Mapping[str, np.ndarray]:
        frames = rng.integers(0, 256, (21, 16, 16, 3), np.uint8)
        return {"frames": frames, "actions": rng.uniform(-1, 1, (20, 2)), "states": rng.standard_normal((21, 3))}

    write_arrays(folder / "noise", "noise", (episode() for _ in range(12)), state_names=["x", "y", "z"])
    rendered = CollectConfig(EnvConfig(image_size=16), {"name": "uniform"}, episodes=12, episode_steps=20)
    record(folder / "rendered", recording_of(rendered), rendered.episodes, num_workers=1)
    figures: dict[str, Any] = {}
    for name, key in (("noise", "gradient_difference"), ("rendered", "gradient_difference_rendered")):
        differences = gradient_differences(folder / name, 2)
        figures |= {key: differences, f"{key}_largest": max(differences.values())}
    return figures


def _train_in_processes(num: int, options: Sequence[str], folder: Path) -> tuple[float, float]:
    """CPU and wall seconds of a whole training command under torchrun."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(num), "-m", "worldmodel.cli", "train"),
        *("env=reacher_ou", "env.image_size=32", "episodes=400", "device=cpu", "threads=1", f"data={folder / 'data'}"),
        *(f"runs={folder / 'runs'}", f"name={secrets.token_hex(4)}", f"method.optim.batch_size={TOTAL_BATCH // 2}"),
        *options,
    ]
    start = time.monotonic()
    return cpu_s_of(command), time.monotonic() - start
