"""How far MuJoCo Warp's episodes are from MuJoCo's, world by world (`python -m benchmarks.speed what=engines`)."""

import time
from typing import Any

import numpy as np

from worldmodel import envs
from worldmodel.data import warp_engine
from worldmodel.envs import make_policy, rollout

# world -> what differs between its episodes; the reacher's light is one for all of Warp's worlds
WORLDS = {
    "puck": ["all"], "reacher": ["physical"], "lit_ball": ["all"], "two_room": ["all"], "push_t": ["all"],
    "block": ["all"], "arm3": ["all"],
}  # fmt: skip
NUM_EPISODES, NUM_STEPS, IMAGE_SIZE = 4, 20, 64
VISIBLE_LEVELS = 8


def engines() -> dict[str, dict[str, Any]]:
    """World -> differences of states and frames over equal episodes of uniform actions, and what they cost.

    state_error: largest difference of a coordinate, in its own unit, after any step; state_range: the largest
    coordinate. frame_error: mean difference of a colour in levels of 255; pixels_off: share of pixels that differ by
    more than 8 levels. cpu_ms_per_frame: of Warp on the CPU and of MuJoCo; kernels are compiled before.
    """
    return {name: _compare(name, randomize) for name, randomize in WORLDS.items()}


def _compare(name: str, randomize: list[str]) -> dict[str, Any]:
    warp = warp_engine()
    world = envs.make(name, image_size=IMAGE_SIZE, randomize=randomize)
    policy, seeds = make_policy("uniform", hold_steps=2), range(NUM_EPISODES)
    next(warp.warp_rollouts(world, policy, seeds=seeds, num_steps=2, device="cpu"))
    start = time.process_time()
    ours = list(warp.warp_rollouts(world, policy, seeds=seeds, num_steps=NUM_STEPS, device="cpu"))
    between = time.process_time()
    theirs = [rollout(world, policy, seed=seed, num_steps=NUM_STEPS) for seed in seeds]
    end = time.process_time()
    world.close()
    states = np.stack([[one.states, other.states] for one, other in zip(ours, theirs, strict=True)])
    frames = np.stack([[one.frames, other.frames] for one, other in zip(ours, theirs, strict=True)]).astype(np.int16)
    apart = np.abs(frames[:, 0] - frames[:, 1])
    ms = 1e3 / (NUM_EPISODES * (NUM_STEPS + 1))
    return {
        "state_error": float(np.abs(states[:, 0] - states[:, 1]).max()),
        "state_range": float(np.abs(states).max()),
        "frame_error": float(apart.mean()),
        "pixels_off": float((apart.max(-1) > VISIBLE_LEVELS).mean()),
        "textured": bool(warp.drawn_differently(world)),
        "cpu_ms_per_frame": [ms * (between - start), ms * (end - between)],
    }
