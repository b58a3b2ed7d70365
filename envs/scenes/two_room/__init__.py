"""Two rooms and a door between them, seen from above: the straight line to a goal may be blocked by the wall."""

from pathlib import Path

import mujoco
import numpy as np

from worldmodel.envs import writers
from worldmodel.envs.factors import PhysicsFactor, VisualFactor, prior_bounds
from worldmodel.envs.scene import MjcfScene


def two_room() -> MjcfScene:
    """Two forces move the agent at 10 Hz, at most 1 m/s; it slides along walls without friction."""
    return MjcfScene(
        Path(__file__).with_name("scene.xml"),
        name="two_room",
        camera="top",
        control_dt_s=0.1,
        time_limit_s=10.0,
        factors=(
            PhysicsFactor(
                name="mass",
                unit="kg",
                nominal=1.0,
                bounds=prior_bounds(1.0, 0.3),
                prior_scale=0.3,
                transform="log",
                write=writers.body_mass("agent"),
                description="mass of the agent",
            ),
            PhysicsFactor(
                name="damping",
                unit="N s/m",
                nominal=10.0,
                bounds=prior_bounds(10.0, 0.2),
                prior_scale=0.2,
                transform="log",
                write=writers.joint_damping("x", "y"),
                description="viscous damping of the agent",
            ),
            VisualFactor(
                name="light",
                unit="1",
                nominal=0.6,
                bounds=(prior_bounds(0.6, 0.2)[0], 1.0),
                prior_scale=0.2,
                transform="log",
                write=writers.light_diffuse("lamp"),
                description="intensity of the lamp",
            ),
        ),
        reset=_reset,
        goal_tolerance={"x": 0.08, "y": 0.08},
    )


def _reset(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    """Anywhere in either room."""
    data.qpos[:] = rng.uniform((0.2, -0.85), (0.85, 0.85)) * (rng.choice((-1, 1)), 1)
