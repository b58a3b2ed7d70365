"""The canonical readout finds Gaussian latents behind nonlinear features up to a rotation, with its ladder."""

import math

import numpy as np
import pytest

from benchmarks.reproduce.synthetic import latents, views
from worldmodel.measures.canonical import (
    agreement,
    canonical_correlations,
    fit_canonical,
    fit_canonical_pairs,
    fit_sequential,
    hermite_features,
)
from worldmodel.measures.identifiability import affine_apply, affine_fit, r2

pytestmark = pytest.mark.numerics


def test_hermite_features_are_orthonormal_under_the_gaussian():
    features = hermite_features(np.random.default_rng(0).standard_normal((400_000, 2)), 3)
    assert features.shape == (400_000, 9)  # 2 + 3 + 4
    np.testing.assert_allclose(features.T @ features / len(features), np.eye(9), atol=0.05)


def test_readout_recovers_the_latents_and_the_ladder_of_correlations():
    rng = np.random.default_rng(0)
    rho = 0.9  # between the views: two at rho, three at rho^2, four at rho^3
    seen = views(rng, latents(rng, 60_000, 2), np.sqrt(rho))
    bent = np.stack([seen[..., 0], seen[..., 1] + seen[..., 0] ** 2], -1)
    readout = fit_canonical(hermite_features(bent, 4), 2)
    np.testing.assert_allclose(readout.correlations[:2], rho, atol=0.01)
    np.testing.assert_allclose(readout.correlations[2:5], rho**2, atol=0.03)
    z = seen[0]
    h = readout(hermite_features(bent[0], 4))
    np.testing.assert_allclose(np.cov(h.T), np.eye(2), atol=0.03)
    assert r2(z, affine_apply(affine_fit(h, z), h)).mean() > 0.99
    assert r2(z, affine_apply(affine_fit(bent[0], z), bent[0])).mean() < 0.9


def test_more_views_are_the_mean_over_their_pairs():
    rng = np.random.default_rng(1)
    seen = views(rng, latents(rng, 5, 3), 0.7, num_views=4).astype(float)
    seen -= seen.mean((0, 1))
    pairs = [seen[i].T @ seen[j] / 5 for i in range(4) for j in range(4) if i != j]
    within = np.mean([seen[i].T @ seen[i] / 5 for i in range(4)], axis=0)
    readout = fit_canonical(seen, 3, ridge=1e-12)
    expected = np.linalg.eigvals(np.linalg.solve(within, np.mean(pairs, axis=0)))
    np.testing.assert_allclose(readout.correlations, np.sort(expected.real)[::-1], rtol=1e-6)
    assert readout.weights.shape == (3, 3)


def test_ridge_leaves_dead_features_out():
    features = np.zeros((2, 50, 4))
    features[..., :2] = np.random.default_rng(0).standard_normal((2, 50, 2))
    readout = fit_canonical(features, 2)
    assert len(readout.correlations) == 2
    assert np.isfinite(readout(features[0])).all()
    assert pytest.approx(0.0) == readout.weights[2:]


def test_sequential_readout_finds_a_fast_variable_behind_the_square_of_a_slow_one():
    rng = np.random.default_rng(0)
    rhos = np.array([0.9, 0.6])  # 0.9^2 = .81 and 0.9^3 = .73 are shared better than the second variable
    seen = views(rng, latents(rng, 40_000, 2), np.sqrt(rhos)).astype(float)
    features = hermite_features(np.stack([seen[..., 0], seen[..., 1] + seen[..., 0] ** 2], -1), 4)
    together, in_turn = fit_canonical(features, 2), fit_sequential(features, 2)
    z = seen[0]
    scores = [r2(z, affine_apply(affine_fit(h, z), h)) for h in (together(features[0]), in_turn(features[0]))]
    assert scores[0][0] > 0.97 and scores[0][1] < 0.1
    assert scores[1].min() > 0.97
    np.testing.assert_allclose(in_turn.correlations, rhos, atol=0.03)
    assert in_turn(features).shape == (2, 40_000, 2)


def test_counted_pairs_give_what_the_pairs_give():
    rng = np.random.default_rng(2)
    features = rng.standard_normal((40, 5)) * np.array([1.0, 3.0, 0.2, 1.0, 1.0])
    pairs = rng.integers(0, 40, (2, 3000))
    both_ways = np.stack([np.concatenate([features[pairs[i]], features[pairs[1 - i]]]) for i in (0, 1)])
    expected = fit_canonical(both_ways, 3, ridge=1e-3)
    counted = fit_canonical_pairs(features, pairs, 3, (features, pairs), ridges=[1e-3])
    np.testing.assert_allclose(counted.correlations, expected.correlations, atol=1e-5)
    np.testing.assert_allclose(np.abs(counted(features)), np.abs(expected(features)), atol=1e-3)


def test_the_ridge_is_the_one_that_agrees_best_on_other_pairs():
    rng = np.random.default_rng(3)

    def draw():  # rows 2 i and 2 i + 1 share a state, which four features show; fifty others are noise
        shown = np.repeat(rng.standard_normal((30, 1)), 2, 0) + 0.7 * rng.standard_normal((60, 4))
        return np.concatenate([shown, rng.standard_normal((60, 50))], 1)

    features, fresh, pairs = draw(), draw(), np.arange(60).reshape(30, 2).T

    def score(ridges):
        return agreement(fit_canonical_pairs(features, pairs, 1, (fresh, pairs), ridges)(fresh), pairs)

    alone = [score([ridge]) for ridge in (1e-5, 0.5, 1.0, 3.0)]
    assert max(alone) - min(alone) > 0.01
    assert score([1e-5, 0.5, 1.0, 3.0]) == pytest.approx(max(alone))


# ---------------------------------------------------------------------------------------------------------------------
# canonical correlations


def test_canonical_correlations_of_ou_constants_are_a_ladder():
    num, rho = 100_000, 0.8
    rng = np.random.default_rng(0)
    before = rng.standard_normal((num, 2))
    after = rho * before + math.sqrt(1 - rho**2) * rng.standard_normal((num, 2))
    mixing = rng.standard_normal((3, 3)) + 2 * np.eye(3)

    def context(c: np.ndarray) -> np.ndarray:
        """Two linear functions of the constants and one quadratic one (a second Hermite polynomial), mixed."""
        return np.stack([c[:, 0], c[:, 1], c[:, 0] * c[:, 1]], 1) @ mixing + 5.0

    # standard error of a correlation of Gaussians: (1 - rho^2) / sqrt(n) = 0.0011; of products it is below 3 times that
    assert canonical_correlations(context(before), context(after)) == pytest.approx([rho, rho, rho**2], abs=0.015)


def test_canonical_correlations_do_not_see_invertible_linear_maps():
    rng = np.random.default_rng(1)
    first, second = rng.standard_normal((2, 400, 3))
    second[:, 0] += first[:, 1]
    mixed = first @ (rng.standard_normal((3, 3)) + 2 * np.eye(3)) - 7
    np.testing.assert_allclose(canonical_correlations(mixed, second), canonical_correlations(first, second), atol=1e-10)
    np.testing.assert_allclose(canonical_correlations(first, mixed), 1, atol=1e-10)


def test_canonical_correlations_of_unrelated_contexts_are_small():
    first, second = np.random.default_rng(2).standard_normal((2, 10_000, 3))
    assert canonical_correlations(first, second).max() < 5 * math.sqrt(3 / 10_000)
