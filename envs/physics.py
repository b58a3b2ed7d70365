"""Factors: the physical constants and visual properties of a world that can be set, drawn and recorded.

A factor has a prior that is Gaussian in a transform of its value: `transform(value) = transform(nominal) +
prior_scale * t` with `t ~ N(0, 1)`, truncated to the bounds. `t` is the factor's standardised coordinate.

How a value reaches the model: before the writers run, every field in `WRITABLE_FIELDS` is restored to the pristine
model, so a writer may scale in place, and two factors on one field multiply. Writers that touch other fields must
assign from `base`; so must those for fields that a scene's reset moves for others of its parts, such as geom_pos.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import mujoco
import numpy as np

Transform = Literal["log", "linear"]
Writer = Callable[[mujoco.MjModel, mujoco.MjModel, float], None]

_TRANSFORMS: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "log": (math.log, math.exp),
    "linear": (float, float),
}
_CHANNELS = ("red", "green", "blue")

# Restored before the writers run.
WRITABLE_FIELDS = (
    "body_mass",
    "body_inertia",
    "body_ipos",
    "geom_size",
    "geom_rbound",
    "geom_aabb",
    "tendon_range",
    "geom_friction",
    "pair_friction",
    "dof_damping",
    "dof_armature",
    "dof_frictionloss",
    "jnt_stiffness",
    "actuator_gainprm",
    "actuator_biasprm",
    "actuator_gear",
    "geom_rgba",
    "mat_rgba",
    "light_diffuse",
    "light_ambient",
    "light_dir",
)
_HEADLIGHT_FIELDS = ("ambient", "diffuse")


class FactorError(ValueError):
    """A factor was given a name or value it does not accept."""


@dataclass(frozen=True, kw_only=True)
class Factor:
    """One settable property of a world; use `PhysicsFactor` or `VisualFactor`.

    Attributes:
        name: how options, data sets and reports call it.
        unit: of the value, e.g. "kg"; "1" where it is dimensionless.
        nominal: the value where nothing else is asked for.
        bounds: (lowest, highest) accepted value.
        prior_scale: standard deviation of the prior in the transformed value.
        transform: "log" or "linear".
        write: writes a value into a model: `write(model, base, value)`, `base` being the pristine model.
        description: one line for a reader.
    """

    name: str
    unit: str
    nominal: float
    bounds: tuple[float, float]
    prior_scale: float
    transform: Transform
    write: Writer = field(repr=False)
    description: str = ""
    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        low, high = self.bounds
        if self.transform not in _TRANSFORMS:
            raise FactorError(f"factor {self.name}: transform must be log or linear, got {self.transform!r}")
        if not low <= self.nominal <= high:
            raise FactorError(f"factor {self.name}: nominal {self.nominal} is outside its bounds [{low}, {high}]")
        if self.transform == "log" and low <= 0:
            raise FactorError(f"factor {self.name}: a log transform needs bounds above 0, got [{low}, {high}]")
        if self.prior_scale <= 0:
            raise FactorError(f"factor {self.name}: prior_scale must be > 0, got {self.prior_scale}")

    def value(self, t: float) -> float:
        """The value at standardised coordinate `t`, clipped to the bounds."""
        return min(max(self._unclipped(t), self.bounds[0]), self.bounds[1])

    def standardize(self, value: float) -> float:
        """The standardised coordinate of a value; the inverse of `value` inside the bounds."""
        forward, _ = _TRANSFORMS[self.transform]
        return (forward(value) - forward(self.nominal)) / self.prior_scale

    def sample(self, rng: np.random.Generator, spread: float = 1.0) -> float:
        """A value from the prior, made `spread` times as wide; draws outside the bounds are drawn again."""
        low, high = self.bounds
        while not low <= (value := self._unclipped(spread * rng.standard_normal())) <= high:
            pass
        return value

    def sample_shell(self, rng: np.random.Generator, low: float, high: float) -> float:
        """A value whose |t| is uniform in [low, high], on either side of the nominal; clipped to the bounds."""
        return self.value(rng.choice([-1.0, 1.0]) * rng.uniform(low, high))

    def grid(self, num: int) -> np.ndarray:
        """`num` values over the whole bounds, evenly spaced in the transform, float64 (num,)."""
        low, high = (self.standardize(bound) for bound in self.bounds)
        return np.array([self.value(t) for t in np.linspace(low, high, num)])

    def check(self, value: float) -> float:
        """The value as a float.

        Raises:
            FactorError: it is not a finite number inside the bounds.
        """
        low, high = self.bounds
        expected = f"factor {self.name} must be a number in [{low:g}, {high:g}] {self.unit}"
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise FactorError(f"{expected}, got {value!r}")
        if not low <= value <= high:  # also false for NaN
            raise FactorError(f"{expected}, got {float(value):g}")
        return float(value)

    def describe(self) -> dict[str, object]:
        """Everything but the writer, ready for JSON."""
        return {
            "name": self.name,
            "unit": self.unit,
            "nominal": self.nominal,
            "bounds": list(self.bounds),
            "transform": self.transform,
            "prior_scale": self.prior_scale,
            "kind": self.kind,
            "description": self.description,
        }

    def _unclipped(self, t: float) -> float:
        forward, inverse = _TRANSFORMS[self.transform]
        return inverse(forward(self.nominal) + self.prior_scale * float(t))


@dataclass(frozen=True, kw_only=True)
class PhysicsFactor(Factor):
    """A constant that changes how the world moves."""

    kind: ClassVar[str] = "physical"


@dataclass(frozen=True, kw_only=True)
class VisualFactor(Factor):
    """A property that changes how the world looks, and nothing else."""

    kind: ClassVar[str] = "visual"


def prior_bounds(nominal: float, prior_scale: float, num_std: float = 3.2) -> tuple[float, float]:
    """Bounds `num_std` standard deviations either side of the nominal value of a log prior."""
    reach = math.exp(num_std * prior_scale)
    return nominal / reach, nominal * reach


def write_factors(model: mujoco.MjModel, base: mujoco.MjModel, values: Mapping[Factor, float]) -> None:
    """Write all factor values into a model, so that nothing of what was written before remains.

    Args:
        model: written to, without recompiling; call `mj_setConst` after a physical factor has changed.
        base: a pristine copy of the model.
        values: factor -> value, already checked.
    """
    for name in WRITABLE_FIELDS:
        getattr(model, name)[:] = getattr(base, name)
    for name in _HEADLIGHT_FIELDS:
        getattr(model.vis.headlight, name)[:] = getattr(base.vis.headlight, name)
    model.opt.gravity[:] = base.opt.gravity
    for factor, value in values.items():
        factor.write(model, base, value)


# Writers. Names are resolved when they write, so that one writer serves any model that has the names.


def body_mass(body: str) -> Writer:
    """The mass of one body in kg; its inertia scales along."""

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

    Compile the body with its centre of mass off the frame's origin, or MuJoCo takes the two for one.
    """

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        model.body_ipos[base.body(body).id, axis] = value

    return write


def link_length(body: str, rod: str, *, rod_has_mass: bool) -> Writer:
    """The length in m of a link whose rod is a capsule from the body's origin; masses stay.

    What the body carries moves along: its other geoms, its child bodies, its centre of mass. Where the rod has the
    mass, the inertia is that of the new capsule; else it belongs to something at the end, and keeps.
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
    """Moments of inertia of a capsule of unit mass across and along its axis; length is the cylinder's."""
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
