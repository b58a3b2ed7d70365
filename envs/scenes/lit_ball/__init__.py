"""A ball on a rail under a lamp: actions move the ball, while light and colours vary by themselves."""

from functools import partial
from pathlib import Path

import mujoco
import numpy as np

from worldmodel.envs import writers
from worldmodel.envs.factors import Factor
from worldmodel.envs.scene import MjcfScene
from worldmodel.envs.scenes import palette


def lit_ball() -> MjcfScene:
    """One force moves the ball at 20 Hz; a weak spring and damping keep it in view."""
    return MjcfScene(
        Path(__file__).with_name("scene.xml"),
        name="lit_ball",
        camera="side",
        control_dt_s=0.05,
        time_limit_s=10.0,
        factors=_factors(),
        reset=_reset,
        goal_tolerance={"x": 0.05},
    )


def _reset(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    data.qpos[0] = rng.uniform(-0.9, 0.9)
    data.qvel[0] = rng.normal(0.0, 0.5)


def _factors() -> tuple[Factor, ...]:
    ball, floor = {"green": 0.35, "blue": 0.25}, {"red": 0.35, "green": 0.4, "blue": 0.45}
    return (
        palette.constant("mass", "kg", 1.0, 0.3, writers.body_mass("ball"), "mass of the ball"),
        palette.constant("damping", "N s/m", 1.0, 0.3, writers.joint_damping("x"), "viscous damping along the rail"),
        palette.lamp_intensity(),
        palette.lamp_azimuth(),
        *palette.colours("ball", ball, partial(writers.geom_colour, "ball"), prior_scale=0.15),
        *palette.colours("floor", floor, partial(writers.geom_colour, "floor"), prior_scale=0.15),
    )
