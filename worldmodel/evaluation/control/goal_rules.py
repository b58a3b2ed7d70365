"""When a goal counts as reached: by a world's own tolerances, or by the rules of the audited board.

The board is CLEAR-LeWM (https://github.com/DavidSunok/CLEAR-LeWM), an audit of the tasks on which LeWorldModel
(arXiv:2603.19312) is judged. Its version 0.3 scores what a task is about, and holds it for some steps; its version 0.8
stays nearer to the published rules in `moderate`. Both are here, since results of both are published.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import mujoco
import numpy as np

from worldmodel.envs import MujocoWorld
from worldmodel.envs.angles import shorter_way
from worldmodel.evaluation.control.cube_turns import cube_turn
from worldmodel.runs import TaskProtocol
from worldmodel.system.errors import UserError

PUSH_T_PX_M = 2.048 / 512
"""Metres per pixel of push_t's board of 512: on both boards the T is a quarter as wide as the board."""
TWO_ROOM_PX_M = 2.0 / 224
"""Metres per pixel of the two rooms' image of 224. It shows the outer walls too, so this errs on the strict side."""


class GoalRule(Protocol):
    """Decides which pairs of states are tasks, and when one is solved."""

    def admits(self, start: np.ndarray, goal: np.ndarray) -> bool:
        """Whether a pair of states (X,) may be a task."""
        ...

    def reached(self, state: np.ndarray, goal: np.ndarray) -> bool:
        """Whether a state (X,) is near enough to a goal (X,)."""
        ...


@dataclass(frozen=True)
class WorldTolerance:
    """Every number within the world's own goal tolerance, see `Scene.reached`."""

    world: MujocoWorld
    """World of the states."""
    wrap: bool
    """Compare angles on the circle."""
    drop_solved: bool
    """Leave out pairs that are solved at the start."""
    apart: Mapping[str, float] = field(default_factory=dict)
    """State variable -> how far apart start and goal are at least."""

    def admits(self, start: np.ndarray, goal: np.ndarray) -> bool:
        apart = np.abs(self.world.scene.difference(goal, start, self.wrap))
        near = (apart[self.world.state_names.index(name)] < least for name, least in self.apart.items())
        return not any(near) and not (self.drop_solved and self.reached(start, goal))

    def reached(self, state: np.ndarray, goal: np.ndarray) -> bool:
        return self.world.reached(state, goal, self.wrap)


@dataclass(frozen=True)
class Near:
    """Some numbers of the state less than a Euclidean distance from those of the goal."""

    names: tuple[str, ...]
    """Names of state variables; with `is_geom`, the name of one geom, whose position is compared."""
    less_than: float
    """The distance, in metres or radians."""
    wrap: bool = False
    """Measure an angle around the circle."""
    is_geom: bool = False
    """`names` holds the name of a geom."""

    def distance(self, world: MujocoWorld, scratch: mujoco.MjData, state: np.ndarray, goal: np.ndarray) -> float:
        """Distance of two states (X,), in metres or radians; `scratch` is of the world's model, and is overwritten."""
        if self.is_geom:
            (geom,) = self.names
            error = _geom_position(world, scratch, geom, state) - _geom_position(world, scratch, geom, goal)
        else:
            columns = [world.state_names.index(name) for name in self.names]
            error = (state - goal)[columns]
        if self.wrap:
            error = shorter_way(error)
        return float(np.linalg.norm(error))


def _geom_position(world: MujocoWorld, scratch: mujoco.MjData, geom: str, state: np.ndarray) -> np.ndarray:
    model = world.scene.model
    scratch.qpos[:] = state[: model.nq]
    mujoco.mj_kinematics(model, scratch)
    return scratch.geom(geom).xpos.copy()


@dataclass(frozen=True)
class Aligned:
    """A cube turned by less than an angle from the goal, where its 24 rotations look alike."""

    names: tuple[str, ...]
    """Names of the state variables that are its quaternion (w, x, y, z)."""
    less_than: float
    """The angle, in radians."""

    def distance(self, world: MujocoWorld, scratch: mujoco.MjData, state: np.ndarray, goal: np.ndarray) -> float:
        """Angle between the cubes of two states (X,), in radians."""
        columns = [world.state_names.index(name) for name in self.names]
        return cube_turn(state[columns], goal[columns])


@dataclass(frozen=True)
class AuditedRule:
    """A rule of the audited board: pairs unsolved at the start, and all of `near` held for some steps."""

    near: tuple[Near | Aligned, ...]
    """State variables that must be near the goal, all at once."""
    hold_steps: int = 1
    """Consecutive control steps for which it must be."""
    at_least: Near | None = None
    """State variables that must be this far from the goal at the start."""
    crosses: str | None = None
    """Number of the state whose sign must change from start to goal: the other room."""

    def of(self, world: MujocoWorld) -> "_AuditedGoals":
        """The rule for states of a world."""
        return _AuditedGoals(self, world, mujoco.MjData(world.scene.model))

    def __str__(self) -> str:
        words = [f"{', '.join(near.names)} within {near.less_than:.3g}" for near in self.near]
        if self.at_least:
            words.append(f"at least {self.at_least.less_than:.3g} away at the start")
        if self.crosses:
            words.append("in the other room")
        return "; ".join(words)


