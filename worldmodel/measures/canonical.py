"""Canonical readout: the linear map of features that two views of one state agree on best.

For Gaussian latents z of one autocorrelation rho, the theorem of arXiv:2605.26379 says what this map is: of all
functions of the observation, those linear in z correlate most between the views (with rho; those of degree k with
rho^k). So the best correlated directions of any features that determine z linearly are z itself, up to a rotation. This
is LeJEPA's own optimum, solved exactly in the last layer instead of by stochastic steps, from pairs without labels.

Letters: V views, n states, F features, K latents.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from worldmodel.measures.statistics import varies


@dataclass(frozen=True)
class CanonicalReadout:
    """latents = (features - mean) @ weights: of unit variance and uncorrelated on the fitted views.

    K is less than was asked for where the features vary in fewer directions.
    """

    mean: np.ndarray
    """(F,)."""
    weights: np.ndarray
    """(F, K)."""
    correlations: np.ndarray
    """Correlation of the views along every direction in which they vary, falling; the first K are the latents'."""

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features (…, F) to latents float64 (…, K)."""
        return (features.astype(np.float64) - self.mean) @ self.weights


def fit_canonical(
    views: np.ndarray, num_latents: int, ridge: float = 1e-4, std: np.ndarray | None = None
) -> CanonicalReadout:
    """The `num_latents` directions in which exchangeable views of the same states agree best.

    Args:
        views: features (V, n, F).
        num_latents: K.
        ridge: variance added to every principal direction of the standardised features, as a share of their mean
            variance; directions below it are left out.
        std: standard deviations by which features are standardised (F,); None takes their own.
    """
    features = views.astype(np.float64)
    mean = features.mean((0, 1))
    unit = _unit(_spread(features) if std is None else std)
    centred = (features - mean) * unit
    num_views, num = centred.shape[:2]
    within = np.einsum("vnf,vng->fg", centred, centred, optimize=True) / (num_views * num)
    total = centred.sum(0)
    # over all ordered pairs of different views: the outer product of sums, minus each view with itself
    between = (total.T @ total / num - num_views * within) / (num_views * (num_views - 1))
    return _solve(mean, unit, within, between, num_latents, ridge)


RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
_ROUNDING = 1e-12
"""Variance that rounding to single precision may leave in a direction without any; a feature's own is 1."""


def fit_canonical_pairs(
    features: np.ndarray,
    pairs: np.ndarray,
    num_latents: int,
    held_out: tuple[np.ndarray, np.ndarray],
    ridges: Sequence[float] = RIDGES,
) -> CanonicalReadout:
    """As `fit_canonical`, from few features in many pairs.

    Pairs are counted into an n x n table first, so that a million of them cost as much as a few.

    Args:
        features: (n, F).
        pairs: int (2, m), rows of `features` that show one state twice.
        num_latents: K.
        held_out: features and pairs of other episodes. The ridge whose latents agree best there is taken, so that no
            truth is needed to choose it.
        ridges: ridges to choose from.
    """
    num, num_pairs = len(features), pairs.shape[1]
    share = np.bincount(pairs.ravel(), minlength=num) / (2 * num_pairs)
    mean = share @ features
    unit = _unit(np.where(varies(features[share > 0]), np.sqrt(share @ (features - mean) ** 2), 0.0))
    # single precision: these products take most of the time, and each is an average of n terms
    centred = ((features - mean) * unit).astype(np.float32)
    counts = sparse.csr_array((np.full(num_pairs, 0.5 / num_pairs, np.float32), (pairs[0], pairs[1])), shape=(num, num))
    within = (centred.T @ (share[:, None].astype(np.float32) * centred)).astype(np.float64)
    between = (centred.T @ (counts @ centred)).astype(np.float64)
    readouts = [_solve(mean, unit, within, between + between.T, num_latents, ridge) for ridge in ridges]
    return max(readouts, key=lambda readout: agreement(readout(held_out[0]), held_out[1]))


def agreement(latents: np.ndarray, pairs: np.ndarray) -> float:
    """Mean correlation of latents (n, K) over pairs int (2, m); a latent that does not vary counts as 0, as do none."""
    first, second = (latents - latents[pairs.ravel()].mean(0))[pairs]
    variance = ((first**2).mean(0) + (second**2).mean(0)) / 2
    shared = (first * second).mean(0) / np.where(variance > 0, variance, 1.0)
    return float(shared.mean()) if shared.size else 0.0


def _spread(features: np.ndarray) -> np.ndarray:
    """Standard deviations (F,) of features (V, n, F); 0 of those that do not vary by more than rounding."""
    flat = features.reshape(-1, features.shape[-1])
    return np.where(varies(flat), flat.std(0), 0.0)


