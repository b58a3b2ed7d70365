"""A block on a table, seen from above, pushed from inside: mass, friction and centre of mass are to be identified."""

from functools import partial
from pathlib import Path

import mujoco
import numpy as np

from worldmodel.envs import writers
from worldmodel.envs.factors import Factor, PhysicsFactor
from worldmodel.envs.scene import MjcfScene
from worldmodel.envs.scenes import palette

_WELL_CLEARANCE_M = 0.06


def block() -> MjcfScene:
    """Two forces drive a fingertip at 20 Hz inside a well in the block, so that it can push and turn it in any way."""
    return MjcfScene(
        Path(__file__).with_name("scene.xml"),
        name="block",
        camera="top",
        control_dt_s=0.05,
        time_limit_s=10.0,
        factors=_factors(),
        reset=_reset,
        goal_tolerance={"x": 0.05, "y": 0.05, "yaw": 0.15},
        angle_names=("yaw",),
    )


def _reset(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    """The block anywhere near the middle, the fingertip somewhere in its well."""
    position, yaw = rng.uniform(-0.4, 0.4, 2), rng.uniform(-np.pi, np.pi)
    inside = rng.uniform(-_WELL_CLEARANCE_M, _WELL_CLEARANCE_M, 2)
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    data.joint("x").qpos, data.joint("y").qpos = position
    data.joint("yaw").qpos = yaw
    data.joint("finger_x").qpos, data.joint("finger_y").qpos = position + turn @ inside


def _factors() -> tuple[Factor, ...]:
    constant, colours = palette.constant, palette.colours
    friction = writers.pair_friction(*(f"slide{i}" for i in range(1, 5)))
    walls = partial(writers.geom_colour, ("east", "west", "north", "south"))
    return (
        constant("mass", "kg", 0.6, 0.3, writers.body_mass("block"), "mass of the block"),
        constant("friction", "1", 0.25, 0.4, friction, "Coulomb friction of block and table"),
        PhysicsFactor(
            name="centre",
            unit="m",
            nominal=0.0,
            bounds=(-0.096, 0.096),
            prior_scale=0.03,
            transform="linear",
            write=writers.centre_of_mass("block", 0),
            description="centre of mass along the block, towards its mark",
        ),
        palette.lamp_intensity(),
        *colours("block", {"green": 0.35, "blue": 0.35}, walls, prior_scale=0.2),
        *palette.grey_floor(),
    )
