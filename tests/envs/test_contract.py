"""What holds for every world, one suite over all of them."""

import importlib.util
import warnings
from itertools import pairwise

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from worldmodel import envs
from worldmodel.envs.suite import TASKS
from worldmodel.envs.world import SimulationDiverged, Snapshot

ALL = pytest.mark.parametrize("name", envs.names(), scope="module")  # all tests of a world, then the next one
NUM_STEPS = {"ball_in_cup": 80, "finger": 80, "walker": 50}  # until there is contact; 15 elsewhere


def random_actions(world: envs.MujocoWorld, num: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (num, world.scene.action_dim)).astype(np.float32)


@ALL
def test_gymnasium_accepts_it(world_of, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unbounded states draw a remark
        check_env(world_of(name), skip_render_check=True, skip_close_check=True)


@ALL
def test_names_and_spaces_agree(world_of, name):
    world = world_of(name)
    observation, info = world.reset(seed=1)
    assert len(set(world.state_names)) == len(world.state_names) == len(observation["state"])
    assert {*world.scene.angle_names, *world.scene.goal_tolerance} <= {*world.state_names}
    assert info["factors"] == {factor.name: factor.nominal for factor in world.factors.values()}
    assert world.max_steps * world.control_dt_s == pytest.approx(world.time_limit_s)
    for pair in world.actuated:
        if pair is not None:
            assert world.state_names[pair[1]] == f"{world.state_names[pair[0]]}_vel"


@ALL
def test_same_seed_and_actions_give_the_same_episode_bit_for_bit(world_of, name):
    world = world_of(name)
    actions = random_actions(world, 3)

    def episode(seed: int) -> list[np.ndarray]:
        first, _ = world.reset(seed=seed)
        observations = [first, *(world.step(action)[0] for action in actions)]
        return [value for observation in observations for value in observation.values()]

    once, again, other = episode(5), episode(5), episode(6)
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert not np.array_equal(once[1], other[1])


@ALL
def test_state_can_be_set_and_decides_the_future(world_of, name):
    world = world_of(name)
    world.reset(seed=2)
    for action in random_actions(world, 3):
        world.advance(action)
    state, frame = world.state(), world.frame()
    world.reset(seed=2)
    world.set_state(state)
    assert np.array_equal(world.state(), state)
    assert np.array_equal(world.frame(), frame)


@ALL
def test_frames_show_something_that_changes(world_of, name):
    world = world_of(name)
    frames = [world.reset(seed=seed)[0]["pixels"] for seed in (1, 2)]
    for action in random_actions(world, 30):
        world.advance(action)
    frames.append(world.frame())
    assert all(frame.std() > 1 for frame in frames)
    assert not np.array_equal(frames[1], frames[2])


@ALL
def test_observations_share_no_memory(world_of, name):
    world = world_of(name)
    first, _ = world.reset(seed=3)
    kept = {key: value.copy() for key, value in first.items()}
    second, *_ = world.step(np.ones(world.scene.action_dim, np.float32))
    for key, value in first.items():
        assert not np.shares_memory(value, second[key])
        assert np.array_equal(value, kept[key])


@ALL
def test_truncates_at_the_time_limit(world_of, name, monkeypatch):
    world = world_of(name)
    monkeypatch.setattr(world, "time_limit_s", 2 * world.control_dt_s)
    world.reset(seed=4)
    action = np.zeros(world.scene.action_dim, np.float32)
    assert [world.step(action)[3] for _ in range(2)] == [False, True]


def outcome(world: envs.MujocoWorld, start: Snapshot, name: str, value: float) -> np.ndarray:
    """What a value of a factor leads to: the state after a rollout, or the frame of its start."""
    world.restore(start)
    world.set_factors({name: value})
    if world.factors[name].kind == "visual":
        return world.frame().astype(float)
    rng = np.random.default_rng(0)
    for step in range(NUM_STEPS.get(world.name.split("-")[0], 15)):
        if step % 5 == 0:
            action = rng.uniform(-1, 1, world.scene.action_dim)
        world.advance(action)
    return world.state()


@ALL
def test_every_factor_acts_over_its_whole_range(world_of, name):
    world = world_of(name)
    world.restart(seed=1)
    start = world.snapshot()
    for factor in world.factors.values():
        outcomes = [outcome(world, start, factor.name, value) for value in factor.grid(5)]
        for low, high in pairwise(outcomes):
            assert np.abs(low - high).max() > 1e-6, f"{factor.name} does not act"
    world.restore(start)


@ALL
def test_wrong_actions_are_refused_and_large_ones_clipped(world_of, name):
    world = world_of(name)
    dim = world.scene.action_dim
    world.reset(seed=0)
    with pytest.raises(ValueError, match=rf"action of {world.name} must be finite with shape \({dim},\)"):
        world.advance(np.zeros(dim + 1))
    if dim == 0:
        return
    with pytest.raises(ValueError, match="not finite"):
        world.advance(np.full(dim, np.nan))
    ends = []
    for scale in (1.0, 7.0):
        world.reset(seed=0)
        world.advance(np.full(dim, scale))
        ends.append(world.state())
    assert np.array_equal(*ends)


def test_every_suite_task_is_a_world():
    from dm_control import suite

    assert TASKS == suite.ALL_TASKS
    assert {f"{domain}-{task}" for domain, task in TASKS} < {*envs.names()}


@pytest.mark.parametrize("name", ["reacher-hard", "finger-turn_hard", "quadruped-walk", "lqr-lqr_2_1"])
def test_suite_worlds_step_exactly_as_dm_control_does(name):
    from dm_control import suite

    world = envs.make(name, image_size=8)
    world.restart(seed=0)
    reference = suite.load(*name.split("-"), task_kwargs={"random": 0})
    reference.reset()
    reference.task.random.seed(int(np.random.default_rng(0).integers(2**32)))
    reference.reset()
    spec = reference.action_spec()
    bounded = spec.maximum < 1e9
    for action in random_actions(world, 10):
        native = np.where(bounded, (spec.minimum + spec.maximum + (spec.maximum - spec.minimum) * action) / 2, action)
        reward, _ = world.advance(action)
        step = reference.step(native)
        data = reference.physics.data
        np.testing.assert_allclose(world.state(), np.concatenate((data.qpos, data.qvel, data.act)), atol=1e-9)
        assert reward == pytest.approx(step.reward, abs=1e-9)


@pytest.mark.parametrize("name", ["reacher", "puck", "ou-reacher", "cartpole-swingup"])
def test_gymnasium_makes_it_by_id(name):
    assert gymnasium.spec(f"worldmodel/{name}-v0").entry_point == "worldmodel.envs:make"  # what a wheel has
    env = gymnasium.make(f"worldmodel/{name}-v0", image_size=16)
    observation, _ = env.reset(seed=0)
    assert observation["pixels"].shape == (16, 16, 3)
    env.close()


def test_a_taken_name_is_refused():
    with pytest.raises(ValueError, match="registered already"):
        envs.register("puck", envs.make("puck").scene.__class__)


def test_a_held_action_is_the_same_motion_in_fewer_steps_and_earns_the_sum():
    each, held = envs.make("cartpole-swingup"), envs.make("cartpole-swingup", action_repeat=5)
    assert (held.control_dt_s, held.max_steps, each.max_steps) == (pytest.approx(0.05), 200, 1000)
    assert each.describe()["action_repeat"] == 1 and held.describe()["action_repeat"] == 5
    for world in (each, held):
        world.restart(seed=3)
    for action in np.array([[0.9], [-0.4]]):
        earned = [each.advance(action)[0] for _ in range(5)]
        assert held.advance(action) == (pytest.approx(sum(earned)), False)
        assert np.array_equal(each.state(), held.state())
    moment = held.snapshot()
    held.advance(np.array([0.2]))
    later = held.state()
    held.restore(moment)
    assert np.array_equal(held.simulate(np.array([[0.2]], np.float32))[-1], later)


def test_an_action_is_held_no_longer_than_its_episode_lasts():
    scene = envs.MjcfScene(
        SLIDER,
        name="slider",
        control_dt_s=0.02,
        reward=lambda model, data: 1.0,
        terminated=lambda model, data: bool(data.time > 0.05),
    )
    world = envs.MujocoWorld(scene, action_repeat=10)
    world.restart(seed=0)
    assert world.advance(np.zeros(1)) == (3.0, True)


def test_by_itself_an_action_is_held_for_a_twentieth_of_a_second():
    worlds = {"cartpole-swingup": 5, "reacher-easy": 3, "walker-walk": 2, "cheetah-run": 5, "puck": 1}
    assert {name: envs.make(name, action_repeat="auto").action_repeat for name in worlds} == worlds
    with pytest.raises(ValueError, match=r'action_repeat must be in 1\.\.1000 or "auto", got 0'):
        envs.make("puck", action_repeat=0)
    with pytest.raises(ValueError, match="has no actions that could be repeated"):
        envs.make("ou-puck", action_repeat=2)


def test_description_rebuilds_the_world():
    world = envs.make("ou-puck", image_size=16, randomize=["visual"], factor_rho={"light": 0.5})
    given = world.describe()
    options = (
        "name",
        "kinematic",
        "image_size",
        "supersample",
        "action_repeat",
        "quality",
        "randomize",
        "factor_rho",
        "factor_shell",
        "factor_spread",
        "time_limit_s",
    )
    assert envs.make(**{key: given[key] for key in options}).describe() == given


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "image_size must be >= 1"),
        ({"supersample": 17}, "supersample must be in 1..16"),
        ({"image_size": 50_000}, "must be at most 4096 pixels"),
        ({"camera": "side"}, "puck has no camera 'side'; it has top"),
        ({"quality": "best"}, "quality must be one of fast, suite"),
        ({"randomize": ["gravity"]}, "unknown factor 'gravity' in randomize; puck has mass, friction"),
        ({"randomize": "mass"}, "must be a list"),
        ({"factor_rho": {"light": 0.5}}, "'light', which is not randomised"),
        ({"randomize": ["light"], "factor_rho": {"light": 1.5}}, "factor_rho of light must be in"),
        ({"randomize": ["mass"], "factor_spread": {"mass": 0}}, "factor_spread of mass must be in"),
        ({"kinematic": {"rho": 0.5}}, "kinematic needs the keys latents and rho"),
        ({"kinematic": {"latents": {"w": 1.0}, "rho": 0.5}}, "unknown latents w; puck has x, y, z"),
    ],
)
def test_wrong_options_say_what_is_right(options, message):
    with pytest.raises(ValueError, match=message):
        envs.make("puck", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": {}}, "unknown reset option 'factor'"),
        ({"factors": {"weight": 1.0}}, "unknown factor 'weight'; puck has mass"),
        ({"factors": {"mass": 99.0}}, r"factor mass must be a number in \[0.38.*, 2.61.*\] kg, got 99"),
        ({"factors": {"mass": float("nan")}}, "got nan"),
        ({"state": np.zeros(4)}, r"state must be 6 finite numbers \(x, y, z, .*\), got shape \(4,\)"),
    ],
)
def test_wrong_reset_options_say_what_is_right(world_of, options, message):
    with pytest.raises(ValueError, match=message):
        world_of("puck").reset(options=options)


