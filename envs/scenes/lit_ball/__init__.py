"""A ball on a rail under a lamp: position moves, light changes, and only one of them is the robot's doing."""

import math
from pathlib import Path

import mujoco
import numpy as np

from envs import physics
from envs.physics import Channel, PhysicsFactor, VisualFactor, prior_bounds
from envs.world import MjcfScene

_COLOURS: tuple[tuple[str, Channel, float], ...] = (
    ("ball", "green", 0.35),
    ("ball", "blue", 0.25),
    ("floor", "red", 0.35),
    ("floor", "green", 0.4),
    ("floor", "blue", 0.45),
)


def lit_ball() -> MjcfScene:
    """One force moves the ball at 20 Hz; a weak spring and damping keep it in view."""
    return MjcfScene(
        Path(__file__).with_name("scene.xml"),
        name="lit_ball",
        camera="side",
        control_dt_s=0.05,
        time_limit_s=10.0,
        factors=_physical_factors() + _visual_factors(),
        reset=_reset,
        goal_tolerance={"x": 0.05},
    )


def _reset(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    data.qpos[0] = rng.uniform(-0.9, 0.9)
    data.qvel[0] = rng.normal(0.0, 0.5)


def _physical_factors() -> tuple[PhysicsFactor, ...]:
    return (
        PhysicsFactor(
            name="mass",
            unit="kg",
            nominal=1.0,
            bounds=prior_bounds(1.0, 0.3),
            prior_scale=0.3,
            transform="log",
            write=physics.body_mass("ball"),
            description="mass of the ball",
        ),
        PhysicsFactor(
            name="damping",
            unit="N s/m",
            nominal=1.0,
            bounds=prior_bounds(1.0, 0.3),
            prior_scale=0.3,
            transform="log",
            write=physics.joint_damping("x"),
            description="viscous damping along the rail",
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
    azimuth = VisualFactor(
        name="light_azimuth",
        unit="rad",
        nominal=0.75 * math.pi,
        bounds=(0.15 * math.pi, 1.35 * math.pi),
        prior_scale=0.5,
        transform="linear",
        write=physics.light_azimuth("lamp"),
        description="direction in which the lamp shines",
    )
    colours = [
        VisualFactor(
            name=f"{geom}_{channel}",
            unit="1",
            nominal=nominal,
            bounds=(0.03, 1.0),
            prior_scale=0.15,
            transform="linear",
            write=physics.geom_colour(geom, channel),
            description=f"{channel} of the {geom}",
        )
        for geom, channel, nominal in _COLOURS
    ]
    return (light, azimuth, *colours)
