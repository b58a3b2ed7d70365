"""Intervals: Wilson for success rates, the bootstrap over episodes for R2, Student's t over seeds.

None stands for what the data cannot tell: R2 of a variable that stands still, the interval of a single value.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import stats

Z_95 = 1.959963984540054
"""The 97.5 % quantile of N(0, 1)."""
Key = TypeVar("Key")
_ROUNDING = 1e-12
"""A spread smaller than this share of the numbers themselves is rounding."""
_SMALLEST = float(np.finfo(np.float32).tiny)
"""A spread smaller than this is none: float32 holds such numbers with few digits, and their squares may underflow."""


def varies(values: np.ndarray) -> np.ndarray:
    """Whether each column of values (n, q) is finite and varies by more than rounding: bool (q,)."""
    if not len(values):
        return np.zeros(values.shape[1:], bool)
    with np.errstate(invalid="ignore"):  # inf - inf
        least = np.maximum(_ROUNDING * np.abs(values).max(0), _SMALLEST)
        return np.isfinite(values).all(0) & (values.max(0) - values.min(0) > least)


def unit_spread(values: np.ndarray) -> np.ndarray:
    """Standard deviation of every column of values (n, q), to divide by: (q,); 1 where a column does not vary."""
    return np.where(varies(values), values.std(0), 1.0)


def mean_known(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are known; None where none is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def best_known(scores: Mapping[Key, float | None]) -> Key:
    """The key of the highest score that is known; the first key where none is."""
    known = {key: score for key, score in scores.items() if score is not None}
    return max(known, key=lambda key: known[key]) if known else next(iter(scores))


def central_95(values: np.ndarray) -> list[float] | None:
    """The middle 95 % of resampled values (n,), [low, high]; -inf is a resample without a value.

    None where an end is not finite: where more than 2.5 % of the resamples have no value.
    """
    with np.errstate(invalid="ignore"):  # between -inf and a number
        ends = np.quantile(values, [0.025, 0.975])
    return [float(end) for end in ends] if np.isfinite(ends).all() else None


def wilson_interval(successes: int, trials: int) -> list[float]:
    """95 % Wilson score interval of a proportion, [low, high]."""
    rate, z2 = successes / trials, Z_95**2
    centre = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z_95 / (1 + z2 / trials) * math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials**2))
    return [max(0.0, centre - half), min(1.0, centre + half)]


def difference_interval(first: tuple[int, int], second: tuple[int, int]) -> list[float]:
    """95 % interval [low, high] of the first proportion minus the second, each (successes, trials).

    Newcombe's (1998) hybrid score interval: two Wilson intervals combined as for independent samples. For proportions
    on the same tasks it is too wide rather than too narrow.
    """
    (p, (p_low, p_high)), (q, (q_low, q_high)) = ((s / n, wilson_interval(s, n)) for s, n in (first, second))
    return [p - q - math.hypot(p - p_low, q_high - q), p - q + math.hypot(p_high - p, q - q_low)]


def share_kept(after: np.ndarray, before: np.ndarray) -> tuple[float | None, list[float] | None]:
    """The rate of `after` over that of `before`, bool (n,) of the same n tasks, with its 95 % interval.

    By the bootstrap over tasks, always with the same resamples. None where nothing was reached before, or too few
    resamples have a value.
    """
    if not before.any():
        return None, None
    rows = _resampled_tasks(len(before))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = after[rows].mean(1) / before[rows].mean(1)
    return float(after.mean() / before.mean()), central_95(np.where(np.isfinite(ratios), ratios, -np.inf))


def share_won_back(won: np.ndarray, lost: np.ndarray, before: np.ndarray) -> tuple[float | None, list[float] | None]:
    """(won - lost) / (before - lost) of three rates, bool (n,) each of the same n tasks, with its 95 % interval.

    By the bootstrap over tasks, always with the same resamples. None where no rate was lost, or too few resamples lost
    any.
    """
    lost_rate = before.mean() - lost.mean()
    if lost_rate <= 0:
        return None, None
    rows = _resampled_tasks(len(before))
    losses = before[rows].mean(1) - lost[rows].mean(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (won[rows].mean(1) - lost[rows].mean(1)) / losses
    return float((won.mean() - lost.mean()) / lost_rate), central_95(np.where(losses > 0, shares, -np.inf))


def _resampled_tasks(num: int) -> np.ndarray:
    return np.random.default_rng(0).integers(num, size=(2000, num))


def auroc(positive: np.ndarray, negative: np.ndarray) -> float | None:
    """Chance that a score of `positive` (n,) exceeds one of `negative` (m,), ties half; None where either is empty."""
    if not len(positive) or not len(negative):
        return None
    ranks = stats.rankdata(np.concatenate([positive, negative]))[: len(positive)]
    return float((ranks.sum() - len(positive) * (len(positive) + 1) / 2) / (len(positive) * len(negative)))


def auroc_interval(area: float, num_positive: int, num_negative: int) -> tuple[float, float]:
    """95 % interval of an area under the ROC curve, after Hanley and McNeil (1982).

    Their variance is 0 for an area of 0 or 1, however few the pairs; there it is that of an area half a pair inside.
    """
    half_a_pair = 0.5 / (num_positive * num_negative)
    inside = min(max(area, half_a_pair), 1 - half_a_pair)
    both_positive, both_negative = inside / (2 - inside), 2 * inside**2 / (1 + inside)
    variance = inside * (1 - inside) + (num_positive - 1) * (both_positive - inside**2)
    variance += (num_negative - 1) * (both_negative - inside**2)
    half = Z_95 * math.sqrt(max(variance, 0.0) / (num_positive * num_negative))
    return max(0.0, area - half), min(1.0, area + half)


def conformal_bound(errors: np.ndarray, coverage: float = 0.95) -> np.ndarray:
    """What a further error stays below with probability `coverage`, in each column of errors (n, q): (q,).

    Split conformal prediction (arXiv:1604.04173): the ceil((n + 1) coverage)-th smallest, which holds for an error that
    is exchangeable with these. The largest where there are too few of them.
    """
    rank = min(math.ceil((len(errors) + 1) * coverage), len(errors))
    return np.sort(errors, axis=0)[rank - 1]


def mean_interval(values: np.ndarray) -> list[float] | None:
    """95 % interval [low, high] of the mean of values (n,), by Student's t; None for fewer than two values."""
    if len(values) < 2:
        return None
    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1)) / math.sqrt(len(values))
    return [float(values.mean()) - half, float(values.mean()) + half]


