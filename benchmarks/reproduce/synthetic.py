"""Synthetic worlds of arXiv:2605.26379: latents, their views, and exact nonlinear mixings (Section 5, "2D" and
"scaling").

Latents z (n, Z) are independent with unit variance. A mixing is a diffeomorphism x = g(z), applied row by row. Each has
its exact inverse, so that the latents can be recovered completely. Here n are samples and Z latent dimensions.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

MIXINGS = ("spiral", "banana", "sinusoid", "coupling")
SPIRAL_RAD_PER_UNIT = math.pi
SINUSOID_FREQUENCY = 1.5
_COUPLING_GAIN = 2.0


@dataclass(frozen=True)
class Mixing:
    """A diffeomorphism of R^Z."""

    name: str

    dim: int
    """Z."""

    mix: Callable[[np.ndarray], np.ndarray]
    """Maps latents (n, Z) to observations (n, Z)."""

    unmix: Callable[[np.ndarray], np.ndarray]
    """Maps observations back to latents."""


def make_mixing(name: str, dim: int = 2, num_layers: int = 8, seed: int = 0) -> Mixing:
    """A mixing by name; `num_layers` and `seed` are of "coupling" alone.

    Raises:
        ValueError: an unknown name, or a dimension that the mixing does not have.
    """
    if name == "coupling":
        return coupling(dim, num_layers, seed)
    planar = {"spiral": (_spiral, _unspiral), "banana": (_banana, _unbanana), "sinusoid": (_sinusoid, _unsinusoid)}
    if name not in planar:
        raise ValueError(f"unknown mixing {name!r}; choose from {', '.join(MIXINGS)}")
    if dim != 2:
        raise ValueError(f"mixing {name} has dimension 2, got {dim}; use coupling")
    return Mixing(name, 2, *planar[name])


def coupling(dim: int, num_layers: int, seed: int) -> Mixing:
    """Additive coupling layers (NICE, Dinh et al., 2015) in any even dimension: one half moves by tanh of twice a
    rotation of the other.

    Raises:
        ValueError: an odd dimension, or no layer.
    """
    if dim < 2 or dim % 2 or num_layers < 1:
        raise ValueError(f"coupling needs an even dimension >= 2 and a layer, got dim {dim}, num_layers {num_layers}")
    half, weights = dim // 2, coupling_weights(dim, num_layers, seed)

    def run(values: np.ndarray, layers: range, sign: float) -> np.ndarray:
        halves = [values[:, :half].copy(), values[:, half:].copy()]
        for layer in layers:
            moved = 1 - layer % 2
            halves[moved] += sign * np.tanh(halves[1 - moved] @ weights[layer].astype(values.dtype))
        return np.concatenate(halves, 1)

    forward, backward = range(num_layers), range(num_layers - 1, -1, -1)
    return Mixing("coupling", dim, lambda z: run(z, forward, 1.0), lambda x: run(x, backward, -1.0))


def coupling_weights(dim: int, num_layers: int, seed: int) -> np.ndarray:
    """Twice a random rotation for each of the coupling layers, float32 (num_layers, dim / 2, dim / 2)."""
    gaussian = np.random.default_rng(seed).standard_normal((num_layers, dim // 2, dim // 2))
    return (_COUPLING_GAIN * np.linalg.qr(gaussian)[0]).astype(np.float32)


def latents(rng: np.random.Generator, num: int, dim: int, alpha: float = 2.0) -> np.ndarray:
    """Independent generalised-normal latents of unit variance, density ~ exp(-|z / scale|^alpha): float32 (num, dim).

    alpha 2 is Gaussian, 1 Laplace, towards 0 heavy-tailed, towards infinity uniform.

    Raises:
        ValueError: alpha is not positive.
    """
    if not alpha > 0:
        raise ValueError(f"alpha must be > 0, got {alpha}")
    if alpha == 2.0:
        return rng.standard_normal((num, dim), np.float32)
    scale = math.exp(0.5 * (math.lgamma(1 / alpha) - math.lgamma(3 / alpha)))
    magnitude = rng.gamma(1 / alpha, 1.0, (num, dim)) ** (1 / alpha)
    return (scale * rng.choice((-1.0, 1.0), (num, dim)) * magnitude).astype(np.float32)


def views(
    rng: np.random.Generator,
    parents: np.ndarray,
    rho: float | Sequence[float],
    num_views: int = 2,
    alpha: float = 2.0,
) -> np.ndarray:
    """Views z_v = rho z + sqrt(1 - rho^2) eta_v of parents z (n, Z), eta_v drawn like z: (num_views, n, Z).

    Two views of one Gaussian parent are an exact OU pair of autocorrelation rho^2, as in the paper's own experiments;
    so views with rho = sqrt(r) are pairs of autocorrelation r, any two of them. `rho` is one for all latents, or one
    each.

    Raises:
        ValueError: rho outside (0, 1).
    """
    if not (0 < np.min(rho) and np.max(rho) < 1):
        raise ValueError(f"rho must lie strictly between 0 and 1, got {rho}")
    num, dim = parents.shape
    noise = latents(rng, num_views * num, dim, alpha).reshape(num_views, num, dim)
    share = np.asarray(rho, np.float32)
    return share * parents + np.sqrt(1 - share**2) * noise


def _turn(values: np.ndarray, sign: float) -> np.ndarray:
    angle = sign * SPIRAL_RAD_PER_UNIT * np.linalg.norm(values, axis=1)
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = values.T
    return np.stack([cos * x - sin * y, sin * x + cos * y], 1)


def _spiral(z: np.ndarray) -> np.ndarray:
    """Turned by pi radians per unit of distance from the origin; keeps the Gaussian measure."""
    return _turn(z, 1.0)


def _unspiral(x: np.ndarray) -> np.ndarray:
    return _turn(x, -1.0)


def _banana(z: np.ndarray) -> np.ndarray:
    return np.stack([z[:, 0], z[:, 1] + z[:, 0] ** 2], 1)


def _unbanana(x: np.ndarray) -> np.ndarray:
    return np.stack([x[:, 0], x[:, 1] - x[:, 0] ** 2], 1)


def _sinusoid(z: np.ndarray) -> np.ndarray:
    return np.stack([z[:, 0] + np.sin(SINUSOID_FREQUENCY * z[:, 1]), z[:, 1]], 1)


def _unsinusoid(x: np.ndarray) -> np.ndarray:
    return np.stack([x[:, 0] - np.sin(SINUSOID_FREQUENCY * x[:, 1]), x[:, 1]], 1)
