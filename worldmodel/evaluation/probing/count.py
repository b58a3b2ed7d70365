"""How many constants do contexts hold? Read off the contexts of two windows between which the constants drift."""

import math

import numpy as np

from worldmodel.measures.canonical import fit_sequential
from worldmodel.measures.statistics import central_95
from worldmodel.runs.probe_result import SequentialCount
from worldmodel.runs.results import as_interval

DEGREE = 3
NUM_SHUFFLES = 100
NUM_RESAMPLES = 100
# a constant must be determined this well, against the one determined best; what is left of a function of others is not
LEAST_SHARE = 0.6


def count_constants(first: np.ndarray, second: np.ndarray, seed: int = 0) -> SequentialCount:
    """The constants behind contexts (n, C) of the first and of the second windows of n episodes.

    Directions are found one after another, each the one that the windows share best among what no polynomial of the
    directions before it explains: squares and products of constants, which canonical correlations show as rungs of
    their own, drop out. A direction is a constant when its correlation exceeds that of shuffled pairs (99 %), and .6
    of the first direction's. No threshold depends on the drift, or on how well a window tells its constants.

    None stands for what these contexts cannot tell, such as a direction that they do not have. The number itself cannot
    be told where there are so few episodes that the polynomials explain anything, or a context is not finite.
    """
    rng = np.random.default_rng(seed)
    views = np.stack([first, second]).astype(np.float64)
    num, dim = first.shape
    if reason := _uncountable(views):
        unknown: list[None] = [None] * dim
        return SequentialCount(None, [*unknown], [*unknown], [*unknown], reason)
    values = _correlations(views)
    resampled = np.stack([_correlations(views[:, rng.integers(num, size=num)]) for _ in range(NUM_RESAMPLES)])
    shuffled = np.stack([
        _correlations(np.stack([views[0], views[1][rng.permutation(num)]])) for _ in range(NUM_SHUFFLES)
    ])  # fmt: skip
    null = np.array([_quantile_99(column) for column in shuffled.T])
    held = np.isfinite(null) & (values > null) & (values > LEAST_SHARE * values[0])
    return SequentialCount(
        num_constants=int(dim if held.all() else held.argmin()),
        values=_finite(values),
        interval=[as_interval(central_95(column)) for column in resampled.T],
        shuffled=_finite(null),
    )


def _uncountable(views: np.ndarray) -> str | None:
    """Why the constants behind contexts (2, n, C) cannot be counted; None where they can."""
    _, num, dim = views.shape
    least = math.comb(dim - 1 + DEGREE, DEGREE) // 2 + 1
    if num < least:
        return (
            f"{num} episodes for validation and test are too few to count {dim} constants; collect {5 * least} or more"
        )
    return None if np.isfinite(views).all() else "some contexts are not finite"


def _correlations(views: np.ndarray) -> np.ndarray:
    """By direction, (C,); -inf for those that the views (2, n, C) do not have."""
    found = fit_sequential(views, views.shape[-1], DEGREE).correlations
    return np.pad(found, (0, views.shape[-1] - len(found)), constant_values=-np.inf)


def _quantile_99(values: np.ndarray) -> float:
    """The 99 % quantile of the finite values among (n,); -inf where none is finite."""
    finite = values[np.isfinite(values)]
    return float(np.quantile(finite, 0.99)) if len(finite) else -np.inf


def _finite(values: np.ndarray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
