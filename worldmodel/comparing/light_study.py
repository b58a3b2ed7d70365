"""A ball moves while the light changes. From which pairs, and by which method, are the two told apart?"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from worldmodel.comparing.candidates import CANDIDATES, choose
from worldmodel.comparing.compare_result import BallReading, PairCondition, Setting, ShiftedSetReading
from worldmodel.comparing.encoder_cells import EncoderCell, EncoderReading
from worldmodel.comparing.laboratory import Laboratory
from worldmodel.comparing.measurements import tune
from worldmodel.comparing.scale import scale_of
from worldmodel.measures.statistics import over_seeds
from worldmodel.settings import CompareConfig, TrainConfig, recipe

CONDITIONS = {
    "plain rollouts": ("lit_ball", 2, "frames half a second apart: the ball has moved, the light hardly"),
    "OU pairs": ("lit_ball_ou", None, "ball and light are OU processes of one autocorrelation, as the theorem wants"),
    "redrawn light": ("lit_ball_poses", 2, "the ball is an OU process, the light of each view is drawn anew"),
    "redrawn light, one latent": ("lit_ball_poses", 1, "the same, and no latent more than the world has variables"),
}
"""Condition -> (world that records the pairs, number of latents (None: one for each variable), explanation)."""
LAG = 10
"""Control steps from a frame to its partner, and to the latent that lewm predicts."""


def conditions(config: CompareConfig, runs: Path) -> Iterator[tuple[str, PairCondition]]:
    """For each condition: R2 of ball and light by method, in distribution and under shifts; yields as they finish.

    Encoders are trained on frames within the range that the shifts leave out, and tuned on the validation episodes of
    their own condition, by the R2 of the variables that it asks to recover.
    """
    for name, (env, latent_dim, explanation) in CONDITIONS.items():
        recipe_of = training(config, env, latent_dim)
        lab = Laboratory(recipe_of, scale_of(config, recipe_of), runs / f"compare-{env}", lewm_block=LAG)
        rows = {}
        # a kinematic world has no actions, from which lewm would predict
        names = [name for name in config.methods or CANDIDATES if name != "lewm" or lab.has_dynamics]
        for candidate in choose(names, has_actions=True):
            setting, _ = tune(lab, candidate)
            cells = [
                lab.result(EncoderCell(candidate.name, setting, seed, lab.scale.batch_size, inside=True))
                for seed in range(config.num_seeds)
            ]
            rows[candidate.name] = _row(candidate.settings[setting], [cell.reading for cell in cells])
        yield name, PairCondition(env, explanation, lab.variables.names, rows)


def training(config: CompareConfig, env: str, latent_dim: int | None = None) -> TrainConfig:
    """Settings of one of the study's worlds."""
    shared, found = config.training, recipe(env)
    collection = dataclasses.replace(found.collection, data=shared.collection.data, workers=shared.collection.workers)
    encoder = dataclasses.replace(found.encoder, latent_dim=latent_dim)
    found = dataclasses.replace(
        found, collection=collection, encoder=encoder, runs=shared.runs, device=shared.device, threads=shared.threads
    )
    return dataclasses.replace(found, method=dataclasses.replace(found.method, lag=LAG)) if env == "lit_ball" else found


def _row(setting: Setting, readings: list[EncoderReading]) -> BallReading:
    """Ball and light, read linearly: whether light is a variable to recover or a nuisance, it is read alike."""

    def light(reading: EncoderReading) -> float | None:
        return {**reading.test.per_variable, **reading.nuisances}["light"]

    balls = [{name: shift.per_variable["x"] for name, shift in reading.shifts.items()} for reading in readings]
    return BallReading(
        setting=setting,
        x=over_seeds([reading.test.per_variable["x"] for reading in readings]),
        light=over_seeds([light(reading) for reading in readings]),
        effective_rank=over_seeds([reading.spread.effective_rank for reading in readings]),
        x_under_shift={
            name: ShiftedSetReading(
                r2=over_seeds([ball[name].r2 for ball in balls]),
                rmse_sd=over_seeds([ball[name].rmse_sd for ball in balls]),
            )
            for name in balls[0]
        },
    )
