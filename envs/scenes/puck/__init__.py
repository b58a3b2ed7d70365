"""A puck on a table, seen from above: mass and friction to be found, light and colours to be ignored."""

from pathlib import Path

import mujoco
import numpy as np

from envs import physics
from envs.physics import Channel, PhysicsFactor, VisualFactor, prior_bounds
from envs.world import MjcfScene

_COLOUR_BOUNDS = (0.03, 1.0)
_PUCK_CHANNELS: tuple[Channel, ...] = ("green", "blue")
_FLOOR_NOMINAL: dict[Channel, float] = {"red": 0.25, "green": 0.28, "blue": 0.32}


def puck() -> MjcfScene:
    """Two planar forces push the puck at 10 Hz; it slides on one contact with Coulomb friction."""
    return MjcfScene(
        Path(__file__).with_name("scene.xml"),
        name="puck",
        camera="top",
        control_dt_s=0.1,
        time_limit_s=10.0,
        factors=_physical_factors() + _visual_factors(),
        reset=_reset,
        goal_tolerance={"x": 0.05, "y": 0.05},
    )


def _reset(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    data.qpos[:2] = rng.uniform(-0.6, 0.6, 2)
    data.qvel[:2] = rng.normal(0.0, 0.5, 2)


def _physical_factors() -> tuple[PhysicsFactor, ...]:
    return (
        PhysicsFactor(
            name="mass",
            unit="kg",
            nominal=1.0,
            bounds=prior_bounds(1.0, 0.3),
            prior_scale=0.3,
            transform="log",
            write=physics.body_mass("puck"),
            description="mass of the puck",
        ),
        PhysicsFactor(
            name="friction",
            unit="1",
            nominal=0.15,
            bounds=prior_bounds(0.15, 0.4),
            prior_scale=0.4,
            transform="log",
            write=physics.sliding_friction("foot"),
            description="Coulomb friction between puck and table",
        ),
        PhysicsFactor(
            name="force_gain",
            unit="N",
            nominal=6.0,
            bounds=prior_bounds(6.0, 0.2),
            prior_scale=0.2,
            transform="log",
            write=physics.actuator_gear("x", "y"),
            description="force of a full action along one axis",
        ),
    )


def _visual_factors() -> tuple[VisualFactor, ...]:
    light = VisualFactor(
        name="light",
        unit="1",
        nominal=0.5,
        bounds=(prior_bounds(0.5, 0.35)[0], 1.0),
        prior_scale=0.35,
        transform="log",
        write=physics.light_diffuse("lamp"),
        description="intensity of the lamp",
    )
    puck_channels = [
        VisualFactor(
            name=f"puck_{channel}",
            unit="1",
            nominal=0.35,
            bounds=_COLOUR_BOUNDS,
            prior_scale=0.2,
            transform="linear",
            write=physics.geom_colour("disc", channel),
            description=f"{channel} of the puck",
        )
        for channel in _PUCK_CHANNELS
    ]
    floor_channels = [
        VisualFactor(
            name=f"floor_{channel}",
            unit="1",
            nominal=nominal,
            bounds=prior_bounds(nominal, 0.25),
            prior_scale=0.25,
            transform="log",
            write=physics.geom_colour("floor", channel),
            description=f"{channel} of the table",
        )
        for channel, nominal in _FLOOR_NOMINAL.items()
    ]
    return (light, *puck_channels, *floor_channels)
