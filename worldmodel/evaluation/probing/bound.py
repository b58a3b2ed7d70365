"""The bound on any reader of a run's constants, for positions seen as precisely as its latents show them."""

from typing import Any

import numpy as np

from worldmodel.data.truth import latent_variables
from worldmodel.design.study import judge, settings_for
from worldmodel.evaluation.probing.subject import Subject
from worldmodel.learning.sources import spread_rows
from worldmodel.measures.canonical import hermite_features
from worldmodel.measures.identifiability import affine_apply, affine_fit
from worldmodel.measures.statistics import unit_spread

DEGREE = 5  # of the polynomial that undoes what the latents bend
MAX_ROWS = 20_000
LEAST_NOISE = 1e-6  # metres, radians


def bounds(subject: Subject, num_trajectories: int) -> dict[str, Any]:
    """Bound on R2 by constant, [its interval], and the position errors behind it.

    "position_error": root mean square by position, in metres (of cosines and sines: radians), of the best polynomial of
    the latents on test episodes. "noise_m", "noise_rad": their means, taken as the noise of every frame.
    """
    errors = position_errors(subject)
    metres, radians = (
        [error for name, error in errors.items() if name.startswith(("cos ", "sin ")) == on_circle]
        for on_circle in (False, True)
    )
    means = {"noise_m": np.mean(metres or [1e-3]), "noise_rad": np.mean(radians or [1e-2])}
    noise = {name: max(float(mean), LEAST_NOISE) for name, mean in means.items()}
    judged = judge(settings_for(subject.trained, **noise, num_trajectories=num_trajectories))
    return {"position_error": errors, **noise, **{key: judged[key] for key in ("r2_bound", "r2_bound_interval")}}


def position_errors(subject: Subject) -> dict[str, float]:
    """Root mean square error of every position read from the latents of one frame, on test episodes."""
    variables = latent_variables(subject.data)
    latents = subject.table.latents.cpu().numpy()
    train, test = (spread_rows(subject.data.split(name), MAX_ROWS).numpy() for name in ("train", "test"))
    centre, spread = latents[train].mean(0), unit_spread(latents[train])
    degree = DEGREE if latents.shape[1] <= 3 else 1
    features = [hermite_features((latents[rows] - centre) / spread, degree) for rows in (train, test)]
    read = affine_apply(affine_fit(features[0], variables.values[train]), features[1])
    errors = np.sqrt(((read - variables.values[test]) ** 2).mean(0))
    return {name: float(error) for name, error in zip(variables.names, errors, strict=True)}
