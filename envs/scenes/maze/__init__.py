"""An S of three corridors, seen from above: the way to the next corridor may be five times the straight line."""

from pathlib import Path

import mujoco
import numpy as np

from worldmodel.envs.scene import MjcfScene
from worldmodel.envs.scenes.two_room import agent_factors


def maze() -> MjcfScene:
    """The agent of `two_room`: two forces move it at 10 Hz, at most 1 m/s; it slides along walls without friction."""
    return MjcfScene(
        Path(__file__).with_name("scene.xml"),
        name="maze",
        camera="top",
        control_dt_s=0.1,
        time_limit_s=20.0,
        factors=agent_factors(),
        reset=_reset,
        goal_tolerance={"x": 0.08, "y": 0.08},
    )


def _reset(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    """Anywhere in any of the corridors."""
    data.qpos[:] = rng.uniform((-0.85, -0.15), (0.85, 0.15))
    data.qpos[1] += 0.7 * rng.choice((-1, 0, 1))