def test_reached_measures_angles_around_the_circle(world_of):
    reacher = world_of("reacher")
    goal, state = np.array([np.pi - 0.01, 0.5, 0, 0]), np.array([-np.pi + 0.01, 0.5, 3, 3])
    assert reacher.reached(state, goal)
    assert not reacher.reached(state, goal, wrap=False)
    assert not reacher.reached(state + np.array([0, 0.06, 0, 0]), goal)
    with pytest.raises(ValueError, match="has no goal tolerance"):
        world_of("cheetah-run").reached(goal, goal)


TURNING = """
<mujoco>
  <worldbody>
    <camera name="front" pos="0 -1 0" xyaxes="1 0 0 0 0 1"/>
    <body name="ball"><freejoint name="ball"/><geom size=".1 .05 .02" type="ellipsoid"/></body>
    <body name="wrist" pos="1 0 0">
      <joint name="wrist" axis="0 1 0" range="-360 360"/>
      <geom size=".1 .05 .02" type="ellipsoid"/>
      <body name="elbow"><joint name="elbow" axis="0 1 0" range="-90 90"/><geom size=".05"/></body>
    </body>
  </worldbody>
</mujoco>"""


@pytest.mark.parametrize(
    ("joint", "turned"),
    [("wrist", lambda angle: angle - 2 * np.pi), ("elbow", None), ("ball_q", np.negative)],
)
def test_a_goal_that_looks_the_same_is_reached(joint, turned):
    names = tuple(f"ball_q{part}" for part in "wxyz") if joint == "ball_q" else (joint,)
    scene = envs.MjcfScene(TURNING, name="turning", control_dt_s=0.02, goal_tolerance=dict.fromkeys(names, 0.1))
    world = envs.MujocoWorld(scene, image_size=32)
    world.restart(seed=0)
    goal = world.state()
    goal[[world.state_names.index(name) for name in names]] = (0.8, 0.0, 0.6, 0.0) if len(names) == 4 else 1.0
    state = goal.copy()
    for name in names:
        row = world.state_names.index(name)
        state[row] = turned(goal[row]) if turned else goal[row] - 2 * np.pi
    assert world.reached(state, goal) == (turned is not None) and not world.reached(state, goal, wrap=False)
    if turned:
        assert np.array_equal(world.goal_frame(state), world.goal_frame(goal))
        state[world.state_names.index(names[-1])] += 0.2
        assert not world.reached(state, goal)
    world.close()


