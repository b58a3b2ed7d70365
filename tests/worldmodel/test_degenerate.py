"""A figure that the data do not determine is None, not a number, and ends no command: still variables, single
episodes, views without rank, numbers that are not finite."""

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.reproduce.misspecified import ladder_dimension
from benchmarks.results.markdown import mean_interval as shown_interval
from benchmarks.results.markdown import spread
from worldmodel.data.truth import Variables, moving_columns
from worldmodel.evaluation.probing.count import count_constants
from worldmodel.evaluation.probing.readings import scored
from worldmodel.evaluation.surprise import paired_test, score
from worldmodel.learning.dynamics import whitening
from worldmodel.learning.dynamics_stages import shares
from worldmodel.measures.canonical import (
    agreement,
    canonical_correlations,
    fit_canonical,
    fit_canonical_pairs,
    fit_sequential,
)
from worldmodel.measures.identifiability import (
    aligned_angle_r2,
    condition_number,
    measure,
    r2,
    scores,
    wrapped_angle_ceiling,
)
from worldmodel.measures.regression import Examples, Split, linear_probe, linear_r2, mlp_probe
from worldmodel.measures.statistics import (
    OverSeeds,
    best_known,
    bootstrap_r2,
    central_95,
    mean_interval,
    mean_known,
    over_seeds,
    unit_spread,
    varies,
)

pytestmark = pytest.mark.numerics

EPISODE = np.repeat(np.arange(10), 20)
NOTHING = np.full((200, 2), np.nan)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def writable(content: Any) -> bool:
    """Whether JSON has a word for all of it."""
    json.dumps(content, allow_nan=False)
    return True


# ---------------------------------------------------------------------------------------------------------------------
# what varies


def test_a_column_varies_by_more_than_rounding():
    values = noise(200, 1)
    columns = [np.full_like(values, 0.1), 1e6 + 1e-3 * values, np.full_like(values, np.nan), values, np.inf * values]
    assert varies(np.concatenate(columns, 1)).tolist() == [False, True, False, True, False]
    assert varies(values[:1]).tolist() == varies(values[:0]).tolist() == [False]
    assert varies(1e6 + 1e-9 * values).tolist() == [False], "less than double precision has"
    assert varies(1e-200 * values).tolist() == [False], "the squares of such numbers are 0"
    np.testing.assert_array_equal(unit_spread(np.concatenate(columns[:1], 1)), [1.0])
    np.testing.assert_array_equal(unit_spread(values), values.std(0))


def test_standard_units_leave_what_stands_still_in_its_own():
    """A block that moves in no training episode has no standard deviation there."""
    values = noise(100, 2)
    values[:80, 1] = 0.3
    found = Variables(["hand", "block"], ["m", "m"], values).standardized(np.arange(80))
    np.testing.assert_allclose(found[:80].std(0), [1, 0], atol=1e-12)
    np.testing.assert_allclose(found[80:, 1], values[80:, 1] - 0.3)


def test_a_position_that_is_not_finite_is_no_variable_and_hides_no_other():
    values = noise(50, 3)
    values[7, 0] = np.nan
    assert moving_columns(["broken", "x", "y"], values, set()).names == ["x", "y"]


# ---------------------------------------------------------------------------------------------------------------------
# R2 and its interval


def test_r2_of_what_stands_still_cannot_be_told():
    truth, prediction = noise(200, 3), noise(200, 3, seed=1)
    truth[:, 1] = 0.1  # whose mean rounds to another number
    prediction[:, 0], prediction[0, 2] = truth[:, 0], np.nan
    assert scores(truth, prediction) == [1.0, None, None]
    assert r2(truth, prediction).tolist() == [1, 0, 0]
    assert scores(truth[:1], prediction[:1]) == scores(truth[:0], prediction[:0]) == [None] * 3


