"""Canonical readout: the linear map of features that two views of one state agree on best.

For Gaussian latents with one autocorrelation rho the theorem of arXiv:2605.26379 says what that map is: of all
functions of the observation, the linear ones in z are shared best (correlation rho; degree k has rho^k). So the
best-shared directions of any features rich enough to hold z are z itself, up to a rotation. That is LeJEPA's own
optimum, solved exactly in the last layer instead of by stochastic steps; like LeJEPA it sees pairs and no labels.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CanonicalReadout:
    """latents = (features - mean) @ weights: unit variance and uncorrelated on the fitted views.

    mean (F,), weights (F, K). correlations: of the views along every direction, falling, (F',) with F' <= F; the first
    K belong to the readout.
    """

    mean: np.ndarray
    weights: np.ndarray
    correlations: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features (n, F) to latents float64 (n, K)."""
        return (features.astype(np.float64) - self.mean) @ self.weights


def fit_canonical(views: np.ndarray, num_latents: int, ridge: float = 1e-4) -> CanonicalReadout:
    """The `num_latents` directions in which exchangeable views of one state, features (V, n, F), agree best.

    ridge: variance added to every principal direction of the standardised features, in units of the mean one;
    directions below it are left out.
    """
    features = views.astype(np.float64)
    mean, std = features.mean((0, 1)), features.std((0, 1))
    unit = np.where(std > 1e-9 * std.max(), 1 / np.maximum(std, 1e-300), 0.0)
    centred = (features - mean) * unit
    num_views, num = centred.shape[:2]
    within = np.einsum("vnf,vng->fg", centred, centred, optimize=True) / (num_views * num)
    total = centred.sum(0)
    # every ordered pair of different views: the outer product of sums, less the views with themselves
    between = (total.T @ total / num - num_views * within) / (num_views * (num_views - 1))
    variance, directions = np.linalg.eigh(within)
    floor = ridge * variance.mean()
    kept = variance > floor
    whitening = directions[:, kept] / np.sqrt(variance[kept] + floor)
    correlations, rotation = np.linalg.eigh(whitening.T @ between @ whitening)
    weights = whitening @ rotation[:, ::-1][:, :num_latents]
    scale = np.sqrt(np.einsum("fk,fg,gk->k", weights, within, weights, optimize=True))
    return CanonicalReadout(mean, unit[:, None] * weights / scale, correlations[::-1])


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
    """Every tuple of `dim` orders with a sum from 1 to `degree`, by sum."""
    tuples: list[tuple[int, ...]] = [()]
    for _ in range(dim):
        tuples = [(*head, order) for head in tuples for order in range(degree + 1 - sum(head))]
    return sorted((orders for orders in tuples if any(orders)), key=lambda orders: (sum(orders), orders))
