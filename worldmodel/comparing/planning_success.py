"""Planning readiness: the same predictor and planner on every method's frozen latents, by the tool's own verbs."""

import dataclasses
import shutil
from dataclasses import dataclass

from worldmodel.comparing.encoder_cells import EncoderCell
from worldmodel.comparing.laboratory import Laboratory
from worldmodel.evaluation.control import control
from worldmodel.learning.train import train
from worldmodel.runs import CellStore, cell_key
from worldmodel.settings import ControlConfig, TrainConfig
from worldmodel.system.printable import say


@dataclass(frozen=True)
class PlannedTasks:
    """What planning with one training's latents achieves."""

    success_rate: float
    """Share of tasks solved."""
    random_success_rate: float
    """Share that random actions solve."""
    num_tasks: int
    """Tasks."""
    prediction_error_ratio: dict[int, float | None]
    """Control steps ahead -> squared prediction error over that of standing still."""

    @property
    def farthest_error_ratio(self) -> float | None:
        """The error ratio of the longest prediction."""
        return self.prediction_error_ratio[max(self.prediction_error_ratio)]


def plan_with(lab: Laboratory, cell: EncoderCell) -> PlannedTasks:
    """Train a whole world model with the cell's method and run the control tasks; a finished one is kept."""
    training = _training(lab, cell)
    driving = ControlConfig(tasks=lab.scale.tasks, seed=cell.seed, videos=0, oracle=False)
    store = CellStore(lab.folder / "cells", PlannedTasks)
    key = cell_key(f"plan-{cell.label}", training=training, control=driving)
    return store.result(key, lambda: _plan(lab, training, driving))


def _training(lab: Laboratory, cell: EncoderCell) -> TrainConfig:
    scale, config = lab.scale, lab.config
    return dataclasses.replace(
        config,
        method=lab.method(cell),
        predictor=dataclasses.replace(config.predictor, hidden=scale.predictor_hidden),
        predictor_training=dataclasses.replace(config.predictor_training, steps=scale.predictor_steps),
        runs=str(lab.folder / "work"),
        name=f"plan-{cell.label}",
        seed=cell.seed,
    )


def _plan(lab: Laboratory, training: TrainConfig, driving: ControlConfig) -> PlannedTasks:
    say(f"{lab.label}: {training.name}")
    shutil.rmtree(training.run_directory, ignore_errors=True)
    trained = train(training)
    driven = control(dataclasses.replace(driving, run=trained.run))
    shutil.rmtree(trained.run)
    latent, random = driven.latent.success, driven.controllers["random"].success
    assert latent and random and trained.prediction, "a world with actions and goals"
    ratios = dict(trained.prediction.ratio_to_persistence)
    return PlannedTasks(latent.rate, random.rate, driven.latent.num_tasks, ratios)
