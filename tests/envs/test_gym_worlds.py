"""What holds for every environment of Gymnasium that is installed here: one contract over them all."""

import importlib.util
import itertools
from typing import ClassVar

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.mujoco.reacher_v5 import ReacherEnv

from worldmodel import envs
from worldmodel.envs import BatchWorld
from worldmodel.envs.gym_ids import make_environment, package_of
from worldmodel.envs.gym_pixels import PixelScene, reduced
from worldmodel.envs.world import SimulationDiverged
from worldmodel.envs.world_files import UnknownWorld

MUJOCO = (
    "gym:Reacher-v5", "gym:InvertedPendulum-v5", "gym:Hopper-v5", "gym:gymnasium_robotics/PointMaze_UMaze-v3",
    "gym:gymnasium_robotics/AntMaze_UMaze-v5", "gym:gymnasium_robotics/AdroitHandDoor-v1", "gym:ogbench/cube-single-v0",
    "gym:ogbench/scene-v0", "gym:ogbench/visual-cube-single-v0", "gym:ogbench/pointmaze-medium-v0",
    "gym:ogbench/antmaze-medium-v0", "gym:lerobot_env_so101/SO101PickCube-v0?random_block_position=true",
)  # fmt: skip
PIXELS = ("gym:gym_pusht/PushT-v0", "gym:Pendulum-v1")


def installed(name: str) -> bool:
    module = package_of(name) or ("pygame" if name in PIXELS else "gymnasium")
    return importlib.util.find_spec(module) is not None


def worlds(names):
    skip = pytest.mark.skipif
    return [pytest.param(name, marks=skip(not installed(name), reason="not installed")) for name in names]


ALL = pytest.mark.parametrize("name", worlds(MUJOCO + PIXELS), scope="module")


@pytest.fixture(scope="module")
def world(name):
    made = envs.make(name, image_size=48)
    yield made
    made.close()


def actions_for(world, num=12):
    return np.random.default_rng(0).uniform(-1, 1, (num, world.scene.action_dim)).astype(np.float32)


def run(world, actions):
    """Rewards, then states and frames after the actions, as one list to be compared."""
    seen = []
    for action in actions:
        reward, ended = world.advance(action)
        seen += [np.array([reward, ended]), world.state()]
    return [*seen, world.frame()]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


class Seeing(ReacherEnv):
    """Observes pictures, as visual environments do, and counts those that it renders."""

    def __init__(self, **options):
        self.num_rendered = 0
        super().__init__(**options)
        self.observation_space = gymnasium.spaces.Box(0, 255, (4, 4, 3), np.uint8)

    def render(self):
        self.num_rendered += 1
        return np.zeros((4, 4, 3), np.uint8)

    def _get_obs(self):
        return self.render()


def test_pictures_that_an_environment_renders_for_itself_cost_no_time():
    gymnasium.register("worldmodel/Seeing-v0", Seeing)
    with envs.make("gym:worldmodel/Seeing-v0", image_size=48) as world:
        before = world.scene._base.num_rendered
        world.restart(seed=0)
        first = world.frame().copy()
        run(world, actions_for(world))
        assert world.scene._base.num_rendered == before
        assert not np.array_equal(first, world.frame()), "ours are rendered all the same"


@ALL
def test_one_seed_gives_one_episode_and_another_a_different_one(world, name):
    actions = actions_for(world)
    episodes = []
    for seed in (5, 5, 6):
        world.restart(seed=seed)
        episodes.append([world.state(), world.frame(), *run(world, actions)])
    assert same(episodes[0], episodes[1]) and not same(episodes[0][:2], episodes[2][:2])
    assert episodes[0][1].std() > 3 and not np.array_equal(episodes[0][1], episodes[0][-1])
    assert len(world.state_names) == len(world.state()) == len(set(world.state_names))


