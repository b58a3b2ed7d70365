"""Writers: how the value of a factor reaches a MuJoCo model, one function for each kind of property.

    PhysicsFactor(name="load_mass", unit="kg", ..., write=writers.body_mass("load"))

Each function here takes names of bodies, joints, … and returns a `Writer`, which `write_factors` calls. Names are
looked up when it writes, so that one writer serves every model that has them.
"""

import math
from collections.abc import Sequence

import mujoco
import numpy as np

from worldmodel.envs.factors import Writer

_CHANNELS = ("red", "green", "blue")


def body_mass(body: str) -> Writer:
    """The mass of one body in kg; its inertia scales with it."""

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        index = base.body(body).id
        ratio = value / base.body_mass[index]
        model.body_mass[index] *= ratio
        model.body_inertia[index] *= ratio

    return write


def mass_scale(bodies: Sequence[str] | None = None) -> Writer:
    """One ratio for the masses and inertias of some bodies, or of all."""

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        rows = slice(None) if bodies is None else [base.body(name).id for name in bodies]
        model.body_mass[rows] *= value
        model.body_inertia[rows] *= value

    return write


def pair_friction(*pairs: str) -> Writer:
    """The sliding friction coefficient of contact pairs, the same in both directions."""

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        for pair in pairs:
            model.pair_friction[base.pair(pair).id, :2] = value

    return write


def friction_scale() -> Writer:
    """One ratio for the sliding friction of every geom, so that the larger of a pair scales too."""

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        model.geom_friction[:, 0] *= value

    return write


def joint_damping(*joints: str) -> Writer:
    """The viscous damping of joints, in N s/m or N m s/rad."""

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        for joint in joints:
            start = base.joint(joint).dofadr[0]
            model.dof_damping[start : start + len(base.joint(joint).damping)] = value

    return write


def damping_scale() -> Writer:
    """One ratio for the damping of every joint."""

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        model.dof_damping *= value

    return write


def actuator_gear(*actuators: str) -> Writer:
    """The force, in N or N m, that a full action of motors exerts."""

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        for actuator in actuators:
            model.actuator_gear[base.actuator(actuator).id, 0] = value

    return write


def actuator_scale() -> Writer:
    """One ratio for the force of every actuator, whatever its type (gain and bias scale together)."""

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        model.actuator_gainprm *= value
        model.actuator_biasprm *= value

    return write


def joint_friction(*joints: str) -> Writer:
    """The dry friction of joints, in N or N m."""

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        for joint in joints:
            model.dof_frictionloss[base.joint(joint).dofadr[0]] = value

    return write


def centre_of_mass(body: str, axis: int) -> Writer:
    """The centre of mass along one axis of the body's frame, in m; the inertia about it stays.

    Compile the body with its centre of mass off the frame's origin: otherwise MuJoCo treats the two as one point.
    """

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        model.body_ipos[base.body(body).id, axis] = value

    return write


def link_length(body: str, rod: str, *, rod_has_mass: bool) -> Writer:
    """The length in m of a link whose rod is a capsule from the body's origin; masses stay.

    What the body carries moves along: its other geoms, its child bodies, its centre of mass. Where the rod has the
    mass, the inertia becomes that of the new capsule; otherwise the mass is at the end of the rod, and its inertia
    stays.
    """

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        index, geom = base.body(body).id, base.geom(rod).id
        radius, half_length = base.geom_size[geom, :2]
        ratio = value / (2 * half_length)
        for row in np.flatnonzero(base.geom_bodyid == index):
            model.geom_pos[row] = base.geom_pos[row] * ratio
        for row in np.flatnonzero(base.body_parentid == index):
            if row != index:
                model.body_pos[row] = base.body_pos[row] * ratio
        model.body_ipos[index] *= ratio
        model.geom_size[geom, 1] = half_length * ratio
        model.geom_rbound[geom] = radius + half_length * ratio
        model.geom_aabb[geom, 5] = radius + half_length * ratio  # half size along the capsule
        if rod_has_mass:
            before, after = (_capsule_inertia(radius, 2 * half_length * r) for r in (1.0, ratio))
            along = np.argmin(base.body_inertia[index])
            model.body_inertia[index] *= after[0] / before[0]
            model.body_inertia[index, along] *= (after[1] / before[1]) / (after[0] / before[0])

    return write


def _capsule_inertia(radius: float, length: float) -> tuple[float, float]:
    """Moments of inertia of a capsule of unit mass across and along its axis; `length` is that of its cylinder."""
    cylinder = length / (length + 4 / 3 * radius)
    balls = 1 - cylinder
    across = cylinder * (length**2 / 12 + radius**2 / 4)
    across += balls * (2 / 5 * radius**2 + length**2 / 4 + 3 / 8 * length * radius)
    return across, radius**2 * (cylinder / 2 + 2 / 5 * balls)


def tendon_length(tendon: str) -> Writer:
    """The length in m at which a limited tendon is taut."""

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        model.tendon_range[base.tendon(tendon).id, 1] = value

    return write


def gravity() -> Writer:
    """The downward acceleration in m/s^2."""

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        model.opt.gravity[2] = -value

    return write


def light_scale() -> Writer:
    """One ratio for the diffuse and ambient intensity of the headlight and of every light."""

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        model.vis.headlight.ambient *= value
        model.vis.headlight.diffuse *= value
        model.light_ambient *= value
        model.light_diffuse *= value

    return write


def light_diffuse(light: str) -> Writer:
    """The diffuse intensity of one light, the same in red, green and blue."""

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        model.light_diffuse[base.light(light).id] = value

    return write


def light_azimuth(light: str) -> Writer:
    """The azimuth in rad, from the x axis, at which a light shines; its elevation stays."""

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        index = base.light(light).id
        level = math.hypot(*base.light_dir[index, :2])
        model.light_dir[index, :2] = level * math.cos(value), level * math.sin(value)

    return write


def geom_colour(geoms: str | Sequence[str], channel: str) -> Writer:
    """One colour channel ("red", "green" or "blue") of one or more geoms that have no material."""
    column = _CHANNELS.index(channel)

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        for geom in [geoms] if isinstance(geoms, str) else geoms:
            model.geom_rgba[base.geom(geom).id, column] = value

    return write


def material_colour(material: str, channel: str) -> Writer:
    """One colour channel ("red", "green" or "blue") of a material."""
    column = _CHANNELS.index(channel)

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        model.mat_rgba[base.material(material).id, column] = value

    return write
