"""The audited board: each world's rule at its edges, and the committed tasks, which every rule admits."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from worldmodel import envs
from worldmodel.evaluation.control.driving import run_tasks
from worldmodel.evaluation.control.goal_rules import AUDITED, PUSH_T_PX_M, TWO_ROOM_PX_M, goal_rule
from worldmodel.evaluation.control.manifests import manifest_path, manifest_tasks, write_manifest
from worldmodel.evaluation.control.tasks import draw_tasks, make_protocol
from worldmodel.settings import ControlConfig, PlanConfig, recipe
from worldmodel.system.errors import UserError

manifests = sys.modules["worldmodel.evaluation.control.manifests"]  # the attribute `control` is the function
BOARD = [(protocol, world) for protocol, rules in AUDITED.items() for world in rules]


@pytest.fixture(scope="module")
def worlds():
    made = {name: envs.make(name, image_size=8) for name in ("push_t", "reacher", "two_room")}
    yield made
    for world in made.values():
        world.close()


def rule_of(protocol: str, world: envs.MujocoWorld):
    return goal_rule(world, make_protocol(ControlConfig(protocol=protocol), world.name))


def moved(world: envs.MujocoWorld, state: np.ndarray, **by: float) -> np.ndarray:
    state = state.copy()
    for name, distance in by.items():
        state[world.state_names.index(name)] += distance
    return state


@pytest.mark.parametrize(("protocol", "name"), BOARD)
def test_committed_tasks_are_admitted_unsolved_and_apart(worlds, protocol, name):
    world = worlds[name]
    tasks, rule = manifest_tasks(protocol, world, 100), rule_of(protocol, world)
    assert len(tasks) == 100 and tasks.start.shape == tasks.goal.shape == (100, len(world.state_names))
    assert all(rule.admits(start, goal) for start, goal in zip(tasks.start, tasks.goal, strict=True))
    assert tasks.solved_at_start(rule) == 0
    assert len(np.unique(tasks.start, axis=0)) == 100


def test_block_alone_counts_and_its_distance_is_euclidean(worlds):
    world = worlds["push_t"]
    rule, goal = rule_of("clear_moderate", world), np.zeros(10)
    assert rule.reached(moved(world, goal, block_x=14 * PUSH_T_PX_M, block_y=14 * PUSH_T_PX_M, pusher_x=0.9), goal)
    assert not rule.reached(moved(world, goal, block_x=15 * PUSH_T_PX_M, block_y=14 * PUSH_T_PX_M), goal)
    assert rule.reached(moved(world, goal, block_angle=2 * np.pi + np.radians(19)), goal), "a whole turn is none"
    assert not rule.reached(moved(world, goal, block_angle=np.radians(21)), goal)
    assert not rule.admits(moved(world, goal, block_x=24 * PUSH_T_PX_M), goal), "moved too little"
    assert rule.admits(moved(world, goal, block_x=26 * PUSH_T_PX_M), goal)
    with_pusher = rule_of("clear08_moderate", world)
    assert not with_pusher.reached(moved(world, goal, pusher_x=21 * PUSH_T_PX_M), goal)


def test_wrist_is_wrapped_in_one_version_and_not_in_the_other(worlds):
    world = worlds["reacher"]
    goal = np.array([0.0, 2.7, 0.0, 0.0])
    turned = moved(world, goal, shoulder=2 * np.pi + 0.04)
    assert rule_of("clear_strict", world).reached(turned, goal)
    assert rule_of("clear08_moderate", world).reached(turned, goal)
    wrist_turned = moved(world, goal, wrist=-2 * np.pi)
    assert rule_of("clear_strict", world).reached(wrist_turned, goal)
    assert not rule_of("clear08_moderate", world).reached(wrist_turned, goal)


def test_fingertip_is_measured_in_space(worlds):
    """A turn of the shoulder by a small angle moves the finger of a straight arm by the angle times its reach."""
    world = worlds["reacher"]
    reach = np.linalg.norm(world.scene.model.body("hand").pos[:2]) + world.scene.model.body("finger").pos[0]
    goal, rule = np.zeros(4), rule_of("clear08_strict", world)
    assert rule.reached(moved(world, goal, shoulder=0.0099 / reach), goal)
    assert not rule.reached(moved(world, goal, shoulder=0.0101 / reach), goal)


def test_goals_lie_in_the_other_room(worlds):
    world = worlds["two_room"]
    rule, goal = rule_of("clear_strict", world), np.array([0.5, 0.0, 0.0, 0.0])
    assert rule.admits(np.array([-0.5, 0.0, 0.0, 0.0]), goal)
    assert not rule.admits(np.array([0.2, 0.0, 0.0, 0.0]), goal)
    assert rule.reached(moved(world, goal, x=7.9 * TWO_ROOM_PX_M), goal)
    assert not rule.reached(moved(world, goal, x=8.1 * TWO_ROOM_PX_M), goal)


class _Still:
    """Does nothing."""

    sees = False

    def act(self, frames: np.ndarray, states: np.ndarray) -> np.ndarray:
        return np.zeros((len(states), 2), np.float32)

    def keep(self, open_: np.ndarray) -> None:
        pass


def test_a_goal_must_be_held_as_long_as_the_rule_says(worlds):
    """A block that starts at its goal at rest is solved at step 1 once it has been held; five steps are too few."""
    world = worlds["push_t"]
    tasks = manifest_tasks("clear_strict", world, 1)
    goal = moved(world, tasks.goal[0], pusher_x=0.0)
    goal[5:] = 0
    protocol = make_protocol(ControlConfig(protocol="clear_strict"), "push_t")
    assert protocol.hold_steps == 5 and (protocol.goal_steps, protocol.budget_steps) == (25, 50)
    held = replace(tasks, start=goal[None], goal=goal[None])
    assert run_tasks(world, held, _Still(), replace(protocol, budget_steps=4), "still").solved_at[0] == -1
    assert run_tasks(world, held, _Still(), replace(protocol, budget_steps=5), "still").solved_at[0] == 1


def test_a_manifest_is_read_as_it_was_written(worlds, tmp_path, monkeypatch):
    world = worlds["reacher"]
    config = ControlConfig(protocol="clear_moderate", split="validation", tasks=3)
    tasks = draw_tasks(world, recipe("reacher"), make_protocol(config, "reacher"), config, PlanConfig())
    write_manifest(tmp_path / "tasks.csv", world, tasks)
    monkeypatch.setattr(manifests, "manifest_path", lambda protocol, world: tmp_path / "tasks.csv")
    again = manifest_tasks("clear_moderate", world, 2)
    assert np.array_equal(again.start.astype(np.float32), tasks.start[:2].astype(np.float32))
    assert np.array_equal(again.goal.astype(np.float32), tasks.goal[:2].astype(np.float32))
    with pytest.raises(UserError, match="has 3 tasks in reacher, not 4"):
        manifest_tasks("clear_moderate", world, 4)


def test_what_the_board_cannot_judge_is_refused():
    assert all(manifest_path(protocol, world).exists() for protocol, world in BOARD)
    with pytest.raises(UserError, match="rules for push_t, reacher, two_room, not for puck; use protocol=strict"):
        make_protocol(ControlConfig(protocol="clear_strict"), "puck")
    with pytest.raises(UserError, match="its own tasks, 25 steps apart"):
        ControlConfig(protocol="clear_strict", goal_steps=50)