@ALL
def test_a_snapshot_goes_on_to_the_bit_after_another_episode(world, name):
    actions = actions_for(world)
    world.restart(seed=1)
    run(world, actions[:3])
    moment = world.snapshot()
    once = run(world, actions[3:])
    world.restart(seed=2)
    run(world, actions[:1])
    world.restore(moment)
    assert same(once, run(world, actions[3:]))


@ALL
def test_batch_episodes_are_those_of_the_world_alone(world, name):
    actions = actions_for(world, 3)
    alone, moments = [], []
    for seed in (3, 4):
        world.restart(seed=seed)
        moments.append(world.snapshot())
        alone.append(run(world, actions)[-2:])
    batch = envs.BatchWorld(world, 2)
    batch.go_on(moments)
    for action in actions:
        frames, states = batch.step(np.stack([action, action]))
    for k in (0, 1):
        assert np.array_equal(states[k], alone[k][0]) and np.array_equal(frames[k], alone[k][1])


@pytest.mark.parametrize("name", worlds(MUJOCO), scope="module")
def test_a_state_can_be_set_and_pictured(world, name):
    world.restart(seed=1)
    run(world, actions_for(world))
    state, frame = world.state(), world.frame()
    world.restart(seed=2)
    assert world.goal_frame(state).shape == frame.shape
    world.set_state(state)
    assert np.array_equal(world.state(), state)
    assert {"mass_scale", "light"} <= {*world.factors}
    world.restart(seed=1, factors={"light": 0.7})
    assert world.frame().mean() < frame.mean()


@pytest.mark.parametrize("name", ["Reacher-v5", "Hopper-v5", "Humanoid-v5"])
def test_it_steps_exactly_as_gymnasium_does(name):
    world = envs.make(f"gym:{name}", image_size=8)
    world.restart(seed=0)
    reference = gymnasium.make(name, disable_env_checker=True)
    reference.reset(seed=int(np.random.default_rng(0).integers(2**31)))
    low, high = reference.action_space.low, reference.action_space.high
    for action in actions_for(world, 8):
        native = ((low + high) / 2.0 + (high - low) / 2.0 * action.astype(float)).astype(np.float32)
        _, reward, ended, _, _ = reference.step(native)
        found = world.advance(action)
        world.frame()  # which must not disturb what the environment reads in its next step
        data = reference.unwrapped.data
        assert np.array_equal(world.state(), np.concatenate([data.qpos, data.qvel])) and found == (reward, ended)
    assert world.scene.holds_control


def test_recordings_go_on_after_the_end_and_single_steps_say_it():
    world, policy = envs.make("gym:InvertedPendulum-v5", image_size=8), envs.make_policy("uniform", hold_steps=5)
    episode = envs.rollout(world, policy, seed=0, num_steps=60, render=False)
    assert len(episode.actions) == 60 and episode.rewards[-1] == 0 and episode.rewards[0] == 1
    world.restart(seed=0)
    assert any(world.advance(np.ones(1))[1] for _ in range(30))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gym:CartPole-v1", r"has actions Discrete\(2\); worldmodel plans continuous ones"),
        ("gym:Hoper-v5", "did you mean gym:Hopper-v5"),
        ("gym:no_such_module/Thing-v0", "needs the package no-such-module, .*: pip install no-such-module"),
        ("gym:Hopper-v5?foo=3", "cannot be made with mujoco .* gymnasium .*unexpected keyword argument 'foo'"),
        ("gym:Hopper-v5?foo", r"options are written gym:ID\?option=value"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(name, message):
    with pytest.raises(ValueError, match=message) as caught:
        envs.make(name)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not installed("gym:gymnasium_robotics/"), reason="not installed")
def test_an_environment_that_fails_on_this_mujoco_says_so():
    with pytest.raises(UnknownWorld, match=r"FetchPush-v4 cannot be made with mujoco .*: AssertionError: assert"):
        envs.make("gym:FetchPush-v4")


