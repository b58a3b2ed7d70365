"""Identifiability measures on maps whose answers are known, and the theorem's bound on exact OU pairs."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from worldmodel.measures.identifiability import (
    affine_apply,
    affine_fit,
    aligned_angle_r2,
    measure,
    procrustes,
    r2,
    theorem_bound,
    unwrapped_mean,
    wrapped_angle_ceiling,
)

pytestmark = pytest.mark.numerics

N, Z, RHO = 40_000, 3, 0.8


def ou_pairs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((N, Z))
    return z, RHO * z + math.sqrt(1 - RHO**2) * rng.standard_normal((N, Z))


def rotation(dim: int = Z) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(7).standard_normal((dim, dim)))[0]


def measured(encode: Callable[[np.ndarray], np.ndarray]):
    """`measure` of h = encode(z) on fitted and held-out draws and on held-out OU pairs."""
    fit, (held_out, after) = ou_pairs(1)[0], ou_pairs(2)
    return measure(
        (fit, encode(fit)), (held_out, encode(held_out)), ["a", "b", "c"], (encode(held_out), encode(after)), RHO
    )


def cube(z: np.ndarray) -> np.ndarray:
    """A monotone map of unit variance: a degree-1 and a degree-3 Hermite component."""
    return z**3 / math.sqrt(15)


def hermite2(share: float) -> Callable[[np.ndarray], np.ndarray]:
    """Unit variance, of which `share` is a degree-2 Hermite component."""
    return lambda z: math.sqrt(1 - share) * z + math.sqrt(share / 2) * (z**2 - 1)


def test_a_rotation_is_perfect():
    result = measured(lambda z: z @ rotation() + [1.0, -2.0, 3.0])
    assert result.r2_h_to_z == pytest.approx(1, abs=1e-12)
    assert result.r2_z_to_h == pytest.approx(1, abs=1e-12)
    assert result.orthogonality_error == pytest.approx(0, abs=1e-12)
    assert result.condition_number == pytest.approx(1, abs=1e-12)
    assert result.procrustes_mse == pytest.approx(0, abs=1e-12)
    assert list(result.per_variable.values()) == pytest.approx([1, 1, 1])
    assert result.covariance_gap < 5 * math.sqrt(Z * (Z + 1) / N)
    assert result.num_frames == N


def test_procrustes_finds_the_rotation():
    z = ou_pairs()[0]
    np.testing.assert_allclose(procrustes(z, z @ rotation() + 4.0), rotation(), atol=1e-12)


def test_a_stretched_map_is_linear_but_no_rotation():
    """A = diag(2, 1, 1): readable both ways, ||A A^T - I|| / sqrt(3) = 3 / sqrt(3), condition number 2."""
    result = measured(lambda z: z * [2.0, 1.0, 1.0])
    assert result.r2_h_to_z == pytest.approx(1, abs=1e-12)
    assert result.orthogonality_error == pytest.approx(math.sqrt(3), rel=1e-9)
    assert result.condition_number == pytest.approx(2, rel=1e-9)
    assert result.procrustes_mse == pytest.approx(1, abs=5 * math.sqrt(2 / N))


def test_a_nonlinear_map_loses_what_is_not_linear():
    """Of z^3 / sqrt(15) a share 9 / 15 is linear in z, in either direction; 2 % covers the heavy tails at this n."""
    result = measured(cube)
    assert result.r2_h_to_z == pytest.approx(0.6, abs=0.02)
    assert result.r2_z_to_h == pytest.approx(0.6, abs=0.02)


def test_an_ignored_variable_is_not_found():
    result = measured(lambda z: z * [1.0, 1.0, 0.0] + [0.0, 0.0, 1.0] * np.sin(40 * z))
    assert result.per_variable["a"] == pytest.approx(1, abs=1e-9)
    assert result.per_variable["c"] == pytest.approx(0, abs=0.01)


def test_r2_is_that_of_held_out_data():
    """Noise fitted to noise scores below 0 on other noise, not above."""
    rng = np.random.default_rng(0)
    z, h = rng.standard_normal((2, 60, 2)), rng.standard_normal((2, 60, 30))
    assert measure((z[0], h[0]), (z[1], h[1]), ["a", "b"]).r2_h_to_z < 0


def test_other_dimensions_have_no_rotation():
    result = measured(lambda z: np.concatenate([z, z[:, :2]], 1))
    assert result.orthogonality_error is None and result.procrustes_mse is None and result.theorem_bound is None
    assert result.r2_h_to_z == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    "encode",
    [
        lambda z: z @ rotation(),
        lambda z: 1.1 * z @ rotation(),
        hermite2(0.05),
        lambda z: hermite2(0.3)(z @ rotation()),
        cube,
        lambda z: np.tanh(z) / np.tanh(z).std(0),
        lambda z: np.sign(z),
    ],
    ids=["rotation", "scaled rotation", "5 % quadratic", "30 % quadratic, rotated", "cubic", "tanh", "sign"],
)
def test_the_theorem_bounds_the_procrustes_error(encode):
    """E||h - Qz||^2 <= D + (eps + D)^2, whatever the encoder does; .02 for sampling (n = 40,000 pairs)."""
    result = measured(encode)
    assert result.procrustes_mse is not None and result.theorem_bound is not None
    assert result.procrustes_mse <= result.theorem_bound + 0.02


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_the_bound_measures_a_quadratic_share_exactly(share):
    """Degree 2 pays 2 (1 - rho^2): delta = 2 rho (1 - rho) share Z; the bound is D + (eps + D)^2, D = share Z."""
    z, after = ou_pairs()
    delta, bound = theorem_bound(hermite2(share)(z), hermite2(share)(after), RHO)
    gap = 2 * RHO * (1 - RHO) * share * Z
    assert delta == pytest.approx(gap, abs=0.02)
    assert bound == pytest.approx(share * Z + (share * Z) ** 2, abs=0.15)


def test_the_bound_of_a_rotation_is_zero_within_sampling():
    z, after = ou_pairs()
    delta, bound = theorem_bound(z @ rotation(), after @ rotation(), RHO)
    assert 0 <= delta < 0.02 and bound < 0.1


@pytest.mark.parametrize(("scale", "ceiling", "error"), [(1.0, 0.9489, 1e-3), (0.7, 0.99955, 1e-5), (0.5, 1.0, 1e-5)])
def test_ceiling_of_wrapped_angles(scale, ceiling, error):
    assert wrapped_angle_ceiling(scale) == pytest.approx(ceiling, abs=error)


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.5])
def test_ceiling_matches_monte_carlo(scale):
    """The best reading of wrapped angles, by averaging in 400 bins: 10^6 draws, error below .004."""
    angle = scale * np.random.default_rng(0).standard_normal(1_000_000)
    bins = np.floor((angle + math.pi) % (2 * math.pi) / (2 * math.pi) * 400).astype(int)
    mean = np.bincount(bins, angle, 400) / np.maximum(np.bincount(bins, minlength=400), 1)
    assert 1 - (angle - mean[bins]).var() / angle.var() == pytest.approx(wrapped_angle_ceiling(scale), abs=0.004)


def test_affine_fit_recovers_an_affine_map():
    x = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    y = x @ np.arange(8.0).reshape(4, 2) + [5.0, -1.0]
    np.testing.assert_allclose(affine_apply(affine_fit(x, y), x), y, atol=1e-5)


def test_what_alignment_reaches_of_a_wrapped_angle():
    # hardly wrapped: everything; hardly correlated: the best reading of the angle; strongly correlated: less than that
    assert aligned_angle_r2(0.5, 0.9) == pytest.approx(1.0, abs=1e-4)
    ceiling = wrapped_angle_ceiling(1.0)
    assert aligned_angle_r2(1.0, 0.2) == pytest.approx(ceiling, abs=1e-3)
    values = [aligned_angle_r2(1.0, rho) for rho in (0.5, 0.8, 0.95)]
    assert values == sorted(values, reverse=True) and values[-1] < 0.992 * ceiling


def test_unwrapped_mean_is_the_best_reading():
    angles = np.random.default_rng(0).standard_normal(200_000)
    best = r2(angles[:, None], unwrapped_mean(angles, 1.0)[:, None])[0]
    assert best == pytest.approx(wrapped_angle_ceiling(1.0), abs=0.004)  # sampling sd .0018
    np.testing.assert_allclose(unwrapped_mean(angles, 1.0), unwrapped_mean(angles + 2 * np.pi, 1.0))
