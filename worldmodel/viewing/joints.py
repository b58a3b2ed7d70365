"""The positions of a model by name: their units, their ranges, and which of them a goal may set."""

from collections.abc import Mapping, Sequence

import mujoco
import numpy as np

from worldmodel.envs import MujocoWorld
from worldmodel.system.errors import UserError
from worldmodel.viewing.messages import PositionControl

_SCALAR = {int(mujoco.mjtJoint.mjJNT_HINGE): "rad", int(mujoco.mjtJoint.mjJNT_SLIDE): "m"}
_LEAST_SPAN = 0.01  # share of the largest movement below which a joint has no slider


def units(world: MujocoWorld) -> dict[str, str]:
    """State name -> unit; empty for quaternions and activations."""
    model, names = world.scene.model, world.state_names
    found = dict.fromkeys(names, "")
    for joint in range(model.njnt):
        unit = _SCALAR.get(int(model.jnt_type[joint]))
        if unit:
            found[names[model.jnt_qposadr[joint]]] = unit
            found[names[model.nq + model.jnt_dofadr[joint]]] = f"{unit}/s"
    return found


def position_controls(world: MujocoWorld, states: np.ndarray) -> list[PositionControl]:
    """A slider for every hinge and slide that moves, over its range in states (n, X) and its limits.

    The slider of a hinge that turns freely covers the whole circle. A joint that moves less than a hundredth of the
    largest movement has no slider.
    """
    model, controls = world.scene.model, []
    spans = np.ptp(states[:, : model.nq], axis=0)
    for joint in range(model.njnt):
        unit = _SCALAR.get(int(model.jnt_type[joint]))
        address = int(model.jnt_qposadr[joint])
        name = world.state_names[address]
        if unit is None or spans[address] <= _LEAST_SPAN * spans.max():
            continue
        low, high = (float(end(states[:, address])) for end in (np.min, np.max))
        if name in world.scene.angle_names:
            low, high = -np.pi, np.pi
        elif model.jnt_limited[joint]:
            low, high = (float(bound) for bound in model.jnt_range[joint])
        controls.append(PositionControl(name, low, high, unit))  # type: ignore[arg-type]
    return controls


def posed(
    goal: np.ndarray, values: Mapping[str, float], names: Sequence[str], controls: Sequence[PositionControl]
) -> np.ndarray:
    """The goal state (X,), which is at rest, with some positions changed.

    Raises:
        UserError: a position that has no slider, or a value outside its range.
    """
    by_name, changed = {of.name: of for of in controls}, goal.copy()
    for name, value in values.items():
        control = by_name.get(name)
        if control is None:
            raise UserError(f"{name!r} is no position of this goal; it has {', '.join(by_name) or 'none'}")
        if not control.low <= value <= control.high:  # also false for NaN
            raise UserError(f"{name} must be in [{control.low:.3g}, {control.high:.3g}] {control.unit}, got {value:g}")
        changed[list(names).index(name)] = value
    return changed


def freedom(world: MujocoWorld, controls: Sequence[PositionControl]) -> np.ndarray:
    """Which degrees of freedom a goal may move, bool (nv,)."""
    model, free = world.scene.model, np.zeros(world.scene.model.nv, bool)
    chosen = {of.name for of in controls}
    for joint in range(model.njnt):
        free[model.jnt_dofadr[joint]] = world.state_names[int(model.jnt_qposadr[joint])] in chosen
    return free


def with_positions(state: np.ndarray, read: Mapping[str, np.ndarray], names: Sequence[str], num: int) -> np.ndarray:
    """Positions (n, num) that were read by name, (n,) each, in place of those of a state (X,)."""
    rows = len(next(iter(read.values()))) if read else 0
    positions = np.repeat(state[None, :num], rows, 0)
    for name, values in read.items():
        positions[:, list(names).index(name)] = values
    return positions
