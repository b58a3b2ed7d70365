"""The positions of a world that frames show, as numbers that a readout can give: a slide's position, and the cosine and
sine of a joint that turns all the way round.

Letters: T+1 frames, J observed joints, N numbers that are read, X state, V = 2 nv + na coordinates of the state.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import mujoco
import numpy as np

from worldmodel.designing.problem import moving
from worldmodel.envs import MujocoWorld
from worldmodel.system.errors import UserError

_FIRST_FRAMES = 5
"""Frames from which position and velocity at the start are first guessed."""
_SHARE_OF_SPREAD = 0.1
"""Unit in which the start is fitted, as a share of the standard deviation of the motion."""


@dataclass(frozen=True)
class Observation:
    """The joints that move, and the numbers that show where they are."""

    joints: tuple[str, ...]
    """Names of the J joints, each of one degree of freedom."""
    columns: np.ndarray
    """Their positions in qpos, int (J,)."""
    turns: np.ndarray
    """Which of them turn all the way round, and so are read as cosine and sine: bool (J,)."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the N numbers."""
        parts = zip(self.joints, self.turns, strict=True)
        return tuple(part for name, turn in parts for part in ((f"cos {name}", f"sin {name}") if turn else (name,)))

    def numbers(self, qpos: np.ndarray) -> np.ndarray:
        """Positions (…, nq) as the numbers that are read of them (…, N)."""
        parts = []
        for column, turn in zip(self.columns, self.turns, strict=True):
            position = qpos[..., column]
            parts += [np.cos(position), np.sin(position)] if turn else [position]
        return np.stack(parts, -1)

    def positions(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers of successive frames (T+1, N) as positions (T+1, J): angles in radians, without jumps of a turn."""
        parts, index = [], 0
        for turn in self.turns:
            if turn:
                parts.append(np.unwrap(np.arctan2(numbers[:, index + 1], numbers[:, index])))
            else:
                parts.append(numbers[:, index])
            index += 2 if turn else 1
        return np.stack(parts, -1)


def observation_of(world: MujocoWorld, states: np.ndarray) -> Observation:
    """The joints that move in these states (n, X).

    Raises:
        UserError: nothing moves, or something floats freely: its orientation is four numbers, which are not read yet.
    """
    model = world.scene.model
    single = np.isin(model.jnt_type, (mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE))
    if not single.all():
        name = world.scene.model.joint(int(np.flatnonzero(~single)[0])).name
        raise UserError(f"joint {name!r} of {world.name} is a free or ball joint; identify reads slides and hinges")
    moves = moving(states[:, : model.nq].std(0), model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE)
    if not moves.any():
        raise UserError(f"nothing moves in {world.name} under the policy of the run, so nothing can be identified")
    columns = np.flatnonzero(moves)
    names = [world.state_names[column] for column in columns]
    return Observation(tuple(names), columns, np.array([name in world.scene.angle_names for name in names]))


@dataclass(frozen=True)
class Start:
    """The state before the first action, as far as the frames tell it: the coordinates that the fit may move."""

    state: np.ndarray
    """First guess, float64 (X,)."""
    columns: np.ndarray
    """Positions and velocities of the observed joints, int (V',) into the state."""
    spread: np.ndarray
    """The unit of each, in metres, radians or those per second: (V',)."""

    def of(self, observation: Observation, numbers: np.ndarray, dt_s: float) -> "Start":
        """The start of other frames of the same motion, whose readings are `numbers` (T+1, N)."""
        state = self.state.copy()
        state[self.columns] = _first_guess(observation, numbers, dt_s)
        return replace(self, state=state)


def start_of(
    observation: Observation,
    numbers: np.ndarray,
    still: np.ndarray,
    num_positions: int,
    dt_s: float,
    spread: np.ndarray,
) -> Start:
    """A first guess from the first frames: a parabola through observed positions, the others as `still` (X,) has them.

    Args:
        observation: what is read.
        numbers: readings (T+1, N).
        still: the state of what is not observed, (X,).
        num_positions: nq.
        dt_s: seconds between frames.
        spread: standard deviations (X,) of the state over motion, which the units follow.
    """
    columns = np.concatenate([observation.columns, num_positions + observation.columns])
    unknown = Start(still, columns, np.maximum(_SHARE_OF_SPREAD * spread[columns], 1e-4))
    return unknown.of(observation, numbers, dt_s)


def _first_guess(observation: Observation, numbers: np.ndarray, dt_s: float) -> np.ndarray:
    """Positions and velocities (2 J,) of the first frame, by a parabola through the first few."""
    positions = observation.positions(numbers[: min(_FIRST_FRAMES, len(numbers))])
    seconds = dt_s * np.arange(len(positions))
    degree = min(2, len(positions) - 1)
    fitted = np.polynomial.polynomial.polyfit(seconds, positions, degree)
    return np.concatenate([fitted[0], fitted[1]])
