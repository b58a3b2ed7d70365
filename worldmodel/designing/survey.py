"""`worldmodel worlds`: the list of worlds; or of one world its cameras, state, actions, goals and factors."""

import fnmatch
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from worldmodel import envs, figures
from worldmodel.envs import MujocoWorld
from worldmodel.envs.effects import effect
from worldmodel.envs.excitation import make_policy
from worldmodel.envs.factors import Factor, FactorError
from worldmodel.envs.model_paths import nameable
from worldmodel.envs.named_factors import named_factors
from worldmodel.envs.snapshot import success
from worldmodel.settings import RECORDED, WorldsConfig, recipe
from worldmodel.settings.recipes import preset_names, sizes
from worldmodel.system.errors import UserError
from worldmodel.system.files import check_replaceable
from worldmodel.system.progress import progress

_STEPS = 30  # control steps before a picture is taken, and in which factors are tried
_MOST_CAMERAS = 6
_PICTURE = 128


@dataclass(frozen=True)
class FactorView:
    """A factor of a world, or a path that can become one (`env.factors`)."""

    name: str
    """Its name in options; for a path, the path itself."""
    nominal: float
    """Value where it is not randomised."""
    unit: str
    """Unit of the value; "1" where it has none."""
    kind: Literal["physical", "visual"]
    """Whether it changes the motion or the picture."""
    description: str
    """One line for a reader."""
    effect: float | None
    """How far episodes at 1.5 prior deviations below and above the nominal value are apart: the largest difference of a
    state, or the mean difference of a picture in levels of 255; None where there was no time to measure it."""


@dataclass(frozen=True)
class WorldSummary:
    """One row of the list of worlds."""

    name: str
    """Its name in `env=`."""
    kind: Literal["goals", "reward", "poses"]
    """Whether it is about goals, has a reward of its own, or shows poses without physics."""
    sizes: tuple[str, ...] | None
    """Sizes of its recipe; None where it has no recipe, and default settings are taken."""
    num_actions: int
    """Numbers in an action."""
    num_states: int
    """Numbers in its state."""
    factors: tuple[str, ...]
    """Names of the factors that it declares."""


@dataclass(frozen=True)
class WorldView:
    """A closer look at one world."""

    summary: WorldSummary
    """In short."""
    state_names: tuple[str, ...]
    """State variables: positions, then velocities and activations."""
    goal_tolerance: dict[str, float]
    """State variable -> how near counts as reached; empty where `control` takes a share of the world's own motion."""
    control_dt_s: float
    """Seconds of a control step."""
    time_limit_s: float
    """Seconds of an episode."""
    camera: str | int
    """The camera that frames are taken with."""
    cameras: tuple[str, ...]
    """Names, or numbers where they have none, of all cameras."""
    tells_success: bool
    """Whether steps tell of success by a flag of their own."""
    factors: tuple[FactorView, ...]
    """The factors that the world declares."""
    paths: tuple[FactorView, ...]
    """Paths that `env.factors` takes, for every named element of its model."""


@dataclass(frozen=True)
class WorldsResult:
    """The result of `worlds`."""

    worlds: tuple[WorldSummary, ...]
    """The worlds that were asked for."""
    others: tuple[str, ...]
    """Names of the other worlds: dm_control's tasks, where all were asked for."""
    recipes: tuple[str, ...]
    """Recipes that are called otherwise than their world, where all were asked for."""
    view: WorldView | None
    """The closer look, where one world was asked for."""
    picture: str | None
    """The file of its picture, or of a picture of all; None where none was asked for."""


def worlds(config: WorldsConfig) -> WorldsResult:
    """List the worlds, or look closely at one of them: `env=NAME`; a pattern ("walker-*") lists those that match.

    Raises:
        UserError: no world matches.
        ValueError: the world cannot be made.
    """
    env = config.env
    if config.out:
        check_replaceable(Path(config.out), [b"\x89PNG"], "PNG", "choose another out=, or delete it")
    if env is None or (any(letter in env for letter in "*[") and not envs.gym_ids.is_gym(env)):
        return _listed(config)
    world = _made(env)
    try:
        pictures = _camera_pictures(world)
        summary = _summary(env, world)
        view = _view(world, summary, config.seconds)
    finally:
        world.close()
    return WorldsResult((summary,), (), (), view, _draw(config.out, pictures))


def _made(env: str) -> MujocoWorld:
    """The world of this name, or that a recipe of this name records, without what it randomises."""
    arguments: dict[str, Any] = {"name": env}
    if env in preset_names("env") and env not in envs.names():
        recorded = recipe(env).env.make_arguments()
        arguments = {key: recorded[key] for key in ("name", "kinematic", "factors", "camera", "action_repeat")}
    return envs.make(**arguments, image_size=_PICTURE, quality="fast")


