"""The OU worlds have the statistics that the identifiability theorem assumes."""

import numpy as np
import pytest

from worldmodel import envs


@pytest.fixture(scope="module")
def latents() -> np.ndarray:
    """z of the two joints over 20,000 control steps at rho .8, float64 (20000, 2)."""
    world = envs.make("reacher", kinematic={"latents": {"shoulder": 0.7, "wrist": 0.5}, "rho": 0.8}, image_size=8)
    world.restart(seed=0)
    states = []
    for _ in range(20_000):
        world.advance(np.empty(0))
        states.append(world.state())
    states = np.array(states)
    assert not states[:, 2:].any(), "velocities stay zero"
    return states[:, :2] / [0.7, 0.5]


def test_latents_are_standard_normal_and_independent(latents):
    num_effective = len(latents) * (1 - 0.8) / (1 + 0.8)
    assert np.abs(latents.mean(0)).max() < 4 / np.sqrt(num_effective)
    # z^2 has autocorrelation .64, hence its own effective number of draws
    assert np.abs((latents**2).mean(0) - 1).max() < 4 * np.sqrt(2 / (len(latents) * (1 - 0.64) / (1 + 0.64)))
    assert abs((latents[:, 0] * latents[:, 1]).mean()) < 4 / np.sqrt(len(latents) * (1 - 0.64) / (1 + 0.64))
    assert np.abs((latents**4).mean(0) - 3).max() < 0.5


@pytest.mark.parametrize("lag", [1, 2, 5])
def test_autocorrelation_is_rho_to_the_lag(latents, lag):
    measured = (latents[lag:] * latents[:-lag]).mean(0) / (latents**2).mean(0)
    assert np.abs(measured - 0.8**lag).max() < 0.05


@pytest.mark.parametrize(("rho", "same"), [(1.0, True), (0.0, False)])
def test_extreme_rho(rho, same):
    world = envs.make("puck", kinematic={"latents": {"x": 0.65}, "rho": rho}, image_size=8)
    world.restart(seed=0)
    start = world.state()
    world.advance(np.empty(0))
    assert np.allclose(world.state(), start, atol=1e-12) == same
    assert not world.state()[1:].any()


def test_the_process_goes_on_from_a_set_state():
    world = envs.make("ou-reacher", image_size=8)
    world.restart(seed=0)
    world.set_state(np.array([50.0, -50.0, 0, 0]))
    world.advance(np.empty(0))
    assert np.abs(world.state()[:2] - 0.95 * np.array([50, -50])).max() < 6 * np.sqrt(1 - 0.95**2)


def test_only_visual_factors_remain_and_the_description_says_how_it_moves():
    world = envs.make("ou-puck", image_size=8)
    assert {factor.kind for factor in world.factors.values()} == {"visual"}
    assert world.describe()["kinematic"] == {"latents": {"x": 0.65, "y": 0.65}, "rho": 0.9}
    assert world.action_space.shape == (0,)
