# %% [markdown]
# # Constants of your world
#
# A puck slides on a floor. Its mass and the friction differ from episode to episode, and so do light and colours.
# What can be known of mass and friction, from images alone? About ten minutes on two CPU cores.

# %%
import matplotlib.pyplot as plt

import worldmodel as wm

world = wm.envs.make("puck", randomize=["mass", "friction", "visual"])
figure, axes = plt.subplots(1, 4, figsize=(8, 2.3))
for seed, ax in enumerate(axes):
    ax.imshow(world.reset(seed=seed)[0]["pixels"])
    ax.set_title(f"{world.factor_values['mass']:.2f} kg, mu {world.factor_values['friction']:.2f}", fontsize=8)
    ax.axis("off")

# %% [markdown]
# ## Train
#
# The recipe moves the puck with a motion that was designed to reveal the constants. In the middle of each episode
# they change a little; the two halves are a positive pair for the *context encoder*, which makes a vector of a window
# of motion.

# %%
config = wm.recipe("puck")
trained = wm.train(config)
print("trained:", trained.run)

# %% [markdown]
# ## Read
#
# A linear probe from the context to each constant, on episodes that nothing was fitted on. Beside it stand its
# controls: what the same probe reads when it should not be able to read anything.

# %%
probe = wm.probe(wm.ProbeConfig(run=trained.run))
for name in ("mass", "friction"):
    variable = probe.variables[name]
    low, high = variable.r2_linear_interval or (float("nan"), float("nan"))
    print(f"{name}: R2 {variable.r2_linear:.2f} [{low:.2f}, {high:.2f}], shuffled labels "
          f"{variable.controls['shuffled_labels']:.2f}")  # fmt: skip

# %% [markdown]
# ## All that it reads

# %%
names = list(probe.variables)
figure, ax = plt.subplots(figsize=(6, 0.35 * len(names) + 1))
ax.barh(names, [max(probe.variables[name].r2_linear or 0, 0) for name in names])
ax.set(xlabel="R2 of a linear probe", xlim=(0, 1))
ax.invert_yaxis()
