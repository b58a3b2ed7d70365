"""Sensitivities of simulated motion against closed forms."""

from pathlib import Path

import mujoco
import numpy as np
import pytest

from worldmodel import envs
from worldmodel.envs import writers
from worldmodel.envs.excitation import OU
from worldmodel.envs.scenes import palette
from worldmodel.envs.sensitivity import position_names, record_motion, rotational, sensitivities, tangent

STIFFNESS, MASS = 7.0, 0.8
SPRING = f"""<mujoco><option timestep="0.01" integrator="RK4" gravity="0 0 0"/><worldbody><camera name="c"/>
<body name="weight"><joint name="x" type="slide" axis="1 0 0" stiffness="{STIFFNESS}"/>
<geom size=".1" mass="{MASS}"/></body></worldbody></mujoco>"""


def stiffness(model: mujoco.MjModel, base: mujoco.MjModel, value: float) -> None:
    model.jnt_stiffness[0] = value


def spring() -> envs.MujocoWorld:
    factors = (
        palette.constant("mass", "kg", MASS, 0.3, writers.body_mass("weight"), ""),
        palette.constant("stiffness", "N/m", STIFFNESS, 0.4, stiffness, ""),
    )

    def start(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        data.qpos[0], data.qvel[0] = 0.5, -0.9

    return envs.MujocoWorld(envs.MjcfScene(SPRING, name="spring", control_dt_s=0.05, factors=factors, reset=start))


def test_an_oscillator_s_sensitivities_are_the_closed_form():
    world = spring()
    motion = record_motion(world, OU(), seed=0, num_steps=40)
    spread = np.array([2.0, 5.0])
    found = sensitivities(world, motion, slice(0, 31), ("mass", "stiffness"), np.array([0]), spread, 1e-3)
    t, omega, (x0, v0) = 0.05 * np.arange(31), np.sqrt(STIFFNESS / MASS), motion.states[0]
    by_log_omega = t * (v0 * np.cos(omega * t) - omega * x0 * np.sin(omega * t)) - v0 / omega * np.sin(omega * t)
    expected = np.column_stack([-0.5 * 0.3 * by_log_omega, 0.5 * 0.4 * by_log_omega])
    assert found.constants[:, 0] == pytest.approx(expected, abs=2e-5)
    initial = np.column_stack([np.cos(omega * t), np.sin(omega * t) / omega]) * spread
    assert found.state[:, 0] == pytest.approx(initial, abs=2e-5)


def test_a_later_stretch_starts_from_its_own_state():
    world = spring()
    motion = record_motion(world, OU(), seed=0, num_steps=40)
    found = sensitivities(world, motion, slice(10, 13), ("mass",), np.array([0]), np.array([1.0, 0.0]), 1e-3)
    assert found.constants.shape == (3, 1, 1) and found.constants[0] == pytest.approx(0)  # nothing has happened yet
    assert found.state[0, 0] == pytest.approx([1.0, 0.0])
    assert not found.state[..., 1].any()  # a coordinate without spread is known


def test_the_replay_is_the_recording(world_of):
    world = world_of("puck")
    motion = record_motion(world, OU(), seed=3, num_steps=7)
    world.restore(motion.start)
    assert world.simulate(motion.actions) == pytest.approx(motion.states, abs=1e-6)  # kept in float32
    assert world.snapshot().num_steps == motion.start.num_steps


def test_free_sliding_shows_friction_times_gravity_and_never_mass():
    scene_xml = Path(envs.__file__).parent / "scenes" / "puck" / "scene.xml"
    constants = (
        palette.constant("mass", "kg", 1.0, 0.3, writers.body_mass("puck"), ""),
        palette.constant("friction", "1", 0.15, 0.4, writers.pair_friction("slide"), ""),
        palette.constant("gravity", "m/s^2", 9.81, 0.2, writers.gravity(), ""),
    )

    def start(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        data.qvel[:2] = 1.8, 1.2

    xml = scene_xml.read_text().replace('damping=".3"', "")
    world = envs.MujocoWorld(
        envs.MjcfScene(xml, name="slide", camera="top", control_dt_s=0.1, factors=constants, reset=start)
    )
    motion = record_motion(world, OU(std=0.0), seed=0, num_steps=10)
    names = ("mass", "friction", "gravity")
    found = sensitivities(world, motion, slice(2, 10), names, np.array([0, 1]), np.zeros(12), 0.01)
    mass, friction, gravity = np.moveaxis(found.constants, -1, 0)
    assert np.abs(friction).max() > 0.05
    assert np.abs(mass).max() < 1e-3 * np.abs(friction).max()
    assert gravity / 0.2 == pytest.approx(friction / 0.4, abs=0.02 * np.abs(friction).max() / 0.4)


def test_positions_of_free_joints_are_displacements_and_turns(world_of):
    world = world_of("quadruped-walk")
    names, turns = position_names(world), rotational(world)
    assert names[:6] == ("root_x", "root_y", "root_z", "root_wx", "root_wy", "root_wz")
    assert list(turns[:6]) == [False] * 3 + [True] * 3 and turns[6:].all()
    world.restart(seed=0)
    state = world.state()
    half_turn = state.copy()
    half_turn[3:7] = 0.0, 0.0, 0.0, 1.0
    moved = tangent(world, np.stack([state, half_turn]))
    assert moved.shape == (2, 2 * len(names) + world.scene.model.na)
    assert abs(moved[1, 5]) == pytest.approx(np.pi)
