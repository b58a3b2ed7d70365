"""Probes and intervals: they find what is there, nothing where nothing is, and their intervals are the textbook's."""

import math

import numpy as np
import pytest

from worldmodel.data.store import EpisodeIndex
from worldmodel.evaluation.probing.state_probes import _frame_rows
from worldmodel.measures.identifiability import r2
from worldmodel.measures.regression import Examples, Split, linear_probe, linear_r2, mlp_probe
from worldmodel.measures.statistics import bootstrap_r2, wilson_interval

pytestmark = pytest.mark.numerics

P, Z, PER_EPISODE = 5, 2, 10
EPISODES = {"train": 120, "validation": 30, "test": 40}
MIXING = np.random.default_rng(1).standard_normal((P, Z))


def linear(x: np.ndarray) -> np.ndarray:
    return x @ MIXING * [1.0, 30.0] + [2.0, -100.0]


def quadratic(x: np.ndarray) -> np.ndarray:
    return np.stack([x[:, 0] ** 2, x[:, 1] * x[:, 2]], 1)


def split(relation, noise: float = 0.02) -> Split:
    rng = np.random.default_rng(0)

    def part(num_episodes: int) -> Examples:
        inputs = rng.standard_normal((num_episodes * PER_EPISODE, P))
        targets = relation(inputs)
        targets = targets + noise * targets.std(0) * rng.standard_normal(targets.shape)
        return Examples(inputs * [1, 100, 0.01, 5, 1] + 3, targets, np.repeat(np.arange(num_episodes), PER_EPISODE))

    return Split(*(part(num) for num in EPISODES.values()))


def test_an_episode_that_ends_before_there_is_a_history_has_no_rows_to_probe():
    episodes = EpisodeIndex(np.array([0, 9, 11, 20]), np.array([9, 2, 1, 5]))
    rows, episode = _frame_rows(episodes, previous=3, most=99, rng=np.random.default_rng(0))
    order = np.argsort(rows)
    assert rows[order].tolist() == [3, 4, 5, 6, 7, 8, 23, 24]
    assert episode[order].tolist() == [0] * 6 + [3] * 2


def test_where_the_world_restarts_no_history_reaches_into_the_motion_before():
    episodes = EpisodeIndex(np.array([0, 10]), np.array([9, 9]), restart_midway=True, middle=4)
    rows, episode = _frame_rows(episodes, previous=3, most=99, rng=np.random.default_rng(0))
    assert sorted(zip(rows.tolist(), episode.tolist(), strict=True)) == [
        (3, 0),
        (7, 0),
        (8, 0),
        (13, 1),
        (17, 1),
        (18, 1),
    ]


def test_a_linear_probe_recovers_a_linear_relation():
    score = linear_probe(split(linear), 200, np.random.default_rng(2))
    num_test = EPISODES["test"] * PER_EPISODE
    assert score.prediction.shape == (num_test, Z)
    value, (low, high) = np.array(score.r2), np.array(score.interval).T
    assert value.shape == (Z,) and (value > 0.99).all()
    assert (low <= value).all() and (value <= high).all()
    assert linear_r2(split(linear)) == score.r2


def test_a_single_target_is_probed_too():
    score = linear_probe(split(lambda x: linear(x)[:, :1]), 50, np.random.default_rng(2))
    (value,) = score.r2
    assert value is not None and value > 0.99


def test_scores_are_those_of_test_episodes():
    one = split(linear)
    broken = Split(one.train, one.validation, Examples(one.test.inputs, -one.test.targets, one.test.episode))
    assert (np.array(linear_r2(broken)) < 0).all()


def test_shuffled_labels_score_nothing():
    whole = split(linear)
    rng = np.random.default_rng(3)
    controls = np.array([
        linear_r2(Split(whole.train.shuffled(rng), whole.validation, whole.test)) for _ in range(20)
    ])  # fmt: skip
    # the coefficients are noise of standard error 1 / sqrt(n_train), so R2 spreads by twice that about -p / n_train
    spread = 2 / math.sqrt(EPISODES["train"] * PER_EPISODE)
    assert abs(controls.mean()) < 5 * spread / math.sqrt(controls.size)
    assert np.abs(controls).max() < 5 * spread


