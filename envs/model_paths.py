"""Paths to the numbers of a MuJoCo model, as MJCF names them: "body.puck.mass", "camera.top.pos.x".

A path is KIND.NAME.PROPERTY or KIND.NAME.PROPERTY.PART; `PROPERTIES` lists them. A number stands for an element without
a name ("geom.3.friction"), a pattern for several elements ("body.*.mass"). "option" and "headlight" have no NAME.
"""

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import worldmodel.envs.rendering  # noqa: F401  # first: it sets MUJOCO_GL  # isort: skip

import mujoco
import numpy as np

from worldmodel.envs.factors import FactorError, Transform

_XYZ = {"x": (0,), "y": (1,), "z": (2,)}
_RGB = {"red": (0,), "green": (1,), "blue": (2,)}
_ANY = (-math.inf, math.inf)
_SHOWN = 4  # paths in a message


@dataclass(frozen=True)
class Property:
    """A kind of number that elements of a model have."""

    fields: tuple[str, ...]
    """Fields of the model that hold it; those after the first change in proportion to the first."""

    unit: str
    """Unit of the number; "1" where it is dimensionless."""

    prior: float
    """Standard deviation of the prior where none is given: of the logarithm, or in the property's own unit."""

    transform: Transform = "log"
    """What the prior is Gaussian in."""

    columns: tuple[int, ...] = ()
    """Columns of the first field that change; empty for all."""

    parts: Mapping[str, tuple[int, ...]] | None = None
    """Name of a part -> its columns."""

    apart: bool = False
    """Whether a path without a part is one factor for each part; otherwise it is one for `columns`."""

    limits: tuple[float, float] = _ANY
    """Lowest and highest value that the number can have."""

    visual: bool = False
    """Whether it changes how the world looks, and nothing else."""

    relative_to_size: bool = False
    """Whether `prior` is in units of the model's extent."""


def _positive(*fields: str, unit: str, columns: tuple[int, ...] = (), **more: Any) -> Property:
    return Property(fields, unit, 0.2, columns=columns, limits=(0, math.inf), **more)


def _position(field: str, share: float, visual: bool = False) -> Property:
    return Property((field,), "m", share, "linear", parts=_XYZ, apart=True, visual=visual, relative_to_size=True)


def _colour(field: str) -> Property:
    return Property((field,), "1", 0.15, "linear", parts=_RGB | {"alpha": (3,)}, apart=True, limits=(0, 1), visual=True)


def _intensity(field: str) -> Property:
    return Property((field,), "1", 0.3, parts=_RGB, limits=(0, math.inf), visual=True)


def _gloss(field: str) -> Property:
    return Property((field,), "1", 0.1, "linear", limits=(0, 1), visual=True)


_DIRECTION = Property(("light_dir",), "1", 0.2, "linear", parts=_XYZ, apart=True, visual=True)
_TURNS = {"pan": (1,), "tilt": (0,), "roll": (2,)}  # the axis of the camera's frame that each turns about
_FRICTION = {"sliding": (0,), "torsional": (1,), "rolling": (2,)}

PROPERTIES: dict[str, dict[str, Property]] = {
    "body": {
        "mass": _positive("body_mass", "body_inertia", unit="kg"),
        "inertia": _positive("body_inertia", unit="kg m^2", parts=_XYZ, apart=True),
        "com": _position("body_ipos", 0.01),
        "pos": _position("body_pos", 0.01),
    },
    "geom": {
        "friction": _positive("geom_friction", unit="1", columns=(0,), parts=_FRICTION),
        "pos": _position("geom_pos", 0.01),
        "rgba": _colour("geom_rgba"),
    },
    "pair": {"friction": _positive("pair_friction", unit="1", columns=(0, 1))},
    "joint": {
        "damping": _positive("dof_damping", unit="N s/m or N m s/rad"),
        "armature": _positive("dof_armature", unit="kg or kg m^2"),
        "frictionloss": _positive("dof_frictionloss", unit="N or N m"),
        "stiffness": _positive("jnt_stiffness", unit="N/m or N m/rad"),
    },
    "actuator": {
        "gear": Property(("actuator_gear",), "1", 0.2, columns=(0,)),
        "gain": Property(("actuator_gainprm", "actuator_biasprm"), "1", 0.2, columns=(0,)),
    },
    "tendon": {
        "length": _positive("tendon_range", unit="m", columns=(1,)),
        "stiffness": _positive("tendon_stiffness", unit="N/m"),
        "damping": _positive("tendon_damping", unit="N s/m"),
        "frictionloss": _positive("tendon_frictionloss", unit="N"),
    },
    "site": {"pos": _position("site_pos", 0.01), "rgba": _colour("site_rgba")},
    "material": {
        "rgba": _colour("mat_rgba"),
        "texrepeat": Property(("mat_texrepeat",), "1", 0.2, limits=(0, math.inf), visual=True),
        "specular": _gloss("mat_specular"),
        "emission": _gloss("mat_emission"),
    },
    "light": {
        "diffuse": _intensity("light_diffuse"),
        "ambient": _intensity("light_ambient"),
        "specular": _intensity("light_specular"),
        "pos": _position("light_pos", 0.1, visual=True),
        "dir": _DIRECTION,
    },
    "camera": {
        "pos": _position("cam_pos", 0.02, visual=True),
        "fovy": Property(("cam_fovy",), "degree", 0.05, limits=(1, 170), visual=True),
        "rotation": Property(("cam_quat",), "rad", 0.03, "linear", parts=_TURNS, apart=True, visual=True),
    },
    "option": {
        "gravity": _positive("opt.gravity", unit="m/s^2"),
        "density": _positive("opt.density", unit="kg/m^3"),
        "viscosity": _positive("opt.viscosity", unit="Pa s"),
    },
    "headlight": {
        "diffuse": _intensity("vis.headlight.diffuse"),
        "ambient": _intensity("vis.headlight.ambient"),
        "specular": _intensity("vis.headlight.specular"),
    },
}
"""Kind of element -> property -> where the model holds it."""

