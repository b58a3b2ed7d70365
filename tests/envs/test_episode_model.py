"""What a scene's reset writes to the model belongs to its episode, and to no other."""

from collections.abc import Callable

import mujoco
import numpy as np
import pytest

from worldmodel import envs
from worldmodel.envs import writers
from worldmodel.envs.factors import PhysicsFactor, VisualFactor

MJCF = """<mujoco><option timestep="0.01"/>
<asset><texture name="t" type="2d" builtin="checker" width="8" height="8" rgb1="1 0 0" rgb2="0 1 0"/>
<material name="m" texture="t"/><material name="plain" rgba="0 0 1 1"/></asset>
<worldbody><light name="lamp" pos="0 -1 2"/><camera name="c" pos="0 -1 -.2" xyaxes="1 0 0 0 0 1"/>
<body name="b"><joint name="h" type="hinge" axis="0 1 0" damping="0.1"/>
<geom name="rod" type="capsule" size=".05" fromto="0 0 0 0 0 -.5"/></body>
<geom name="mark" size=".05" pos=".3 0 -.2" material="m"/></worldbody>
<actuator><motor joint="h"/></actuator></mujoco>"""

Reset = Callable[[mujoco.MjModel, mujoco.MjData, np.random.Generator], None]


def colour(model, data, rng):
    model.geom_rgba[0, :3] = rng.uniform(0, 1, 3)


def size(model, data, rng):
    model.geom_size[0, 0] = rng.uniform(0.03, 0.15)


def camera(model, data, rng):
    model.cam_pos[0, 1] = rng.uniform(-2, -1)


def gravity(model, data, rng):
    model.opt.gravity[2] = rng.uniform(-15, -5)


def timestep(model, data, rng):
    model.opt.timestep = rng.uniform(0.005, 0.02)


def haze(model, data, rng):
    model.vis.headlight.ambient[:] = rng.uniform(0, 1)


def damping(model, data, rng):
    model.dof_damping[0] = rng.uniform(0, 0.5)


def stiffness(model, data, rng):
    model.jnt_stiffness[0] = rng.uniform(0, 5)


def material(model, data, rng):
    model.geom_matid[1] = rng.integers(2)


def scaled_mass(model, data, rng):
    """In place, so that a second reset would scale it again."""
    model.body_mass[1] *= rng.uniform(0.3, 3)
    model.body_inertia[1] *= rng.uniform(0.3, 3)
    mujoco.mj_setConst(model, mujoco.MjData(model))


def sometimes(model, data, rng):
    if rng.random() < 0.5:
        model.geom_pos[1] = rng.uniform(-0.3, 0.3, 3)
        model.jnt_stiffness[0] = 3


RESETS = (colour, size, camera, gravity, timestep, haze, damping, stiffness, material, scaled_mass, sometimes)
FACTORS = (
    PhysicsFactor(
        name="damping_scale", unit="1", nominal=1.0, bounds=(0.3, 3), prior_scale=0.3, transform="log",
        write=writers.damping_scale(),
    ),
    PhysicsFactor(
        name="mass", unit="1", nominal=1.0, bounds=(0.3, 3), prior_scale=0.3, transform="log",
        write=writers.mass_scale(["b"]),
    ),
    VisualFactor(
        name="blue", unit="1", nominal=0.5, bounds=(0, 1), prior_scale=0.2, transform="linear",
        write=writers.geom_colour("rod", "blue"),
    ),
)  # fmt: skip


def make(reset: Reset, with_factors: bool = False) -> envs.MujocoWorld:
    factors = FACTORS if with_factors else ()
    scene = envs.MjcfScene(MJCF, name="pole", control_dt_s=0.02, reset=reset, factors=factors)
    if not with_factors:
        return envs.MujocoWorld(scene, image_size=24)
    return envs.MujocoWorld(scene, image_size=24, randomize=["all"], factor_rho={"blue": 0.5})


def episode(world: envs.MujocoWorld, seed: int, actions: np.ndarray) -> list[np.ndarray]:
    world.restart(seed=seed)
    seen = [world.frame(), world.state()]
    for action in actions:
        world.advance(action)
        seen += [world.frame(), world.state()]
    return seen


@pytest.mark.parametrize("with_factors", [False, True])
@pytest.mark.parametrize("reset", RESETS)
def test_a_batch_of_episodes_is_exactly_the_single_ones(reset, with_factors):
    actions = np.random.default_rng(0).uniform(-1, 1, (5, 1))
    alone = [episode(make(reset, with_factors), seed, actions) for seed in range(3)]
    batch = envs.BatchWorld(make(reset, with_factors), 3)
    batch.reset(seed=0)
    together = [batch.frames(), batch.states]
    for action in actions:
        together += batch.step(np.stack([action] * 3))
    for i in range(3):
        assert all(np.array_equal(a, b[i]) for a, b in zip(alone[i], together, strict=True))
    assert any(not np.array_equal(a, b) for other in alone[1:] for a, b in zip(alone[0], other, strict=True))


@pytest.mark.parametrize("with_factors", [False, True])
@pytest.mark.parametrize("reset", RESETS)
def test_an_episode_depends_on_its_seed_and_not_on_the_episodes_before(reset, with_factors):
    actions = np.random.default_rng(0).uniform(-1, 1, (3, 1))
    world = make(reset, with_factors)
    fresh = {seed: episode(make(reset, with_factors), seed, actions) for seed in (1, 2)}
    for seed in (1, 2, 1):
        used = episode(world, seed, actions)
        assert all(np.array_equal(a, b) for a, b in zip(fresh[seed], used, strict=True))


def test_a_factor_is_written_on_what_the_reset_drew():
    world = make(damping, with_factors=True)
    world.restart(seed=0, factors={"damping_scale": 1.0})
    drawn = world.scene.model.dof_damping[0]
    assert drawn != 0.1 and world.episode_model.reset_fields == ("dof_damping",)
    world.set_factors({"damping_scale": 2.0})
    assert world.scene.model.dof_damping[0] == 2 * drawn
    world.set_factors({"damping_scale": 1.0})
    assert world.scene.model.dof_damping[0] == drawn


def test_a_reset_that_the_renderer_would_not_see_is_refused():
    def textures(model, data, rng):
        model.tex_data[:] = rng.integers(0, 256, model.tex_data.shape)

    with pytest.raises(ValueError, match=r"the reset of pole changes tex_data, which is on the graphics device"):
        make(textures).restart(seed=0)


def test_goal_frames_are_of_the_episodes_own_model():
    world = make(colour)
    world.restart(seed=0)
    before = world.frame()
    assert np.array_equal(world.goal_frame(world.state()), before)
