"""Positions from latents, fitted on poses that the user's own simulator has rendered.

A polynomial reads most of them, a small network what the polynomial leaves over. No label of a recording is needed: the
simulator knows the poses that it draws. Letters: n frames, D latents, N numbers.
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor

from worldmodel.measures.canonical import hermite_features
from worldmodel.measures.statistics import unit_spread
from worldmodel.models import WorldModel

DEGREES = (1, 2, 3, 5, 7)
_MOST_FEATURES = 500
_RIDGE = 1e-3
_REACH = 4.0
"""Latents are clipped to this many standard deviations, beyond which a polynomial would diverge."""
_CHUNK = 256
_HIDDEN, _EPOCHS, _LEARNING_RATE = 256, 100, 2e-3
"""Units of both hidden layers of the network, and how it is trained."""


def held_out(num: int) -> slice:
    """Which of `num` poses a readout is not fitted on: the last fifth."""
    return slice(num * 4 // 5, num)


@torch.no_grad()
def encode(model: WorldModel, frames: np.ndarray) -> np.ndarray:
    """Latents float64 (n, D) of frames uint8 (n, S, S, 3)."""
    parts = torch.from_numpy(frames).movedim(-1, -3).split(_CHUNK)
    return np.concatenate([model.embed(part.to(model.device)).cpu().numpy() for part in parts]).astype(np.float64)


@dataclass(frozen=True)
class Network:
    """Two hidden layers of rectified linear units."""

    first: np.ndarray
    """Weights, (D, H)."""
    first_offset: np.ndarray
    """(H,)."""
    second: np.ndarray
    """(H, H)."""
    second_offset: np.ndarray
    """(H,)."""
    last: np.ndarray
    """(H, N)."""
    last_offset: np.ndarray
    """(N,)."""

    def __call__(self, latents: np.ndarray) -> np.ndarray:
        """Standardised latents (…, D) to numbers (…, N)."""
        hidden = np.maximum(latents @ self.first + self.first_offset, 0.0)
        hidden = np.maximum(hidden @ self.second + self.second_offset, 0.0)
        return hidden @ self.last + self.last_offset

    def scaled(self, factor: np.ndarray) -> "Network":
        """The network with its numbers times `factor` (N,)."""
        return replace(self, last=self.last * factor, last_offset=self.last_offset * factor)


@dataclass(frozen=True)
class Readout:
    """A polynomial of standardised latents, and a network for the rest."""

    centre: np.ndarray
    """(D,)."""
    scale: np.ndarray
    """(D,)."""
    degree: int
    """Its degree."""
    weights: np.ndarray
    """(N, F) of the F products of Hermite polynomials."""
    offset: np.ndarray
    """(N,)."""
    rmse: np.ndarray
    """Root mean squared error (N,) on poses that it was not fitted on."""
    rest: Network | None
    """Reads what the polynomial leaves over; None where that does not help."""

    def __call__(self, latents: np.ndarray) -> np.ndarray:
        """Latents (…, D) to numbers (…, N)."""
        near = self.standardize(latents)
        numbers = hermite_features(near, self.degree) @ self.weights.T + self.offset
        return numbers if self.rest is None else numbers + self.rest(near)

    def standardize(self, latents: np.ndarray) -> np.ndarray:
        """Latents (…, D) of zero mean and unit variance over the poses, clipped."""
        return _standardized(latents, self.centre, self.scale)


def _standardized(latents: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.clip((latents - centre) / scale, -_REACH, _REACH)


def fit_readout(latents: np.ndarray, numbers: np.ndarray) -> Readout:
    """The readout of poses in random order, (n, D) and (n, N): with the degree, and with a network or without it, that
    reads held-out poses best."""
    polynomial = _fit_polynomial(latents, numbers)
    near, left = polynomial.standardize(latents), numbers - polynomial(latents)
    kept = slice(0, held_out(len(latents)).start)
    network = _fit_network(near[kept], left[kept])
    whole = replace(polynomial, rest=network, rmse=_rmse(left - network(near)))
    return whole if (whole.rmse / polynomial.rmse).mean() < 1 else polynomial


def _rmse(errors: np.ndarray) -> np.ndarray:
    """Root mean squares (N,) of the errors (n, N) at held-out poses."""
    return np.sqrt((errors[held_out(len(errors))] ** 2).mean(0))


def _fit_polynomial(latents: np.ndarray, numbers: np.ndarray) -> Readout:
    num = held_out(len(latents)).start
    centre, scale = latents.mean(0), unit_spread(latents)
    near = _standardized(latents, centre, scale)
    best: Readout | None = None
    for degree in DEGREES:
        features = hermite_features(near, degree)
        if features.shape[1] > min(_MOST_FEATURES, num // 4) and best is not None:
            break
        fitted = Ridge(_RIDGE).fit(features[:num], numbers[:num])
        rmse = _rmse(fitted.predict(features).reshape(numbers.shape) - numbers)
        if best is None or (rmse / best.rmse).mean() < 1:
            weights, offset = np.atleast_2d(fitted.coef_), np.atleast_1d(fitted.intercept_)
            best = Readout(centre, scale, degree, weights, offset, rmse, None)
    assert best is not None
    return best


def _fit_network(near: np.ndarray, left: np.ndarray) -> Network:
    """Fitted to standardised latents (n, D) and what is left over of the numbers (n, N), until a tenth of the poses is
    read no better."""
    scale = unit_spread(left)
    network = MLPRegressor(
        hidden_layer_sizes=(_HIDDEN, _HIDDEN), early_stopping=True, n_iter_no_change=15, max_iter=_EPOCHS,
        learning_rate_init=_LEARNING_RATE, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it may stop at the last epoch
        network.fit(near.astype(np.float32), (left / scale).astype(np.float32).squeeze())
    layers = [part.astype(float) for pair in zip(network.coefs_, network.intercepts_, strict=True) for part in pair]
    return Network(*layers).scaled(scale)
