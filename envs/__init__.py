"""Worlds to learn from: MuJoCo scenes as pixels and state, with physical and visual factors that can be set.

    world = envs.make("puck", randomize=["mass", "friction"])
    observation, info = world.reset(seed=0)

A leaf of the toolkit: NumPy, Gymnasium, MuJoCo and dm_control only.
"""

from worldmodel.envs import rendering  # isort: skip  # first: it sets MUJOCO_GL before anything imports mujoco

import difflib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium

from worldmodel.envs import gym_ids
from worldmodel.envs.excitation import make_policy
from worldmodel.envs.factors import Factor, FactorError
from worldmodel.envs.gym_pixels import PixelScene
from worldmodel.envs.gym_scene import GymScene, has_simulation
from worldmodel.envs.named_factors import named_factors
from worldmodel.envs.objects import movable_objects
from worldmodel.envs.ou import OUScene
from worldmodel.envs.rendering import GLUnavailable
from worldmodel.envs.rollout import BatchWorld, Episode, rollout
from worldmodel.envs.scene import MjcfScene, Scene
from worldmodel.envs.scenes.arm3 import arm3
from worldmodel.envs.scenes.block import block
from worldmodel.envs.scenes.lit_ball import lit_ball
from worldmodel.envs.scenes.maze import maze
from worldmodel.envs.scenes.puck import puck
from worldmodel.envs.scenes.push_t import push_t
from worldmodel.envs.scenes.two_room import two_room
from worldmodel.envs.suite import GOAL_SCENES, TASKS, SuiteScene, VariedCartpole, VariedPendulum
from worldmodel.envs.world import MujocoWorld
from worldmodel.envs.world_files import UnknownWorld, scene_from_file

__all__ = [
    "BatchWorld",
    "Episode",
    "GLUnavailable",
    "MjcfScene",
    "MujocoWorld",
    "OUScene",
    "Scene",
    "UnknownWorld",
    "gym_ids",
    "is_known_everywhere",
    "make",
    "make_policy",
    "movable_objects",
    "named_factors",
    "names",
    "register",
    "rendering",
    "rollout",
]

SceneFactory = Callable[[], Scene]

_FACTORIES: dict[str, SceneFactory] = {}


def register(name: str, scene_factory: SceneFactory) -> None:
    """Make a world known under a name, to this process and its Gymnasium, as `worldmodel/NAME-v0`.

    Recording needs a world that other processes find: "path/to/file.py:factory".

    Raises:
        ValueError: the name is taken.
    """
    if name in _FACTORIES:
        raise ValueError(f"a world named {name!r} is registered already; choose another name")
    _FACTORIES[name] = scene_factory
    if (gymnasium_id := f"worldmodel/{name}-v0") not in gymnasium.registry:  # a notebook may load this module anew
        gymnasium.register(gymnasium_id, entry_point="worldmodel.envs:make", kwargs={"name": name})


def is_known_everywhere(name: str) -> bool:
    """Whether other processes know this world too; False of what `register` has made known here."""
    return name not in _FACTORIES or name in _OF_THE_PACKAGE


def names() -> tuple[str, ...]:
    """The names of all worlds."""
    return tuple(_FACTORIES)


def make(
    name: str,
    *,
    kinematic: Mapping[str, Any] | None = None,
    factors: Mapping[str, str | Mapping[str, Any]] | None = None,
    **world_kwargs: Any,
) -> MujocoWorld:
    """A world by name.

    Args:
        name: one of `names()`, "path/to/file.py:factory" with a function that returns a `Scene` or a `gymnasium.Env`,
            or "gym:ID" for any environment of Gymnasium's, also of another package: "gym:ogbench/cube-single-v0".
        factors: factors by MJCF name, besides those that the world declares, or in place of one of the same name:
            {"heavy": "body.puck.mass"}, or {"heavy": {"of": "body.puck.mass", "prior": 0.3}} with arguments of
            `named_factors`.
        kinematic: {"latents": {state name: scale}, "rho": rho} replaces the forces by an OU process; see `OUScene`.
        world_kwargs: options of `MujocoWorld`, such as image_size and randomize.

    Raises:
        UnknownWorld: no such name, file or factory.
        ValueError: an option that is out of range, or a factory that returns no Scene.
    """
    if not isinstance(name, str):
        raise ValueError(
            f"envs.make takes a world's name, got {type(name).__name__}; around a scene write envs.MujocoWorld(scene); "
            "a function that returns a scene or an environment is named path/to/file.py:function"
        )
    scene = _scene(name)
    if factors and isinstance(scene, PixelScene):
        raise FactorError(
            f"{scene.name} holds no MuJoCo model whose numbers could be factors; leave out factors={', '.join(factors)}"
        )
    if factors:
        scene.factors = _with_named(scene, factors)
    if kinematic is not None:
        if kinematic.keys() != {"latents", "rho"}:
            raise ValueError(f"kinematic needs the keys latents and rho, got {', '.join(kinematic) or 'none'}")
        scene = OUScene(scene, kinematic["latents"], kinematic["rho"])
    return MujocoWorld(scene, **world_kwargs)