def canonical_correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Canonical correlations of pairs of rows (n, C), (n, C), falling: float64 (C',), C' the directions in which both
    vary.

    Where the rows are contexts of constants that drift by rho between the pair, there is one correlation of rho for
    each constant, and the next is rho^2: the gap says how many constants there are. Empty for n <= C + 1 pairs, whose
    correlation would be 1 whatever they hold.
    """
    if len(first) <= first.shape[1] + 1:
        return np.empty(0)
    one, other = _directions(first), _directions(second)
    return np.clip(np.linalg.svd(one.T @ other, compute_uv=False), 0.0, 1.0)


def _directions(rows: np.ndarray) -> np.ndarray:
    """Orthonormal columns (n, C') that span the centred columns of rows (n, C), directions of rounding left out."""
    varying = rows[:, varies(rows)].astype(np.float64)
    standard = (varying - varying.mean(0)) / varying.std(0)
    left, singular, _ = np.linalg.svd(standard, full_matrices=False)
    return left[:, singular > np.finfo(np.float32).eps * singular.max(initial=0.0)]


def _unit(std: np.ndarray) -> np.ndarray:
    """What brings features to unit variance; 0 for those that do not vary."""
    return np.where(std > 1e-9 * std.max(), 1 / np.maximum(std, 1e-300), 0.0)


def _solve(
    mean: np.ndarray, unit: np.ndarray, within: np.ndarray, between: np.ndarray, num_latents: int, ridge: float
) -> CanonicalReadout:
    """The readout from second moments (F, F) of (features - mean) * unit within a view and between two."""
    if not (np.isfinite(within).all() and np.isfinite(between).all()):
        within = between = np.zeros_like(within)  # no direction of such features can be found
    variance, directions = np.linalg.eigh(within)
    floor = ridge * variance.mean()
    kept = variance > max(floor, _ROUNDING)
    whitening = directions[:, kept] / np.sqrt(variance[kept] + floor)
    correlations, rotation = np.linalg.eigh(whitening.T @ between @ whitening)
    weights = whitening @ rotation[:, ::-1][:, :num_latents]
    scale = np.sqrt(np.einsum("fk,fg,gk->k", weights, within, weights, optimize=True))
    return CanonicalReadout(mean, unit[:, None] * weights / scale, correlations[::-1])


@dataclass(frozen=True)
class SequentialReadout:
    """Canonical directions found one after another, each in what no function of the earlier latents explains."""

    readouts: list[CanonicalReadout]
    """One for each latent."""
    explained: list[np.ndarray]
    """After each latent but the last, weights (P, F) from polynomials of the latents so far to features."""
    degree: int
    """Degree of the polynomials."""

    @property
    def correlations(self) -> np.ndarray:
        """Correlation of the views along every latent (K,); K is less than was asked for where nothing was left."""
        return np.array([readout.correlations[0] for readout in self.readouts])

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features (…, F) to latents float64 (…, K)."""
        latents, rest = np.empty((*features.shape[:-1], 0)), features.astype(np.float64)
        for step, readout in enumerate(self.readouts):
            latents = np.concatenate([latents, readout(rest)], -1)
            if step < len(self.explained):
                rest = features - _with_one(hermite_features(latents, self.degree)) @ self.explained[step]
        return latents


def fit_sequential(views: np.ndarray, num_latents: int, degree: int = 8, ridge: float = 1e-4) -> SequentialReadout:
    """A canonical readout for variables of *unequal* autocorrelation, from features (V, n, F) of exchangeable views.

    The square of a slow variable may correlate more between views than a fast variable, so that the best correlated
    directions together are not the variables. One at a time they are: first the slowest; then the slowest of what is
    uncorrelated with all functions of it (polynomials up to `degree`); and so on.
    """
    features = views.astype(np.float64)
    found = SequentialReadout([], [], degree)
    # scaled as the features themselves, so that what little a step leaves of one is not amplified
    rest, std = features, _spread(features)
    for step in range(num_latents):
        readout = fit_canonical(rest, 1, ridge, std)
        if not readout.weights.size:
            break
        found.readouts.append(readout)
        if step + 1 < num_latents:
            terms = _with_one(hermite_features(found(features), degree))
            design = terms.reshape(-1, terms.shape[-1])
            weights = np.linalg.lstsq(design, features.reshape(len(design), -1), rcond=None)[0]
            found.explained.append(weights)
            rest = features - (design @ weights).reshape(features.shape)
    return found


def _with_one(features: np.ndarray) -> np.ndarray:
    return np.concatenate([features, np.ones((*features.shape[:-1], 1))], -1)


def hermite_features(latents: np.ndarray, degree: int) -> np.ndarray:
    """Products of probabilists' Hermite polynomials of total degree 1 to `degree`: (…, K) -> (…, F), each of unit
    variance under N(0, I)."""
    dim = latents.shape[-1]
    polynomials = [np.ones_like(latents), latents]
    for order in range(1, degree):
        polynomials.append(latents * polynomials[order] - order * polynomials[order - 1])
    norms = np.cumprod([1.0, *np.sqrt(np.arange(1, degree + 1))])
    columns = []
    for orders in _compositions(dim, degree):
        parts = [polynomials[order][..., index] / norms[order] for index, order in enumerate(orders) if order]
        columns.append(np.prod(parts, axis=0))
    return np.stack(columns, -1)


def _compositions(dim: int, degree: int) -> list[tuple[int, ...]]:
    """All tuples of `dim` orders with a sum from 1 to `degree`, sorted by sum."""
    tuples: list[tuple[int, ...]] = [()]
    for _ in range(dim):
        tuples = [(*head, order) for head in tuples for order in range(degree + 1 - sum(head))]
    return sorted((orders for orders in tuples if any(orders)), key=lambda orders: (sum(orders), orders))
