"""Options of `python -m benchmarks.recipes`, and one training with what is measured of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import worldmodel as wm
from worldmodel.runs import CellStore, Run, cell_key
from worldmodel.settings import Count, NonNegativeInt, Settings, TrainConfig, recipe, with_options

Figures = dict[str, float | None]

_WORLDS = (
    "cheetah-run", "walker-walk", "cartpole-two_poles", "gym:HalfCheetah-v5", "hopper-hop", "reacher-hard",
    "gym:InvertedPendulum-v5", "acrobot-swingup", "point_mass-hard", "gym:Pusher-v5", "finger-spin", "swimmer-swimmer6",
)  # fmt: skip
_COMPARED = (
    "cheetah-run", "walker-walk", "cartpole-two_poles", "gym:HalfCheetah-v5", "hopper-hop", "reacher-hard",
    "gym:InvertedPendulum-v5", "acrobot-swingup", "gym:Pusher-v5", "gym:PointMaze_UMaze-v3",
    "gym:ogbench/pointmaze-medium-v0", "gym:lerobot_env_so101/SO101PickCube-v0",
)  # fmt: skip
"""Worlds without a recipe: six of dm_control, three of Gymnasium, and three of other packages."""

EARLIER: dict[str, int | float | bool | str] = {
    "encoder.latent_dim": 16,
    "method.controlled": False,
    "method.drop": 0.0,
    "predictor.kind": "mlp",
    "predictor.hidden": 384,
    "predictor.depth": 2,
    "predictor.width": 192,
    "predictor_training.steps": 3000,
    "predictor_training.batch_size": 512,
    "predictor_training.optimizer": "adamw",
    "predictor_training.lr": 2e-3,
}
"""How worlds without a recipe were trained before: 16 latents, alignment of all change, whole frames, and a
predictor with weights of its own for every step."""


@dataclass(frozen=True)
class RecipesBench(Settings):
    """Worlds without a recipe: which criterion without labels finds good settings, and what their recipe is worth.

    Finished trainings are kept, so that a command that was interrupted, or is given more worlds or seeds, continues.
    """

    what: Literal["criteria", "comparison"] = "criteria"
    """criteria: short trainings of five candidates in each world, judged by every criterion, by success and by state
    R2. comparison: whole trainings, with the earlier settings and by the automatic recipe."""
    worlds: tuple[str, ...] = ()
    """Worlds without a recipe; empty takes twelve."""
    seeds: tuple[NonNegativeInt, ...] = (0,)
    """Seeds of training."""
    episodes: Count = 80
    """Recorded episodes of each world, which all of its trainings share."""
    tasks: Count = 40
    """Goal images of each run, as far ahead as the world's default goal is."""
    encoder_steps: Count | None = None
    """Training steps of the encoder; null: 700 of 128 pairs for criteria, the settings' own for comparison."""
    predictor_steps: Count | None = None
    """Training steps of the predictor; null: 800 of 256 windows for criteria, the settings' own for comparison."""
    folder: str = "runs/recipes"
    """Folder of recordings, runs and finished cells."""
    out: str | None = None
    """Also write the figures there, as JSON, after every world."""

    @property
    def cells(self) -> Path:
        """Folder of finished cells."""
        return Path(self.folder) / "cells"

    @property
    def all_worlds(self) -> tuple[str, ...]:
        """The worlds that are measured."""
        return self.worlds or (_WORLDS if self.what == "criteria" else _COMPARED)

    def base(self, world: str, name: str, seed: int, options: Mapping[str, Any]) -> TrainConfig:
        """Settings of a training that is called `name`, with these options over those of worlds without a recipe."""
        config = recipe(world)
        common = {"collection.episodes": self.episodes, "decoder": False, "device": "cpu", "seed": seed, "choose": []}
        places = {"runs": f"{self.folder}/runs", "collection.data": f"{self.folder}/data"}
        steps = {"method.optim.steps": self.encoder_steps, "predictor_training.steps": self.predictor_steps}
        given = {option: num for option, num in steps.items() if num}
        config = with_options(config, {**common, **places, **options, **given})
        return replace(config, name=f"{config.run_name}-{name}-s{seed}")


def cell(bench: RecipesBench, config: TrainConfig) -> Figures:
    """The figures of one training, read from its file where it is finished.

    It learns no reward, which no figure needs. That is no part of the cell's key, since other weights do not depend on
    it: cells of trainings that learned one stay valid.
    """
    key = cell_key(config.run_name, training=config, choose=list(config.choose), tasks=bench.tasks)
    without_reward = replace(config, reward_head=False)
    return CellStore(bench.cells, Figures).result(key, lambda: _measured(without_reward, bench.tasks))


def _measured(config: TrainConfig, tasks: int) -> Figures:
    """Train, drive to goals, and collect every figure."""
    trained = wm.train(config)
    driven = wm.control(wm.ControlConfig(run=trained.run, tasks=tasks, oracle=False, videos=0, device="cpu"))
    random = driven.controllers["random"].success
    found, prediction, choice = trained.identifiability, trained.prediction, trained.choice
    assert prediction and driven.latent.success and random
    last = next(line for line in reversed(Run(trained.run).metrics) if line["stage"] == "encoder")
    ratios = {f"ratio_{step}": prediction.ratio_to_persistence.get(step) for step in (1, 5, 15)}
    return {
        "steps_off": prediction.steps_off.mean if prediction.steps_off else None,
        **ratios,
        "effective_rank": last.get("effective_rank"),
        "alignment": last.get("alignment"),
        "state_r2": found.r2_h_to_z if found else None,
        "success": driven.latent.success.rate,
        "random": random.rate,
        "training_s": sum(trained.seconds.get(stage, 0.0) for stage in ("encoder", "predictor")),
        **({**choice.chosen, "choice_share": choice.share, "choice_s": choice.seconds} if choice else {}),
    }