def _scene(name: str) -> Scene:
    """The scene of this name, or of the Python file."""
    if name in _FACTORIES:
        scene: object = _FACTORIES[name]()
    elif gym_ids.is_gym(name):
        scene = _gym_scene(name)
    elif ".py:" in name:
        scene = scene_from_file(name)
        if isinstance(scene, gymnasium.Env) and not isinstance(scene, MujocoWorld):
            scene = _scene_around(Path(name).name, scene, partial(_environment_from_file, name))
    elif name.endswith((".py", ".xml")):
        function = (
            f"{name}:factory" if name.endswith(".py") else "path/to/file.py:factory, where it gives MjcfScene this file"
        )
        raise UnknownWorld(f"world {name!r} is a file; name the function that returns its scene: {function}")
    else:
        close = difflib.get_close_matches(name, _FACTORIES, n=4)
        meant = f"did you mean {', '.join(close)}?" if close else "worldmodel worlds lists what there is;"
        raise UnknownWorld(f"unknown world {name!r}; {meant} or give path/to/file.py:factory or gym:ID")
    if isinstance(scene, type):
        raise ValueError(f"world {name!r} gives the class {scene.__name__}, where an object is expected: return one")
    if not isinstance(scene, Scene):
        raise ValueError(
            f"the factory of world {name!r} must return a Scene, e.g. envs.MjcfScene(...), or an environment of "
            f"Gymnasium's, got {type(scene).__name__}; return the scene alone: envs.make builds the world around it"
        )
    return scene


def _gym_scene(name: str) -> Scene:
    """The scene of "gym:ID"."""
    env = gym_ids.make_environment(name)
    return _scene_around(name, env, partial(gym_ids.make_environment, name, render_mode="rgb_array"))


def _scene_around(name: str, env: gymnasium.Env, make: Callable[[], gymnasium.Env]) -> Scene:
    """A scene around the MuJoCo model of an environment where it has one, otherwise around its own pictures.

    make: makes a copy of it that renders pictures.
    """
    with gym_ids.quietly(), gym_ids.acting(name, "reset"):
        env.reset(seed=0)
    if has_simulation(env):
        return GymScene(name, env)
    env.close()
    return PixelScene(name, make)


def _environment_from_file(name: str) -> gymnasium.Env:
    """The environment of a Python file once more."""
    environment = scene_from_file(name)
    assert isinstance(environment, gymnasium.Env)
    return environment


_FACTOR_OPTIONS = ("of", "prior", "transform", "bounds", "nominal")


def _with_named(scene: Scene, factors: Mapping[str, str | Mapping[str, Any]]) -> tuple[Factor, ...]:
    """The factors of a scene, and those that are named."""
    by_name = {factor.name: factor for factor in scene.factors}
    for name, arguments in factors.items():
        given: dict[str, Any] = {"of": arguments} if isinstance(arguments, str) else dict(arguments)
        if "of" not in given or given.keys() - {*_FACTOR_OPTIONS}:
            raise FactorError(
                f"factor {name} takes {', '.join(_FACTOR_OPTIONS)}, the first always; got {', '.join(given)}"
            )
        by_name.pop(name, None)
        by_name |= {factor.name: factor for factor in named_factors(scene.model, name, **given)}
    return tuple(by_name.values())


def _ou(inner: SceneFactory, latents: Mapping[str, float], rho: float) -> OUScene:
    return OUScene(inner(), latents, rho)


def _register_all() -> None:
    for name, factory in GOAL_SCENES.items():
        register(name, factory)
    for factory in (puck, lit_ball, block, two_room, maze, push_t, arm3):
        register(factory.__name__, factory)
    register("ou-reacher", partial(_ou, GOAL_SCENES["reacher"], {"shoulder": 1.0, "wrist": 1.0}, 0.95))
    register("varied_pendulum", VariedPendulum)
    register("varied_cartpole", VariedCartpole)
    register("ou-puck", partial(_ou, puck, {"x": 0.65, "y": 0.65}, 0.9))
    register("ou-lit_ball", partial(_ou, lit_ball, {"x": 0.5}, 0.9))
    for domain, task in TASKS:
        register(f"{domain}-{task}", partial(SuiteScene, domain, task))


_register_all()
_OF_THE_PACKAGE = frozenset(_FACTORIES)