@pytest.mark.parametrize("module", ["gymnasium_robotics", "ogbench"])
def test_a_known_family_of_ids_names_its_package(module, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    known = {"gymnasium_robotics": ("AntMaze_Large-v9", "gymnasium-robotics"), "ogbench": ("cube-double-v9", "ogbench")}
    env_id, package = known[module]
    with pytest.raises(UnknownWorld, match=f"pip install {package}"):
        make_environment(f"gym:{env_id}")


@pytest.mark.skipif(not installed(PIXELS[0]), reason="not installed")
def test_a_world_without_mujoco_refuses_a_state_in_one_line():
    world = envs.make(PIXELS[0], image_size=16)
    world.restart(seed=0)
    with pytest.raises(ValueError, match="cannot be put into a state, only reset and stepped"):
        world.set_state(world.state())


# ---------------------------------------------------------------------------------------------------------------------
# environments without a model, well made and not


class Dot(gymnasium.Env):
    """A dot that actions move in a picture; `says` replaces what its methods give, by time t since the reset."""

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gymnasium.spaces.Box(-9, 9, (2,), np.float64)

    def __init__(self, says, action_space):
        self.says, self.action_space = says, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.t = self.np_random.uniform(-0.5, 0.5, 2), 0
        return self.said("observation", self.place.copy()), self.said("info", {})

    def step(self, action):
        self.action, self.t = action, self.t + 1
        self.place = np.clip(self.place + 0.1 * np.resize(action, 2), -1, 1)
        observation, info = self.said("observation", self.place.copy()), self.said("info", {})
        return self.said("step", (observation, self.said("reward", 0.0), False, False, info))

    def said(self, what, otherwise):
        return self.says[what](self) if what in self.says else otherwise

    def picture(self):
        image = np.full((32, 32, 3), 40, np.uint8)
        x, y = ((self.place + 1) * 14).astype(int)
        image[y : y + 4, x : x + 4] = 250
        return image

    def render(self):
        return self.said("picture", self.picture())


def dot(action_space=None, **says):
    space = action_space or gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    return envs.MujocoWorld(PixelScene("dot", lambda: Dot(says, space)), image_size=16)


class Counted(Dot):
    """Notes its resets, and how often it was closed."""

    resets, closed = 0, 0

    def reset(self, **given):
        Counted.resets += 1
        return super().reset(**given)

    def close(self):
        Counted.closed += 1


@pytest.fixture
def counted(monkeypatch):
    """A world of which at most four copies are made, in a list."""
    made = []
    monkeypatch.setattr("worldmodel.envs.gym_pixels._MOST_COPIES", 4)

    def make():
        made.append(Counted({}, gymnasium.spaces.Box(-1, 1, (2,), np.float32)))
        return made[-1]

    world = envs.MujocoWorld(PixelScene("dot", make), image_size=16)
    Counted.resets, Counted.closed = 0, 0
    return world, made


def driven(world, num, steps=8):
    """Resets of a batch of episodes after their starts, and the states at the end."""
    batch = BatchWorld(world, num, render=False)
    batch.reset(seed=0)
    batch.step(np.zeros((num, 2)))
    before = Counted.resets
    for step in range(steps):
        _, states = batch.step(np.full((num, 2), 0.1 * step))
    return Counted.resets - before, states


def test_of_more_episodes_than_copies_only_those_that_find_none_are_repeated(counted):
    world, made = counted
    resets, states = driven(world, 6)
    assert len(made) == 4 and resets <= 8 * 3, "three of six stand where they were left"
    assert np.array_equal(states, driven(dot(), 6)[1])


def test_copies_at_moments_that_are_over_are_free_for_the_next_episodes(counted):
    world, made = counted
    driven(world, 4)
    resets, _ = driven(world, 4)
    assert resets == 0 and len(made) == 4


def test_environments_are_closed_with_their_world(counted):
    world, made = counted
    driven(world, 3)
    world.close()
    assert Counted.closed == len(made) > 1


def advanced(world, num=3):
    world.restart(seed=0)
    return [world.advance(np.full(world.scene.action_dim, -1.0, np.float32)) for _ in range(num)]


def box(low, high):
    return gymnasium.spaces.Box(np.array(low, np.float32), np.array(high, np.float32))


@pytest.mark.parametrize(
    ("space", "lowest", "highest"),
    [
        (box([2, 0], [np.inf, np.inf]), [2, 0], [4, 2]),
        (box([-np.inf, -3], [5, 1]), [3, -3], [5, 1]),
        (box([-3e38, -np.inf], [3e38, np.inf]), [-1, -1], [1, 1]),
    ],
)
def test_actions_keep_to_the_bounds_that_there_are(space, lowest, highest):
    world = dot(space)
    for action, expected in ((-1, lowest), (1, highest)):
        world.restart(seed=0)
        world.advance(np.full(2, action, np.float32))
        np.testing.assert_array_equal(world.scene._env.action, expected)


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ({"observation": lambda dot: (dot.place, 3)}, ("obs_0_0", "obs_0_1", "obs_1")),
        ({"observation": lambda dot: {"arm": {"q": dot.place}, "on": 1, "text": "x"}}, ("arm_q_0", "arm_q_1", "on")),
        ({"info": lambda dot: {"x": 1.0} if dot.t == 0 else {}}, ("obs_0", "obs_1")),
        ({"info": lambda dot: {"x": np.zeros(2 + dot.t), "y": 2}}, ("y",)),
        ({"observation": lambda dot: "text"}, ()),
    ],
)
def test_what_is_told_in_every_step_is_the_state(told, names):
    world = dot(**told)
    advanced(world)
    assert world.state_names == names and world.state().shape == (len(names),)