def bootstrap_r2(
    truth: np.ndarray, prediction: np.ndarray, episode: np.ndarray, resamples: int, rng: np.random.Generator
) -> list[float] | None:
    """95 % interval [low, high] of R2 over resampled episodes.

    None for a single episode, or where the truth stands still in too many resamples.

    Args:
        truth: (n,).
        prediction: (n,).
        episode: the episode of each value, int (n,).
        resamples: how many.
        rng: draws them.
    """
    _, group = np.unique(episode, return_inverse=True)
    truth, error = truth - truth.mean(), truth - prediction
    sums = [np.bincount(group, weights) for weights in (np.ones_like(truth), truth, truth**2, error**2)]
    num = len(sums[0])
    if num < 2:
        return None
    weight = rng.multinomial(num, np.full(num, 1 / num), size=resamples)
    count, total, squares, residual = (weight @ column for column in sums)
    spread = squares - total**2 / count
    moves = spread > _ROUNDING * squares
    return central_95(np.where(moves, 1 - residual / np.where(moves, spread, 1.0), -np.inf))


def resampled_means(values: np.ndarray, group: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Means of values (n, m) over resampled groups, such as episodes: float64 (resamples, m).

    Args:
        group: the group of each value, int (n,); groups are drawn with replacement, as many as there are.
        resamples: how many.
        rng: draws them.
    """
    _, group = np.unique(group, return_inverse=True)
    num = int(group.max()) + 1
    sums = np.zeros((num, values.shape[1]))
    np.add.at(sums, group, values)
    weight = rng.multinomial(num, np.full(num, 1 / num), size=resamples)
    return (weight @ sums) / (weight @ np.bincount(group))[:, None]


@dataclass(frozen=True)
class OverSeeds:
    """A figure over several training seeds; None stands for what cannot be determined."""

    mean: float | None
    """Mean of the values that are known."""
    interval: tuple[float, float] | None
    """Its 95 % interval by Student's t, [low, high]; None from fewer than two values."""
    values: list[float | None]
    """One value a seed."""


def over_seeds(values: Sequence[float | None]) -> OverSeeds:
    """A figure of which `values` has one a seed; seeds whose value is not known (None) are left out of the mean."""
    known = [value for value in values if value is not None]
    mean, num = mean_known(known), len(known)
    interval = None
    if mean is not None and num > 1:
        half = float(stats.t.ppf(0.975, num - 1) * np.std(known, ddof=1) / math.sqrt(num))
        interval = (mean - half, mean + half)
    return OverSeeds(mean, interval, [None if value is None else float(value) for value in values])
