"""Rollouts are aligned in time and reproducible; snapshots continue exactly."""

import numpy as np
import pytest

from worldmodel import envs
from worldmodel.envs.excitation import OU, Uniform
from worldmodel.envs.rollout import BatchWorld, rollout

NAMES = pytest.mark.parametrize(
    "name", ["puck", "reacher", "ou-lit_ball", "walker-walk", "swimmer-swimmer6", "quadruped-escape", "dog-fetch"]
)


@pytest.fixture
def puck() -> envs.MujocoWorld:
    return envs.make("puck", image_size=16, randomize=["all"])


def same(a: envs.Episode, b: envs.Episode) -> bool:
    return all(np.array_equal(getattr(a, field), getattr(b, field)) for field in vars(a))


def test_shapes_dtypes_and_alignment(puck):
    episode = rollout(puck, Uniform(), seed=3, num_steps=5)
    assert episode.frames.shape == (6, 16, 16, 3) and episode.frames.dtype == np.uint8
    assert episode.states.shape == (6, 6) and episode.states.dtype == np.float32
    assert episode.actions.shape == (5, 2) and episode.actions.dtype == np.float32
    assert episode.rewards.shape == (5,) and episode.rewards.dtype == np.float32
    assert episode.factors.shape == (6, 10) and episode.factors.dtype == np.float32
    observation, _ = puck.reset(seed=3)
    for t in range(5):
        assert np.array_equal(observation["pixels"], episode.frames[t])
        assert np.array_equal(observation["state"].astype(np.float32), episode.states[t])
        observation, *_ = puck.step(episode.actions[t])
    assert np.array_equal(observation["pixels"], episode.frames[5])


def test_same_seed_same_episode(puck):
    assert same(rollout(puck, OU(), seed=1, num_steps=4), rollout(puck, OU(), seed=1, num_steps=4))
    assert not same(rollout(puck, OU(), seed=1, num_steps=4), rollout(puck, OU(), seed=2, num_steps=4))


def test_given_start_and_factors_are_used(puck):
    start = np.array([0.1, 0.2, 0, 0.3, 0, 0])
    episode = rollout(puck, OU(), seed=1, num_steps=2, state0=start, factors={"mass": 1.5})
    assert np.array_equal(episode.states[0], start.astype(np.float32))
    assert (episode.factors[:, 0] == 1.5).all()


def test_drift_happens_once_in_the_middle_and_to_physical_factors_alone(puck):
    factors = rollout(puck, OU(), seed=1, num_steps=6, drift_rho=0.5).factors
    physical, visual = factors[:, :4], factors[:, 4:]
    assert (physical[:3] == physical[0]).all() and (physical[3:] == physical[3]).all()
    assert (physical[2] != physical[3]).all() and (visual == visual[0]).all()
    unchanged = rollout(puck, OU(), seed=1, num_steps=6, drift_rho=1.0).factors
    assert np.allclose(unchanged, unchanged[0], rtol=1e-6)


def test_halves_that_start_afresh_share_constants_alone(puck):
    whole, halves = (rollout(puck, OU(), seed=1, num_steps=6, restart_midway=restart) for restart in (False, True))
    assert np.array_equal(whole.states[:3], halves.states[:3]), "the first half is what it was"
    assert np.array_equal(halves.factors[:, :4], whole.factors[:, :4]), "constants stay unless they drift"
    for half in (halves.factors[:3, 4:], halves.factors[3:, 4:]):
        assert (half == half[0]).all()
    assert (halves.factors[3, 4:] != halves.factors[0, 4:]).all(), "another light, other colours"
    assert np.abs(halves.states[3, :2] - whole.states[3, :2]).min() > 0.05, "another start"
    drifted = rollout(puck, OU(), seed=1, num_steps=6, restart_midway=True, drift_rho=0.5).factors[:, :4]
    assert (drifted[2] != drifted[3]).all() and (drifted[3:] == drifted[3]).all()
    assert same(halves, rollout(puck, OU(), seed=1, num_steps=6, restart_midway=True))


def test_wrong_lengths_and_drifts_are_refused(puck):
    with pytest.raises(ValueError, match="num_steps must be >= 1, got 0"):
        rollout(puck, OU(), seed=0, num_steps=0)
    with pytest.raises(ValueError, match="drift_rho must be in"):
        rollout(puck, OU(), seed=0, num_steps=2, drift_rho=1.5)


@NAMES
def test_a_restored_snapshot_continues_exactly(name):
    world = envs.make(name, image_size=16, randomize=["all"], factor_rho={"visual": 0.5})
    world.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (8, world.scene.action_dim))

    def go_on() -> list[np.ndarray]:
        observations = [world.step(action) for action in actions[4:]]
        return [np.append(obs["state"], reward) for obs, reward, *_ in observations] + [
            obs["pixels"] for obs, *_ in observations
        ]

    for action in actions[:4]:
        world.step(action)
    snapshot = world.snapshot()
    once = go_on()
    world.reset(seed=99)
    world.step(actions[0])
    world.restore(snapshot)
    assert all(np.array_equal(a, b) for a, b in zip(once, go_on(), strict=True))


@NAMES
def test_a_batch_of_episodes_is_exactly_the_single_episodes(name):
    options = {"image_size": 16, "randomize": ["all"], "factor_rho": {"visual": 0.5}}
    world, single = envs.make(name, **options), envs.make(name, **options)
    batch = BatchWorld(world, 3)
    batch.reset(seed=10)
    actions = np.random.default_rng(0).uniform(-1, 1, (4, 3, world.scene.action_dim))
    stepped = [(batch.frames(), batch.states), *(batch.step(action) for action in actions)]
    for i in range(3):
        observation, _ = single.reset(seed=10 + i)
        for t, (frames, states) in enumerate(stepped):
            assert np.array_equal(observation["pixels"], frames[i])
            assert np.array_equal(observation["state"], states[i])
            if t < len(actions):
                observation, *_ = single.step(actions[t, i])


def test_batch_starts_from_given_states_and_factors(puck):
    batch = BatchWorld(puck, 2)
    with pytest.raises(ValueError, match="call reset first"):
        batch.frames()
    states = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 6))
    batch.reset(states, [{"mass": 0.5}, {"mass": 2.0}], seed=0)
    assert np.array_equal(batch.states, states)
    batch.step(np.ones((2, 2)))
    assert puck.factor_values["mass"] == 2.0
    with pytest.raises(ValueError, match="one entry for each of 2 episodes, got 3"):
        batch.reset(np.zeros((3, 6)))
    with pytest.raises(ValueError, match="one row for each of 2 episodes, got 1"):
        batch.step(np.ones((1, 2)))
