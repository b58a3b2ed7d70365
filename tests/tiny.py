"""Code and commands that are shown to readers, run as they stand but at a tiny size."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import worldmodel as wm
from worldmodel.measures import regression
from worldmodel.settings import CollectConfig, ControlConfig, OptimConfig, ProbeConfig, StepsConfig, TrainConfig, recipe

OptimT = TypeVar("OptimT", bound=OptimConfig)
CONTROL = {"tasks": 2, "goal_steps": 6, "budget_steps": 4, "videos": 0, "oracle_tasks": 1}
PROBE = {"bootstrap": 20, "max_frames": 200, "bound_trajectories": 0}
_TRAIN = [
    *(f"{stage}.{name}" for stage in ("method.optim", "predictor_training") for name in ("steps=6", "batch_size=16")),
    "decoder_training.steps=2",
    "distillation.optim.steps=2",
    "method.num_slices=4", "encoder.hidden=16", "predictor.hidden=16", "predictor.horizon=5",
    "predictor.history=[0,1,2]",
]  # fmt: skip
_COLLECT = ["episodes=30", "episode_steps=24", "workers=1", "image_size=32"]
OPTIONS = {
    "collect": _COLLECT,
    "train": [*_COLLECT, *_TRAIN],
    "control": [*(f"{name}={value}" for name, value in CONTROL.items()), "planner.horizon=5"],
    "imagine": ["windows=8", "shown=1", "tasks=0", "bootstrap=10"],
    "probe": [f"{name}={value}" for name, value in PROBE.items()],
}
"""Command -> options that make it quick."""


def shrink(assign: Callable[[object, str, Any], None] = setattr) -> None:
    """From now on, what `wm` makes of a recipe or of settings is tiny; `assign` is a test's monkeypatch.setattr."""
    assign(wm, "recipe", lambda *names: tiny_training(recipe(*names)))
    assign(wm, "ControlConfig", lambda **options: ControlConfig(**(options | CONTROL)))
    assign(wm, "ProbeConfig", lambda **options: ProbeConfig(**(options | PROBE)))
    assign(regression, "MLP_STEPS", 50)


def tiny_training(config: TrainConfig) -> TrainConfig:
    """The same training with few episodes, pixels, units and steps."""

    def tiny_collection(of: CollectConfig, episodes: int) -> CollectConfig:
        small = dataclasses.replace(of.env, image_size=16, supersample=1)
        return dataclasses.replace(of, env=small, workers=1, episodes=episodes)

    def tiny_optim(of: OptimT) -> OptimT:
        return dataclasses.replace(of, steps=6, batch_size=16)

    context_training = config.context_training_or_default
    return dataclasses.replace(
        config,
        collection=dataclasses.replace(tiny_collection(config.collection, 30), episode_steps=24),
        atlas=config.atlas and tiny_collection(config.atlas, 60),
        encoder=dataclasses.replace(config.encoder, hidden=16, input_size=16),
        method=dataclasses.replace(config.method, num_slices=4, optim=tiny_optim(config.method.optim)),
        context=config.context and dataclasses.replace(config.context, window=10),
        context_training=dataclasses.replace(context_training, optim=tiny_optim(context_training.optim)),
        predictor=dataclasses.replace(config.predictor, hidden=16, horizon=5, history=[0, 1, 2]),
        predictor_training=tiny_optim(config.predictor_training),
        decoder_training=StepsConfig(2),
        distillation=dataclasses.replace(config.distillation_or_default, optim=StepsConfig(2)),
    )
