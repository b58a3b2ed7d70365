"""The numbers of a MuJoCo state: their names, and which of them are angles and rotations."""

import mujoco
import numpy as np

_FREE_POS = ("x", "y", "z", "qw", "qx", "qy", "qz")
_FREE_VEL = ("x_vel", "y_vel", "z_vel", "wx_vel", "wy_vel", "wz_vel")
SUFFIXES = {  # of the position and velocity names of joints with more than one degree of freedom
    mujoco.mjtJoint.mjJNT_FREE: (_FREE_POS, _FREE_VEL),
    mujoco.mjtJoint.mjJNT_BALL: (_FREE_POS[3:], _FREE_VEL[3:]),
}


def check_names(model: mujoco.MjModel) -> None:
    """ValueError where a name of the model is no text, as in a file that was saved in another encoding."""
    try:
        model.names.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"a name in it is not UTF-8 ({model.names[max(0, error.start - 9) : error.end]!r})") from error


def state_names(model: mujoco.MjModel) -> tuple[str, ...]:
    """A name for each number of the state.

    A joint "wrist" gives "wrist" and "wrist_vel"; a free joint "root" gives "root_x" to "root_qz" and "root_x_vel" to
    "root_wz_vel"; an actuator "lift" with an activation gives "lift_act".

    Raises:
        ValueError: two numbers would have the same name, as those of joints "a" and "a_vel".
    """
    positions, velocities = [], []
    for index in range(model.njnt):
        name = model.joint(index).name or f"joint{index}"
        pos, vel = SUFFIXES.get(mujoco.mjtJoint(model.jnt_type[index]), ((), ()))
        positions += [f"{name}_{suffix}" for suffix in pos] or [name]
        velocities += [f"{name}_{suffix}" for suffix in vel] or [f"{name}_vel"]
    activations = []
    for index in range(model.nu):
        name, num = model.actuator(index).name or f"actuator{index}", model.actuator_actnum[index]
        activations += [f"{name}_act"] if num == 1 else [f"{name}_act{i}" for i in range(num)]
    names = (*positions, *velocities, *activations)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"two state variables are called {twice[0]}: a joint's velocity is its name and _vel, an actuator's "
            "activation its name and _act; rename a joint or an actuator in the MJCF"
        )
    return names


def unlimited_hinges(model: mujoco.MjModel) -> tuple[str, ...]:
    """The hinge joints without limits: the positions that live on a circle."""
    return _hinges(model, ~model.jnt_limited.astype(bool))


def wide_hinges(model: mujoco.MjModel) -> tuple[str, ...]:
    """Hinges with limits that are more than a turn apart: two of their angles give the same picture."""
    return _hinges(model, model.jnt_limited.astype(bool) & (np.ptp(model.jnt_range, 1) > 2 * np.pi))


def quaternions(model: mujoco.MjModel) -> list[slice]:
    """Where the state holds the rotations of bodies that move freely or hang on a ball joint."""
    offset = {mujoco.mjtJoint.mjJNT_FREE: 3, mujoco.mjtJoint.mjJNT_BALL: 0}
    starts = [
        address + offset[mujoco.mjtJoint(kind)]
        for kind, address in zip(model.jnt_type, model.jnt_qposadr, strict=True)
        if mujoco.mjtJoint(kind) in offset
    ]
    return [slice(start, start + 4) for start in starts]


def _hinges(model: mujoco.MjModel, among: np.ndarray) -> tuple[str, ...]:
    """Names of the hinge joints among some joints, bool (njnt,)."""
    indices = np.flatnonzero(among & (model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE))
    return tuple(model.joint(index).name or f"joint{index}" for index in indices)
