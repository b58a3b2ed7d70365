"""The bound on any reader of a run's constants, for positions seen as precisely as its latents show them."""

import numpy as np

from worldmodel.data.truth import latent_variables
from worldmodel.designing import judge, settings_for
from worldmodel.evaluation.probing.subject import Subject
from worldmodel.learning.sources import spread_rows
from worldmodel.measures.canonical import hermite_features
from worldmodel.measures.identifiability import affine_apply, affine_fit
from worldmodel.measures.statistics import unit_spread
from worldmodel.runs.probe_result import PositionErrors
from worldmodel.runs.results import Interval

DEGREE = 5
"""Degree of the polynomial from latents to positions, since latents may be a nonlinear function of positions."""
MAX_ROWS = 20_000
LEAST_NOISE = 1e-6
"""Least noise of a position, in metres or radians."""


def reader_bounds(
    subject: Subject, noise: PositionErrors, num_trajectories: int
) -> dict[str, tuple[float, Interval | None]]:
    """Constant -> the R2 that no reader of one window exceeds, and its interval, where frames show positions with this
    noise."""
    judged = judge(settings_for(subject.trained, noise.noise_m, noise.noise_rad, num_trajectories=num_trajectories))
    return {name: (bound, judged.r2_bound_interval[name]) for name, bound in judged.r2_bound.items()}


def position_errors(subject: Subject) -> PositionErrors:
    """Root mean square error of every position, read from the latents of one frame on test episodes by the best
    polynomial; of angles, by their cosines and sines."""
    variables = latent_variables(subject.data)
    latents = subject.table.latents.cpu().numpy()
    train, test = (spread_rows(subject.data.split(name), MAX_ROWS).numpy() for name in ("train", "test"))
    centre, spread = latents[train].mean(0), unit_spread(latents[train])
    degree = DEGREE if latents.shape[1] <= 3 else 1
    features = [hermite_features((latents[rows] - centre) / spread, degree) for rows in (train, test)]
    read = affine_apply(affine_fit(features[0], variables.values[train]), features[1])
    errors = np.sqrt(((read - variables.values[test]) ** 2).mean(0))
    rmse = {name: float(error) for name, error in zip(variables.names, errors, strict=True)}
    on_circle = [error for name, error in rmse.items() if name.startswith(("cos ", "sin "))]
    metres = [error for name, error in rmse.items() if not name.startswith(("cos ", "sin "))]
    return PositionErrors(rmse, _noise(metres, 1e-3), _noise(on_circle, 1e-2))


def _noise(errors: list[float], default: float) -> float:
    """The mean error; `default` where no position has this unit."""
    return max(float(np.mean(errors or [default])), LEAST_NOISE)
