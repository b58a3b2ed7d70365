"""From the information of windows to bounds, directions and combinations of constants."""

from collections.abc import Sequence

import numpy as np

from worldmodel.designing.design_result import ChosenPolicy, CombinationBound, ExcitationBounds, Gain, WindowBound
from worldmodel.designing.information import (
    directions,
    posterior_covariance,
    r2_bounds,
    readable_combinations,
    van_trees_bounds,
)
from worldmodel.designing.problem import DesignProblem
from worldmodel.designing.windows import NOISE_RATIOS, WindowInformation
from worldmodel.measures.statistics import central_95, mean_interval
from worldmodel.runs.results import Interval, as_interval
from worldmodel.system.errors import UserError


def bounds_of(problem: DesignProblem, policy: ChosenPolicy, found: WindowInformation) -> ExcitationBounds:
    """Bounds on every constant under one excitation."""
    covariance, names = found.covariance, problem.constants
    bounds = r2_bounds(covariance)
    intervals = bound_intervals(found, np.random.default_rng(problem.config.seed))
    spectrum = directions(covariance)
    std = np.sqrt(np.diag(covariance))
    threshold = problem.config.identifiable_r2
    return ExcitationBounds(
        policy=policy,
        num_windows=len(found.windows),
        share_outside=found.outside,
        r2_bound=_by_name(names, bounds),
        r2_bound_interval=dict(zip(names, intervals, strict=True)),
        r2_bound_van_trees=_by_name(names, van_trees_bounds(found.windows)),
        r2_bound_episode=_by_name(names, r2_bounds(posterior_covariance(found.episodes))),
        identifiable=[name for name, bound in zip(names, bounds, strict=True) if bound >= threshold],
        combinations=_combinations(problem, covariance),
        information=[float(value) for value in spectrum.information],
        directions=[_by_name(names, vector) for vector in spectrum.vectors.T],
        posterior_correlation=(covariance / np.outer(std, std)).round(4).tolist(),
        r2_bound_by_noise_and_steps=_grid(names, found),
    )


def _combinations(problem: DesignProblem, covariance: np.ndarray) -> list[CombinationBound]:
    """Products of two constants and more, of those with a log prior."""
    names = problem.constants
    logs = [i for i, name in enumerate(names) if problem.world.factors[name].transform == "log"]
    found = readable_combinations(covariance[np.ix_(logs, logs)], [names[i] for i in logs], problem.scales[logs])
    return [CombinationBound(item.text, item.exponents, item.r2) for item in found if len(item.exponents) > 1]


def _grid(names: Sequence[str], found: WindowInformation) -> list[WindowBound]:
    """Bounds for multiples of the noise and shorter windows."""
    return [
        WindowBound(ratio, steps, _by_name(names, r2_bounds(posterior_covariance(found.information[i, j])).round(4)))
        for i, ratio in enumerate(NOISE_RATIOS)
        for j, steps in enumerate(found.prefixes)
    ]


def bound_intervals(found: WindowInformation, rng: np.random.Generator) -> list[Interval | None]:
    """95 % bootstrap intervals of the P bounds over trajectories; None from one trajectory."""
    posteriors = np.linalg.inv(np.eye(found.windows.shape[-1]) + found.windows)
    variances = np.diagonal(posteriors, axis1=1, axis2=2)
    present = np.unique(found.trajectory)
    if len(present) < 2:
        return [None] * variances.shape[1]
    sums = np.stack([variances[found.trajectory == i].sum(0) for i in present])
    counts = np.array([(found.trajectory == i).sum() for i in present])
    weight = rng.multinomial(len(present), np.full(len(present), 1 / len(present)), size=500)
    return [as_interval(central_95(bounds)) for bounds in (1 - (weight @ sums) / (weight @ counts)[:, None]).T]


def gain_of(before: WindowInformation, after: WindowInformation) -> Gain:
    """Gain of the second excitation, paired over trajectories with the same constants, starts and policy seeds.

    Trajectories that ended before a window was full under either of them are left out.

    Raises:
        UserError: that leaves none.
    """
    logdets = [_logdets(information) for information in (before, after)]
    both = sorted(logdets[0].keys() & logdets[1].keys())
    if not both:
        raise UserError("no episode lasts for a whole window under both policies; shorten the window")
    change = np.array([logdets[1][index] - logdets[0][index] for index in both])
    return Gain(
        logdet_nats_per_episode=float(change.mean()),
        logdet_nats_interval=as_interval(mean_interval(change)),
        worst_r2_bound=float(r2_bounds(after.covariance).min() - r2_bounds(before.covariance).min()),
    )


def _logdets(found: WindowInformation) -> dict[int, float]:
    """Number of a trajectory -> log det(I + information of all its windows), in nats."""
    values = np.linalg.slogdet(np.eye(found.windows.shape[-1]) + found.episodes)[1]
    return dict(zip(np.unique(found.trajectory).tolist(), values.tolist(), strict=True))


def _by_name(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}