def test_an_environment_may_say_which_of_its_numbers_are_angles(monkeypatch):
    monkeypatch.setattr(Dot, "angle_names", ("theta",), raising=False)
    world = dot(info=lambda dot: {"theta": 7.0, "x": 7.0})
    assert world.scene.angle_names == ("theta",)
    np.testing.assert_allclose(world.scene.difference(np.full(2, 7.0), np.full(2, 0.5)), [6.5 - 2 * np.pi, 6.5])
    monkeypatch.setattr(Dot, "angle_names", ("phi",))
    with pytest.raises(ValueError, match="angle_names of dot names 'phi', which is no state variable; there are theta"):
        dot(info=lambda dot: {"theta": 7.0})


def test_gray_pictures_have_three_channels():
    expected = dot().reset(seed=0)[0]["pixels"]
    for picture in (lambda dot: Dot.picture(dot)[..., 0], lambda dot: Dot.picture(dot)[..., :1]):
        np.testing.assert_array_equal(dot(picture=picture).reset(seed=0)[0]["pixels"], expected)


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ({"picture": lambda dot: Dot.picture(dot) / 255}, r"render gives float64 \(32, 32, 3\), uint8"),
        ({"picture": lambda dot: Dot.picture(dot).transpose(2, 0, 1)}, r"render gives uint8 \(3, 32, 32\)"),
        (
            {"picture": lambda dot: gymnasium.Env.render(dot)},
            "render gives NoneType, uint8 .* make it with render_mode",
        ),
        ({"picture": lambda dot: None if dot.t > 1 else Dot.picture(dot)}, "render gives NoneType"),
        ({"step": lambda dot: (dot.place, 0.0, False, {})}, "dot failed in its step: ValueError: not enough values"),
        ({"step": lambda dot: 1 / 0}, "dot failed in its step: ZeroDivisionError"),
        (
            {"info": lambda dot: None},
            r"dot failed in its reset: TypeError: Gymnasium's reset returns \(observation, info\)",
        ),
        ({"reward": lambda dot: None}, "no finite number after 1 steps"),
        (
            {"observation": lambda dot: dot.place * (np.nan if dot.t > 1 else 1)},
            "told a value of obs_0 that is not finite",
        ),
        ({"info": lambda dot: {"x": 1.0} if dot.t < 2 else {}}, "told 1 numbers as x when it was made, and 0 now"),
    ],
)
def test_an_environment_that_misbehaves_is_refused_in_one_line(says, message):
    with pytest.raises((ValueError, SimulationDiverged), match=message):
        world = dot(**says)
        advanced(world)
        world.frame()


