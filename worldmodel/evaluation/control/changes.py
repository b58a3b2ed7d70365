"""Robots that change in the middle of a task: a part becomes heavier, an actuator weaker, or actions come late."""

import difflib
from dataclasses import dataclass, replace

import numpy as np

from worldmodel.envs import BatchWorld, MujocoWorld
from worldmodel.envs.factors import FactorError
from worldmodel.envs.looks.redrawn import LOOKS
from worldmodel.evaluation.control.tasks import Tasks
from worldmodel.evaluation.trust import trusted_world
from worldmodel.runs import TaskProtocol
from worldmodel.settings import ChangeConfig, EnvConfig
from worldmodel.system.errors import UserError

_FACTOR = "changed"
"""Name of the factors made from MJCF paths, followed by a number."""
_ANY_VALUE = {"transform": "linear", "prior": 1e12}
"""Settings of these factors. They are never drawn, and their bounds are wide: all that the property can be."""


@dataclass(frozen=True)
class Change:
    """A change of a world that has a factor for everything that changes."""

    ratios: dict[str, float]
    """Factor -> the ratio that it is multiplied by."""
    delay: int
    """Control steps by which actions arrive late."""
    at: int
    """Control step of the task at which it happens."""


class Arrival:
    """Stands between a controller and n robots: delays actions, and changes the robots when it is time."""

    def __init__(self, change: Change | None) -> None:
        self._change = change
        self._sent: list[np.ndarray] = []
        """The last actions, as many as may still arrive."""
        self._step = -1

    def __call__(self, actions: np.ndarray, batch: BatchWorld) -> np.ndarray:
        """Actions (n, A) that are sent in the next control step -> those that arrive in it."""
        if self._change is None:
            return actions
        self._step += 1
        delay = self._change.delay
        self._sent = [*self._sent, actions][-delay - 1 :]
        if self._step < self._change.at:
            return actions
        if self._step == self._change.at:
            batch.scale(self._change.ratios)
        return self._sent[0] if self._step >= delay else np.zeros_like(actions)

    def keep(self, open_: np.ndarray) -> None:
        """Go on with some of the robots: bool (n,)."""
        self._sent = [actions[open_] for actions in self._sent]


def world_that_changes(env: EnvConfig, change: ChangeConfig, trust: bool) -> tuple[MujocoWorld, Change]:
    """The world of a run, with a factor for everything that is to change in it.

    Raises:
        UserError: a name or path that the world does not have, or a number that it cannot be.
    """
    world = trusted_world(env, trust)
    if change.times and world.scene.model.nbody == 1:
        world.close()
        raise UserError(f"change.times changes a MuJoCo model, and {world.name} has none; use change.delay")
    paths = [name for name in change.times if "." in name]
    factors = {name: f"{_FACTOR}_{paths.index(name)}" if name in paths else name for name in change.times}
    if paths:
        randomize = [*world.randomize, *(word for word in env.randomize if word == LOOKS)]
        world.close()
        named = {factors[path]: {"of": path, **_ANY_VALUE} for path in paths}
        try:
            world = trusted_world(replace(env, randomize=randomize, factors={**env.factors, **named}), trust)
        except FactorError as error:
            raise UserError(f"change.times: {str(error).partition(': ')[2]}") from None
    for name, factor in factors.items():
        _check(world, env.world, name, factor)
    return world, Change({factors[name]: ratio for name, ratio in change.times.items()}, change.delay, change.at)


def _check(world: MujocoWorld, env: str, name: str, factor: str) -> None:
    """UserError where a world has no such physical factor, or one whose multiple is the same."""
    if factor not in world.factors:
        if factor != name:
            raise UserError(f"change.times: {name} is several numbers; name one of them, such as {name}.x")
        close = difflib.get_close_matches(name, world.factors, n=1)
        meant = f" (did you mean {close[0]}?)" if close else ""
        raise UserError(
            f"change.times: {world.name} has no factor {name!r}{meant}; there is {', '.join(world.factors) or 'none'}, "
            f"and any path such as body.NAME.mass that worldmodel worlds env={env} lists"
        )
    found = world.factors[factor]
    if found.kind != "physical":
        raise UserError(f"change.times: {name} changes how {world.name} looks; judge that with worldmodel robust")
    if found.nominal == 0:
        raise UserError(f"change.times: {name} is 0 in {world.name}, and so is any multiple of it; name another")


def check_change(change: Change, protocol: TaskProtocol, tasks: Tasks, world: MujocoWorld) -> None:
    """UserError where the change comes after the tasks, or takes a factor of one of them out of its bounds."""
    if change.at >= protocol.budget_steps:
        raise UserError(
            f"change.at={change.at} is after the tasks, which end after {protocol.budget_steps} steps; set change.at "
            "lower, or budget_steps higher"
        )
    for name, ratio in change.ratios.items():
        low, high = world.factors[name].bounds
        values = [ratio * of[name] for of in tasks.factors]
        if not low <= min(values) <= max(values) <= high:
            raise UserError(
                f"change.times: {name} would become {min(values):.3g} to {max(values):.3g}, outside its bounds "
                f"[{low:g}, {high:g}]; take another ratio, or the MJCF path, which has no bounds"
            )
