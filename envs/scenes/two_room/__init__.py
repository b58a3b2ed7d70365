"""Two rooms and a door between them, seen from above: the straight line to a goal may be blocked by the wall."""

from pathlib import Path

import mujoco
import numpy as np

from worldmodel.envs import writers
from worldmodel.envs.factors import Factor
from worldmodel.envs.scene import MjcfScene
from worldmodel.envs.scenes import palette


def two_room() -> MjcfScene:
    """Two forces move the agent at 10 Hz, at most 1 m/s; it slides along walls without friction."""
    return MjcfScene(
        Path(__file__).with_name("scene.xml"),
        name="two_room",
        camera="top",
        control_dt_s=0.1,
        time_limit_s=10.0,
        factors=agent_factors(),
        reset=_reset,
        goal_tolerance={"x": 0.08, "y": 0.08},
    )


def agent_factors() -> tuple[Factor, ...]:
    """What may vary of an agent that two forces move, and of the lamp above it."""
    damping = writers.joint_damping("x", "y")
    return (
        palette.constant("mass", "kg", 1.0, 0.3, writers.body_mass("agent"), "mass of the agent"),
        palette.constant("damping", "N s/m", 10.0, 0.2, damping, "viscous damping of the agent"),
        palette.lamp_intensity(nominal=0.6, prior_scale=0.2),
    )


def _reset(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    """Anywhere in either room."""
    data.qpos[:] = rng.uniform((0.2, -0.85), (0.85, 0.85)) * (rng.choice((-1, 1)), 1)
