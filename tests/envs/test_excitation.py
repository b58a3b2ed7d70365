"""Policies stay in the action box, follow their seed, and have the statistics they promise."""

from dataclasses import replace

import numpy as np
import pytest

from worldmodel import envs
from worldmodel.envs.excitation import (
    OU,
    POLICIES,
    Coasting,
    ColoredNoise,
    Mixture,
    OUTracking,
    Uniform,
    colored_noise,
    make_policy,
    ou_process,
)


@pytest.fixture(scope="module")
def puck() -> envs.MujocoWorld:
    return envs.make("puck", image_size=8)


def run(world: envs.MujocoWorld, policy, num_steps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """States (T, X) and actions (T, A) of an episode without frames."""
    world.restart(seed=seed)
    act = policy.begin(world, np.random.default_rng(seed))
    states, actions = [], []
    for _ in range(num_steps):
        states.append(world.state())
        actions.append(act(states[-1]))
        world.advance(actions[-1])
    return np.array(states), np.array(actions)


@pytest.mark.parametrize(
    "policy", [Uniform(3), OU(), ColoredNoise(), Coasting(), OUTracking(), Mixture([OU(), Uniform()])]
)
@pytest.mark.parametrize("name", ["puck", "reacher", "ou-puck", "fish-swim"])
def test_actions_fill_the_box_and_follow_the_seed(world_of, policy, name):
    world = world_of(name)
    if isinstance(policy, OUTracking) and not any(world.actuated):
        with pytest.raises(ValueError, match="nothing to track"):
            run(world, policy, 1)
        return
    _, actions = run(world, policy, 20)
    assert actions.shape == (20, world.scene.action_dim) and actions.dtype == np.float32
    assert np.abs(actions).max(initial=0) <= 1
    assert np.array_equal(actions, run(world, policy, 20)[1])
    if world.scene.action_dim:
        assert actions.std() > 0.02
        assert not np.array_equal(actions, run(world, policy, 20, seed=1)[1])


def test_uniform_holds_its_actions(puck):
    _, actions = run(puck, Uniform(hold_steps=4), 12)
    assert len(np.unique(actions[:, 0])) == 3


def test_ou_process_is_stationary_with_its_time_constant():
    noise = ou_process(np.random.default_rng(0), 500, dt_s=0.1, time_constant_s=0.4)
    values = np.array([noise() for _ in range(200)])
    assert abs(values[0].std() - 1) < 0.1 and abs(values.std() - 1) < 0.02
    assert abs((values[4:] * values[:-4]).mean() - np.exp(-1)) < 0.02


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("num_steps", [64, 65])
def test_colored_noise_has_unit_variance_and_its_spectrum(exponent, num_steps):
    noise = colored_noise(np.random.default_rng(0), num_steps, 4000, exponent)
    assert abs((noise**2).mean() - 1) < 0.05
    power = (np.abs(np.fft.rfft(noise, axis=0)) ** 2).mean(1)[1:-1]
    slope = np.polyfit(np.log(np.arange(1, len(power) + 1)), np.log(power), 1)[0]
    assert abs(slope + exponent) < 0.05


def test_coasting_coasts_and_keeps_the_puck_in_view(puck):
    episodes = [run(puck, Coasting(), 100, seed) for seed in range(10)]
    states, actions = (np.concatenate(part) for part in zip(*episodes, strict=True))
    assert 0.2 < (actions == 0).all(1).mean() < 0.6
    assert np.quantile(np.abs(states[:, :2]), 0.99) < 1.6
    assert states[:, 3:5].std() > 0.3


def test_tracking_makes_states_with_the_standard_deviation_of_the_reference():
    world = envs.make("lit_ball", image_size=8, randomize=[])
    policy = OUTracking(std=0.3, time_constant_s=2.0, stiffness=8.0, damping=1.0)
    positions = np.concatenate([run(world, policy, 400, seed)[0][50:, 0] for seed in range(10)])
    assert 0.2 < positions.std() < 0.35


def test_tracking_around_an_object_meets_it_and_brings_it_back():
    """A reference about the block touches it several times as often as one about the origin does."""
    world = envs.make("push_t", image_size=8)
    around = OUTracking(std=0.4, time_constant_s=0.5, stiffness=4.0, damping=0.0, around=("block_x", "block_y"))
    policies = (OUTracking(std=0.45, stiffness=4.0, damping=0.0), around, replace(around, outward=2.0))
    moved, distance = [], []
    for policy in policies:
        block = np.stack([run(world, policy, 100, seed)[0][:, :3] for seed in range(12)])
        moved.append((np.abs(np.diff(block, axis=1)).max(-1) > 2e-3).mean())
        distance.append(np.linalg.norm(block[:, -1, :2], axis=-1).mean())
    assert moved[1] > 2 * moved[0]
    assert distance[2] < distance[1], "from its outer side the block is pushed back"
    with pytest.raises(ValueError, match="around names one position of push_t for each of 2 actions"):
        OUTracking(around=("block_x", "nowhere")).begin(world, np.random.default_rng(0))


def test_mixture_chooses_by_weight(puck):
    mixture = Mixture([Uniform(), Uniform(hold_steps=50)], weights=[0.0, 1.0])
    _, actions = run(puck, mixture, 10)
    assert len(np.unique(actions[:, 0])) == 1
    nested = make_policy("mixture", policies=[{"name": "uniform"}, {"name": "ou", "std": 0.2}])
    assert nested == Mixture([Uniform(), OU(std=0.2)])


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("brownian", {}, "unknown policy 'brownian'; choose from uniform, ou"),
        ("unifrom", {}, r"unknown policy 'unifrom'; did you mean 'uniform'\? choose"),
        ("ou", {"sigma": 1}, "unknown parameter of policy ou 'sigma'; choose from std, time_constant_s"),
        ("ou", {"stdd": 1}, r"unknown parameter of policy ou 'stdd'; did you mean 'std'\?"),
        ("ou", {"std": -1.0}, "std must be >= 0, got -1.0"),
        ("ou", {"time_constant_s": 0}, "time_constant_s must be > 0"),
        ("uniform", {"hold_steps": 0}, "hold_steps must be >= 1, got 0; set policy.hold_steps"),
        ("uniform", {"hold_steps": 2.5}, "hold_steps must be a whole number, got 2.5; set policy.hold_steps"),
        ("ou", {"std": True}, "std must be a number, got True; set policy.std"),
        ("ou_tracking", {"std": "wide"}, "std must be a number or a list, each of it a number, got 'wide'"),
        ("ou_tracking", {"around": "x"}, "around must be a list, each of it a name, got 'x'; set policy.around"),
        ("colored_noise", {"period_s": 0.0}, "period_s must be > 0, got 0.0"),
        ("mixture", {}, "policy mixture needs policies; set policy.policies"),
        ("mixture", {"policies": [{"std": 0.5}]}, "a policy of a mixture needs a name"),
        ("mixture", {"policies": [{"name": "ou", "stdd": 0.5}]}, "unknown parameter of policy ou 'stdd'"),
        ("coasting", {"engage_prob": 2}, r"engage_prob must be in \[0, 1\]"),
        ("mixture", {"policies": []}, "must not be empty"),
        ("mixture", {"policies": [OU()], "weights": [0.0]}, "weights must be 1 numbers"),
    ],
)
def test_wrong_parameters_say_what_is_right(name, params, message):
    with pytest.raises(ValueError, match=message) as error:
        make_policy(name, **params)
    assert "\n" not in str(error.value)


