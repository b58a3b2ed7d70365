"""Positions from latents: a polynomial, fitted on poses that the user's own simulator has rendered.

No label of a recording is needed: the simulator knows the poses that it draws. Letters: n frames, D latents, N numbers.
"""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import Ridge

from worldmodel.measures.canonical import hermite_features
from worldmodel.measures.statistics import unit_spread
from worldmodel.models import WorldModel

_DEGREES = (1, 2, 3, 5, 7)
_MOST_FEATURES = 500
_RIDGE = 1e-3
_REACH = 4.0
"""Latents are clipped to this many standard deviations, beyond which a polynomial would diverge."""
_CHUNK = 256


@torch.no_grad()
def encode(model: WorldModel, frames: np.ndarray) -> np.ndarray:
    """Latents float64 (n, D) of frames uint8 (n, S, S, 3)."""
    parts = torch.from_numpy(frames).movedim(-1, -3).split(_CHUNK)
    return np.concatenate([model.embed(part.to(model.device)).cpu().numpy() for part in parts]).astype(np.float64)


@dataclass(frozen=True)
class Readout:
    """A polynomial of standardised latents."""

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

    def __call__(self, latents: np.ndarray) -> np.ndarray:
        """Latents (…, D) to numbers (…, N)."""
        return _features(latents, self.centre, self.scale, self.degree) @ self.weights.T + self.offset


def _features(latents: np.ndarray, centre: np.ndarray, scale: np.ndarray, degree: int) -> np.ndarray:
    return hermite_features(np.clip((latents - centre) / scale, -_REACH, _REACH), degree)


def fit_readout(latents: np.ndarray, numbers: np.ndarray) -> Readout:
    """The polynomial of the degree that reads held-out poses best, of poses in random order: (n, D) and (n, N)."""
    num = len(latents) * 4 // 5
    centre, scale = latents.mean(0), unit_spread(latents)
    best: Readout | None = None
    for degree in _DEGREES:
        features = _features(latents, centre, scale, degree)
        if features.shape[1] > min(_MOST_FEATURES, num // 4) and best is not None:
            break
        fitted = Ridge(_RIDGE).fit(features[:num], numbers[:num])
        rmse = np.sqrt(((fitted.predict(features[num:]) - numbers[num:]) ** 2).mean(0))
        if best is None or (rmse / best.rmse).mean() < 1:
            best = Readout(centre, scale, degree, np.atleast_2d(fitted.coef_), np.atleast_1d(fitted.intercept_), rmse)
    assert best is not None
    return best
