"""Are the latents the world's variables? Measures of linear identifiability on held-out data.

Notation of arXiv:2605.26379: true latents z ~ N(0, I) in standard units, learned latents h, autocorrelation rho of the
true latents from one view to the next.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worldmodel.measures.statistics import mean_known, varies


@dataclass(frozen=True)
class Identifiability:
    """How well latents h (n, D) show the true variables z (n, Z), on held-out frames, by maps fitted on other frames.

    None is what these frames cannot tell: everything, where a latent or a variable is not finite.
    """

    r2_h_to_z: float | None
    """Mean R2 of the best affine map from latents to variables, over the variables that vary."""
    r2_z_to_h: float | None
    """Mean R2 of the best affine map back; a latent that does not vary counts as 0. Both at 1: each determines the
    other linearly."""
    orthogonality_error: float | None
    """||A^T A - I||_F / sqrt(Z) of the map h = A z: 0 for a rotation; None where the dimensions differ."""
    condition_number: float | None
    """Largest over smallest singular value of A; None where A is not of full rank."""
    covariance_gap: float | None
    """epsilon = ||Cov(h) - I||_F; None of one frame."""
    alignment_gap: float | None
    """delta = E||h - h'||^2 - 2 (1 - rho) tr Cov(h), clipped at 0; None without two exact OU pairs (h, h')."""
    theorem_bound: float | None
    """Upper bound on `procrustes_mse` from epsilon and delta alone, without the truth (Proposition 4.3)."""
    procrustes_mse: float | None
    """E||h - Q z||^2 with the best orthogonal Q; None where the dimensions differ."""
    r2_ceiling: float | None
    """Highest `r2_h_to_z` that any encoder can reach where the image hides some of z (wrapped angles); None: 1."""
    per_variable: dict[str, float | None]
    """R2 of each variable, read linearly; None of one that does not vary."""
    num_frames: int
    """Held-out frames."""


def affine_fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least-squares affine map from x (n, p) to y (n, q): weights float64 (p + 1, q), the constant in the last row."""
    return np.linalg.lstsq(_with_one(x), y.astype(np.float64), rcond=None)[0]


