"""Make a world of your own: a cart that carries a swinging load whose mass varies.

    python examples/own_world.py        a few seconds; records an episode into own_world.gif

Shows what a world consists of: an MJCF file, a start distribution, and factors that may vary from episode to episode.
Its name on the command line is the path of this file and the function in it:

    worldmodel train env.world=examples/own_world.py:factory env.name=swing
"""

from pathlib import Path

import imageio.v3 as iio
import mujoco
import numpy as np

from worldmodel import envs
from worldmodel.envs import writers
from worldmodel.envs.excitation import OU
from worldmodel.envs.factors import PhysicsFactor, VisualFactor


def factory() -> envs.MjcfScene:
    """The scene; `worldmodel` calls this wherever the world is named."""
    load_mass = PhysicsFactor(
        name="load_mass",
        unit="kg",
        nominal=0.45,
        bounds=(0.2, 1.0),
        prior_scale=0.25,
        transform="log",
        write=writers.body_mass("load"),
    )
    wall_blue = VisualFactor(
        name="wall_blue",
        unit="1",
        nominal=0.4,
        bounds=(0.1, 0.9),
        prior_scale=0.15,
        transform="linear",
        write=writers.geom_colour("wall", "blue"),
    )
    return envs.MjcfScene(
        Path(__file__).with_name("own_world.xml"),
        name="swing",
        camera="front",
        control_dt_s=0.05,
        time_limit_s=10.0,
        factors=(load_mass, wall_blue),
        reset=start,
        goal_tolerance={"slider": 0.05, "swing": 0.05},
    )


def start(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    """Draw the start of an episode: somewhere on the rail, the load at an angle."""
    data.qpos[:] = rng.uniform((-0.4, -1.0), (0.4, 1.0))


def main() -> None:
    world = envs.make(f"{__file__}:factory", image_size=128, supersample=2, randomize=["all"])
    episode = envs.rollout(world, OU(std=0.8, time_constant_s=0.5), seed=0, num_steps=100)
    path = Path("own_world.gif")
    iio.imwrite(path, episode.frames, duration=1000 * world.control_dt_s, loop=0)
    print(f"saved {len(episode.frames)} frames to {path}, with {world.factor_values}")


if __name__ == "__main__":
    main()
