"""Worlds in files of one's own: found, with what stands beside them, and refused in one line."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from worldmodel import envs
from worldmodel.data.collecting import collect
from worldmodel.envs.snapshot import success
from worldmodel.settings import CollectConfig, EnvConfig
from worldmodel.system.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
MJCF = """<mujoco><option timestep="0.01"/><worldbody><light pos="0 -1 2"/>
<camera name="c" pos="0 -2 0" xyaxes="1 0 0 0 0 1"/>
<body><joint name="{joint}" type="hinge" axis="0 1 0"/><geom type="capsule" size=".05" fromto="0 0 0 0 0 -.5"/></body>
</worldbody><actuator><motor joint="{joint}"/></actuator></mujoco>"""


def write_world(folder: Path, joint: str) -> str:
    """A world whose MJCF stands in a module beside it, and its name in a package; the name of the world."""
    (folder / "words").mkdir(parents=True)
    (folder / "words" / "__init__.py").write_text("")
    (folder / "words" / "names.py").write_text("POLE = 'pole'\n")
    (folder / "parts.py").write_text(f"XML = {MJCF.format(joint=joint)!r}\n")
    (folder / "world.py").write_text(
        "from parts import XML\n"
        "from worldmodel import envs\n"
        "def factory():\n"
        "    from words.names import POLE\n"
        "    return envs.MjcfScene(XML, name=POLE, control_dt_s=0.02)\n"
    )
    return f"{folder}/world.py:factory"


def test_a_world_of_ones_own_is_named_by_its_file():
    example = ROOT / "examples" / "own_world.py"
    world = envs.make(f"{example}:factory", image_size=16, randomize=["load_mass"])
    observation, info = world.reset(seed=0)
    assert world.name == "swing" and world.state_names == ("slider", "swing", "slider_vel", "swing_vel")
    assert observation["pixels"].std() > 1 and info["factors"]["load_mass"] != 0.45


def test_a_file_may_import_what_stands_beside_it(tmp_path):
    names = [write_world(tmp_path / folder, joint) for folder, joint in (("one", "elbow"), ("other", "wrist"))]
    path = [*sys.path]
    for _ in range(2):
        joints = [envs.make(name, image_size=8).state_names[0] for name in names]
        assert joints == ["elbow", "wrist"], "modules of the same name in two folders do not mix"
    assert sys.path == path and not {"parts", "words", "words.names"} & {*sys.modules}


def test_what_can_be_imported_anyway_is_left_alone(tmp_path, monkeypatch):
    name = write_world(tmp_path, "elbow")
    monkeypatch.syspath_prepend(tmp_path)
    parts = importlib.import_module("parts")
    assert envs.make(name, image_size=8).state_names[0] == "elbow"
    assert sys.modules["parts"] is parts
    for module in ("parts", "words", "words.names"):
        del sys.modules[module]


def test_a_failing_file_leaves_the_search_path_alone(tmp_path):
    (tmp_path / "parts.py").write_text("")
    (tmp_path / "broken.py").write_text("import parts\nraise OSError('no robot')\n")
    path = [*sys.path]
    with pytest.raises(ValueError, match=r"broken.py:factory' cannot be made: OSError: no robot"):
        envs.make(f"{tmp_path}/broken.py:factory")
    assert sys.path == path and "parts" not in sys.modules


def test_unknown_worlds_name_the_nearest_ones(tmp_path):
    with pytest.raises(envs.UnknownWorld, match="reacher-hard"):
        envs.make("reacher-hrad")
    with pytest.raises(envs.UnknownWorld, match="there is no file"):
        envs.make(f"{tmp_path}/absent.py:factory")
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(envs.UnknownWorld, match="no function 'factory'"):
        envs.make(f"{tmp_path}/empty.py:factory")


def test_a_factory_must_return_a_scene(tmp_path):
    (tmp_path / "world.py").write_text(
        "from worldmodel import envs\ndef factory(): return envs.make('puck', image_size=8)\n"
    )
    with pytest.raises(
        ValueError, match=r"must return a Scene, e.g. envs.MjcfScene\(...\), or .*, got MujocoWorld; return"
    ):
        envs.make(f"{tmp_path}/world.py:factory")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def factory(: pass", r"SyntaxError: .*world.py, line 1"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("def factory(size): pass", r"TypeError: factory\(\) missing 1 required positional argument: 'size'"),
        (
            "from worldmodel import envs\ndef factory(): return envs.MjcfScene('arm.xml', name='a', control_dt_s=.1)",
            r"there is no MJCF file /.*arm.xml; in a world's Python file, write Path\(__file__\).parent",
        ),
    ],
)
def test_whatever_a_file_raises_is_one_line_with_its_name(tmp_path, text, reason):
    (tmp_path / "world.py").write_text(text)
    with pytest.raises(ValueError, match=rf"world.py:factory' cannot be made: .*{reason}") as caught:
        envs.make(f"{tmp_path}/world.py:factory")
    assert "\n" not in str(caught.value)


def test_worlds_need_no_torch():
    code = "import sys; from worldmodel import envs; envs.make('reacher'); print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "False", result.stderr


ENVIRONMENTS = """
import gymnasium
import numpy as np
from gymnasium.envs.mujoco.reacher_v5 import ReacherEnv