@pytest.mark.parametrize("offset", [0.0, 0.1, 1e6])
@pytest.mark.parametrize("moving", [0, 1, 2])
def test_the_bootstrap_says_when_a_resample_stands_still(offset: float, moving: int):
    """Of ten episodes one or two move: .9^10 = 35 % and .8^10 = 11 % of the resamples hold none of them."""
    truth = np.where(EPISODE < moving, noise(200), 0.0) + offset
    assert bootstrap_r2(truth, truth + 0.1 * noise(200, seed=1), EPISODE, 500, np.random.default_rng(0)) is None


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_bootstrap_bears_a_rare_resample_that_stands_still(offset: float):
    """Of ten episodes four move: .6^10 = .6 % of the resamples hold none of them, fewer than the 2.5 % left out."""
    truth = np.where(EPISODE < 4, noise(200), 0.0) + offset
    prediction = truth + 0.1 * noise(200, seed=1)
    found = bootstrap_r2(truth, prediction, EPISODE, 2000, np.random.default_rng(0))
    (value,) = scores(truth[:, None], prediction[:, None])
    assert found is not None and value is not None and found[0] < value < found[1] <= 1


def test_an_interval_wants_two_episodes_and_numbers():
    truth, rng = noise(200), np.random.default_rng(0)
    assert bootstrap_r2(truth, truth, np.zeros(200, int), 100, rng) is None
    assert bootstrap_r2(truth, NOTHING[:, 0], EPISODE, 100, rng) is None
    assert bootstrap_r2(NOTHING[:, 0], truth, EPISODE, 100, rng) is None
    assert mean_interval(truth[:1]) is None and mean_interval(truth[:0]) is None


def test_the_middle_of_resamples_some_of_which_tell_nothing():
    values = np.arange(1000.0)
    values[:20] = -np.inf
    assert central_95(values) == pytest.approx([24.975, 974.025])
    values[:30] = -np.inf
    assert central_95(values) is None
    assert central_95(np.full(10, -np.inf)) is None


def test_means_are_of_what_is_known():
    assert mean_known([1.0, None, 3.0]) == 2 and mean_known([None]) is None and mean_known([]) is None
    assert over_seeds([None, None]) == OverSeeds(None, None, [None, None])
    some = over_seeds([1.0, None, 3.0])
    assert some.mean == 2 and some.interval == over_seeds([1.0, 3.0]).interval
    assert over_seeds([None, 3.0]).interval is None
    assert best_known({"a": None, "b": -2.0, "c": -1.0}) == "c" and best_known({"a": None, "b": None}) == "a"
    assert shown_interval(over_seeds([None])) == "–" == spread([None], ".3f")
    assert spread([None, 0.5, 0.25], ".2f") == "0.38 [0.25, 0.50]" and spread([None, 0.5], ".2f") == "0.50"


# ---------------------------------------------------------------------------------------------------------------------
# identifiability


def test_a_variable_that_stands_still_is_left_out_of_identifiability():
    z_fit, z = noise(300, 2), noise(200, 2, seed=1)
    z[:, 1] = 0.1
    found = measure((z_fit, z_fit), (z, z), ["a", "b"])
    assert found.per_variable == {"a": pytest.approx(1), "b": None} and found.r2_h_to_z == pytest.approx(1)
    assert found.r2_z_to_h == pytest.approx(0.5), "a latent that stands still holds nothing"
    assert writable(asdict(found))


def test_latents_that_do_not_vary_are_no_map_at_all():
    z, still = noise(200, 2), np.full((200, 2), 0.1)
    found = measure((z, still), (z, still), ["a", "b"])
    assert found.condition_number is None and found.r2_z_to_h == 0
    assert found.r2_h_to_z == pytest.approx(0, abs=1e-12)
    assert writable(asdict(found))
    assert condition_number(np.diag([2.0, 0.5])) == pytest.approx(4) and condition_number(np.zeros((2, 2))) is None
    assert condition_number(np.array([[1.0, 1.0], [1.0, 1.0]])) is None
    empty = measure((z, z[:, :0]), (z, z[:, :0]), ["a", "b"])  # a readout that found no direction
    assert empty.condition_number is None and empty.r2_z_to_h is None and writable(asdict(empty))


