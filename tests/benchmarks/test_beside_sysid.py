"""MuJoCo's own toolbox finds the optimum that `worldmodel identify` finds, where errors are white and all is told."""

import numpy as np
import pytest
from mujoco import sysid

from benchmarks.beside_sysid import by_sysid
from worldmodel import envs
from worldmodel.envs.excitation import make_policy
from worldmodel.envs.rollout import rollout
from worldmodel.identifying import Track
from worldmodel.identifying.field_noise import Autoregressive
from worldmodel.identifying.least_squares import Layout, LeastSquares
from worldmodel.identifying.observation import observation_of, start_of
from worldmodel.identifying.replay import Replay
from worldmodel.identifying.tracks import Nuisances


@pytest.mark.skipif(not hasattr(sysid, "optimize"), reason='needs pip install "mujoco[sysid]"')
def test_both_find_the_same_constants_from_the_same_readings():
    world, noise_m = envs.make("puck", randomize=["mass", "friction"]), 0.002
    policy = make_policy("ou_tracking", std=0.3, time_constant_s=0.94, stiffness=20.0, damping=2.0)
    episode = rollout(world, policy, seed=1, num_steps=30, render=False)
    states = episode.states.astype(float)
    seen = observation_of(world, states)
    numbers = seen.numbers(states[:, :3]) + noise_m * np.random.default_rng(0).standard_normal((31, 2))
    start = start_of(seen, numbers, np.median(states, 0), 3, world.control_dt_s, states.std(0))
    nominal = envs.make("puck")
    nominal.restart(seed=0)
    replay = Replay(nominal, ("mass", "friction"))
    track = Track("recording", numbers, episode.actions, start, seen, replay, Nuisances.of([], seen, np.zeros(2, bool)))
    layout, std = Layout.of([track], ()), np.full(2, noise_m)
    ours = LeastSquares([track], [Autoregressive(std, 0.0).whitening(numbers)], layout).solve(np.zeros(6), 30)
    theirs = by_sysid(track, layout.bounds, std)
    np.testing.assert_allclose(theirs.found, ours.x[:2], atol=0.01)
    np.testing.assert_allclose(theirs.width, 1.96 * ours.deviations[:2], rtol=0.3)
