"""Push-T: a round pusher, and a T-shaped block to be moved to a place and an angle; seen from above."""

from pathlib import Path

import mujoco
import numpy as np

from worldmodel.envs import writers
from worldmodel.envs.scene import MjcfScene
from worldmodel.envs.scenes import palette

_TOUCHING_M = 0.4  # farther from the T's origin than any part of the T, plus the radius of the pusher


def push_t() -> MjcfScene:
    """Two forces move the pusher at 10 Hz, at most 0.8 m/s. A goal is the block's pose; the pusher may be anywhere."""
    return MjcfScene(
        Path(__file__).with_name("scene.xml"),
        name="push_t",
        camera="top",
        control_dt_s=0.1,
        time_limit_s=20.0,
        factors=(
            palette.constant("block_mass", "kg", 1.0, 0.3, writers.body_mass("block"), "mass of the block"),
            palette.lamp_intensity(nominal=0.6, prior_scale=0.2),
        ),
        reset=_reset,
        goal_tolerance={"block_x": 0.08, "block_y": 0.08, "block_angle": np.pi / 9},
    )


def _reset(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    """The block anywhere, the pusher near it without touching it."""
    block = rng.uniform(-0.4, 0.4, 2)
    direction, distance = rng.uniform(-np.pi, np.pi), rng.uniform(_TOUCHING_M, 0.55)
    pusher = np.clip(block + distance * np.array([np.cos(direction), np.sin(direction)]), -0.95, 0.95)
    data.qpos[:] = (*block, rng.uniform(-np.pi, np.pi), *pusher)
    data.qvel[0] = rng.normal(0.0, 0.05)