def test_one_frame_or_one_pair_has_no_covariance():
    z = noise(200, 2)
    one = measure((z, z), (z[:1], z[:1]), ["a", "b"], (z[:1], z[1:2]), 0.9)
    assert (one.covariance_gap, one.theorem_bound, one.alignment_gap, one.r2_h_to_z) == (None, None, None, None)
    assert writable(asdict(one))
    assert measure((z, z), (z, z), ["a", "b"], (z[:2], z[1:3]), 0.9).theorem_bound is not None


def test_what_is_not_finite_cannot_be_measured():
    z = noise(200, 2)
    for fit, held_out, pairs in (
        ((z, NOTHING), (z, NOTHING), None),
        ((z, z), (NOTHING, z), None),
        ((z, z), (z, z), (z, NOTHING)),
    ):
        found = measure(fit, held_out, ["a", "b"], pairs, 0.9)
        assert found.r2_h_to_z is None and found.per_variable == {"a": None, "b": None} and found.num_frames == 200
        assert writable(asdict(found))


@pytest.mark.parametrize("scale", [0.0, 1e-5, 0.01, 0.05, 0.08, 0.2])
def test_a_narrow_angle_never_wraps(scale: float):
    assert wrapped_angle_ceiling(scale) == aligned_angle_r2(scale, 0.9) == 1


# ---------------------------------------------------------------------------------------------------------------------
# canonical directions, and how many constants


@pytest.mark.parametrize("views", [np.full((2, 50, 3), 0.1), np.full((2, 50, 3), np.nan)], ids=["still", "not finite"])
def test_views_without_rank_have_no_direction(views: np.ndarray):
    together, in_turn = fit_canonical(views, 2), fit_sequential(views, 2)
    assert len(together.correlations) == len(in_turn.correlations) == 0
    assert together(views[0]).shape == in_turn(views[0]).shape == (50, 0)
    pairs = np.arange(50).reshape(2, 25)
    counted = fit_canonical_pairs(views[0], pairs, 2, (views[0], pairs))
    assert agreement(counted(views[0]), pairs) == 0 and agreement(np.ones((50, 2)), pairs) == 0
    assert ladder_dimension(together.correlations) == 0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_rounding_leaves_is_no_direction(dtype: type):
    """All features are linear in one number: nothing but rounding is left when they are explained."""
    x = noise(1, 400, 1) + 0.1 * noise(2, 400, 1, seed=1)
    features = np.concatenate([x, 2 * x + 1, 3 * x - 2], -1).astype(dtype)
    found = fit_sequential(features, 3, degree=3)
    assert len(found.correlations) == 1
    assert found(features).shape == (2, 400, 1)
    same = fit_canonical(np.stack([features[0], features[0]]), 3)
    assert same.correlations == pytest.approx([1], abs=1e-3), "identical views share all they have, up to the ridge"


def test_contexts_that_do_not_vary_hold_no_constant():
    still = np.full((40, 2), 0.1)
    found = count_constants(still, still)
    assert (found.num_constants, found.values, found.interval) == (0, [None, None], [None, None])
    assert found.shuffled == [None, None] and writable(asdict(found))


def test_a_direction_that_contexts_do_not_have_is_not_counted():
    constant = noise(100, 1)
    first, second = (np.concatenate([x, 2 * x + 1], 1) for x in (constant, constant + 0.1 * noise(100, 1, seed=1)))
    found = count_constants(first, second)
    assert found.num_constants == 1 and found.values[0] > 0.9 and found.values[1] is None
    assert found.interval[0] is not None and found.interval[1] is None and writable(asdict(found))


@pytest.mark.parametrize("num", [4, 6, 8])
def test_few_episodes_of_which_a_resample_holds_fewer(num: int):
    """Two episodes, drawn again and again, leave a polynomial of third degree nothing to explain."""
    found = count_constants(*noise(2, num, 2).astype(np.float32))
    assert found.num_constants in (0, 1, 2) and writable(asdict(found))
    assert len(found.values) == len(found.interval) == 2
    if num == 4:  # a third of the resamples hold two episodes or one
        assert found.interval[1] is None


def test_identical_windows_share_all_they_hold():
    contexts = noise(200, 2)
    found = count_constants(contexts, contexts)
    assert found.num_constants == 2 and found.values == pytest.approx([1, 1], abs=1e-3)


