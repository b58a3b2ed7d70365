"""A planar arm of three driven joints, seen from above: one frame shows all three degrees of freedom."""

from pathlib import Path

import mujoco
import numpy as np

from worldmodel.envs.scene import MjcfScene

_START_RAD = 0.5


def arm3() -> MjcfScene:
    """Three motors at 50 Hz; no gravity, no contact."""
    return MjcfScene(
        Path(__file__).with_name("scene.xml"),
        name="arm3",
        camera="top",
        control_dt_s=0.02,
        time_limit_s=10.0,
        reset=_reset,
        goal_tolerance={"shoulder": 0.05, "elbow": 0.05, "wrist": 0.05},
    )


def _reset(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    data.qpos[:] = rng.uniform(-_START_RAD, _START_RAD, model.nq)
