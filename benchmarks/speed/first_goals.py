"""CPU-seconds from an empty folder to a model that reaches goals, by the share of the recipe that is spent."""

import importlib.util
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.settings import BenchConfig
from benchmarks.speed.cpu_time import worldmodel_cpu_s
from worldmodel.measures import wilson_interval
from worldmodel.runs import Run
from worldmodel.settings import TrainConfig, recipe
from worldmodel.system import UserError

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Of the recipe's episodes and of the steps of its encoder and predictor."""
SEEDS = (0, 1, 2)
ENOUGH = 0.95
"""Goals reached that count as having learned to control."""
LEWM_STEPS = (4, 16)
"""Lengths of two trainings of LeWM's size, in steps: by their difference in cost the whole recipe is extrapolated."""


def first_goals(config: BenchConfig) -> dict[str, Any]:
    """CPU-seconds from an empty folder to a model, imports included, and the goals that it reaches, at every share.

    Neither decoder nor robust encoder is trained, since control needs neither. For comparison, the CPU-seconds of
    the recipe of LeWM's size are extrapolated, where timm is installed.
    """
    figures: dict[str, Any] = {}
    for share in SHARES:
        costs, driven = zip(*(_train_and_control(config.world, share, seed) for seed in SEEDS), strict=True)
        trials, reached = sum(num for num, _ in driven), sum(num for _, num in driven)
        figures[f"share_{share:g}"] = {
            "cpu_s": median(costs),
            "success": reached / trials,
            "interval": wilson_interval(reached, trials),
        }
        if reached >= ENOUGH * trials:
            break
    if importlib.util.find_spec("timm"):
        figures["lewm_cpu_s_extrapolated"] = _lewm_cpu_s(config.world)
    return figures


def _train_and_control(world: str, share: float, seed: int) -> tuple[float, tuple[int, int]]:
    """CPU-seconds of training in an empty folder; tasks tried, and goals reached."""
    with tempfile.TemporaryDirectory() as folder:
        asked = [f"env={world}", f"seed={seed}", f"data_seed={seed}", *_shortened(recipe(world), share)]
        spent = worldmodel_cpu_s(["train", *asked, "name=run", "device=cpu", "decoder=false", "robust=false"], folder)
        worldmodel_cpu_s(["control", "run=runs/run", "oracle=false", "videos=0"], folder)
        control = Run(Path(folder) / "runs/run").control
        if control is None or control.latent.success is None:
            raise UserError(f"the control of {world} under measurement left no share of goals")
        tasks = control.latent.num_tasks
        return spent, (tasks, round(tasks * control.latent.success.rate))


def _shortened(trained: TrainConfig, share: float) -> list[str]:
    """Options that leave a share of the recipe."""
    return [
        f"episodes={round(share * trained.collection.episodes)}",
        f"method.optim.steps={round(share * trained.method.optim.steps)}",
        f"predictor_training.steps={round(share * trained.predictor_training.steps)}",
    ]


def _lewm_cpu_s(world: str) -> float:
    """CPU-seconds of a whole training of LeWM's size (its first stage, which trains encoder and predictor together)."""
    steps = recipe(world, "lewm").method.optim.steps
    with tempfile.TemporaryDirectory() as folder:
        few = ["size=lewm", "episodes=20", "predictor_training.steps=1", "decoder=false", "device=cpu"]
        _, short, long = (  # the first also collects
            worldmodel_cpu_s(["train", f"env={world}", *few, f"method.optim.steps={num}", f"name=run-{order}"], folder)
            for order, num in enumerate((1, *LEWM_STEPS))
        )
    return steps * (long - short) / (LEWM_STEPS[1] - LEWM_STEPS[0])
