"""Fisher information against closed forms: Schur complements, additivity, linear-Gaussian R2, products of powers."""

import numpy as np
import pytest

from worldmodel.designing.information import (
    directions,
    marginal_information,
    posterior_covariance,
    r2_bounds,
    readable_combinations,
    van_trees_bounds,
)

pytestmark = pytest.mark.numerics

RNG = np.random.default_rng(0)
CONSTANTS, NUISANCES = RNG.standard_normal((11, 3)), RNG.standard_normal((11, 4))


def test_marginal_information_is_the_schur_complement():
    precision = np.array([0.0, 0.5, 2.0, 7.0])
    cross = CONSTANTS.T @ NUISANCES
    schur = CONSTANTS.T @ CONSTANTS - cross @ np.linalg.inv(NUISANCES.T @ NUISANCES + np.diag(precision)) @ cross.T
    assert marginal_information(CONSTANTS, NUISANCES, precision) == pytest.approx(schur, rel=1e-10, abs=1e-10)


def test_unknown_nuisances_never_add_information_and_known_ones_cost_none():
    known = CONSTANTS.T @ CONSTANTS
    informations = [marginal_information(CONSTANTS, NUISANCES, precision) for precision in (0.0, 1.0, 100.0, 1e12)]
    for less, more in zip(informations, [*informations[1:], known], strict=True):
        assert np.linalg.eigvalsh(more - less).min() > -1e-6
    assert informations[-1] == pytest.approx(known, rel=1e-6)


def test_a_constant_that_acts_like_a_nuisance_cannot_be_read():
    twins = np.column_stack([NUISANCES[:, 0], CONSTANTS[:, 1]])
    information = marginal_information(twins, NUISANCES, 0.0)
    assert information[0] == pytest.approx(np.zeros(2), abs=1e-12) and information[1, 1] > 0.1


def test_information_adds_over_windows_whose_nuisances_are_their_own():
    first, second = CONSTANTS[:6], CONSTANTS[6:]
    nuisances = np.zeros((11, 4))
    nuisances[:6, :2], nuisances[6:, 2:] = NUISANCES[:6, :2], NUISANCES[6:, 2:]
    apart = marginal_information(first, nuisances[:6, :2], 1.0) + marginal_information(second, nuisances[6:, 2:], 1.0)
    assert marginal_information(CONSTANTS, nuisances, 1.0) == pytest.approx(apart, rel=1e-10)


def test_the_bound_is_what_the_best_reader_of_a_linear_world_reaches():
    num = 20_000
    rows = np.array([[1.0, 0.3], [0.2, 0.4], [0.0, 0.5]])
    t = RNG.standard_normal((num, 2))
    seen = t @ rows.T + RNG.standard_normal((num, 3))
    information = (rows.T @ rows)[None]
    read = seen @ rows @ np.linalg.inv(np.eye(2) + information[0]).T
    reached = 1 - ((read - t) ** 2).mean(0) / t.var(0)
    bounds = r2_bounds(posterior_covariance(information))
    assert reached == pytest.approx(bounds, abs=0.02)  # four standard errors
    assert van_trees_bounds(information) == pytest.approx(bounds)


def test_van_trees_bound_is_never_below_the_mean_posterior_s():
    spread = np.stack([scale * np.diag([1.0, 3.0]) for scale in (0.1, 1.0, 40.0)])
    assert (van_trees_bounds(spread) >= r2_bounds(posterior_covariance(spread))).all()


@pytest.mark.parametrize(
    ("names", "measured", "expected"),
    [
        ("mass friction gravity", [[0, 1, 1]], ["friction^1 gravity^1"]),
        ("mass friction force", [[0, 1, 0], [-1, 0, 1]], ["friction^1", "force^1 mass^-1"]),
        ("mass length damping gravity", [[0, -1, 0, 1], [-1, -2, 1, 0]],
         ["gravity^1 length^-1", "damping^1 mass^-1 length^-2"]),
        ("a b", [[1, 0], [0, 1]], ["a^1", "b^1"]),
        ("a b", [[0, 0]], []),
        ("a b c", [[1, 0.41, 0], [0, 0, 1]], ["c^1", "a^1 b^0.41"]),
    ],
)  # fmt: skip
def test_combinations_are_the_simplest_that_the_data_determine(names, measured, expected):
    scales = np.array([0.3, 0.2, 0.4, 0.1][: len(names.split())])
    rows = 300 * np.array(measured) * scales  # derivatives by t of products of powers, seen well
    covariance = posterior_covariance((rows.T @ rows)[None])
    found = readable_combinations(covariance, names.split(), scales)
    assert [combination.text for combination in found] == expected
    assert all(combination.r2 > 0.99 for combination in found)


def test_directions_are_sorted_and_orthonormal():
    covariance = posterior_covariance((CONSTANTS.T @ CONSTANTS)[None])
    found = directions(covariance)
    assert (np.diff(found.information) <= 0).all()
    assert found.information == pytest.approx(np.linalg.eigvalsh(CONSTANTS.T @ CONSTANTS)[::-1])
    assert found.vectors.T @ found.vectors == pytest.approx(np.eye(3))
