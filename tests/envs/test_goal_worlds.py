"""Worlds about goals: what moves in them, what counts as reached, and what their reward asks for."""

import numpy as np
import pytest

from worldmodel import envs
from worldmodel.envs.suite import GOAL_SCENES
from worldmodel.evaluation.control.oracle import goal_features

GOAL_WORLDS = (*GOAL_SCENES, "puck", "two_room", "maze", "push_t")


@pytest.mark.parametrize("name", GOAL_WORLDS)
def test_a_goal_is_reached_where_every_tolerance_holds(world_of, name):
    world = world_of(name)
    world.restart(seed=0)
    goal = world.state()
    assert world.scene.goal_tolerance and world.reached(goal, goal)
    for coordinate, tolerance in world.scene.goal_tolerance.items():
        state = goal.copy()
        index = world.state_names.index(coordinate)
        state[index] += 0.9 * tolerance
        assert world.reached(state, goal)
        state[index] += 0.2 * tolerance
        assert not world.reached(state, goal)


def test_half_a_turn_of_the_spinner_shows_in_no_picture_and_in_no_goal(world_of):
    world = world_of("finger")
    world.restart(seed=0)
    goal, turned, quarter = (world.state() for _ in range(3))
    spinner = world.state_names.index("hinge")
    turned[spinner] += 3 * np.pi
    quarter[spinner] += np.pi / 2
    assert np.array_equal(world.goal_frame(goal), world.goal_frame(turned))
    assert not np.array_equal(world.goal_frame(goal), world.goal_frame(quarter))
    for wrap in (False, True):
        assert world.reached(turned, goal, wrap) and not world.reached(quarter, goal, wrap)
    features = goal_features(world, np.stack([goal, turned, quarter]))
    assert np.allclose(features[0], features[1]) and not np.allclose(features[0], features[2])


@pytest.mark.parametrize("name", ["pendulum", "cartpole"])
def test_the_task_goal_earns_the_highest_reward(world_of, name):
    world = world_of(name)

    def reward_at(state: np.ndarray) -> float:
        world.restart(seed=0, state=state)
        return world.advance(np.zeros(world.scene.action_dim))[0]

    best = reward_at(world.scene.task_goal())
    world.restart(seed=0)
    assert best > 0.99 and best > reward_at(world.state())


def test_the_reachers_goal_puts_its_finger_on_every_episodes_target():
    """By the suite's own reward, which is 1 within the target."""
    world = envs.make("reacher", image_size=8)
    turns = []
    for seed in range(40):
        world.restart(seed=seed, reward_hidden=True)
        start, goal = world.state(), world.scene.task_goal()
        assert goal is not None
        turns.append(np.abs(goal[:2] - start[:2]))
        world.set_state(goal)
        assert world.advance(np.zeros(2))[0] == 1
    assert np.max(turns, 0)[0] <= np.pi and np.mean(turns) < 1.5


def test_walls_part_the_two_rooms_and_the_door_joins_them(world_of):
    """Full thrust to the right ends at the wall beside the door, and in the other room through it."""
    world = world_of("two_room")
    ends = []
    for y in (0.5, 0.0):
        world.restart(seed=0, state=np.array([-0.6, y, 0, 0]))
        for _ in range(20):
            world.advance(np.array([1.0, 0.0]))
        ends.append(world.state()[0])
    assert ends[0] == pytest.approx(-0.15, abs=0.02) and ends[1] > 0.8


def test_the_maze_is_passed_from_end_to_end_by_its_openings_alone(world_of):
    """Down through a wall there is no way; east, down, west, down leads from the upper corridor to the lower one."""
    world = world_of("maze")
    world.restart(seed=0, state=np.array([-0.6, 0.7, 0, 0]))
    for thrust, num_steps in (((0, -1), 10), ((1, 0), 20), ((0, -1), 8), ((-1, 0), 20), ((0, -1), 10)):
        if thrust == (1, 0):
            assert world.state()[1] == pytest.approx(0.5, abs=0.02), "held by the wall"
        for _ in range(num_steps):
            world.advance(np.array(thrust, float))
    assert world.state()[0] < -0.8 and world.state()[1] < -0.6


def test_the_pusher_moves_the_block_which_then_stays(world_of):
    world = world_of("push_t")
    world.restart(seed=0, state=np.array([0.3, 0, 0, -0.5, 0.1, *[0] * 5]))
    start = world.state()
    for _ in range(12):
        world.advance(np.array([1.0, 0.0]))
    pushed = world.state()
    assert pushed[0] > start[0] + 0.1, "pushed along x"
    for _ in range(10):
        world.advance(np.array([-1.0, 0.0]))
    left = world.state()
    for _ in range(5):
        world.advance(np.zeros(2))
    assert np.abs(world.state()[:3] - left[:3]).max() < 1e-3, "at rest once the pusher has gone"


def test_what_is_hidden_earns_nothing_unless_the_episode_says_so():
    world = envs.make("point_mass", image_size=8)

    def reward(**options) -> float:
        world.restart(seed=0, state=np.zeros(4), **options)
        before = world.snapshot()
        world.start_afresh()  # the same episode goes on, so its reward counts as before
        world.set_state(np.zeros(4))
        afresh = world.advance(np.zeros(2))[0]
        world.restart(seed=1)
        world.restore(before)
        earned = world.advance(np.zeros(2))[0]
        assert earned == afresh
        return earned

    assert [reward(), reward(reward_hidden=True), reward()] == [0, 1, 0]
    world.reset(seed=0, options={"state": np.zeros(4), "reward_hidden": True})
    assert world.step(np.zeros(2))[1] == 1
    batch = envs.BatchWorld(world, 2, render=False)
    for hidden in (True, False):
        batch.reset(states=np.zeros((2, 4)), seed=0, reward_hidden=hidden)
        batch.step(np.zeros((2, 2)))
        assert (batch.rewards == hidden).all()
