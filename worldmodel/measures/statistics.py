"""Intervals: Wilson for success rates, the bootstrap over episodes for R2, Student's t over seeds."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

Z_95 = 1.959963984540054


def wilson_interval(successes: int, trials: int) -> list[float]:
    """95 % Wilson score interval of a proportion, [low, high]."""
    rate, z2 = successes / trials, Z_95**2
    centre = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z_95 / (1 + z2 / trials) * math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials**2))
    return [max(0.0, centre - half), min(1.0, centre + half)]


def difference_interval(first: tuple[int, int], second: tuple[int, int]) -> list[float]:
    """95 % interval [low, high] of the first proportion less the second, each (successes, trials).

    Newcombe's (1998) hybrid score interval: two Wilson intervals combined as for independent samples, so that on the
    same tasks it is too wide rather than too narrow.
    """
    (p, (p_low, p_high)), (q, (q_low, q_high)) = ((s / n, wilson_interval(s, n)) for s, n in (first, second))
    return [p - q - math.hypot(p - p_low, q_high - q), p - q + math.hypot(p_high - p, q - q_low)]


def mean_interval(values: np.ndarray) -> list[float]:
    """95 % interval [low, high] of the mean of values (n,), by its normal approximation."""
    half = Z_95 * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return [float(values.mean()) - half, float(values.mean()) + half]


def bootstrap_r2(
    truth: np.ndarray, prediction: np.ndarray, episode: np.ndarray, resamples: int, rng: np.random.Generator
) -> list[float]:
    """95 % interval [low, high] of R2 over resampled episodes: truth, prediction (n,), episode int (n,)."""
    _, group = np.unique(episode, return_inverse=True)
    sums = [
        np.bincount(group, weights) for weights in (np.ones_like(truth), truth, truth**2, (truth - prediction) ** 2)
    ]
    num = len(sums[0])
    weight = rng.multinomial(num, np.full(num, 1 / num), size=resamples)
    count, total, squares, residual = (weight @ column for column in sums)
    values = 1 - residual / (squares - total**2 / count)
    return [float(v) for v in np.quantile(values, [0.025, 0.975])]


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """Mean of one value a seed, its 95 % interval by Student's t (None for one seed), and the values."""
    mean, num = float(np.mean(values)), len(values)
    interval = None
    if num > 1:
        half = float(stats.t.ppf(0.975, num - 1) * np.std(values, ddof=1) / math.sqrt(num))
        interval = [mean - half, mean + half]
    return {"mean": mean, "interval": interval, "values": [float(value) for value in values]}
