"""A stand-in for a camera: films a pendulum whose mass, damping and gravity the toolkit is not told.

    python examples/pendulum_video.py        seconds; writes clip.mp4, and the torque at each frame into clip.csv

docs/CALIBRATE.md shows how the constants are found again.
"""

import imageio.v3 as imageio
import numpy as np

from worldmodel import envs

HIDDEN = {"mass": 1.35, "damping": 0.14, "gravity": 8.6}  # nominal: 1 kg, 0.1 N m s/rad, 9.81 m/s^2
LIGHT = {"light": 1.2, "robot_blue": 0.4, "floor_red": 0.6}

world = envs.make("varied_pendulum", image_size=256)
policy = envs.make_policy("coasting", std=1.0, time_constant_s=0.4, stiffness=0.0, damping=-0.4, boundary=100.0)
episode = envs.rollout(world, policy, seed=3, num_steps=150, factors=HIDDEN | LIGHT)
imageio.imwrite("clip.mp4", episode.frames, fps=round(1 / world.control_dt_s))
np.savetxt("clip.csv", episode.actions, delimiter=",", header="torque", comments="", fmt="%.6f")
print(f"clip.mp4, clip.csv: {len(episode.actions)} steps of {world.control_dt_s:g} s")
