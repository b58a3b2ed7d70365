# %% [markdown]
# # What did it learn?
#
# Open a trained model and look inside: what do its latents hold, and how do they move? The model comes with the
# package, so nothing is trained here. A few seconds.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

import worldmodel as wm

run = wm.Run("zoo/reacher")
model = run.model()
print(f"{model.latent_dim} latents, {model.action_dim} actions, horizon {model.config.predictor.horizon} control steps")

# %% [markdown]
# ## Fresh motion
#
# Thirty episodes from seeds that no data set holds. `frames[t]` is seen before `actions[t]`.

# %%
world = wm.envs.make(**run.config.env.make_arguments())
policy = wm.envs.make_policy(**run.config.collection.policy)
episodes = [wm.envs.rollout(world, policy, seed=1000 + k, num_steps=60) for k in range(30)]


def embed(frames: np.ndarray) -> np.ndarray:
    """Latents float32 (T, D) of frames uint8 (T, S, S, 3)."""
    with torch.no_grad():
        return model.embed(torch.from_numpy(frames).movedim(-1, 1)).numpy()


latents = [embed(episode.frames) for episode in episodes]
angles = [episode.states[:, :2] for episode in episodes]

# %% [markdown]
# ## Is the pose in the latents?
#
# A linear map from latents to the sine and cosine of each joint, fitted on 20 episodes and judged on the other 10. If
# the latents are the world's own variables up to a rotation, a linear map is all it takes.


# %%
def features(parts: list[np.ndarray]) -> np.ndarray:
    """Latents of several episodes and a constant, (n, D + 1)."""
    return np.hstack([np.concatenate(parts), np.ones((sum(map(len, parts)), 1))])


def targets(parts: list[np.ndarray]) -> np.ndarray:
    """Cosines and sines of the joint angles of several episodes, (n, 4)."""
    return np.hstack([np.cos(np.concatenate(parts)), np.sin(np.concatenate(parts))])


weights, *_ = np.linalg.lstsq(features(latents[:20]), targets(angles[:20]), rcond=None)
truth, read = targets(angles[20:]), features(latents[20:]) @ weights
names = ["cos shoulder", "cos wrist", "sin shoulder", "sin wrist"]
figure, axes = plt.subplots(1, 4, figsize=(9, 2.6), sharey=True)
for k, ax in enumerate(axes):
    r2 = 1 - np.mean((truth[:, k] - read[:, k]) ** 2) / truth[:, k].var()
    ax.scatter(truth[:, k], read[:, k], s=3, alpha=0.4)
    ax.set_title(f"{names[k]}: R2 {r2:.2f}", fontsize=9)
    ax.set_xlabel("true")
axes[0].set_ylabel("read from latents")

# %% [markdown]
# ## Does the model know what will happen?
#
# From the first frames of an episode and the actions that were taken, predict the latents of the next 15 steps, and
# read the shoulder from them.

# %%
episode, seen = episodes[-1], torch.from_numpy(latents[-1])
past = model.num_context_frames
with torch.no_grad():
    start = model.encode(seen[None, :past], torch.from_numpy(episode.actions[None, : past - 1]))
    ahead = torch.from_numpy(episode.actions[None, None, past - 1 : past + 14])
    predicted = model.rollout(start, ahead)[0, 0].numpy()


def shoulder(z: np.ndarray) -> np.ndarray:
    """The shoulder's angle in radians, read from latents (T, D)."""
    return np.unwrap(np.arctan2(*(features([z]) @ weights)[:, [2, 0]].T))


steps = np.arange(past, past + 15)
figure, ax = plt.subplots(figsize=(6, 2.6))
ax.plot(steps, np.degrees(shoulder(predicted)), label="predicted, never seen")
ax.plot(steps, np.degrees(shoulder(latents[-1][steps])), label="read from the true images")
ax.plot(steps, np.degrees(np.unwrap(angles[-1][steps, 0])), ":", color="black", label="truth")
ax.set(xlabel="control steps", ylabel="shoulder (degrees)")
ax.legend()

# %% [markdown]
# `worldmodel probe run=zoo/reacher` does this for every variable, with intervals and controls.