class Ball(gymnasium.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    action_space = gymnasium.spaces.Box(-2.0, 2.0, (2,))
    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.pos = self.np_random.uniform(-0.8, 0.8, 2)
        return self.pos.copy(), {}

    def step(self, action):
        self.pos = np.clip(self.pos + 0.1 * action, -1, 1)
        return self.pos.copy(), -float(np.abs(self.pos).sum()), False, False, {}

    def render(self):
        at = np.linspace(-1, 1, 40)
        near = np.hypot(at - self.pos[0], at[:, None] - self.pos[1]) < 0.3
        return np.where(near[..., None], 220, 30).astype(np.uint8).repeat(3, 2)


gymnasium.register("Ball-v0", Ball)
arm, ball, no_pictures = ReacherEnv, Ball, lambda: gymnasium.make("Hopper-v5").unwrapped.action_space
"""


def test_a_file_may_return_an_environment_of_gymnasium(tmp_path, recwarn):
    (tmp_path / "own.py").write_text(ENVIRONMENTS)
    with envs.make(f"{tmp_path}/own.py:arm", image_size=16) as arm:
        assert arm.name == "own.py:arm" and "mass_scale" in arm.factors and arm.state_names[0] == "joint0"
    with envs.make(f"{tmp_path}/own.py:ball", image_size=20) as ball:
        ball.restart(seed=1)
        first = ball.snapshot()
        after = [ball.advance(np.ones(2, np.float32))[0], ball.state(), ball.frame()]
        assert ball.control_dt_s == 0.05 and after[0] < 0 and after[2].std() > 10
        ball.restart(seed=2)  # in another copy of it
        ball.restore(first)
        again = [ball.advance(np.ones(2, np.float32))[0], ball.state(), ball.frame()]
        assert all(np.array_equal(one, other) for one, other in zip(after, again, strict=True))
    assert not [warning for warning in recwarn if "Overriding environment" in str(warning.message)]
    with pytest.raises(ValueError, match="or an environment of Gymnasium's, got Box"):
        envs.make(f"{tmp_path}/own.py:no_pictures")


def test_a_module_that_stands_here_is_named_as_a_file(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(ENVIRONMENTS)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(envs.UnknownWorld, match=r"env=own\.py:FUNCTION"):
        envs.make("gym:own/Ball-v0")


def test_a_scene_of_ones_own_may_say_what_it_rewards_and_what_is_a_success():
    functions = {"reward": lambda model, data: -abs(data.qpos[0]), "success": lambda model, data: data.qpos[0] < 1}
    scene = envs.MjcfScene(MJCF.format(joint="elbow"), name="own", control_dt_s=0.02, **functions)
    world = envs.MujocoWorld(scene, image_size=8)
    for angle in (2.0, 0.5):
        world.restart(seed=0, state=np.array([angle, 0.0]))
        assert scene.reward() == -angle and scene.success() is (angle < 1)
    assert envs.MjcfScene(MJCF.format(joint="elbow"), name="own", control_dt_s=0.02).success() is None


@pytest.mark.parametrize("what", ["reset", "reward", "terminated", "success"])
def test_what_a_scene_of_ones_own_raises_is_one_line_with_its_name(what):
    def broken(*_: object) -> float:
        return {}["joint"]

    scene = envs.MjcfScene(MJCF.format(joint="elbow"), name="own", control_dt_s=0.02, **{what: broken})
    world = envs.MujocoWorld(scene, image_size=8)
    with pytest.raises(ValueError, match=f"^own failed in its {what}: KeyError: 'joint'$"):
        world.restart(seed=0)
        world.advance(np.zeros(world.scene.action_dim))
        success(scene)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"goal_tolerance": {"elbow": 0.0}}, "own hold numbers > 0, got elbow: 0.0"),
        ({"goal_tolerance": {"elbow": "small"}}, "own hold numbers > 0, got elbow: 'small'"),
        ({"time_limit_s": 0.0}, "time_limit_s of own must be a number of seconds > 0, got 0.0"),
        ({"time_limit_s": float("inf")}, "time_limit_s of own must be a number of seconds > 0, got inf"),
    ],
)
def test_numbers_of_a_scene_that_make_no_sense_are_refused(wrong, message):
    scene = envs.MjcfScene(MJCF.format(joint="elbow"), name="own", control_dt_s=0.02, **wrong)
    with pytest.raises(ValueError, match=message):
        envs.MujocoWorld(scene, image_size=8)


def test_a_class_in_place_of_an_object_is_told(tmp_path):
    (tmp_path / "own.py").write_text("class World: pass\ndef factory(): return World\n")
    with pytest.raises(ValueError, match="gives the class World, where an object is expected: return one"):
        envs.make(f"{tmp_path}/own.py:factory")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own.py", "is a file; name the function that returns its scene: own.py:factory"),
        ("own.xml", "is a file; name the function that returns its scene: path/to/file.py:factory, where"),
        (dict, "envs.make takes a world's name, got type; around a scene write envs.MujocoWorld"),
    ],
)
def test_what_is_no_name_of_a_world_is_told_how_to_become_one(name, message):
    with pytest.raises(ValueError, match=message):
        envs.make(name)


def test_a_world_that_one_process_knows_is_not_recorded(monkeypatch, tmp_path):
    monkeypatch.setitem(envs._FACTORIES, "here", envs._FACTORIES["puck"])
    with pytest.raises(UserError, match="world 'here' is registered in this process alone"):
        collect(CollectConfig(env=EnvConfig(world="here"), data=str(tmp_path)))
