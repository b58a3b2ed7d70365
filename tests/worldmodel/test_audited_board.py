"""The audited board: each world's rule at its edges, and the committed tasks, which every rule admits."""

import importlib.util
import itertools
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from worldmodel import envs
from worldmodel.evaluation.control.controllers import RecordedController
from worldmodel.evaluation.control.cube_turns import CUBE_ROTATIONS, cube_turn
from worldmodel.evaluation.control.driving import run_tasks
from worldmodel.evaluation.control.goal_rules import AUDITED, PUSH_T_PX_M, TWO_ROOM_PX_M, board_name, goal_rule
from worldmodel.evaluation.control.manifests import manifest_path, manifest_tasks, write_manifest
from worldmodel.evaluation.control.tasks import draw_tasks, goal_frames, make_protocol
from worldmodel.evaluation.trust import distrusted
from worldmodel.settings import ControlConfig, PlanConfig, recipe
from worldmodel.system.errors import UserError

manifests = sys.modules["worldmodel.evaluation.control.manifests"]  # the attribute `control` is the function
BOARD = [(protocol, world) for protocol, rules in AUDITED.items() for world in rules]


@pytest.fixture(scope="module")
def worlds():
    names = {name: name for name in ("push_t", "reacher", "two_room")}
    if importlib.util.find_spec("ogbench"):
        names["cube"] = recipe("cube").env.world
    made = {name: envs.make(world, image_size=8) for name, world in names.items()}
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
    if name not in worlds:
        pytest.skip("ogbench is not installed")
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


def quaternion(axis: np.ndarray, angle: float) -> np.ndarray:
    return np.array([np.cos(angle / 2), *np.sin(angle / 2) * axis / np.linalg.norm(axis)])


def product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    (w, *v), (a, *u) = one, other
    return np.array([w * a - np.dot(v, u), *(w * np.array(u) + a * np.array(v) + np.cross(v, u))])


def test_a_cubes_rotations_are_a_group_of_24():
    assert CUBE_ROTATIONS.shape == (24, 4)
    for one, other in itertools.product(CUBE_ROTATIONS, repeat=2):
        alike = np.abs(CUBE_ROTATIONS @ product(one, other))
        assert np.isclose(alike, 1).sum() == 1, "closed, and no rotation stands twice"


def test_a_cube_turned_by_any_of_its_rotations_looks_the_same():
    for cube, rotation in itertools.product(np.random.default_rng(0).normal(size=(5, 4)), CUBE_ROTATIONS):
        # arccos near 1 leaves the square root of a rounding
        assert cube_turn(product(cube, rotation), cube) < 1e-7
        assert cube_turn(-product(cube, rotation), cube) < 1e-7


@pytest.mark.parametrize(
    ("axis", "period"), [([0, 0, 1], 90), ([1, 1, 1], 120), ([-1, 1, 1], 120)], ids=["face", "corner", "corner"]
)
@pytest.mark.parametrize("degrees", [0, 10, 29, 44, 59, 61, 75, 200, -15])
def test_turns_about_an_axis_of_symmetry_are_counted_to_the_nearest_period(axis, period, degrees):
    cube = np.random.default_rng(1).normal(size=4)
    cube /= np.linalg.norm(cube)
    turned = product(cube, quaternion(np.array(axis, float), np.radians(degrees)))
    rest = degrees % period
    assert np.degrees(cube_turn(turned, cube)) == pytest.approx(min(rest, period - rest), abs=1e-5)


def test_no_cube_is_turned_farther_than_the_largest_disorientation():
    """62.8 degrees: the cosine of its half is (2 + sqrt 2) / 4 (Mackenzie, 1958, Biometrika 45)."""
    largest = 2 * np.arccos((2 + np.sqrt(2)) / 4)
    found = [cube_turn(*pair) for pair in np.random.default_rng(2).normal(size=(4000, 2, 4))]
    assert 0.95 * largest < max(found) <= largest
    at_most = quaternion(np.array([1, 1, np.sqrt(2) - 1]), largest)
    assert cube_turn(at_most, np.array([1.0, 0, 0, 0])) == pytest.approx(largest)


def test_the_cube_must_be_placed_and_aligned():
    names = tuple(f"object_joint_0_{part}" for part in ("x", "y", "z", "qw", "qx", "qy", "qz"))
    world: Any = SimpleNamespace(state_names=names)
    scratch: Any = None
    goal = np.array([0.4, 0.1, 0.02, *quaternion(np.array([0, 0, 1.0]), 0.3)])

    def at(x: float, degrees: float) -> np.ndarray:
        return np.array([0.4 + x, 0.1, 0.02, *quaternion(np.array([0, 0, 1.0]), 0.3 + np.radians(90 + degrees))])

    for protocol, m, degrees, hold_steps in (("clear_moderate", 0.04, 30, 3), ("clear_strict", 0.03, 15, 5)):
        rule = AUDITED[protocol]["cube"]
        assert rule.hold_steps == hold_steps
        near = [all(of.distance(world, scratch, state, goal) < of.less_than for of in rule.near)
                for state in (at(m - 1e-3, degrees - 1), at(m + 1e-3, 0), at(0, degrees + 1))]  # fmt: skip
        assert near == [True, False, False]
    (place,) = AUDITED["clear08_moderate"]["cube"].near
    assert place.less_than == 0.04


@pytest.mark.skipif(importlib.util.find_spec("ogbench") is None, reason="not installed")
def test_the_cubes_tasks_can_be_done_as_they_were_recorded(worlds):
    world, config = worlds["cube"], ControlConfig(protocol="clear_strict", tasks=4)
    tasks, protocol = manifest_tasks("clear_strict", world, 4), make_protocol(config, world.name)
    assert tasks.way is not None and tasks.way.shape == (4, 25, 5)
    assert goal_frames(world, tasks).shape == (4, 8, 8, 3)
    assert run_tasks(world, tasks, RecordedController(tasks.way), protocol, None).solved.mean() > 0.5
    assert board_name("gym:visual-cube-single-v0") == board_name(world.name) == "cube"
    assert board_name("gym:ogbench/cube-double-v0") != "cube"


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


def test_worlds_of_recipes_are_no_strangers():
    assert not distrusted(recipe("cube").env.world)
    assert distrusted("gym:Ant-v5?xml_file=ant.xml") == "has options that may name a file"


def test_what_the_board_cannot_judge_is_refused():
    assert all(manifest_path(protocol, world).exists() for protocol, world in BOARD)
    with pytest.raises(UserError, match="rules for push_t, reacher, two_room, cube, not for puck; use protocol=strict"):
        make_protocol(ControlConfig(protocol="clear_strict"), "puck")
    with pytest.raises(UserError, match="its own tasks, 25 steps apart"):
        ControlConfig(protocol="clear_strict", goal_steps=50)
