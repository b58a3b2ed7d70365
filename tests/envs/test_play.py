"""Objects that a robot can move, futures simulated side by side, and the policy that plays."""

import importlib.util
from types import SimpleNamespace
from typing import Any

import mujoco
import numpy as np
import pytest

from worldmodel import envs
from worldmodel.envs.excitation import ObjectPlay, make_policy
from worldmodel.envs.futures import HeldControls, stepped
from worldmodel.envs.objects import movable_objects

CUBE = "gym:ogbench/cube-single-v0?mode=data_collection&visualize_info=false"

HELD_BY_A_TENDON = """
<mujoco>
  <worldbody>
    <body name="crane"><joint name="lift" type="slide" axis="0 0 1"/><geom name="hook" size=".1"/></body>
    <body name="load" pos="0 0 1"><freejoint/><geom name="load" size=".1"/><site name="ring"/></body>
    <body name="ghost" pos="1 0 1"><freejoint/><geom size=".1" contype="0" conaffinity="0"/></body>
    <body name="crate" pos="2 0 1"><freejoint/><geom name="crate" size=".1" contype="0" conaffinity="0"/></body>
  </worldbody>
  <contact><pair geom1="hook" geom2="crate"/></contact>
  <tendon><spatial name="rope"><site site="ring"/><site site="top"/></spatial></tendon>
  <actuator><motor joint="lift"/>{winch}</actuator>
</mujoco>
""".replace('<body name="crane">', '<site name="top" pos="0 0 2"/><body name="crane">')


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("push_t", ["block"]),
        ("finger-spin", ["spinner"]),
        ("ball_in_cup-catch", ["ball"]),
        ("gym:Pusher-v5", ["object"]),
    ]
    + [(name, []) for name in ("reacher", "cartpole-swingup", "puck")],
)
def test_objects_are_what_can_be_touched_and_is_not_driven(world_of, name, expected):
    assert [found.name for found in movable_objects(world_of(name).scene.model)] == expected


@pytest.mark.parametrize(("winch", "expected"), [("", ["load", "crate"]), ('<motor tendon="rope"/>', ["crate"])])
def test_tendons_drive_and_pairs_touch(winch, expected):
    model = mujoco.MjModel.from_xml_string(HELD_BY_A_TENDON.replace("{winch}", winch))
    assert [found.name for found in movable_objects(model)] == expected


def test_a_gap_is_the_distance_of_the_surfaces():
    model = mujoco.MjModel.from_xml_string(HELD_BY_A_TENDON.replace("{winch}", ""))
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    load, crate = movable_objects(model)
    assert load.gap(model, data) == pytest.approx(0.8) and crate.gap(model, data) == pytest.approx(5**0.5 - 0.2)
    assert load.places(data).tolist() == [[0, 0, 1]]


def test_futures_are_those_of_the_world(world_of):
    world = world_of("push_t")
    world.restart(seed=3)
    start, actions = world.state(), np.random.default_rng(0).uniform(-1, 1, (2, 7, 2))
    found = HeldControls(world).states([world.scene.model] * 2, start[None].repeat(2, 0), actions)
    for sequence, states in zip(actions, found, strict=True):
        world.set_state(start)
        np.testing.assert_array_equal(world.simulate(sequence)[1:], states)


def test_futures_by_steps_leave_the_world_as_it_was(world_of):
    world = world_of("gym:InvertedPendulum-v5")
    world.restart(seed=3)
    world.advance(np.array([0.3]))
    before, there, actions = (
        world.snapshot(),
        world.state(),
        np.random.default_rng(0).uniform(-1, 1, (3, 5, 1)).astype(np.float32),
    )
    found = stepped(world, actions)
    np.testing.assert_array_equal(world.state(), there)
    for sequence, states in zip(actions, found, strict=True):
        world.restore(before)
        np.testing.assert_array_equal(world.simulate(sequence)[1:], states)
    world.restore(before)


def touching(world: envs.MujocoWorld, policy, num_steps: int, seed: int) -> float:
    """Share of the states in which the robot touches an object."""
    model = world.scene.model
    data, objects = mujoco.MjData(model), movable_objects(model)
    states = envs.rollout(world, policy, seed=seed, num_steps=num_steps, render=False).states
    gaps = []
    for state in states:
        data.qpos[:] = state[: model.nq]
        mujoco.mj_kinematics(model, data)
        gaps.append(min(found.gap(model, data) for found in objects))
    return float(np.mean(np.array(gaps) < 2e-3))


@pytest.mark.parametrize(("name", "num_steps"), [("push_t", 50), ("finger-spin", 100)])
def test_play_touches_what_noise_leaves_alone(world_of, name, num_steps):
    world = world_of(name)
    played, noise = (
        np.mean([touching(world, p, num_steps, s) for s in (0, 1)]) for p in (ObjectPlay(), make_policy("ou"))
    )
    assert played > 0.25 and played > 2 * noise


def test_play_follows_its_seed(world_of):
    first, again, other = (
        envs.rollout(world_of("push_t"), ObjectPlay(candidates=4), seed=seed, num_steps=8, render=False).actions
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_play_refuses_what_it_cannot_move(world_of):
    told: Any = SimpleNamespace(scene=SimpleNamespace(tells_state=True, kinematic=None), name="a robot")
    for world, message in (
        (world_of("reacher"), "has nothing that its robot could touch and does not drive"),
        (world_of("ou-puck"), "is not moved by it"),
        (told, "is not moved by it"),
    ):
        with pytest.raises(ValueError, match=message):
            ObjectPlay().begin(world, np.random.default_rng(0))
    for wrong in ({"candidates": 1}, {"noise": -0.1}, {"horizon_s": 0.0}, {"goal_s": -1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            make_policy("play", **wrong)


@pytest.mark.skipif(importlib.util.find_spec("ogbench") is None, reason="not installed")
def test_cubes_are_picked_up_and_put_down_by_the_librarys_own_script():
    world, column = envs.make(CUBE, image_size=8), "object_joint_0_z"
    first, again, other = (
        envs.rollout(world, ObjectPlay(), seed=seed, num_steps=90, render=False) for seed in (0, 0, 1)
    )
    assert np.array_equal(first.states, again.states) and not np.array_equal(first.actions, other.actions)
    heights = first.states[:, world.state_names.index(column)]
    assert heights.max() > 0.06 and heights[-1] < 0.03
    world.close()