@pytest.mark.parametrize("fps", [0, -5, "30", float("nan")])
def test_control_steps_a_second_are_a_positive_number(fps, monkeypatch):
    monkeypatch.setattr(Dot, "metadata", {"render_modes": ["rgb_array"], "render_fps": fps})
    with pytest.raises(ValueError, match=r"dot has metadata\['render_fps'\] = .*; give its control steps a second"):
        dot()


@pytest.mark.parametrize(
    "space",
    [
        box([5], [5]),
        gymnasium.spaces.MultiBinary(3),
        gymnasium.spaces.Discrete(4),
        gymnasium.spaces.Dict(a=box([0], [1])),
    ],
)
def test_actions_among_which_there_is_nothing_to_choose_are_refused(space):
    with pytest.raises(ValueError, match=r"no room; mend its action_space|plans continuous ones"):
        dot(space)


def test_an_environment_that_does_not_heed_its_seed_does_not_come_back():
    numbers = itertools.count()
    world = dot(info=lambda dot: {"x": float(next(numbers))})
    world.restart(seed=0)
    moment = world.snapshot()
    world.advance(np.ones(2, np.float32))
    with pytest.raises(ValueError, match="dot does not come back to a moment of an episode: x was"):
        world.restore(moment)


def test_factors_need_a_model():
    gymnasium.register("Dot-v0", entry_point=lambda render_mode=None: Dot({}, box([-1], [1])))
    try:
        with pytest.raises(ValueError, match=r"gym:Dot-v0 holds no MuJoCo model .* leave out factors=heavy"):
            envs.make("gym:Dot-v0", factors={"heavy": "body.dot.mass"})
    finally:
        del gymnasium.registry["Dot-v0"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gym:Reacher-v5?frobnicate", r"^gym:Reacher-v5\?frobnicate: options are written gym:ID\?option=value"),
        ("gym:Reacher-v9", r"did you mean gym:Reacher-v5"),
        ("gym:/", "'gym:/' names no environment; write gym:ID"),
    ],
)
def test_an_id_that_is_none_is_told_how_to_become_one(name, message):
    with pytest.raises(UnknownWorld, match=message):
        envs.make(name)


def test_a_camera_that_there_is_not_is_answered_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"gym:Reacher-v5 has no camera 'side'; it has free$"):
        envs.make("gym:Reacher-v5", camera="side")


def test_what_mujoco_says_of_the_model_of_an_environment_stays_away(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    envs.make("gym:HalfCheetah-v5", image_size=8)
    assert "WARNING" not in "".join(capfd.readouterr()) and list(tmp_path.iterdir()) == []


def test_what_an_environment_prints_stays_away(capsys):
    def step(dot):
        print("noise")
        return dot.place, 0.0, False, False, {}

    advanced(dot(step=step))
    assert capsys.readouterr().out == ""


def test_an_id_may_have_a_namespace_that_is_no_module():
    gymnasium.register("dots/Dot-v0", entry_point=lambda render_mode=None: Dot({}, box([-1], [1])))
    try:
        for name in ("gym:dots/Dot-v0", "gym:json/dots/Dot-v0"):
            assert envs.make(name, image_size=16).reset(seed=0)[0]["pixels"].max() > 200
    finally:
        del gymnasium.registry["dots/Dot-v0"]


def test_pictures_are_reduced_by_area():
    picture = np.zeros((6, 8, 4), np.uint8)
    picture[:3, 1:4] = 200  # the middle square is columns 1 to 6
    assert np.array_equal(reduced(picture, 2)[:, :, 0], [[200, 0], [0, 0]])
    assert reduced(picture, 3)[0, 1, 0] == 100
