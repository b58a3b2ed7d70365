"""Are the latents the world's variables? Measures of linear identifiability, on data that was not fitted.

Notation of arXiv:2605.26379: true latents z ~ N(0, I) in standard units, learned latents h, autocorrelation rho of the
true latents from one view to the next.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Identifiability:
    """What `measure` returns; all on held-out frames, with linear maps fitted on other frames.

    r2_h_to_z, r2_z_to_h: mean R2 of the best affine map, both ways. 1 and 1: each determines the other linearly.
    orthogonality_error: ||A^T A - I||_F / sqrt(Z) of the map h = A z; None where dimensions differ.
    condition_number: largest over smallest singular value of A.
    covariance_gap: epsilon = ||Cov(h) - I||_F.
    alignment_gap: delta = E||h - h'||^2 - 2 (1 - rho) tr Cov(h), clipped at 0; None without exact OU pairs.
    theorem_bound: upper bound on procrustes_mse from epsilon and delta alone (Proposition 4.3): no truth needed.
    procrustes_mse: E||h - Q z||^2 with the best orthogonal Q: what the bound bounds.
    r2_ceiling: highest r2_h_to_z any encoder can reach where the image hides some of z (wrapped angles); None: 1.
    per_variable: R2 of each true variable, read linearly.
    """

    r2_h_to_z: float
    r2_z_to_h: float
    orthogonality_error: float | None
    condition_number: float
    covariance_gap: float
    alignment_gap: float | None
    theorem_bound: float | None
    procrustes_mse: float | None
    r2_ceiling: float | None
    per_variable: dict[str, float]
    num_frames: int

    def to_json(self) -> dict[str, Any]:
        """As `summary.json` holds it."""
        return asdict(self) | {"per_variable": {name: {"r2": value} for name, value in self.per_variable.items()}}


def affine_fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least-squares affine map from x (n, p) to y (n, q): weights float64 (p + 1, q), the constant last."""
    return np.linalg.lstsq(_with_one(x), y.astype(np.float64), rcond=None)[0]


