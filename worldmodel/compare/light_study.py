"""S4: a ball moves while the light changes. From which pairs, and by which method, are the two told apart?"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.compare.candidates import CANDIDATES, choose
from worldmodel.compare.laboratory import Cell, Laboratory
from worldmodel.compare.measurements import tune
from worldmodel.compare.scale import Scale
from worldmodel.measures.statistics import over_seeds
from worldmodel.measures.wording import told
from worldmodel.settings import CompareConfig, TrainConfig, recipe

# what the two views of a pair share: the environment that records them, latents (None: one a variable), words
CONDITIONS = {
    "plain rollouts": ("lit_ball", 2, "frames half a second apart: the ball has moved, the light hardly"),
    "OU pairs": ("lit_ball_ou", None, "ball and light are OU processes of one autocorrelation, as the theorem wants"),
    "redrawn light": ("lit_ball_poses", 2, "the ball is an OU process, the light of each view is drawn anew"),
    "redrawn light, one latent": ("lit_ball_poses", 1, "the same, and no latent more than the world has variables"),
}
LAG = 10  # control steps from a frame to its partner, and to what lewm predicts


def conditions(config: CompareConfig, scale: Scale, runs: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """For each condition: R2 of ball and light by method, in distribution and under shifts; yields as they finish.

    Encoders are trained on frames within the range that the shifts leave out, and tuned on the validation episodes of
    their own condition, by the R2 of what that condition asks for.
    """
    for name, (env, latent_dim, explanation) in CONDITIONS.items():
        lab = Laboratory(training(config, env, latent_dim), scale, runs / f"compare-{env}", lewm_block=LAG)
        rows = {}
        # a kinematic world has no actions, from which lewm would predict
        names = [name for name in config.methods or CANDIDATES if name != "lewm" or lab.has_dynamics]
        for candidate in choose(names, has_actions=True):
            setting, _ = tune(lab, candidate)
            cells = [
                lab.result(Cell(candidate.name, setting, seed, scale.batch_size, inside=True))
                for seed in range(config.num_seeds)
            ]
            rows[candidate.name] = {"setting": candidate.settings[setting], **_row(cells)}
        yield name, {"env": env, "explanation": explanation, "variables": lab.variables.names, "methods": rows}


def training(config: CompareConfig, env: str, latent_dim: int | None = None) -> TrainConfig:
    """Settings of one of the study's worlds."""
    shared, found = config.training, recipe(env)
    collection = dataclasses.replace(found.collection, data=shared.collection.data, workers=shared.collection.workers)
    encoder = dataclasses.replace(found.encoder, latent_dim=latent_dim)
    found = dataclasses.replace(
        found, collection=collection, encoder=encoder, runs=shared.runs, device=shared.device, threads=shared.threads
    )
    return dataclasses.replace(found, method=dataclasses.replace(found.method, lag=LAG)) if env == "lit_ball" else found


def _row(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Ball and light, read linearly: whether light is a variable to recover or a nuisance, it is read alike."""

    def light(cell: dict[str, Any]) -> float | None:
        return {**cell["test"]["per_variable"], **cell["nuisances"]}["light"]

    shifts = {
        name: {
            key: over_seeds([cell["shifts"][name]["per_variable"]["x"][key] for cell in cells])
            for key in ("r2", "rmse_sd")
        }
        for name in cells[0]["shifts"]
    }
    return {
        "x": over_seeds([cell["test"]["per_variable"]["x"] for cell in cells]),
        "light": over_seeds([light(cell) for cell in cells]),
        "effective_rank": over_seeds([cell["diagnosis"]["effective_rank"] for cell in cells]),
        "x_under_shift": shifts,
    }


def text(content: dict[str, Any]) -> str:
    """The table that the command prints."""
    lines = []
    for name, condition in content["conditions"].items():
        shifts = list(next(iter(condition["methods"].values()))["x_under_shift"])
        lines.append(f"{name}: {condition['explanation']}")
        lines.append(f"  {'linear R2':<14}{'ball':>8}{'light':>8}" + "".join(f"{shift:>24}" for shift in shifts))
        for method, row in condition["methods"].items():
            moved = "".join(f"{told(row['x_under_shift'][shift]['r2']['mean']):>24}" for shift in shifts)
            lines.append(f"  {method:<14}{told(row['x']['mean']):>8}{told(row['light']['mean']):>8}{moved}")
    return "\n".join(lines)


def mean_shift(row: dict[str, Any]) -> float:
    """RMSE of the ball's position in sd, averaged over the shifted sets."""
    return float(np.mean([shift["rmse_sd"]["mean"] for shift in row["x_under_shift"].values()]))
