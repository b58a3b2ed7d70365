"""Factors: the physical constants and visual properties of a world that can be set, drawn and recorded.

A factor has a prior that is Gaussian in a transform of its value: `transform(value) = transform(nominal) +
prior_scale * t` with `t ~ N(0, 1)`, truncated to the bounds. `t` is the factor's standardised coordinate.

How a value reaches the model: a `Writer` gets the model and a base, which is the model without any factor written.
Before the writers run, every field in `WRITABLE_FIELDS` is copied from the base, so a writer may scale such a field in
place, and two factors on one field multiply. A writer of any other field must assign from the base, and only the rows
of its own bodies, geoms, …: a scene may move others (targets) in the same field.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import mujoco
import numpy as np

Transform = Literal["log", "linear"]

Writer = Callable[[mujoco.MjModel, mujoco.MjModel, float], None]
"""`write(model, base, value)` writes a value into `model`; see the top of this module."""

_TRANSFORMS: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "log": (math.log, math.exp),
    "linear": (float, float),
}

PRIOR_REACH = 3.2
"""Standard deviations on either side of the nominal value that bounds leave by default."""

# Copied from the base before the writers run.
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
    "cam_pos",
    "cam_quat",
    "cam_fovy",
)
_HEADLIGHT_FIELDS = ("ambient", "diffuse")


class FactorError(ValueError):
    """A factor was given a name or value it does not accept."""


@dataclass(frozen=True, kw_only=True)
class Factor:
    """One settable property of a world; use `PhysicsFactor` or `VisualFactor`.

    Raises:
        FactorError: its fields do not fit together.
    """

    name: str
    """Its name in options, data sets and reports."""

    unit: str
    """Unit of the value, e.g. "kg"; "1" where it is dimensionless."""

    nominal: float
    """The value where it is not randomised."""

    bounds: tuple[float, float]
    """The lowest and the highest accepted value."""

    prior_scale: float
    """Standard deviation of the prior, in the transformed value."""

    transform: Transform
    """The transform of the value whose prior is Gaussian: "log" or "linear"."""

    write: Writer = field(repr=False)
    """Writes a value into a model; see `worldmodel.envs.writers`."""

    description: str = ""
    """One line for a reader."""

    group: str = ""
    """A name that options may use for several factors at once, such as "view" for view_x, view_y and view_z; by default
    the factor's own."""

    moves_constants: bool | None = None
    """Whether MuJoCo derives constants from it, such as inverse weights or the place of a camera that follows a body;
    None: true for physical factors, false for visual ones."""

    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        low, high = self.bounds
        if self.transform not in _TRANSFORMS:
            raise FactorError(f"factor {self.name}: transform must be log or linear, got {self.transform!r}")
        if self.prior_scale <= 0:
            raise FactorError(f"factor {self.name}: prior_scale must be > 0, got {self.prior_scale}")
        if not low <= self.nominal <= high:
            raise FactorError(
                f"factor {self.name}: nominal {self.nominal:g} is outside its bounds [{low:g}, {high:g}]; give bounds "
                "that contain it, or another nominal"
            )
        if self.transform == "log" and low <= 0:
            raise FactorError(f"factor {self.name}: a log transform needs bounds above 0, got [{low:g}, {high:g}]")
        if not self.group:
            object.__setattr__(self, "group", self.name)
        if self.moves_constants is None:
            object.__setattr__(self, "moves_constants", self.kind == "physical")

    def value(self, t: float) -> float:
        """The value at the standardised coordinate `t`, clipped to the bounds."""
        return min(max(self.unclipped(t), self.bounds[0]), self.bounds[1])

    def unclipped(self, t: float) -> float:
        """The value at the standardised coordinate `t`, also where it is outside the bounds."""
        forward, inverse = _TRANSFORMS[self.transform]
        return inverse(forward(self.nominal) + self.prior_scale * float(t))

    def standardize(self, value: float) -> float:
        """The standardised coordinate of a value; the inverse of `value` inside the bounds."""
        forward, _ = _TRANSFORMS[self.transform]
        return (forward(value) - forward(self.nominal)) / self.prior_scale

    def sample(self, rng: np.random.Generator, spread: float = 1.0) -> float:
        """A value from the prior, made `spread` times as wide; draws outside the bounds are drawn again."""
        low, high = self.bounds
        while not low <= (value := self.unclipped(spread * rng.standard_normal())) <= high:
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


@dataclass(frozen=True, kw_only=True)
class PhysicsFactor(Factor):
    """A constant that changes how the world moves."""

    kind: ClassVar[str] = "physical"


@dataclass(frozen=True, kw_only=True)
class VisualFactor(Factor):
    """A property that changes how the world looks, and nothing else."""

    kind: ClassVar[str] = "visual"


def prior_bounds(nominal: float, prior_scale: float) -> tuple[float, float]:
    """Bounds `PRIOR_REACH` standard deviations on either side of the nominal value of a log prior."""
    reach = math.exp(PRIOR_REACH * prior_scale)
    return nominal / reach, nominal * reach


def write_factors(model: mujoco.MjModel, base: mujoco.MjModel, values: Mapping[Factor, float]) -> None:
    """Write all factor values into a model, so that nothing of what was written before remains.

    Args:
        model: written to, without recompiling; call `mj_setConst` after a physical factor has changed.
        base: the model without any factor written.
        values: factor -> value, already checked.
    """
    for name in WRITABLE_FIELDS:
        getattr(model, name)[:] = getattr(base, name)
    for name in _HEADLIGHT_FIELDS:
        getattr(model.vis.headlight, name)[:] = getattr(base.vis.headlight, name)
    model.opt.gravity[:] = base.opt.gravity
    for factor, value in values.items():
        factor.write(model, base, value)
