"""How much happens in the data: `python -m benchmarks.play`, objects touched and moved under `policy=play` and others.

Beside it stand the excitation of worlds without a recipe, and that of the world's own recipe. Nothing is rendered.
"""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from tqdm import tqdm

from benchmarks import command
from benchmarks.provenance import with_provenance
from worldmodel import envs
from worldmodel.measures import over_seeds
from worldmodel.settings import Count, Settings, recipe
from worldmodel.system import write_json

CUBE = "gym:ogbench/cube-single-v0?mode=data_collection&visualize_info=false"
NO_RECIPE = "walker-walk"
"""A world without a recipe, whose policy is the default."""
_TOUCH_M, _MOVED_M = 0.002, 0.001


@dataclass(frozen=True)
class PlayBench(Settings):
    """Share of control steps in which a robot touches and moves an object, by policy."""

    worlds: list[str] = field(default_factory=lambda: ["push_t", "finger", "gym:Pusher-v5", CUBE])
    """Recipes and worlds. What they need is imported, so that the cube needs ogbench."""
    episodes: Count = 10
    """Episodes of each policy."""
    episode_s: float = 10.0
    """Seconds of an episode."""
    out: str | None = None
    """Also write the figures there, as JSON, whenever a world is finished."""


def measure(config: PlayBench) -> dict[str, Any]:
    """World -> policy -> its figures."""
    found: dict[str, Any] = {}
    for name in config.worlds:
        trained = recipe(name)
        policies = {"play": {"name": "play"}, "default": recipe(NO_RECIPE).collection.policy}
        if trained.collection.policy != policies["default"]:
            policies["recipe"] = trained.collection.policy
        with envs.make(trained.env.world, image_size=8) as world:
            found[name] = {label: _figures(world, label, policy, config) for label, policy in policies.items()}
        if config.out:
            write_json(Path(config.out), with_provenance({"what": "play", "worlds": found}))
    return found


def _figures(world: envs.MujocoWorld, label: str, policy: dict[str, Any], config: PlayBench) -> dict[str, Any]:
    steps = max(1, round(config.episode_s / world.control_dt_s))
    touched, moved, cpu_s = [], [], 0.0
    for seed in tqdm(range(config.episodes), desc=f"{world.name}, {label}", unit="episode"):
        begun = time.process_time()
        made = envs.make_policy(**policy)
        states = envs.rollout(world, made, seed=seed, num_steps=steps, render=False).states
        cpu_s += time.process_time() - begun
        gaps, ways = _gaps_and_ways(world, states)
        touched.append(float((gaps < _TOUCH_M).mean()))
        moved.append(float((ways > _MOVED_M).mean()))
    return {
        "policy": policy,
        "episodes": config.episodes,
        "steps": steps,
        "touched": _spread(touched),
        "moved": _spread(moved),
        "episodes_moved": float(np.mean([share > 0 for share in moved])),
        "cpu_ms_per_step": 1000 * cpu_s / (config.episodes * steps),
    }


def _gaps_and_ways(world: envs.MujocoWorld, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Metres from the robot to the nearest object in each of the states (T+1, X), (T+1,); and metres that what moves
    most of the objects moves in each step, (T,)."""
    model = world.scene.model
    objects, data = envs.movable_objects(model), mujoco.MjData(model)
    gaps, places = [], []
    for state in states:
        data.qpos[:] = state[: model.nq]
        mujoco.mj_kinematics(model, data)
        gaps.append(min(found.gap(model, data) for found in objects))
        places.append(np.concatenate([found.places(data) for found in objects]))
    return np.array(gaps), np.linalg.norm(np.diff(places, axis=0), axis=2).max(1)


def _spread(shares: list[float]) -> dict[str, Any]:
    """Mean of the episodes with its 95 % interval."""
    of = over_seeds(shares)
    return {"mean": of.mean, "interval": of.interval}


def main() -> int:
    def work(config: PlayBench) -> str:
        return "\n".join(
            f"{name}, {label}: touched in {of['touched']['mean']:.0%} of control steps, moved in "
            f"{of['moved']['mean']:.0%}, in {of['episodes_moved']:.0%} of episodes; {of['cpu_ms_per_step']:.1f} CPU-ms"
            for name, policies in measure(config).items()
            for label, of in policies.items()
        )

    return command.run(PlayBench, work)


if __name__ == "__main__":
    sys.exit(main())
