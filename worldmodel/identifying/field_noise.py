"""Models of a readout's errors. Errors of successive frames are alike, because they depend on the position.

Where a readout is 1 cm off, it is 1 cm off again when the object comes back. Treating such errors as white noise
makes intervals far too narrow. There are two models: `Autoregressive`, which needs no positions, for intermediate
fits; and `ErrorField`, a Gaussian process over positions, for the final fit.

Letters: W windows, T+1 frames, N numbers, L lengths.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.optimize import nnls
from scipy.spatial import cKDTree

LENGTHS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 6.0)
"""Lengths of the field, in standard deviations of the positions."""
_BINS = np.concatenate([[0.0], np.geomspace(0.007, 4.0, 40)])
"""Distances, likewise, at which the covariance of errors is averaged."""
_FEWEST_PAIRS, _MOST_PAIRS, _WEIGHT_OF_WHOLE = 50, 20_000, 10.0
_MOST_DEVIATIONS, _MEDIAN_OF_GAUSSIAN = 4.0, 0.6745
_NEIGHBOURS = 60
_WHITE_SHARE = 0.2
"""Least standard deviation of the white part, as a share of the whole: a field alone would claim to be exact."""


class ErrorModel(Protocol):
    """The covariance of the errors of a window's readings."""

    def whitening(self, numbers: np.ndarray) -> np.ndarray:
        """(N, T+1, T+1) that makes the errors of each number white, for a window with these numbers (T+1, N)."""
        ...


def _without_outliers(errors: np.ndarray) -> np.ndarray:
    """Errors (W, T+1, N) clipped to four robust standard deviations: a few frames that are read very badly would make
    all others look uncertain, and give the prior too much weight. The misfit shows such frames."""
    most = _MOST_DEVIATIONS * np.median(np.abs(errors), (0, 1)) / _MEDIAN_OF_GAUSSIAN
    return np.clip(errors, -most, most)


def whitened(matrix: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Residuals (…, T+1, N) as white ones of unit variance."""
    return np.einsum("nst,...tn->...sn", matrix, residual)


@dataclass(frozen=True)
class Autoregressive:
    """First-order autoregressive errors: their correlation decays from frame to frame."""

    std: np.ndarray
    """Standard deviations, (N,)."""
    correlation: float
    """Correlation of the errors of two successive frames."""

    @staticmethod
    def fit(errors: np.ndarray) -> "Autoregressive":
        """Fit to errors (W, T+1, N) of windows whose positions are known."""
        errors = _without_outliers(errors)
        scaled = errors / np.sqrt((errors**2).mean((0, 1)))
        correlation = float((scaled[:, :-1] * scaled[:, 1:]).mean())
        return Autoregressive(np.sqrt((errors**2).mean((0, 1))), float(np.clip(correlation, 0.0, 0.95)))

    def whitening(self, numbers: np.ndarray) -> np.ndarray:
        """See `ErrorModel`."""
        steps = len(numbers)
        innovation = np.sqrt(1 - self.correlation**2)
        one = (np.eye(steps) - self.correlation * np.eye(steps, k=-1)) / innovation
        one[0] = np.eye(steps)[0]
        return one / self.std[:, None, None]


@dataclass(frozen=True)
class LocalErrors:
    """The size of errors by position, from the nearest of many poses: a readout is worse where it has seen less."""

    scale: np.ndarray
    """Unit of each number, in which distances are measured, (N,)."""
    places: np.ndarray
    """Numbers of the poses in these units, (n, N)."""
    squared: np.ndarray
    """Squared errors at these poses, (n, N)."""

    def std(self, numbers: np.ndarray) -> np.ndarray:
        """Standard deviations (…, N) of the errors of readings at places with these numbers (…, N)."""
        ranks = np.arange(1, min(_NEIGHBOURS, len(self.places)) + 1)
        _, nearest = self._tree.query(numbers.reshape(-1, numbers.shape[-1]) / self.scale, ranks)
        return np.sqrt(self.squared[nearest].mean(1)).reshape(numbers.shape)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.places)


@dataclass(frozen=True)
class ErrorField:
    """A Gaussian process over positions with several length scales, plus white noise, both scaled by the local size of
    errors. The N numbers are independent."""

    local: LocalErrors
    """Size of errors by position."""
    variances: np.ndarray
    """Variance of the process at each length scale, relative to the local size of errors, (N, L)."""
    white: np.ndarray
    """Variance of the white noise, likewise, (N,)."""

    @staticmethod
    def fit(errors: np.ndarray, numbers: np.ndarray, local: LocalErrors) -> "ErrorField":
        """Fit to errors (W, T+1, N) of windows with known numbers (W, T+1, N): their covariance as a function of
        distance within a window is fitted by a sum of Gaussians (non-negative least squares)."""
        errors = _without_outliers(errors / local.std(numbers))
        first, second = np.triu_indices(errors.shape[1], 1)
        squared = (((numbers[:, first] - numbers[:, second]) / local.scale) ** 2).sum(-1).ravel()
        bins = np.digitize(np.sqrt(squared), _BINS)
        count = np.bincount(bins, minlength=len(_BINS) + 1)
        kept = count >= _FEWEST_PAIRS
        distance2 = np.bincount(bins, squared, len(_BINS) + 1)[kept] / count[kept]
        kernels = np.exp(-distance2[:, None] / 2 / np.square(LENGTHS))
        weight = np.sqrt(np.minimum(count[kept], _MOST_PAIRS))
        matrix = np.append(kernels, np.zeros((len(kernels), 1)), 1) * weight[:, None]
        # ties field plus white part to the total variance, which the data would not: they hold no small distances
        whole = _WEIGHT_OF_WHOLE * np.sqrt(_MOST_PAIRS)
        matrix = np.append(matrix, np.full((1, matrix.shape[1]), whole), 0)
        variances, white = [], []
        for part in np.moveaxis(errors, -1, 0):
            product = np.bincount(bins, (part[:, first] * part[:, second]).ravel(), len(_BINS) + 1)[kept] / count[kept]
            total = float((part**2).mean())
            *field, rest = nnls(matrix, np.append(product * weight, total * whole))[0]
            variances.append(field)
            white.append(max(rest, _WHITE_SHARE**2 * total))
        return ErrorField(local, np.array(variances), np.array(white))

    def whitening(self, numbers: np.ndarray) -> np.ndarray:
        """See `ErrorModel`."""
        place = numbers / self.local.scale
        squared = ((place[:, None] - place[None]) ** 2).sum(-1)
        kernels = np.exp(-squared[..., None] / 2 / np.square(LENGTHS))
        covariance = np.moveaxis(kernels @ self.variances.T, -1, 0) + self.white[:, None, None] * np.eye(len(place))
        return np.linalg.inv(np.linalg.cholesky(covariance)) / self.local.std(numbers).T[:, None]