_WITHOUT_NAME = ("option", "headlight")
_OBJECTS = {
    "body": (mujoco.mjtObj.mjOBJ_BODY, "nbody"),
    "geom": (mujoco.mjtObj.mjOBJ_GEOM, "ngeom"),
    "pair": (mujoco.mjtObj.mjOBJ_PAIR, "npair"),
    "joint": (mujoco.mjtObj.mjOBJ_JOINT, "njnt"),
    "actuator": (mujoco.mjtObj.mjOBJ_ACTUATOR, "nu"),
    "tendon": (mujoco.mjtObj.mjOBJ_TENDON, "ntendon"),
    "site": (mujoco.mjtObj.mjOBJ_SITE, "nsite"),
    "material": (mujoco.mjtObj.mjOBJ_MATERIAL, "nmat"),
    "light": (mujoco.mjtObj.mjOBJ_LIGHT, "nlight"),
    "camera": (mujoco.mjtObj.mjOBJ_CAMERA, "ncam"),
}


@dataclass(frozen=True)
class Place:
    """The numbers of a model that a factor changes."""

    path: str

    field: str

    rows: tuple[int, ...]
    """Of the field; empty where it has none (gravity)."""

    columns: tuple[int, ...]
    """Numbers of each row; empty for all."""

    also: tuple[str, ...]
    """Fields whose rows change in proportion."""

    is_ratio: bool
    """Whether the value is a ratio for several elements."""

    def index(self) -> Any:
        """Index of the numbers in the field."""
        rows = np.array(self.rows, int)
        if not self.rows:
            return (..., list(self.columns)) if self.columns else ...
        return np.ix_(rows, np.array(self.columns, int)) if self.columns else rows

    def read(self, model: mujoco.MjModel) -> float:
        """The value as compiled: 1 for a ratio; for a vector (gravity) its length, otherwise the mean."""
        if self.is_ratio:
            return 1.0
        numbers = np.atleast_1d(np.asarray(field_of(model, self.field)))[self.index()]
        return float(np.linalg.norm(numbers) if self.field == "opt.gravity" else numbers.mean())


def nameable(model: mujoco.MjModel) -> Iterator[str]:
    """The path of every factor that the named elements of a model offer, one for each property."""
    for kind, properties in PROPERTIES.items():
        names = [""] if kind in _WITHOUT_NAME else [name for name in _names(model, kind) if name not in ("", "world")]
        for name in names:
            for prop in properties:
                yield ".".join(part for part in (kind, name, prop) if part)


def resolve(model: mujoco.MjModel, factor: str, of: str) -> Iterator[tuple[str, Place, Property]]:
    """(what to add to the factor's name, place, property) of everything that a path names."""
    kind, _, rest = of.partition(".")
    if kind not in PROPERTIES:
        raise FactorError(f"factor {factor}: {_no_such_kind(model, kind, of)}")
    name, prop_name, part = _split(factor, kind, rest, of)
    prop = PROPERTIES[kind][prop_name]
    if kind in _WITHOUT_NAME:
        rows: tuple[int, ...] = ()
    else:
        rows = _rows(model, factor, kind, name, of, prop.fields[0])
    several = any(letter in name for letter in "*?[")
    if (kind, prop_name) == ("geom", "rgba"):
        _check_no_material(model, factor, rows)
    if (kind, prop_name) == ("body", "com"):
        _check_not_simple(model, factor, rows)
    parts = prop.parts or {}
    if part:
        wanted = {"": parts[part]}
    elif prop.apart:
        wanted = {f"_{name}": columns for name, columns in parts.items() if name != "alpha"}
    else:
        wanted = {"": prop.columns}
    for suffix, columns in wanted.items():
        path = of if part or not suffix else f"{of}.{suffix[1:]}"
        yield suffix, Place(path, prop.fields[0], rows, columns, prop.fields[1:], several), prop


