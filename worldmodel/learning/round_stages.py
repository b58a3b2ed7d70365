"""Rounds: training that continues on episodes in which the run's own controller drove the robot."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from worldmodel.data.joined import JoinedDataSet
from worldmodel.data.store import DataSet
from worldmodel.data.table import LatentTable
from worldmodel.learning.dynamics import predictor_stage
from worldmodel.learning.loop import Stage, Trainer
from worldmodel.learning.sources import Source, latent_table, segments
from worldmodel.models import WorldModel
from worldmodel.runs import TrainingRound
from worldmodel.settings import TrainConfig, in_round

STEPS_SHARE = 0.3
"""Share of a stage's optimiser steps that a round adds."""
_LR_SHARE = 0.5
"""Share of a stage's highest learning rate with which rounds continue it."""


def stage_parts(parts: Mapping[str, str], rounds: int) -> dict[str, str]:
    """Stage -> prefix of the weights that it trains, of the stages of all rounds as well."""
    continued = {
        in_round(stage, number): parts[stage] for number in range(1, rounds + 1) for stage in ("encoder", "predictor")
    }
    return {**parts, **continued}


def train_rounds(
    config: TrainConfig,
    model: WorldModel,
    trainer: Trainer,
    source: Source,
    table: LatentTable,
    encoder_stage: Callable[[], Stage],
) -> tuple[dict[str, float], LatentTable]:
    """Continue the training of encoder and predictor, once for each round; an encoder trained on an atlas stays.

    Returns:
        The seconds of each stage, and the table of the last encoder's latents.
    """
    predictor = model.predictor
    assert predictor is not None
    seconds: dict[str, float] = {}
    for number in range(1, config.rounds + 1):
        if config.atlas is None:
            stage = _continued(encoder_stage(), number)
            was_done = stage.name in trainer.stages_done
            seconds[stage.name] = trainer.fit(stage)
            if not was_done:
                table = latent_table(model, source.data, source.frames, shown=False)
        stretches = segments(source.data, source.train)
        stage = predictor_stage(predictor, table, stretches, config.predictor_training, None)
        stage = _continued(stage, number)
        seconds[stage.name] = trainer.fit(stage)
    return seconds, table


def _continued(stage: Stage, number: int) -> Stage:
    """A stage that continues where it ended, the networks of its loss included: with the final weights of the loss's
    terms, and a smaller learning rate."""
    steps = max(1, round(STEPS_SHARE * stage.optim.steps))
    return replace(
        stage,
        name=in_round(stage.name, number),
        loss=lambda progress, generator: stage.loss(1.0, generator),
        optim=replace(stage.optim, steps=steps, lr=_LR_SHARE * stage.optim.lr),
    )


def recorded_rounds(data: DataSet) -> list[TrainingRound]:
    """Returns of the first recording and of each round; empty without rounds."""
    parts = data.parts if isinstance(data, JoinedDataSet) else []
    return [_round_result(number, part) for number, part in enumerate(parts)]


def _round_result(number: int, part: DataSet) -> TrainingRound:
    returns = np.add.reduceat(np.nan_to_num(part.rewards), part.offset)
    policy = part.index.settings.policy or {}
    return TrainingRound(
        number, str(policy.get("name", "")), part.num_episodes, part.num_rows - part.num_episodes, float(returns.mean())
    )
