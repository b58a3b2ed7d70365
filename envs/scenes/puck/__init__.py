"""A puck on a table, seen from above: mass and friction are to be identified, light and colours to be ignored."""

from functools import partial
from pathlib import Path

import mujoco
import numpy as np

from worldmodel.envs import writers
from worldmodel.envs.factors import Factor
from worldmodel.envs.scene import MjcfScene
from worldmodel.envs.scenes import palette


def puck() -> MjcfScene:
    """Two planar forces push the puck at 10 Hz; it slides with Coulomb friction and a little drag."""
    return MjcfScene(
        Path(__file__).with_name("scene.xml"),
        name="puck",
        camera="top",
        control_dt_s=0.1,
        time_limit_s=10.0,
        factors=_factors(),
        reset=_reset,
        goal_tolerance={"x": 0.05, "y": 0.05},
    )


def _reset(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    data.qpos[:2] = rng.uniform(-0.6, 0.6, 2)
    data.qvel[:2] = rng.normal(0.0, 0.5, 2)


def _factors() -> tuple[Factor, ...]:
    gain = writers.actuator_gear("x", "y")
    constant, colours = palette.constant, palette.colours
    return (
        constant("mass", "kg", 1.0, 0.3, writers.body_mass("puck"), "mass of the puck"),
        constant("friction", "1", 0.15, 0.4, writers.pair_friction("slide"), "Coulomb friction of puck and table"),
        constant("force_gain", "N", 6.0, 0.2, gain, "force of a full action along one axis"),
        constant("damping", "N s/m", 0.3, 0.4, writers.joint_damping("x", "y"), "viscous damping along either axis"),
        palette.lamp_intensity(),
        *colours("puck", {"green": 0.35, "blue": 0.35}, partial(writers.geom_colour, "disc"), prior_scale=0.2),
        *palette.grey_floor(),
    )