def affine_apply(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Apply `affine_fit`'s map: (n, p) -> (n, q)."""
    return _with_one(x) @ weights


def r2(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """R2 of every column of a prediction (n, q) of the truth (n, q): float64 (q,); 0 where `scores` has None."""
    return np.array([0.0 if score is None else score for score in scores(truth, prediction)])


def scores(truth: np.ndarray, prediction: np.ndarray) -> list[float | None]:
    """R2 (coefficient of determination) of every column of a prediction (n, q) of the truth (n, q): q numbers.

    None where the truth does not vary, so that there is nothing to explain, or the prediction is not finite.
    """
    known = varies(truth) & np.isfinite(prediction).all(0)
    residual = ((truth - prediction) ** 2).sum(0)
    total = ((truth - (truth.mean(0) if len(truth) else 0.0)) ** 2).sum(0)
    values = 1.0 - residual / np.where(known, total, 1.0)
    return [float(value) if is_known else None for value, is_known in zip(values, known, strict=True)]


def measure(
    fit: tuple[np.ndarray, np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray],
    names: list[str],
    pairs: tuple[np.ndarray, np.ndarray] | None = None,
    rho: float | None = None,
    r2_ceiling: float | None = None,
) -> Identifiability:
    """Measure how well latents h (n, D) show true variables z (n, Z) in standard units.

    Args:
        fit: (z, h) of episodes on which the linear maps are fitted.
        held_out: (z, h) of other episodes, which are measured.
        names: of the variables, Z of them.
        pairs: (h, h') of held-out exact OU pairs (m, D), (m, D); None where there are none.
        rho: their autocorrelation.
        r2_ceiling: highest R2 that any encoder can reach on these frames; None for 1.
    """
    if not all(np.isfinite(part).all() for part in (*fit, *held_out, *(pairs or ()))):
        return Identifiability(
            None, None, None, None, None, None, None, None, r2_ceiling, dict.fromkeys(names), len(held_out[0])
        )
    z_fit, h_fit = fit
    z, h = held_out
    per_variable = scores(z, affine_apply(affine_fit(h_fit, z_fit), h))
    forward = affine_fit(z_fit, h_fit)
    linear = forward[:-1] * varies(h_fit)  # of a latent that does not vary the fit is rounding
    same_dim = z.shape[1] == h.shape[1]
    alignment_gap = bound = None
    if pairs is not None and rho is not None and same_dim and len(pairs[0]) > 1:
        alignment_gap, bound = theorem_bound(pairs[0], pairs[1], rho)
    return Identifiability(
        r2_h_to_z=mean_known(per_variable),
        r2_z_to_h=mean_known(r2(h, affine_apply(forward, z))),
        orthogonality_error=orthogonality_error(linear) if same_dim else None,
        condition_number=condition_number(linear),
        covariance_gap=float(np.linalg.norm(_covariance(h) - np.eye(h.shape[1]))) if len(h) > 1 else None,
        alignment_gap=alignment_gap,
        theorem_bound=bound,
        procrustes_mse=procrustes_mse(z, h) if same_dim else None,
        r2_ceiling=r2_ceiling,
        per_variable=dict(zip(names, per_variable, strict=True)),
        num_frames=len(z),
    )


def condition_number(weights: np.ndarray) -> float | None:
    """Largest over smallest singular value of a linear map; None where the smallest is 0 up to rounding."""
    singular = np.linalg.svd(weights, compute_uv=False)
    largest, smallest = singular.max(initial=0.0), singular.min(initial=np.inf)
    rounding = max(weights.shape) * np.finfo(np.float64).eps * largest
    return float(largest / smallest) if rounding < smallest < np.inf else None


def _covariance(h: np.ndarray) -> np.ndarray:
    return np.cov(h.T).reshape(h.shape[1], h.shape[1])


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

    A Hermite component of h of degree k adds 2 (1 - rho^k) per unit of its variance to alignment, so that alignment in
    excess of 2 (1 - rho) tr Cov(h) bounds the nonlinear part of h (arXiv:2605.26379, Proposition 4.3). epsilon is
    ||Cov(h) - I||_F.

    Args:
        h: latents (m, D) of the first ends of OU pairs, m >= 2.
        h_next: those of the second ends (m, D).
        rho: autocorrelation of the pairs.
    """
    covariance = (_covariance(h) + _covariance(h_next)) / 2
    epsilon = float(np.linalg.norm(covariance - np.eye(h.shape[1])))
    cost = float(((h_next - h) ** 2).sum(1).mean())
    delta = max(cost - 2 * (1 - rho) * float(np.trace(covariance)), 0.0)
    nonlinear = delta / (2 * rho * (1 - rho))
    return delta, nonlinear + (epsilon + nonlinear) ** 2


_NEVER_WRAPS = 0.25
"""Standard deviation (rad) of an angle that hardly ever wraps: pi is twelve of them away."""


def wrapped_angle_ceiling(scale: float, num_points: int = 20_001) -> float:
    """Highest R2 with which an angle ~ N(0, scale^2) (rad) can be read from an image, which shows it modulo 2 pi.

    The best estimate is the mean of the angle given its wrapped value; the ceiling is the share of variance that this
    explains.
    """
    if scale < _NEVER_WRAPS:
        return 1.0
    angles, density = _unwrapped(np.linspace(-math.pi, math.pi, num_points), scale)
    total = density.sum(1)
    mean = (density * angles).sum(1) / np.maximum(total, 1e-300)
    return float((total * mean**2).sum() / (density * angles**2).sum())


def aligned_angle_r2(scale: float, rho: float | Sequence[float], num_points: int = 360) -> float:
    """R2 of an angle ~ N(0, scale^2) (rad) estimated from the best aligned function of its direction.

    Where the angle wraps, that function is not the best estimate of the angle. So this, not `wrapped_angle_ceiling`, is
    what alignment can reach with one latent per angle. The function is the leading odd eigenfunction of the wrapped
    process, found on a grid of `num_points` directions. rho: autocorrelation of the pairs, or one for each of several
    equally frequent kinds of pair.
    """
    if scale < _NEVER_WRAPS:
        return 1.0
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
    """Mean of an angle ~ N(0, scale^2) given its direction: the best that an encoder can say of `angles` (rad, any
    shape)."""
    candidates, density = _unwrapped((angles.ravel() + math.pi) % (2 * math.pi) - math.pi, scale)
    return ((candidates * density).sum(1) / np.maximum(density.sum(1), 1e-300)).reshape(angles.shape)


def _unwrapped(directions: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """All angles (n, turns) with given directions (n,), in rad, and their unnormalised density under N(0, scale^2)."""
    angles = directions[:, None] + 2 * math.pi * np.arange(-6, 7)
    return angles, np.exp(-0.5 * (angles / scale) ** 2)


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x.astype(np.float64), np.ones((len(x), 1))], 1)
