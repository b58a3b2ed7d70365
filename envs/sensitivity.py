"""How a world's observed motion depends on its constants: finite differences around recorded motion.

The recorded actions are replayed, so everything here is conditional on them: information that a feedback policy's
actions would carry about the state is not counted. Constants are perturbed in their standardised coordinates t, the
initial state in units of its own spread.

Shape letters are those of planners/interfaces.py, and here V for the coordinates of the state's tangent space
(positions, velocities, activations: 2 nv + na) and Q for observed positions; P are constants.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from worldmodel.envs.excitation import Policy
from worldmodel.envs.rollout import rollout
from worldmodel.envs.world import MujocoWorld, Snapshot

_ROTATES = (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_BALL)


@dataclass(frozen=True)
class Motion:
    """What is differentiated: a recorded trajectory."""

    start: Snapshot
    """The moment before the first action, with the constants at work."""

    states: np.ndarray
    """float64 (T+1, X)."""

    actions: np.ndarray
    """float32 (T, A), as executed."""


@dataclass(frozen=True)
class Sensitivities:
    """Derivatives of the observed positions of T+1 successive frames, in metres or radians."""

    constants: np.ndarray
    """float64 (T+1, Q, P), per unit of the standardised coordinate t."""

    state: np.ndarray
    """float64 (T+1, Q, V), per spread of the state at the first frame."""


def record_motion(world: MujocoWorld, policy: Policy, *, seed: int, num_steps: int) -> Motion:
    """A trajectory under a policy, without pictures; the same seed gives the same start, constants and noise."""
    episode = rollout(world, policy, seed=seed, num_steps=num_steps, render=False)
    world.restart(seed=seed)
    return Motion(world.snapshot(), episode.states.astype(np.float64), episode.actions)


def position_names(world: MujocoWorld) -> tuple[str, ...]:
    """The names of the nv position coordinates: of a joint, or of a direction of a free or ball joint."""
    model = world.scene.model
    return tuple(name.removesuffix("_vel") for name in world.state_names[model.nq : model.nq + model.nv])


def rotational(world: MujocoWorld) -> np.ndarray:
    """Which of the nv position coordinates are angles, bool (nv,)."""
    model = world.scene.model
    kinds = model.jnt_type[model.dof_jntid]
    first = model.jnt_dofadr[model.dof_jntid]
    turns_of_free = (kinds == mujoco.mjtJoint.mjJNT_FREE) & (np.arange(model.nv) - first >= 3)
    return np.isin(kinds, _ROTATES) | turns_of_free


def tangent(world: MujocoWorld, states: np.ndarray) -> np.ndarray:
    """States (…, X) as coordinates (…, V): positions as displacements from the model's reference pose."""
    model = world.scene.model
    flat = states.reshape(-1, states.shape[-1])
    result = np.empty((len(flat), model.nv + states.shape[-1] - model.nq))
    for row, state in zip(result, flat, strict=True):
        displacement = np.zeros(model.nv)
        mujoco.mj_differentiatePos(model, displacement, 1.0, model.qpos0, state[: model.nq])
        row[: model.nv], row[model.nv :] = displacement, state[model.nq :]
    return result.reshape(*states.shape[:-1], -1)


def sensitivities(
    world: MujocoWorld,
    motion: Motion,
    frames: slice,
    constants: Sequence[str],
    observed: np.ndarray,
    state_spread: np.ndarray,
    step: float,
) -> Sensitivities:
    """Central differences over the frames `frames.start` … `frames.stop - 1` of a motion.

    Args:
        world: that of the motion; it is left at another moment.
        motion: what is differentiated.
        frames: which of its frames.
        constants: names of P factors.
        observed: indices (Q,) of the observed position coordinates.
        state_spread: (V,), the unit in which the initial state is perturbed; coordinates of spread 0 stay.
        step: of the perturbation either way, in t and in spreads of the state.

    Raises:
        SimulationDiverged: a perturbed world left the finite numbers.
    """
    state = motion.states[frames.start]
    actions = motion.actions[frames.start : frames.stop - 1]

    def difference(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return _displacements(world, low, high)[:, observed]

    columns = []
    for name in constants:
        factor = world.factors[name]
        t = factor.standardize(motion.start.values[name])
        low, high = (factor.value(t + sign * step) for sign in (-1, 1))  # a bound clips one side
        ends = [_replay(world, motion, state, actions, {name: value}) for value in (low, high)]
        columns.append(difference(*ends) / (factor.standardize(high) - factor.standardize(low)))
    state_columns = np.zeros((len(actions) + 1, len(observed), len(state_spread)))
    for index in np.flatnonzero(state_spread):
        change = np.zeros(len(state_spread))
        change[index] = step * state_spread[index]
        ends = [_replay(world, motion, _moved(world, state, sign * change), actions, {}) for sign in (-1, 1)]
        state_columns[:, :, index] = difference(*ends) / (2 * step)
    return Sensitivities(np.stack(columns, -1), state_columns)


def _replay(
    world: MujocoWorld, motion: Motion, state: np.ndarray, actions: np.ndarray, values: dict[str, float]
) -> np.ndarray:
    """States (T+1, X) from a state under recorded actions, with the motion's constants, except those in `values`."""
    world.restore(motion.start)
    world.set_factors(values)
    world.set_state(state)
    return world.simulate(actions)


def _moved(world: MujocoWorld, state: np.ndarray, change: np.ndarray) -> np.ndarray:
    """A state (X,) moved by a tangent vector (V,)."""
    model = world.scene.model
    moved = state.copy()
    mujoco.mj_integratePos(model, moved[: model.nq], change[: model.nv], 1.0)
    moved[model.nq :] += change[model.nv :]
    return moved


def _displacements(world: MujocoWorld, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Position displacements (T+1, nv) from states low to states high, both (T+1, X)."""
    model = world.scene.model
    result = np.zeros((len(low), model.nv))
    for row, before, after in zip(result, low, high, strict=True):
        mujoco.mj_differentiatePos(model, row, 1.0, before[: model.nq], after[: model.nq])
    return result
