"""Planning on every method's frozen latents with the same predictor and planner, by `train`, `control` and `robust`."""

import dataclasses
from contextlib import closing
from dataclasses import dataclass

from worldmodel import envs
from worldmodel.comparing.encoder_cells import EncoderCell
from worldmodel.comparing.laboratory import Laboratory
from worldmodel.evaluation.control import control
from worldmodel.evaluation.robustness import robust
from worldmodel.evaluation.robustness.grid import check_can_look
from worldmodel.learning.train import train
from worldmodel.runs import CellStore, cell_key
from worldmodel.settings import ControlConfig, EnvConfig, RobustConfig, TrainConfig
from worldmodel.system.errors import UserError
from worldmodel.system.printable import say


@dataclass(frozen=True)
class PlannedTasks:
    """Success of planning with one training's latents."""

    success_rate: float
    """Share of tasks solved."""
    random_success_rate: float
    """Share that random actions solve."""
    num_tasks: int
    """Number of tasks."""
    prediction_error_ratio: dict[int, float | None]
    """Control steps ahead -> root mean squared prediction error, divided by that of persistence."""

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


def plan_under_looks(lab: Laboratory, cell: EncoderCell) -> dict[str, float | None]:
    """Share of goals that the same world model reaches under each look of `robust`; a finished one is kept."""
    training = _training(lab, cell)
    looking = RobustConfig(tasks=lab.scale.tasks_under_looks, frames=lab.scale.tasks_under_looks, seed=cell.seed)
    store = CellStore(lab.folder / "cells", dict[str, float | None])
    key = cell_key(f"looks-{cell.label}", training=training, robust=looking)
    return store.result(key, lambda: _look(lab, training, looking))


def refusal_of_looks(env: EnvConfig) -> str | None:
    """Why a world cannot look different; None where it can."""
    with closing(envs.make(**env.make_arguments())) as world:
        try:
            check_can_look(world)
        except UserError as error:
            return str(error)
    return None


def _training(lab: Laboratory, cell: EncoderCell) -> TrainConfig:
    """The cell's method in a world model of the lab's scale, without decoder and robust encoder."""
    scale, config = lab.scale, lab.config
    training = dataclasses.replace(
        config,
        method=lab.method(cell),
        predictor=dataclasses.replace(config.predictor, hidden=scale.predictor_hidden),
        predictor_training=dataclasses.replace(config.predictor_training, steps=scale.predictor_steps),
        decoder=False,
        robust=False,
        runs=str(lab.folder / "models"),
        seed=cell.seed,
    )
    return dataclasses.replace(training, name=cell_key(cell.label, training=training).name)


def _plan(lab: Laboratory, training: TrainConfig, driving: ControlConfig) -> PlannedTasks:
    say(f"{lab.label}: goals with {training.name}")
    trained = train(training)
    driven = control(dataclasses.replace(driving, run=trained.run))
    latent, random = driven.latent.success, driven.controllers["random"].success
    assert latent and random and trained.prediction, "a world with actions and goals"
    ratios = dict(trained.prediction.ratio_to_persistence)
    return PlannedTasks(latent.rate, random.rate, driven.latent.num_tasks, ratios)


def _look(lab: Laboratory, training: TrainConfig, looking: RobustConfig) -> dict[str, float | None]:
    say(f"{lab.label}: looks with {training.name}")
    looked = robust(dataclasses.replace(looking, run=train(training).run))
    (rows,) = looked.encoders.values()
    return {row.label: row.success.rate if row.success else None for row in rows}
