"""Environments of other libraries: from "gym:ID" to an environment that Gymnasium has made."""

import contextlib
import difflib
import importlib
import importlib.util
import io
import json
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np

from worldmodel.envs.failures import failing_in, kind_and_text
from worldmodel.envs.world_files import UnknownWorld

PREFIX = "gym:"

PACKAGES = {"gymnasium_robotics": "gymnasium-robotics", "ogbench": "ogbench", "gym_pusht": "gym-pusht",
            "lerobot_env_so101": "lerobot-env-so101", "gym_aloha": "gym-aloha", "gym_xarm": "gym-xarm",
            "metaworld": "metaworld", "minigrid": "minigrid", "highway_env": "highway-env",
            "robosuite": "robosuite", "panda_gym": "panda-gym"}  # fmt: skip
"""Module -> name of its package for pip, for libraries that users are known to look for."""

_FAMILIES = {
    "gymnasium_robotics": ("Fetch", "PointMaze", "AntMaze", "Adroit", "HandReach", "HandManipulate", "FrankaKitchen"),
    "ogbench": ("cube-", "scene-", "puzzle-", "pointmaze-", "antmaze-", "humanoidmaze-", "antsoccer-", "visual-"),
}
"""Module -> beginnings of the ids that it registers, where these do not name the module."""


def is_gym(name: str) -> bool:
    """Whether a world is an environment of Gymnasium's registry."""
    return name.startswith(PREFIX)


def package_of(name: str) -> str | None:
    """The module that "gym:MODULE/ID" names; None where the id stands alone."""
    module, slash, _ = name.removeprefix(PREFIX).partition("?")[0].partition("/")
    return module if slash else None


def has_text_options(name: str) -> bool:
    """Whether an option of "gym:ID?option=value" is text, or may hold some, which may name a file."""
    return not all(value is None or isinstance(value, bool | int | float) for value in _options(name).values())


def make_environment(name: str, **options: Any) -> gymnasium.Env:
    """The environment of "gym:ID", without a time limit and without checks of every step.

    "gym:ID?option=value&option=value" sets options that the environment itself takes: true, 3 or text. The module that
    an id names, or that is known to register it, is imported first: "gym:ogbench/cube-single-v0".

    Raises:
        UnknownWorld: there is no such id (and what was perhaps meant), its package is missing (and how to install it),
            or the environment cannot be made here (and why).
    """
    own = _options(name)
    with quietly():
        env_id = _registered(name)
        try:
            return gymnasium.make(env_id, max_episode_steps=-1, disable_env_checker=True, **(options | own))
        except Exception as error:  # each library fails in its own way
            raise UnknownWorld(f"{name} cannot be made {_why(error)}") from error


def max_steps(env: gymnasium.Env) -> int | None:
    """Control steps after which the registered environment is truncated; None where it never is."""
    spec = env.spec and gymnasium.registry.get(env.spec.id)
    return spec.max_episode_steps if spec else None


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Suppress what libraries print when they are imported, or when an environment is made."""
    told = mujoco.get_mju_user_warning()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        mujoco.set_mju_user_warning(lambda text: None)  # of the compiler, which would also write a file here
        try:
            yield
        finally:
            mujoco.set_mju_user_warning(told)


@contextlib.contextmanager
def acting(name: str, what: str) -> Iterator[None]:
    """While an environment does something: without its remarks; ValueError, in one line, for whatever it raises.

    name, what: whose doing and which, for the message.
    """
    with contextlib.redirect_stdout(io.StringIO()), failing_in(name, what):
        yield


@contextlib.contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Python's and NumPy's global generators seeded for a while: some resets draw from them (ogbench's task)."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def _registered(name: str) -> str:
    """The id under which Gymnasium knows the environment."""
    asked = name.removeprefix(PREFIX).partition("?")[0]
    if not asked.strip("/"):
        raise UnknownWorld(f"{name!r} names no environment; write gym:ID, such as gym:Reacher-v5, or gym:MODULE/ID")
    module, rest = package_of(name), asked.rpartition("/")[2]
    if module is not None and asked not in gymnasium.registry:  # a namespace need not be the name of a module
        _import(name, module)
    spellings = (asked, asked.partition("/")[2], rest)
    found = next((known for known in spellings if known in gymnasium.registry), None)
    if found is None and module is None:
        for family, beginnings in _FAMILIES.items():
            if asked.startswith(beginnings):
                _import(name, family)
        found = asked if asked in gymnasium.registry else None
    if found is None:
        known = [key for key in gymnasium.registry if not key.startswith("worldmodel/")]
        close = difflib.get_close_matches(rest, known, n=3)
        hint = f"did you mean {', '.join(PREFIX + word for word in close)}? " if close else ""
        raise UnknownWorld(
            f"{name}: Gymnasium knows no environment {asked!r}; {hint}an id of another package is written "
            "gym:MODULE/ID, such as gym:ogbench/cube-single-v0"
        )
    return found


def _options(name: str) -> dict[str, Any]:
    """What follows the question mark: JSON values (true, 3, "text"), or else text."""
    options: dict[str, Any] = {}
    for pair in filter(None, name.partition("?")[2].split("&")):
        key, equals, text = pair.partition("=")
        if not equals:
            raise UnknownWorld(f"{name}: options are written gym:ID?option=value&option=value, got {pair!r}")
        try:
            options[key] = json.loads(text)
        except ValueError:
            options[key] = text
    return options


def _import(name: str, module: str) -> None:
    package = PACKAGES.get(module, module.replace("_", "-"))
    if importlib.util.find_spec(module) is None:
        if Path(f"{module}.py").is_file():
            raise UnknownWorld(
                f"{name} names a module that is not installed; for {module}.py in this folder give a function of it "
                f"that returns the environment: env={module}.py:FUNCTION"
            )
        raise UnknownWorld(f"{name} needs the package {package}, which is not installed: pip install {package}")
    try:
        gymnasium.register_envs(importlib.import_module(module))
    except ImportError as error:
        raise UnknownWorld(f"{name}: {package} cannot be imported ({error}): pip install {package}") from error


def _why(error: Exception) -> str:
    return f"with mujoco {mujoco.__version__} and gymnasium {gymnasium.__version__}: {kind_and_text(error)}"