def affine_apply(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Apply `affine_fit`'s map: (n, p) -> (n, q)."""
    return _with_one(x) @ weights


def r2(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Coefficient of determination of every column: (n, q), (n, q) -> (q,); of a column that does not vary, 0."""
    residual = ((truth - prediction) ** 2).sum(0)
    total = ((truth - truth.mean(0)) ** 2).sum(0)
    return np.where(total > 0, 1.0 - residual / np.where(total > 0, total, 1.0), 0.0)


def measure(
    fit: tuple[np.ndarray, np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray],
    names: list[str],
    pairs: tuple[np.ndarray, np.ndarray] | None = None,
    rho: float | None = None,
    r2_ceiling: float | None = None,
) -> Identifiability:
    """Measure identifiability of latents h (n, D) for true variables z (n, Z) in standard units.

    fit, held_out: (z, h) of disjoint episodes. pairs: (h, h') of held-out exact OU pairs with autocorrelation `rho`.
    """
    z_fit, h_fit = fit
    z, h = held_out
    per_variable = r2(z, affine_apply(affine_fit(h_fit, z_fit), h))
    forward = affine_fit(z_fit, h_fit)
    r2_z_to_h = r2(h, affine_apply(forward, z))
    singular = np.linalg.svd(forward[:-1], compute_uv=False)
    same_dim = z.shape[1] == h.shape[1]
    covariance_gap = float(np.linalg.norm(np.cov(h.T).reshape(h.shape[1], -1) - np.eye(h.shape[1])))
    alignment_gap = bound = None
    if pairs is not None and rho is not None and same_dim:
        alignment_gap, bound = theorem_bound(pairs[0], pairs[1], rho)
    return Identifiability(
        r2_h_to_z=float(per_variable.mean()),
        r2_z_to_h=float(r2_z_to_h.mean()),
        orthogonality_error=orthogonality_error(forward[:-1]) if same_dim else None,
        condition_number=float(singular[0] / max(singular[-1], 1e-12)),
        covariance_gap=covariance_gap,
        alignment_gap=alignment_gap,
        theorem_bound=bound,
        procrustes_mse=procrustes_mse(z, h) if same_dim else None,
        r2_ceiling=r2_ceiling,
        per_variable={name: float(value) for name, value in zip(names, per_variable, strict=True)},
        num_frames=len(z),
    )


def orthogonality_error(weights: np.ndarray) -> float:
    """||A^T A - I||_F / sqrt(Z) of the linear part (Z, D) of a map from z to h: 0 for a rotation."""
    gram = weights @ weights.T
    return float(np.linalg.norm(gram - np.eye(len(gram))) / math.sqrt(len(gram)))


def procrustes(z: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The orthogonal Q (Z, Z) that minimises E||h - z Q||^2 between centred z and h (n, Z)."""
    u, _, vt = np.linalg.svd((z - z.mean(0)).T @ (h - h.mean(0)))
    return u @ vt


def procrustes_mse(z: np.ndarray, h: np.ndarray) -> float:
    """E||h - z Q||^2 with the best orthogonal Q."""
    return float((((h - h.mean(0)) - (z - z.mean(0)) @ procrustes(z, h)) ** 2).sum(1).mean())


def theorem_bound(h: np.ndarray, h_next: np.ndarray, rho: float) -> tuple[float, float]:
    """Alignment gap delta and the bound D + (epsilon + D)^2, D = delta / (2 rho (1 - rho)), on the Procrustes error.

    A degree-k Hermite component of h pays 2 (1 - rho^k) per unit of variance in alignment, so what alignment pays above
    2 (1 - rho) tr Cov(h) bounds the nonlinear part of h (arXiv:2605.26379, Proposition 4.3).
    """
    covariance = (np.cov(h.T).reshape(h.shape[1], -1) + np.cov(h_next.T).reshape(h.shape[1], -1)) / 2
    epsilon = float(np.linalg.norm(covariance - np.eye(h.shape[1])))
    cost = float(((h_next - h) ** 2).sum(1).mean())
    delta = max(cost - 2 * (1 - rho) * float(np.trace(covariance)), 0.0)
    nonlinear = delta / (2 * rho * (1 - rho))
    return delta, nonlinear + (epsilon + nonlinear) ** 2


def wrapped_angle_ceiling(scale: float, num_points: int = 20_001) -> float:
    """Highest R2 with which an angle N(0, scale^2) (rad) can be read from an image, which shows it modulo 2 pi.

    The best reading is the mean of the angle given its wrapped value; the ceiling is that reading's share of variance.
    """
    angles, density = _unwrapped(np.linspace(-math.pi, math.pi, num_points), scale)
    total = density.sum(1)
    mean = (density * angles).sum(1) / np.maximum(total, 1e-300)
    return float((total * mean**2).sum() / (total[:, None] * (density / total[:, None]) * angles**2).sum())


def aligned_angle_r2(scale: float, rho: float | Sequence[float], num_points: int = 360) -> float:
    """R2 of an angle N(0, scale^2) (rad) read from what two views of its direction share best, pairs at `rho`, or
    equally many at each of several.

    Where the angle wraps, the best-aligned function of the direction is not the best reading of the angle: this, not
    `wrapped_angle_ceiling`, is what alignment can reach with one latent an angle. The function is the leading odd
    eigenfunction of the wrapped process, found on a grid of directions.
    """
    grid = -math.pi + (np.arange(num_points) + 0.5) * 2 * math.pi / num_points
    turns = 2 * math.pi * np.arange(-3, 4)
    joint = np.zeros((num_points, num_points))
    for first, second in np.ndindex(len(turns), len(turns)):
        a, b = np.meshgrid(grid + turns[first], grid + turns[second], indexing="ij")
        for one in np.atleast_1d(rho):
            rest = 1 - one * one
            joint += np.exp(-0.5 * (a * a - 2 * one * a * b + b * b) / (scale**2 * rest)) / math.sqrt(rest)
    joint /= joint.sum()
    share = joint.sum(1)
    root = np.sqrt(share)
    odd = (joint - joint[:, ::-1]) / 2 / np.outer(root, root)
    function = np.linalg.eigh((odd + odd.T) / 2)[1][:, -1] / root
    covariance = share @ (function * unwrapped_mean(grid, scale))
    return float(covariance**2 / (share @ function**2) / scale**2)


def unwrapped_mean(angles: np.ndarray, scale: float) -> np.ndarray:
    """Mean of an angle N(0, scale^2) given its direction, any shape: what the best encoder can tell of `angles`
    (rad)."""
    candidates, density = _unwrapped((angles.ravel() + math.pi) % (2 * math.pi) - math.pi, scale)
    return ((candidates * density).sum(1) / np.maximum(density.sum(1), 1e-300)).reshape(angles.shape)


def _unwrapped(directions: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Angles (n, turns) that share a direction (n,), and their unnormalised density under N(0, scale^2)."""
    angles = directions[:, None] + 2 * math.pi * np.arange(-6, 7)
    return angles, np.exp(-0.5 * (angles / scale) ** 2)


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x.astype(np.float64), np.ones((len(x), 1))], 1)
