"""Synthetic mixings: exact inverses, and the laws of latents and views with stated errors."""

import numpy as np
import pytest

from benchmarks.reproduce.synthetic import MIXINGS, latents, make_mixing, views


@pytest.mark.parametrize("name", MIXINGS)
def test_unmix_inverts_mix(name):
    z = np.random.default_rng(0).standard_normal((500, 2))
    mixing = make_mixing(name, seed=3)
    np.testing.assert_allclose(mixing.unmix(mixing.mix(z)), z, atol=1e-10)


def test_coupling_in_many_dimensions_is_invertible_and_preserves_volume():
    z = np.random.default_rng(1).standard_normal((7, 6))
    mixing = make_mixing("coupling", dim=6, num_layers=5, seed=2)
    np.testing.assert_allclose(mixing.unmix(mixing.mix(z)), z, atol=1e-10)
    step = 1e-6
    jacobian = np.stack([(mixing.mix(z[:1] + step * e) - mixing.mix(z[:1]))[0] / step for e in np.eye(6)])
    assert abs(np.linalg.det(jacobian)) == pytest.approx(1.0, abs=1e-4)


def test_spiral_keeps_the_gaussian():
    x = make_mixing("spiral").mix(np.random.default_rng(0).standard_normal((100_000, 2)))
    np.testing.assert_allclose(np.cov(x.T), np.eye(2), atol=0.02)  # four standard errors
    np.testing.assert_allclose((x**4).mean(0), 3.0, atol=0.13)


@pytest.mark.parametrize(("alpha", "kurtosis"), [(1.0, 6.0), (2.0, 3.0), (8.0, 1.924)])
def test_latents_have_unit_variance_and_their_familys_kurtosis(alpha, kurtosis):
    z = latents(np.random.default_rng(0), 200_000, 2, alpha).astype(float)
    assert z.var() == pytest.approx(1.0, abs=0.015)
    assert (z**4).mean() == pytest.approx(kurtosis, rel=0.04)


def test_views_of_one_parent_correlate_by_rho_squared_and_share_nothing_else():
    rng = np.random.default_rng(0)
    first, second, third = views(rng, latents(rng, 100_000, 2), 0.8, num_views=3)
    for one, other in ((first, second), (first, third), (second, third)):
        correlation = (one.T @ other) / len(one)
        np.testing.assert_allclose(correlation, 0.64 * np.eye(2), atol=0.016)
    assert first.std() == pytest.approx(1.0, abs=0.01)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="unknown mixing 'swirl'"):
        make_mixing("swirl")
    with pytest.raises(ValueError, match="even dimension"):
        make_mixing("coupling", dim=5)
    with pytest.raises(ValueError, match="dimension 2, got 4"):
        make_mixing("spiral", dim=4)
    with pytest.raises(ValueError, match="strictly between 0 and 1, got 1"):
        views(np.random.default_rng(0), np.zeros((3, 2)), 1.0)
    with pytest.raises(ValueError, match="alpha must be > 0"):
        latents(np.random.default_rng(0), 3, 2, 0.0)