@dataclass(frozen=True)
class _AuditedGoals:
    rule: AuditedRule
    world: MujocoWorld
    scratch: mujoco.MjData

    def admits(self, start: np.ndarray, goal: np.ndarray) -> bool:
        far, crosses = self.rule.at_least, self.rule.crosses
        if far is not None and far.distance(self.world, self.scratch, start, goal) < far.less_than:
            return False
        if crosses is not None:
            column = self.world.state_names.index(crosses)
            if start[column] * goal[column] >= 0:
                return False
        return not self.reached(start, goal)

    def reached(self, state: np.ndarray, goal: np.ndarray) -> bool:
        return all(near.distance(self.world, self.scratch, state, goal) < near.less_than for near in self.rule.near)


_BLOCK = ("block_x", "block_y")
_DEGREE = np.pi / 180


def _push_t(px: float, degrees: float, hold_steps: int, moved_px: float = 0.0, pusher: bool = False) -> AuditedRule:
    place = Near((*_BLOCK, "pusher_x", "pusher_y") if pusher else _BLOCK, px * PUSH_T_PX_M)
    angle = Near(("block_angle",), degrees * _DEGREE, wrap=True)
    return AuditedRule((place, angle), hold_steps, Near(_BLOCK, moved_px * PUSH_T_PX_M) if moved_px else None)


def _reacher(radians: float, wrap_wrist: bool) -> AuditedRule:
    return AuditedRule((Near(("shoulder",), radians, wrap=True), Near(("wrist",), radians, wrap=wrap_wrist)))


def _two_room(px: float, hold_steps: int) -> AuditedRule:
    # walls are solid here, so that a disc in the other room went through the door
    return AuditedRule((Near(("x", "y"), px * TWO_ROOM_PX_M),), hold_steps, crosses="x")


_CUBE = "object_joint_0"


def _cube(m: float, degrees: float | None, hold_steps: int, moved_m: float = 0.0) -> AuditedRule:
    place = tuple(f"{_CUBE}_{name}" for name in "xyz")
    turned = () if degrees is None else (Aligned(tuple(f"{_CUBE}_q{name}" for name in "wxyz"), degrees * _DEGREE),)
    return AuditedRule((Near(place, m), *turned), hold_steps, Near(place, moved_m) if moved_m else None)


AUDITED: Mapping[str, Mapping[str, AuditedRule]] = {
    "clear_moderate": {
        "push_t": _push_t(20, 20, 3, moved_px=25),
        "reacher": _reacher(0.075, wrap_wrist=True),
        "two_room": _two_room(12, 3),
        "cube": _cube(0.04, 30, 3),
    },
    "clear_strict": {
        "push_t": _push_t(15, 15, 5, moved_px=50),
        "reacher": _reacher(0.05, wrap_wrist=True),
        "two_room": _two_room(8, 5),
        "cube": _cube(0.03, 15, 5, moved_m=0.08),
    },
    "clear08_moderate": {
        "push_t": _push_t(20, 20, 1, pusher=True),
        "reacher": _reacher(0.05, wrap_wrist=False),
        "two_room": _two_room(16, 1),
        "cube": _cube(0.04, None, 1),
    },
    "clear08_strict": {
        "push_t": _push_t(10, 10, 3),
        "reacher": AuditedRule((Near(("finger",), 0.01, is_geom=True),), 2),
        "two_room": _two_room(8, 1),
        "cube": _cube(0.03, 15, 3),
    },
}
"""Protocol -> world, as the board calls it -> its rule. Rules of version 0.3: clear_*; of version 0.8: clear08_*."""

_CUBE_WORLDS = re.compile(r"gym:(ogbench/)?(visual-)?cube-single-v0(\?.*)?")


def board_name(world: str) -> str:
    """The name of a world on the board: `cube` for OGBench's single cube, with whatever options, else its own."""
    return "cube" if _CUBE_WORLDS.fullmatch(world) else world


def goal_rule(world: MujocoWorld, protocol: TaskProtocol) -> GoalRule:
    """The rule of a protocol in a world."""
    if protocol.name in AUDITED:
        return audited_rule(protocol.name, world.name).of(world)
    return WorldTolerance(world, protocol.wrap, protocol.drop_solved, protocol.goal_apart)


def audited_rule(protocol: str, world: str) -> AuditedRule:
    """The board's rule for a world; UserError where it has none."""
    rules, name = AUDITED[protocol], board_name(world)
    if name not in rules:
        raise UserError(f"protocol={protocol} has rules for {', '.join(rules)}, not for {world}; use protocol=strict")
    return rules[name]
