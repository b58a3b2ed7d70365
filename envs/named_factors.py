"""Factors without code: any constant, colour, light or camera of a MuJoCo model, by the name that MJCF gives it.

    world = envs.make("puck", factors={"heavy": {"of": "body.puck.mass"}, "view": {"of": "camera.top.pos"}})

Paths are those of `model_paths`. A pattern ("body.*.mass") is a ratio for several elements that change in proportion. A
property of several numbers that does not name one of them ("camera.top.pos") is one factor for each, view_x, view_y and
view_z, which options may call view together.
"""

import math
from collections.abc import Sequence

import worldmodel.envs.rendering  # noqa: F401  # first: it sets MUJOCO_GL  # isort: skip

import mujoco
import numpy as np

from worldmodel.envs.factors import (
    PRIOR_REACH,
    WRITABLE_FIELDS,
    Factor,
    FactorError,
    PhysicsFactor,
    Transform,
    VisualFactor,
    Writer,
    prior_bounds,
)
from worldmodel.envs.model_paths import Place, Property, field_of, resolve


def named_factors(
    model: mujoco.MjModel,
    name: str,
    of: str,
    *,
    prior: float | None = None,
    transform: Transform | None = None,
    bounds: Sequence[float] | None = None,
    nominal: float | None = None,
) -> tuple[Factor, ...]:
    """The factors that a path stands for: one, or one for each part of a property of several numbers.

    Args:
        model: as it was compiled.
        name: of the factor; of several, what stands before their parts ("view" for view_x, view_y, view_z).
        of: the path; see `model_paths`.
        prior: standard deviation of the prior, of the logarithm or in the property's own unit; by default 0.2 of the
            logarithm of a physical constant, and what suits a picture elsewhere (`model_paths.PROPERTIES`).
        transform: what the prior is Gaussian in, "log" or "linear"; by default "log" for what is positive.
        bounds: lowest and highest value; by default 3.2 standard deviations on either side.
        nominal: the value where nothing else is asked for; by default the model's own.

    Raises:
        FactorError: the path names nothing, or the numbers do not fit together; the message says what there is.
    """
    return tuple(
        _factor(model, name + suffix, name, place, prop, prior, transform, bounds, nominal)
        for suffix, place, prop in resolve(model, name, of)
    )


def _factor(
    model: mujoco.MjModel,
    name: str,
    group: str,
    place: Place,
    prop: Property,
    prior: float | None,
    transform: Transform | None,
    bounds: Sequence[float] | None,
    nominal: float | None,
) -> Factor:
    scale = model.stat.extent if prop.relative_to_size else 1.0
    is_turn = place.field == "cam_quat"
    value = nominal if nominal is not None else 0.0 if is_turn else place.read(model)
    transform = transform or ("log" if place.is_ratio else prop.transform)
    if transform == "log" and value <= 0:
        raise FactorError(
            f"factor {name}: {place.path} is {value:g}, which has no logarithm; give it a nominal value > 0, or "
            "transform: linear with prior and bounds"
        )
    prior = prior if prior is not None else prop.prior * scale
    limits = (0.0, math.inf) if place.is_ratio else prop.limits
    if bounds is None:
        reach = PRIOR_REACH * prior
        low, high = prior_bounds(value, prior) if transform == "log" else (value - reach, value + reach)
        bounds = max(low, limits[0]), min(high, limits[1])
    else:
        _check_bounds(name, place.path, bounds, limits)
    return (VisualFactor if prop.visual else PhysicsFactor)(
        name=name,
        group=group,
        unit="1" if place.is_ratio else prop.unit,
        nominal=float(value),
        bounds=(float(bounds[0]), float(bounds[1])),
        prior_scale=float(prior),
        transform=transform,
        write=_turn(place) if is_turn else _writer(place, in_proportion=not prop.relative_to_size),
        description=f"ratio for {place.path}" if place.is_ratio else place.path,
        moves_constants=not prop.visual or place.field.startswith(("cam_", "light_pos", "light_dir")),
    )


def _check_bounds(name: str, path: str, bounds: Sequence[float], limits: tuple[float, float]) -> None:
    """FactorError for bounds that a user gave and that are none, or that lie where the property cannot be."""
    if len(bounds) != 2 or not bounds[0] < bounds[1]:
        raise FactorError(f"factor {name}: bounds must be [lowest, highest], got {list(bounds)}")
    if bounds[0] < limits[0] or bounds[1] > limits[1]:
        within = f"in [{limits[0]:g}, {limits[1]:g}]" if limits[1] < math.inf else f"{limits[0]:g} or more"
        raise FactorError(f"factor {name}: {path} is {within}, got the bounds {list(bounds)}")


def _writer(place: Place, in_proportion: bool) -> Writer:
    """Writes a value: as a change in proportion where the base is not 0, so that several numbers keep their ratio, and
    factors on one number multiply; of positions and where the base is 0, as a difference that is added."""
    index = place.index()

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        before = 1.0 if place.is_ratio else place.read(base)
        ratio, difference = (value / before, 0.0) if before and in_proportion else (1.0, value - before)
        target, source = field_of(model, place.field), field_of(base, place.field)
        if not isinstance(target, np.ndarray):  # a number among the model's options
            parent, _, attribute = place.field.rpartition(".")
            setattr(field_of(model, parent), attribute, source * ratio + difference)
            return
        if place.field in _COPIED:
            source = target  # with what other factors have made of it
        target[index] = source[index] * ratio + difference
        for field in place.also:
            field_of(model, field)[list(place.rows)] *= ratio

    return write


_COPIED = (*WRITABLE_FIELDS, "opt.gravity", "vis.headlight.ambient", "vis.headlight.diffuse")
"""Fields that `write_factors` copies from the base before the writers run."""


def _turn(place: Place) -> Writer:
    """Turns cameras about an axis of their own frame: x to the right, y up, z backwards."""
    axis = np.eye(3)[place.columns[0]]

    def write(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
        turn, turned = np.empty(4), np.empty(4)
        mujoco.mju_axisAngle2Quat(turn, axis, value)
        for row in place.rows:
            mujoco.mju_mulQuat(turned, model.cam_quat[row], turn)
            model.cam_quat[row] = turned

    return write
