# %% [markdown]
# # Own data
#
# Images and actions from anywhere: here a drawn ball that is pushed about in a box, in place of your robot's videos.
# They become a data set in one call, and training goes on as usual. Two minutes on two CPU cores.

# %%
import dataclasses
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import worldmodel as wm
from worldmodel.data import write_arrays

NUM_EPISODES, NUM_STEPS, SIDE = 200, 60, 32

# %% [markdown]
# ## Recordings
#
# Of each episode: T + 1 frames, T actions between them, and, if they are known, the states, with which the result can
# be judged; no network learns from them.

# %%
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]


def draw(place: np.ndarray) -> np.ndarray:
    """An image uint8 (S, S, 3) of a ball at (x, y) in [-1, 1]."""
    x, y = (place + 1.2) / 2.4 * SIDE
    ball = np.clip(3.5 - np.hypot(COLUMNS - x, ROWS - y), 0, 1)[..., None]
    return (ball * [230, 160, 60] + (1 - ball) * [30, 40, 60]).astype(np.uint8)


def record(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One episode of a ball that random forces push about."""
    place, speed, force = rng.uniform(-0.8, 0.8, 2), np.zeros(2), np.zeros(2)
    places, actions = [place], []
    for _ in range(NUM_STEPS):
        force = 0.8 * force + 0.6 * rng.normal(0, 0.5, 2)
        action = np.clip(force, -1, 1)
        speed = 0.9 * speed + 0.04 * action - 0.02 * place
        place = np.clip(place + speed, -1, 1)
        places.append(place)
        actions.append(action)
    return {
        "frames": np.stack([draw(place) for place in places]),
        "actions": np.array(actions, np.float32),
        "states": np.array(places, np.float32),
    }


if not Path("data/ball/dataset.json").exists():
    rng = np.random.default_rng(0)
    episodes = (record(rng) for _ in range(NUM_EPISODES))
    print(write_arrays("data/ball", "ball", episodes, state_names=["x", "y"], control_dt_s=0.05), "episodes")

figure, axes = plt.subplots(1, 4, figsize=(8, 2.2))
for ax, frame in zip(axes, record(np.random.default_rng(1))["frames"][::15], strict=False):
    ax.imshow(frame)
    ax.axis("off")

# %% [markdown]
# ## Train and probe
#
# `recorded` is the recipe of data that was recorded elsewhere. Two of its settings are chosen for these data: the ball
# is small, so the encoder reads every pixel; and it is fast, so the two images of a positive pair are 5 steps apart.

# %%
config = wm.recipe("recorded")
env = dataclasses.replace(config.env, name="ball", image_size=SIDE)
config = dataclasses.replace(
    config,
    name="ball",
    choose=(),  # nothing by itself: they are chosen here
    collection=dataclasses.replace(config.collection, env=env),
    encoder=dataclasses.replace(config.encoder, input_size=SIDE),
    method=dataclasses.replace(config.method, lag=5, sigreg_start=0.002, sigreg_end=0.0005, num_slices=64),
)
trained = wm.train(config)
probe = wm.probe(wm.ProbeConfig(run=trained.run))
for name, variable in probe.variables.items():
    print(f"{name}: R2 {variable.r2_linear:.2f}")

# %% [markdown]
# The ball's place was never shown to training as a number, and is in the latents. Planning with such a model on your
# own robot is a loop of a few lines: see *Recordings of your own* among the how-to pages.