def _listed(config: WorldsConfig) -> WorldsResult:
    known, tasks = envs.names(), _tasks()
    if config.env is None:
        names, others = (tuple(name for name in known if (name in tasks) == is_task) for is_task in (False, True))
        recipes = tuple(name for name in preset_names("env") if name not in (*known, RECORDED))
    else:
        names, others, recipes = tuple(fnmatch.filter(known, config.env)), (), ()
    if not names:
        raise UserError(f"no world matches {config.env!r}; worldmodel worlds lists them all")
    found, pictures = [], {}
    for name in progress(names, desc="worlds", unit="world", delay=2):
        world = envs.make(name, image_size=_PICTURE)
        if config.out is not None:
            pictures[name] = _after_motion(world)
        found.append(_summary(name, world))
        world.close()
    return WorldsResult(tuple(found), others, recipes, None, _draw(config.out, pictures))


def _tasks() -> set[str]:
    """dm_control's tasks under their own names."""
    from worldmodel.envs.suite import TASKS

    return {f"{domain}-{task}" for domain, task in TASKS}


def _summary(name: str, world: MujocoWorld) -> WorldSummary:
    scene = world.scene
    kind = "poses" if scene.kinematic else "goals" if scene.goal_tolerance else "reward" if scene.is_task else "goals"
    known = tuple(sizes(name)) or ("base",) if name in preset_names("env") else None
    return WorldSummary(name, kind, known, scene.action_dim, len(world.state_names), tuple(world.factors))


def _view(world: MujocoWorld, summary: WorldSummary, seconds: float) -> WorldView:
    scene = world.scene
    world.restart(seed=0)
    if scene.action_dim:
        world.advance(np.zeros(scene.action_dim, np.float32))
    flag = success(scene) is not None
    declared = tuple(_measured(world, time.monotonic() + seconds))
    paths: tuple[FactorView, ...] = ()
    if scene.model.nq:
        world.restart(seed=0)  # with nominal factors, which the paths then read
        scene.factors = tuple(_nameable_factors(world))
        bare = MujocoWorld(scene, image_size=_PICTURE)
        paths = tuple(_measured(bare, time.monotonic() + seconds))
        bare.close()
    return WorldView(
        summary=summary,
        state_names=world.state_names,
        goal_tolerance=dict(scene.goal_tolerance),
        control_dt_s=world.control_dt_s,
        time_limit_s=world.time_limit_s,
        camera=world.camera,
        cameras=tuple(map(str, _cameras(world))),
        tells_success=flag,
        factors=declared,
        paths=paths,
    )


def _nameable_factors(world: MujocoWorld) -> Iterator[Factor]:
    """One factor for each path; of a property of several numbers the first. Left out is what is 0 in this model."""
    for path in nameable(world.scene.model):
        try:
            factor, *_ = named_factors(world.scene.model, path, path)
        except FactorError:
            continue
        yield factor


def _measured(world: MujocoWorld, until: float) -> Iterator[FactorView]:
    """Every factor of a world, with its effect as long as there is time."""
    policy, effects = make_policy("uniform", hold_steps=5), {}
    for factor in progress(_in_turn(world.factors.values()), desc="factors", unit="factor", delay=2):
        if time.monotonic() < until:
            effects[factor.name] = effect(world, factor.name, policy, num_steps=_STEPS)
    for factor in world.factors.values():
        acts = effects.get(factor.name)
        kind = "visual" if factor.kind == "visual" else "physical"
        yield FactorView(factor.group, factor.nominal, factor.unit, kind, factor.description or factor.name, acts)


def _in_turn(factors: Iterable[Factor]) -> list[Factor]:
    """One factor of each property, then a second one of each: where time is short, something of every kind is seen."""
    before: Counter[tuple[str, str]] = Counter()
    turns = []
    for factor in factors:
        kind, _, rest = factor.group.partition(".")
        prop = kind, rest.rpartition(".")[2]
        turns.append((before[prop], factor))
        before[prop] += 1
    return [factor for _, factor in sorted(turns, key=lambda turn: turn[0])]


def _cameras(world: MujocoWorld) -> list[str | int]:
    model = world.scene.model
    named: list[str | int] = [model.camera(index).name or index for index in range(model.ncam)]
    return named if world.camera in named or world.camera in range(len(named)) else [world.camera, *named]


def _camera_pictures(world: MujocoWorld) -> dict[str, np.ndarray]:
    """The picture of every camera, after a little motion."""
    own, pictures = world.camera, {}
    for camera in _cameras(world)[:_MOST_CAMERAS]:
        world.camera = camera
        pictures[f"camera {camera}"] = _after_motion(world)
    world.camera = own
    return pictures


def _after_motion(world: MujocoWorld) -> np.ndarray:
    rng = np.random.default_rng(0)
    world.restart(seed=0)
    for _ in range(_STEPS):
        world.advance(rng.uniform(-1, 1, world.scene.action_dim).astype(np.float32))
    return world.frame()


def _draw(out: str | None, pictures: Mapping[str, np.ndarray]) -> str | None:
    return None if out is None else str(figures.contact_sheet(Path(out), pictures))
