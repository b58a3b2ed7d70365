"""Factors that scenes share: constants with a log prior, lamps, colours."""

import math
from collections.abc import Callable, Mapping
from functools import partial

from worldmodel.envs import writers
from worldmodel.envs.factors import PhysicsFactor, Transform, VisualFactor, Writer, prior_bounds

_COLOUR_BOUNDS = (0.03, 1.0)


def constant(
    name: str, unit: str, nominal: float, prior_scale: float, write: Writer, description: str
) -> PhysicsFactor:
    """A positive constant with a log-normal prior around its nominal value."""
    return PhysicsFactor(
        name=name,
        unit=unit,
        nominal=nominal,
        bounds=prior_bounds(nominal, prior_scale),
        prior_scale=prior_scale,
        transform="log",
        write=write,
        description=description,
    )


def lamp_intensity(nominal: float = 0.5, prior_scale: float = 0.35) -> VisualFactor:
    """The diffuse intensity of the lamp, 1 at most."""
    return VisualFactor(
        name="light",
        unit="1",
        nominal=nominal,
        bounds=(prior_bounds(nominal, prior_scale)[0], 1.0),
        prior_scale=prior_scale,
        transform="log",
        write=writers.light_diffuse("lamp"),
        description="intensity of the lamp",
    )


def all_lights() -> VisualFactor:
    """One ratio for all the light of a world."""
    return VisualFactor(
        name="light",
        unit="1",
        nominal=1.0,
        bounds=prior_bounds(1.0, 0.15),
        prior_scale=0.15,
        transform="log",
        write=writers.light_scale(),
        description="ratio for the intensity of all lights",
    )


def lamp_azimuth() -> VisualFactor:
    """The direction from which the lamp shines, around the vertical."""
    return VisualFactor(
        name="light_azimuth",
        unit="rad",
        nominal=0.75 * math.pi,
        bounds=(0.15 * math.pi, 1.35 * math.pi),
        prior_scale=0.5,
        transform="linear",
        write=writers.light_azimuth("lamp"),
        description="direction in which the lamp shines",
    )


def grey_floor() -> tuple[VisualFactor, ...]:
    """Colours of a table or a floor, nominally a bluish grey."""
    nominal = {"red": 0.25, "green": 0.28, "blue": 0.32}
    return colours("floor", nominal, partial(writers.geom_colour, "floor"), prior_scale=0.25, transform="log")


def colours(
    what: str,
    nominal: Mapping[str, float],
    write: Callable[[str], Writer],
    *,
    prior_scale: float,
    transform: Transform = "linear",
) -> tuple[VisualFactor, ...]:
    """A factor `WHAT_CHANNEL` for each channel with a nominal value, independent of one another."""
    return tuple(
        VisualFactor(
            name=f"{what}_{channel}",
            unit="1",
            nominal=value,
            bounds=_COLOUR_BOUNDS if transform == "linear" else prior_bounds(value, prior_scale),
            prior_scale=prior_scale,
            transform=transform,
            write=write(channel),
            description=f"{channel} of the {what}",
        )
        for channel, value in nominal.items()
    )
