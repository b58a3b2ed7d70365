"""How many constants do contexts hold? Read off the contexts of two windows between which the constants drift."""

import math
from typing import Any

import numpy as np

from worldmodel.measures.canonical import fit_sequential
from worldmodel.system.errors import UserError

DEGREE = 3
NUM_SHUFFLES = 100
NUM_RESAMPLES = 100
# a constant must be told this well, against the one told best; what is left of a function of others is not
LEAST_SHARE = 0.6


def count_constants(first: np.ndarray, second: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """The constants behind contexts (n, C) of the first and of the second windows of n episodes.

    Directions are found one after another, each the one that the windows share best among what no polynomial of the
    directions before it explains: squares and products of constants, which canonical correlations show as rungs of
    their own, drop out. A direction is a constant when its correlation exceeds that of shuffled pairs (99 %), and .6
    of the first direction's. No threshold depends on the drift, or on how well a window tells its constants.

    Raises UserError when episodes are so few that the polynomials explain anything.

    Returns "num_constants", and by direction "values", "interval" (95 %, bootstrap over episodes) and "shuffled".
    """
    rng = np.random.default_rng(seed)
    views = np.stack([first, second]).astype(np.float64)
    num, dim = first.shape
    least = math.comb(dim - 1 + DEGREE, DEGREE) // 2 + 1
    if num < least:
        raise UserError(
            f"{num} episodes for validation and test are too few to count {dim} constants; collect {5 * least} or more"
        )
    values = _correlations(views)
    resampled = np.stack([_correlations(views[:, rng.integers(num, size=num)]) for _ in range(NUM_RESAMPLES)])
    shuffled = np.stack([
        _correlations(np.stack([views[0], views[1][rng.permutation(num)]])) for _ in range(NUM_SHUFFLES)
    ])  # fmt: skip
    null = np.quantile(shuffled, 0.99, axis=0)
    held = (values > null) & (values > LEAST_SHARE * values[0])
    return {
        "num_constants": int(dim if held.all() else held.argmin()),
        "values": [float(v) for v in values],
        "interval": np.quantile(resampled, [0.025, 0.975], axis=0).T.tolist(),
        "shuffled": [float(v) for v in null],
    }


def _correlations(views: np.ndarray) -> np.ndarray:
    return fit_sequential(views, views.shape[-1], DEGREE).correlations