def test_goal_frame_leaves_the_episode_alone(world_of):
    world = world_of("puck")
    world.reset(seed=0)
    before, values = world.state(), world.factor_values
    goal = world.goal_frame(np.array([0.5, -0.5, 0, 0, 0, 0]), factors={"light": 0.9})
    assert np.array_equal(world.state(), before)
    assert world.factor_values == values
    world.reset(seed=9, options={"state": np.array([0.5, -0.5, 0, 0, 0, 0]), "factors": {"light": 0.9}})
    assert np.array_equal(world.frame(), goal)


SLIDER = """<mujoco>
<worldbody><camera name="c"/><body><joint name="s" type="slide"/><geom size=".1"/></body></worldbody>
<actuator><motor joint="s" ctrlrange="-2 4" ctrllimited="true"/></actuator>
</mujoco>"""


def test_an_action_spans_the_control_range_and_steps_must_fit():
    scene = envs.MjcfScene(SLIDER, name="slider", control_dt_s=0.02)
    world = envs.MujocoWorld(scene)
    world.restart(seed=0)
    for action, ctrl in ((-1, -2), (0, 1), (1, 4)):
        world.advance(np.array([action]))
        assert scene.data.ctrl[0] == ctrl
    with pytest.raises(ValueError, match=r"multiple of the physics step 0.002 s, by at most 10000, got 0.003 s"):
        envs.MjcfScene(SLIDER, name="slider", control_dt_s=0.003)