def _split(factor: str, kind: str, rest: str, of: str) -> tuple[str, str, str]:
    """(name, property, part or nothing) of what stands after the kind; a name may itself contain dots."""
    words = rest.split(".")
    least = 1 if kind in _WITHOUT_NAME else 2
    properties = PROPERTIES[kind]
    for at in (len(words) - 2, len(words) - 1):
        if at < least - 1 or words[at] not in properties:
            continue
        name, prop, part = ".".join(words[:at]), words[at], "".join(words[at + 1 :])
        parts = properties[prop].parts or {}
        if part and part not in parts:
            told = _unknown("part", part, of, parts) if parts else f"{prop} is one number, which has no part {part!r}"
            raise FactorError(f"factor {factor}: {told}")
        return name, prop, part
    if len(words) < least:
        form = f"{kind}.PROPERTY" if kind in _WITHOUT_NAME else f"{kind}.NAME.PROPERTY"
        raise FactorError(f"factor {factor}: write {form} with PROPERTY one of {', '.join(properties)}, got {of!r}")
    owners = [f"{other}.NAME.{words[-1]}" for other, known in PROPERTIES.items() if words[-1] in known]
    hint = f"; elsewhere there is {', '.join(owners)}" if owners else ""
    raise FactorError(f"factor {factor}: {_unknown('property', words[-1], of, properties)}{hint}")


def _rows(model: mujoco.MjModel, factor: str, kind: str, name: str, of: str, field: str) -> tuple[int, ...]:
    """The rows of a field that belong to the elements of a name, number or pattern."""
    names = _names(model, kind)
    if name in names and name:
        found = [names.index(name)]
    elif name.isdigit() and int(name) < len(names):
        found = [int(name)]
    else:
        found = [index for index, known in enumerate(names) if fnmatchcase(known, name)]
        if kind == "body":
            found = [index for index in found if index > 0]  # the world
    if not found:
        hint = "" if names or kind != "camera" else "; a free camera is no factor, but randomize=[looks] moves it"
        raise FactorError(f"factor {factor}: {_unknown(kind, name, of, [known for known in names if known])}{hint}")
    if field.startswith("dof_"):
        found = [int(dof) for joint in found for dof in np.flatnonzero(model.dof_jntid == joint)]
    return tuple(found)


def _names(model: mujoco.MjModel, kind: str) -> list[str]:
    """The name of every element of a kind, empty where it has none."""
    obj, count = _OBJECTS[kind]
    return [mujoco.mj_id2name(model, obj, index) or "" for index in range(getattr(model, count))]


def _unknown(what: str, word: str, of: str, known: Sequence[str] | Mapping[str, object]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    return f"unknown {what} {word!r} in {of!r}{meant}; there is {', '.join(known) or 'none with a name'}"


def _no_such_kind(model: mujoco.MjModel, kind: str, of: str) -> str:
    """One line about a path that begins with no kind: the paths of this model that end in it, or what there is."""
    ends = [path for path in nameable(model) if path.endswith(f".{of}")]
    if ends:
        some = f"{', '.join(ends[:_SHOWN])}{', …' if len(ends) > _SHOWN else ''}"
        return f"{of!r} does not say of what kind it is: write {some}"
    hint = "; textures are fixed: tint or repeat them by material.NAME.rgba" if kind == "texture" else ""
    return f"{_unknown('kind', kind, of, PROPERTIES)}{hint}"


def _check_no_material(model: mujoco.MjModel, factor: str, rows: Sequence[int]) -> None:
    for row in rows:
        if model.geom_matid[row] >= 0:
            material = model.material(model.geom_matid[row]).name
            raise FactorError(
                f"factor {factor}: geom {model.geom(row).name or row} takes its colour from a material; "
                f"use material.{material or model.geom_matid[row]}.rgba"
            )


def _check_not_simple(model: mujoco.MjModel, factor: str, rows: Sequence[int]) -> None:
    for row in rows:
        if model.body_simple[row]:
            raise FactorError(
                f"factor {factor}: body {model.body(row).name or row} was compiled with its centre of mass at its "
                "origin, where MuJoCo keeps it; write simple='false' into its MJCF"
            )


def field_of(model: mujoco.MjModel, path: str) -> Any:
    found: Any = model
    for attribute in path.split("."):
        found = getattr(found, attribute)
    return found
