"""OGBench's own scripted policy (arXiv:2410.20092), which picks up a cube and puts it down somewhere else."""

from typing import Any

import numpy as np

from worldmodel.envs.excitation.policy import Actor, clip
from worldmodel.envs.gym_ids import acting, global_seed
from worldmodel.envs.gym_scene import GymScene
from worldmodel.envs.scene import Scene

_RESTING_M = 0.02
"""Height of a cube's centre on the table."""


def has_cubes(scene: Scene) -> bool:
    """Whether a scene is one of OGBench's worlds of cubes."""
    kind = type(scene.environment) if isinstance(scene, GymScene) else None
    return kind is not None and kind.__module__.startswith("ogbench.manipspace") and kind.__name__ == "CubeEnv"


def moves_cubes(scene: Scene, noise: float, rng: np.random.Generator) -> Actor:
    """Start for one episode.

    Each plan takes a random cube to a random place on the table, in some four seconds.

    Args:
        scene: for which `has_cubes` holds.
        noise: standard deviation of the noise on the actions, beside what the library itself adds to its plans.
        rng: the only source of randomness.
    """
    from ogbench.manipspace.oracles.plan.cube_plan import CubePlanOracle

    assert isinstance(scene, GymScene)
    env = scene.environment
    script: Any = CubePlanOracle(env=env)
    target = None

    def act(state: np.ndarray) -> np.ndarray:
        nonlocal target
        with acting(scene.name, "scripted policy"):
            if target is None or script.done:
                target = _drawn_target(env, rng)
                with global_seed(int(rng.integers(2**31))):  # from which the library draws
                    script.reset(None, env.compute_ob_info() | target)
            action = script.select_action(None, env.compute_ob_info())
        return clip(action + noise * rng.standard_normal(len(action)))

    return act


def _drawn_target(env: Any, rng: np.random.Generator) -> dict[str, object]:
    """A cube, and where it should go, as the script reads them."""
    place = rng.uniform(*env._target_sampling_bounds)
    return {
        "privileged/target_block": int(rng.integers(env._num_cubes)),
        "privileged/target_block_pos": np.array([*place, _RESTING_M]),
        "privileged/target_block_yaw": np.array([rng.uniform(-np.pi, np.pi)]),
    }