def test_why_constants_cannot_be_counted():
    few = count_constants(*noise(2, 5, 3))
    assert few.reason == ("5 episodes for validation and test are too few to count 3 constants; collect 30 or more")
    broken = count_constants(NOTHING, NOTHING)
    assert broken.reason == "some contexts are not finite"
    for found in (few, broken):
        assert found.num_constants is None and set(found.values) == {None} and writable(asdict(found))


def test_canonical_correlations_are_of_directions_that_both_have():
    x, other = noise(200, 3), noise(200, 3, seed=1)
    still = x.copy()
    still[:, 0], still[:, 1] = 0.1, 2 * x[:, 2]
    assert canonical_correlations(np.full((200, 2), 0.1), x[:, :2]).tolist() == []
    assert canonical_correlations(still, x) == pytest.approx([1.0])
    assert len(canonical_correlations(still.astype(np.float32), other)) == 1
    assert canonical_correlations(x, x) == pytest.approx([1, 1, 1])
    assert canonical_correlations(NOTHING, x[:, :2]).tolist() == []
    assert canonical_correlations(x[:4], other[:4]).tolist() == [], "any four points agree in three directions"


# ---------------------------------------------------------------------------------------------------------------------
# probes


def split(test_targets: np.ndarray) -> Split:
    """Inputs that hold both targets; those of the test episodes are given."""

    def part(targets: np.ndarray) -> Examples:
        return Examples(targets @ np.array([[1.0, 2.0, 0.0], [0.5, 0.0, 1.0]]), targets, EPISODE)

    return Split(part(noise(200, 2)), part(noise(200, 2, seed=1)), part(test_targets))


def test_a_target_that_stands_still_is_unscorable_and_the_others_are_scored(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worldmodel.measures.regression.MLP_STEPS", 100)
    targets = noise(200, 2, seed=2)
    targets[:, 1] = 0.1
    targets[:, 0] *= EPISODE < 2  # moves in two episodes of ten
    data, rng = split(targets), np.random.default_rng(0)
    linear, mlp = linear_probe(data, 100, rng), mlp_probe(data, 100, rng, 0)
    for found in (linear, mlp):
        assert found.r2[0] is not None and found.r2[0] > 0.8 and found.r2[1] is None
        assert found.interval == [None, None] and np.isfinite(found.prediction).all()
    controls = {"shuffled_labels": linear_r2(data)}
    found = scored(Variables(["rare", "still"], ["m", "m"], targets), "state", linear, mlp, controls)
    assert found["still"].r2_linear is found["still"].controls["shuffled_labels"] is None
    assert found["rare"].r2_mlp_interval is None and all(writable(asdict(of)) for of in found.values())


def test_inputs_that_are_not_finite_read_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worldmodel.measures.regression.MLP_STEPS", 50)
    data, rng = split(noise(200, 2, seed=2)), np.random.default_rng(0)
    broken = Split(*(replace(part, inputs=np.full_like(part.inputs, np.nan)) for part in (data.train,) * 3))
    for found in (linear_probe(broken, 10, rng), mlp_probe(broken, 10, rng, 0)):
        assert found.r2 == found.interval == [None, None]


# ---------------------------------------------------------------------------------------------------------------------
# surprise, prediction


def test_no_surprise_can_be_told_where_there_are_no_errors():
    plain = np.zeros((8, 5, 2, 3))
    changed = plain.copy()
    changed[:, 2] = 1
    scored = score({"none": plain, "odd": changed})
    for found in (paired_test(scored["none"], scored["odd"]), paired_test(scored["none"], scored["none"])):
        assert set(asdict(found).values()) == {None}


def test_whitening_what_does_not_vary_is_the_identity():
    for x in (torch.full((20, 3), 0.5), torch.full((20, 3), torch.nan)):
        assert torch.equal(whitening(x), torch.eye(3))


def test_a_ratio_to_an_error_of_zero_is_none():
    assert shares(np.array([0.1, 0.1, 0.0, np.nan]), np.array([0.4, 0.0, 0.0, 1.0])) == [0.25, None, None, None]
