# %% [markdown]
# # First model
#
# Record a robot, train a world model of it, and drive the robot to goal images with it. About three minutes on two
# CPU cores. The robot is the reacher: an arm of two joints, seen from above.

# %%
import matplotlib.pyplot as plt

import worldmodel as wm

# %% [markdown]
# ## The world
#
# A world gives images and takes actions. This one is simulated by MuJoCo; `observation` holds the image that the
# model will see, and the true state, which it will not.

# %%
world = wm.envs.make("reacher", image_size=64)
observation, _ = world.reset(seed=0)
figure, axes = plt.subplots(1, 4, figsize=(8, 2.2))
for ax in axes:
    ax.imshow(observation["pixels"])
    ax.axis("off")
    for _ in range(10):
        observation, *_ = world.step(world.action_space.sample())
print("state:", dict(zip(world.state_names, observation["state"].round(2).tolist(), strict=True)))

# %% [markdown]
# ## Record, then train
#
# A *recipe* holds the settings that work for a world: how to move while recording, how large the networks are, how
# long to train. `wm.train` records first if there is nothing recorded yet.

# %%
config = wm.recipe("reacher")
trained = wm.train(config)
print(f"run: {trained.run}")
print(f"linear R2 of the true state, held-out episodes: {trained.identifiability.r2_h_to_z:.2f}")

# %% [markdown]
# ## How far ahead can it see?
#
# The error of predicted latents, as a share of that of persistence, the forecast that nothing changes. Below 1 is
# better than that.

# %%
ratios = trained.prediction.ratio_to_persistence
figure, ax = plt.subplots(figsize=(5, 2.6))
ax.plot(list(ratios), list(ratios.values()), marker="o")
ax.axhline(1, color="grey", linestyle=":")
ax.set(xlabel="control steps ahead", ylabel="error / error of standing still", ylim=(0, 1.1))

# %% [markdown]
# ## Drive
#
# Twenty goal images, each taken 25 control steps ahead in an episode that was never trained on. Beside the model
# stand random actions, and the same planner on the true simulator.

# %%
driven = wm.control(wm.ControlConfig(run=trained.run, tasks=20))
for name, controller in driven.controllers.items():
    print(f"{name}: {controller.success.rate:.0%} of the goal images reached")

# %% [markdown]
# Videos of the first tasks are in the run's folder, and everything together is on one page:

# %%
print(wm.report(wm.ReportConfig(run=trained.run)))