def test_lists_and_numbers_of_numpy_are_numbers():
    assert make_policy("ou_tracking", std=np.array([0.2, 0.3]), stiffness=np.float32(4)).stiffness == 4
    assert make_policy("uniform", hold_steps=np.int64(3)) == Uniform(3)
    assert make_policy("ou_tracking", std=(0.2, 0.3), around=["x", "y"]) == OUTracking((0.2, 0.3), around=["x", "y"])


def test_every_policy_but_the_mixture_needs_no_parameters():
    for name in POLICIES.keys() - {"mixture"}:
        make_policy(name)


@pytest.mark.parametrize(
    ("name", "std", "bandwidth"), [("reacher", 0.6, 4.0), ("arm3", 0.6, 4.0), ("point_mass-easy", 0.07, 0.8)]
)
def test_designed_gaussian_states_are_gaussian_stationary_and_alike(name, std, bandwidth):
    world = envs.make(name)
    policy = make_policy("designed_gaussian", std=std, bandwidth_rad_s=bandwidth)
    lag = 10
    first, last, clipped = [], [], []
    for seed in range(300):  # independent starts: standard errors follow from 300 draws
        world.restart(seed=seed)
        act = policy.begin(world, np.random.default_rng(seed))
        first.append(world.state())
        for _ in range(lag):
            action = act(world.state())
            clipped.append(np.abs(action) >= 1)
            world.advance(action)
        last.append(world.state())
    num_joints = world.scene.model.nv
    start, end = (np.array(states)[:, :num_joints] / std for states in (first, last))
    world.close()
    assert np.mean(clipped) < 0.02
    for positions in (start, end):
        np.testing.assert_allclose(positions.std(0), 1.0, atol=0.17)  # four standard errors of 1/sqrt(2 n)
        assert np.abs((positions**4).mean(0) / positions.var(0) ** 2 - 3).max() < 1.2  # sqrt(24 / n) = .28
    expected = policy.autocorrelation(lag * world.control_dt_s)
    drift = end - expected * start  # independent of the start if the pair is Gaussian with this correlation
    np.testing.assert_allclose(drift.std(0), np.sqrt(1 - expected**2), rtol=0.25)
    np.testing.assert_allclose(np.corrcoef(drift.T, start.T)[:num_joints, num_joints:], 0.0, atol=0.24)


def test_designed_gaussian_follows_its_reference_exactly_where_torques_allow():
    # twice as many substeps or not, joints that start on the reference stay on it: error far below the spread
    world = envs.make("arm3")
    policy = make_policy("designed_gaussian", std=0.3, bandwidth_rad_s=2.0)
    world.restart(seed=0)
    act = policy.begin(world, np.random.default_rng(5))
    twin = make_policy("designed_gaussian", std=0.3, bandwidth_rad_s=2.0)
    ideal = envs.make("arm3")
    ideal.restart(seed=0)
    twin.begin(ideal, np.random.default_rng(5))
    np.testing.assert_array_equal(world.state(), ideal.state())  # the same stream, the same start
    speeds = []
    for _ in range(100):
        world.advance(act(world.state()))
        speeds.append(world.state()[3:])
    assert np.abs(np.diff(speeds, axis=0)).max() < 0.3  # rad/s a step: smooth, no chatter
    world.close()
    ideal.close()


def test_designed_gaussian_refuses_worlds_it_cannot_drive():
    for name in ("cheetah-run", "acrobot-swingup"):
        world = envs.make(name)
        with pytest.raises(ValueError, match="designed_gaussian needs"):
            make_policy("designed_gaussian").begin(world, np.random.default_rng(0))
        world.close()
    with pytest.raises(ValueError, match="bandwidth_rad_s must be > 0"):
        make_policy("designed_gaussian", bandwidth_rad_s=0.0)
