"""Snapshots, from which a simulation continues exactly, and the detection of simulations that diverge."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import worldmodel.envs.rendering  # noqa: F401  # first: it sets MUJOCO_GL  # isort: skip

import mujoco
import numpy as np

from worldmodel.envs.episode_model import ModelState
from worldmodel.envs.failures import failing_in
from worldmodel.envs.scene import Scene

_DIVERGENCE = [
    int(warning)
    for warning in (
        mujoco.mjtWarning.mjWARN_BADQPOS,
        mujoco.mjtWarning.mjWARN_BADQVEL,
        mujoco.mjtWarning.mjWARN_BADQACC,
    )
]


PHYSICS = mujoco.mjtState.mjSTATE_INTEGRATION
"""The part of MuJoCo's state from which a simulation continues exactly."""


def physics_of(scene: Scene) -> np.ndarray:
    """MuJoCo's own state, a new float64 array."""
    physics = np.empty(mujoco.mj_stateSize(scene.model, PHYSICS))
    mujoco.mj_getState(scene.model, scene.data, physics, PHYSICS)
    return physics


@dataclass(frozen=True)
class Snapshot:
    """A moment of an episode, from which it continues exactly; see `MujocoWorld.snapshot`."""

    physics: np.ndarray
    """MuJoCo's own state (mjSTATE_INTEGRATION), float64."""

    model: ModelState
    """What the scene has changed of the model."""

    coordinates: dict[str, float]
    """The standardised coordinate of every factor."""

    values: dict[str, float]
    """The value of every factor, in its unit."""

    num_steps: int
    """Control steps since the start of the episode."""

    is_judged: bool
    """Whether reward and termination count."""

    rng_state: dict[str, Any]
    """The state of the world's random generator."""

    scene: object = None
    """What the scene holds besides; see `Scene.moment`."""


class SimulationDiverged(RuntimeError):
    """The state of a simulation is no longer finite."""


@contextmanager
def finite(scene: Scene, num_steps: int, factors: Mapping[str, float]) -> Iterator[None]:
    """Check a scene that is reset (num_steps 0) or stepped within this context.

    Raises:
        ValueError: whatever the scene raises.
        SimulationDiverged: MuJoCo found a number that is not finite, and so reset the simulation; or a world tells one.
    """
    scene.data.warning.number[_DIVERGENCE] = 0  # what is found afterwards came of this
    with failing_in(scene.name, "step" if num_steps else "reset"):
        yield
    if num_steps == 0 and not np.isfinite(scene.state()).all():  # MuJoCo would notice it in its next step
        raise SimulationDiverged(f"{scene.name} was reset to a state that is not finite; mend its reset")
    if scene.data.warning.number[_DIVERGENCE].any():
        raise SimulationDiverged(
            f"{scene.name} diverged after {num_steps} steps with factors {dict(factors)}; "
            "narrow the factor bounds or shorten the physics step"
        )
    if scene.tells_state and not np.isfinite(state := scene.state()).all():
        name = scene.state_names[int(np.flatnonzero(~np.isfinite(state))[0])]
        raise SimulationDiverged(f"{scene.name} told a value of {name} that is not finite after {num_steps} steps")


def outcome(scene: Scene, num_steps: int) -> tuple[float, bool]:
    """The reward of the state just reached, and whether that state ends the episode.

    Raises:
        ValueError: the reward is not finite, or whatever the scene raises.
    """
    with failing_in(scene.name, "reward"):
        reward = scene.reward()
    if not math.isfinite(reward):
        raise ValueError(
            f"{scene.name} gave a reward that is no finite number after {num_steps} steps; mend its reward"
        )
    with failing_in(scene.name, "terminated"):
        return reward, scene.terminated()


def success(scene: Scene) -> bool | None:
    """Whether the state just reached is a success by the world's own flag; None where it has none."""
    with failing_in(scene.name, "success"):
        return scene.success()