def test_text_with_a_byte_order_mark_is_text():
    assert envs.MjcfScene("\ufeff\n" + SLIDER, name="slider", control_dt_s=0.02).state_names == ("s", "s_vel")


@pytest.mark.parametrize(
    ("joints", "actuators", "name"),
    [
        ('<joint name="a"/><joint name="a_vel" type="slide"/>', "", "a_vel"),
        ('<joint type="slide"/><joint name="joint0"/>', "", "joint0"),
        ('<joint name="m_act"/>', '<general name="m" joint="m_act" dyntype="integrator"/>', "m_act"),
    ],
)
def test_two_state_variables_of_one_name_are_refused(joints: str, actuators: str, name: str):
    mjcf = f"""<mujoco><worldbody><camera name="c"/><body>{joints}<geom size=".1"/></body></worldbody>
    <actuator>{actuators}</actuator></mujoco>"""
    with pytest.raises(ValueError, match=f"two state variables are called {name}"):
        envs.MujocoWorld(envs.MjcfScene(mjcf, name="twice", control_dt_s=0.02))


@pytest.mark.parametrize("said", [{"goal_tolerance": {"t": 1.0}}, {"symmetries": {"t": 1.0}}, {"angle_names": ["t"]}])
def test_what_is_said_of_no_state_variable_is_refused(said: dict):
    with pytest.raises(ValueError, match=rf"{next(iter(said))} of slider names 't'.*there are s, s_vel"):
        envs.MujocoWorld(envs.MjcfScene(SLIDER, name="slider", control_dt_s=0.02, **said))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"camera": "top"}, "w has no camera 'top'; it has c"),
        ({"camera": 1}, "w has no camera 1; it has c"),
    ],
)
def test_what_a_scene_says_wrongly_is_refused(said: dict, message: str):
    with pytest.raises(ValueError, match=message):
        envs.MujocoWorld(envs.MjcfScene(SLIDER, name="w", control_dt_s=0.02, **said)).reset()


@pytest.mark.parametrize("reward", [None, float("nan"), np.zeros(2), "much"])
def test_a_reward_that_is_no_number_is_refused(reward: object):
    world = envs.MujocoWorld(envs.MjcfScene(SLIDER, name="w", control_dt_s=0.02, reward=lambda model, data: reward))
    world.restart(seed=0)
    with pytest.raises(ValueError, match="w gave a reward that is no finite number after 1 steps"):
        world.advance(np.zeros(1))


def test_a_reset_to_what_is_not_finite_is_refused():
    """MuJoCo would put it to its initial state, and say so on the terminal alone."""

    def reset(model: object, data: mujoco.MjData, rng: object) -> None:
        data.qpos[0] = np.nan

    world = envs.MujocoWorld(envs.MjcfScene(SLIDER, name="w", control_dt_s=0.02, reset=reset))
    with pytest.raises(SimulationDiverged, match="w was reset to a state that is not finite"):
        world.restart(seed=0)


@pytest.mark.parametrize("mode", ["human", "depth_array"])
def test_a_render_mode_that_there_is_not_is_refused(mode: str):
    with pytest.raises(ValueError, match=f"'{mode}'"):
        envs.make("reacher", render_mode=mode)


def test_loading_the_module_anew_is_silent(recwarn: pytest.WarningsRecorder):
    spec = importlib.util.find_spec("worldmodel.envs")
    assert spec and spec.loader
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert not [str(warning.message) for warning in recwarn if "registry" in str(warning.message)]


def test_a_diverged_simulation_says_so():
    world = envs.MujocoWorld(envs.MjcfScene(SLIDER, name="slider", control_dt_s=0.02))
    world.restart(seed=0)
    world.scene.data.qvel[:] = np.inf
    with pytest.raises(SimulationDiverged, match="slider diverged after 1 steps"):
        world.advance(np.zeros(1))