def test_shuffling_deals_the_same_targets_out():
    examples = split(linear).train
    shuffled = examples.shuffled(np.random.default_rng(0))
    assert shuffled.inputs is examples.inputs
    np.testing.assert_array_equal(np.sort(shuffled.targets, 0), np.sort(examples.targets, 0))
    assert (shuffled.targets != examples.targets).mean() > 0.9
    rows = {tuple(row) for row in examples.targets}
    assert all(tuple(row) in rows for row in shuffled.targets)


def test_an_mlp_probe_reads_a_quadratic_relation_that_a_linear_one_cannot():
    data = split(quadratic)
    rng = np.random.default_rng(4)
    straight, curved = linear_probe(data, 100, rng), mlp_probe(data, 100, rng, seed=0)
    assert (np.array(straight.r2) < 0.1).all()
    assert (np.array(curved.r2) > 0.8).all()
    assert (np.array(curved.interval)[:, 0] > np.array(straight.interval)[:, 1]).all()
    assert curved.r2 == r2(data.test.targets, curved.prediction).tolist()


def test_an_mlp_probe_depends_on_its_seed_alone(monkeypatch):
    monkeypatch.setattr("worldmodel.measures.regression.MLP_STEPS", 50)
    data = split(linear)
    predictions = [mlp_probe(data, 10, np.random.default_rng(0), seed=s).prediction for s in (1, 1, 2)]
    np.testing.assert_array_equal(predictions[0], predictions[1])
    assert (predictions[0] != predictions[2]).any()


@pytest.mark.parametrize(
    ("successes", "trials", "interval"),
    [
        (95, 100, [0.8882, 0.9785]),
        (50, 100, [0.4038, 0.5962]),
        (0, 10, [0.0, 0.2775]),
        (10, 10, [0.7225, 1.0]),
        (1, 1, [0.2065, 1.0]),
    ],
)
def test_wilson_intervals(successes, trials, interval):
    low, high = wilson_interval(successes, trials)
    assert [low, high] == pytest.approx(interval, abs=1e-4)
    assert 0 <= low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= high <= 1


def interval_of(num_episodes: int) -> tuple[float, list[float]]:
    """R2 and its interval; what goes wrong is shared by an episode."""
    rng = np.random.default_rng(num_episodes)
    episode = np.repeat(np.arange(num_episodes), PER_EPISODE)
    truth = rng.standard_normal(len(episode))
    prediction = truth + 0.5 * rng.standard_normal(num_episodes)[episode]
    value = float(r2(truth[:, None], prediction[:, None])[0])
    interval = bootstrap_r2(truth, prediction, episode, 2000, rng)
    assert interval is not None
    return value, interval


@pytest.mark.parametrize("num_episodes", [320, 1280, 5120])
def test_bootstrap_intervals_hold_the_point_and_shrink_with_the_root_of_the_episodes(num_episodes):
    value, (low, high) = interval_of(num_episodes)
    assert low < value < high
    # R2 is 1 less the mean of a squared normal of variance 1/4; the width at 320 episodes spread by 9 %
    assert high - low == pytest.approx(2 * 1.96 * 0.25 * math.sqrt(2 / num_episodes), rel=0.35)


def test_bootstrap_resamples_episodes_and_not_frames():
    rng = np.random.default_rng(5)
    episode = np.repeat(np.arange(40), 50)
    truth = rng.standard_normal(40)[episode]  # one number an episode: 40 observations, however many frames
    prediction = truth + 0.5 * rng.standard_normal(40)[episode]
    by_episode = bootstrap_r2(truth, prediction, episode, 2000, rng)
    by_frame = bootstrap_r2(truth, prediction, np.arange(len(truth)), 2000, rng)
    assert by_episode is not None and by_frame is not None
    ratio = (by_episode[1] - by_episode[0]) / (by_frame[1] - by_frame[0])
    assert ratio == pytest.approx(math.sqrt(50), rel=0.3)


def test_the_bootstrap_does_not_depend_on_how_episodes_are_called():
    rng = np.random.default_rng(6)
    truth, episode = rng.standard_normal(60), np.repeat(np.arange(6), 10)
    prediction = truth + 0.3 * rng.standard_normal(60)
    names = np.array([7, 8, 12, 33, 500, 901])
    one = bootstrap_r2(truth, prediction, episode, 500, np.random.default_rng(1))
    other = bootstrap_r2(truth, prediction, names[episode], 500, np.random.default_rng(1))
    assert one == other
