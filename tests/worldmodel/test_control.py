"""Protocols of control: which tasks are drawn, when one counts as solved, and how figures are pooled."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from worldmodel import envs
from worldmodel.envs import make_policy
from worldmodel.evaluation.control.achieved import achieved
from worldmodel.evaluation.control.driving import Outcome, begin, run_tasks
from worldmodel.evaluation.control.evaluate import farther
from worldmodel.evaluation.control.goal_rules import WorldTolerance
from worldmodel.evaluation.control.oracle import SimulatorDynamics
from worldmodel.evaluation.control.tasks import Tasks, draw_tasks, far_turns, goal_frames, make_protocol
from worldmodel.evaluation.control.tolerance import check_names, from_motion, set_tolerance, share
from worldmodel.measures.statistics import difference_interval, mean_interval, wilson_interval
from worldmodel.runs import TaskProtocol
from worldmodel.settings import CollectConfig, ControlConfig, PlanConfig, TrainConfig, recipe
from worldmodel.system.errors import UserError


@pytest.fixture(scope="module")
def puck():
    world = envs.make("puck", image_size=8)
    yield world
    world.close()


RECORDED = TrainConfig(CollectConfig(policy={"name": "ou"}, episode_steps=30))
PLAN = PlanConfig()


def test_protocols_differ_as_documented():
    lewm, strict, reward = (
        make_protocol(ControlConfig(protocol=name), "reacher") for name in ("lewm", "strict", "reward")
    )
    assert (lewm.goal_steps, lewm.budget_steps, lewm.hold_steps, lewm.wrap, lewm.drop_solved) == (
        25,
        50,
        1,
        False,
        False,
    )
    assert (strict.hold_steps, strict.wrap, strict.drop_solved) == (5, True, True)
    assert make_protocol(ControlConfig(protocol="strict", goal_steps=100), "puck").budget_steps == 200
    assert reward.budget_steps == 1000 and reward.rewarded


@pytest.mark.parametrize(
    ("world", "wraps"),
    [*((name, False) for name in ("push_t", "reacher", "two_room")), ("pendulum", True), ("gym:Reacher-v5", True)],
)
def test_only_the_published_worlds_of_lewm_compare_raw_angles(world, wraps):
    assert make_protocol(ControlConfig(), world).wrap == wraps


def test_goals_may_be_set_in_seconds_by_the_command_or_by_the_run():
    assert make_protocol(ControlConfig(), "puck", goal_steps=40).goal_steps == 40
    assert make_protocol(ControlConfig(goal_steps=10), "puck", goal_steps=40).budget_steps == 20
    with pytest.raises(UserError, match="goal_steps=10 and goal_s=1 say the same"):
        ControlConfig(goal_steps=10, goal_s=1.0)


def test_tasks_are_reproducible_apart_by_split_and_not_solved_at_the_start(puck, monkeypatch):
    strict = TaskProtocol("strict", goal_steps=4, hold_steps=5)
    config = ControlConfig(tasks=7)
    once, again = (draw_tasks(puck, RECORDED, strict, config, PLAN) for _ in range(2))
    other = draw_tasks(puck, RECORDED, strict, replace(config, split="validation"), PLAN)
    assert np.array_equal(once.start, again.start) and not np.isin(once.start, other.start).any()
    assert len(once) == 7 and len(np.unique(once.start[:, 0])) == 7, "every task from an episode of its own"
    assert once.seed == 0 and once.lead is None, "constants drift alike under every controller"
    assert not any(puck.reached(s, g) for s, g in zip(once.start, once.goal, strict=True))
    monkeypatch.setattr(puck.scene, "goal_tolerance", {"x": 99.0})
    with pytest.raises(UserError, match="tasks: the others were solved at the start"):
        draw_tasks(puck, RECORDED, strict, replace(config, tasks=1), PLAN)


def test_no_episode_is_simulated_without_end(puck):
    """Such numbers may stand in the settings of a stranger's run."""
    with pytest.raises(UserError, match="episode_steps must be a whole number >= 1 and <= 100000, got 1000000000"):
        CollectConfig(episode_steps=10**9)
    with pytest.raises(UserError, match="episodes of 1000000000 control steps, at most 100000 are simulated"):
        draw_tasks(puck, RECORDED, TaskProtocol("strict", goal_steps=10**9), ControlConfig(tasks=1), PLAN)


def test_goals_may_be_asked_to_lie_far_from_the_start(puck):
    config = ControlConfig(tasks=3, protocol="strict", goal_steps=4, goal_apart={"x": 0.1})
    protocol = make_protocol(config, "puck")
    tasks = draw_tasks(puck, RECORDED, protocol, config, PLAN)
    assert (np.abs(tasks.goal - tasks.start)[:, 0] >= 0.1).all() and protocol.goal_apart == {"x": 0.1}
    with pytest.raises(UserError, match="goal_apart names height; puck has x, y"):
        check_names("goal_apart", {"height": 1.0}, puck)
    with pytest.raises(UserError, match="protocol=reward has its own tasks; leave out goal_apart"):
        ControlConfig(protocol="reward", goal_apart={"x": 0.1})


def test_tasks_that_there_are_not_are_given_up_early(puck, monkeypatch):
    monkeypatch.setitem(draw_tasks.__globals__, "_EPISODES_WITHOUT_TASK", 3)
    far = TaskProtocol("strict", goal_steps=4, goal_apart={"x": 100.0})
    with pytest.raises(
        UserError, match=r"^3 episodes of 30 steps gave only 0 of 9 tasks: .* never goal_apart={'x': 100"
    ):
        draw_tasks(puck, RECORDED, far, ControlConfig(tasks=9), PLAN)


@dataclass
class Script:
    """Pushes every puck along x with a given action, and notes how many it was asked for."""

    push: float
    sees: bool = False
    asked: list[int] = field(default_factory=list)
    watched: list[np.ndarray] = field(default_factory=list)

    def watch(self, frames: np.ndarray, actions: np.ndarray) -> None:
        self.watched.append(actions)

    def act(self, frames: np.ndarray, states: np.ndarray) -> np.ndarray:
        self.asked.append(len(states))
        return np.full((len(states), 2), (self.push, 0.0), np.float32)

    def keep(self, open_: np.ndarray) -> None:
        assert open_.any()


def tasks_at(distances: list[float]) -> Tasks:
    start = np.zeros((len(distances), 6))
    goal = start.copy()
    goal[:, 0] = distances
    return Tasks(start, goal, [{}] * len(distances))


def test_a_goal_must_be_held_for_as_long_as_the_protocol_says(puck):
    """A resting puck is within tolerance of the first goal and the third; the second is out of reach."""
    hold = TaskProtocol("test", budget_steps=9, hold_steps=5)
    assert tasks_at([0.04, 0.5, 0.0]).solved_at_start(WorldTolerance(puck, wrap=False, drop_solved=False)) == 2 / 3
    still = run_tasks(puck, tasks_at([0.04, 0.5, 0.0]), Script(0.0), hold, "still")
    assert still.solved_at.tolist() == [1, -1, 1]
    assert still.num_decisions == 5 * 3 + 4 * 1, "solved tasks are dropped once they were held"
    puck.restart(seed=0, state=np.zeros(6))
    for _ in range(4):
        puck.advance(np.array([1.0, 0.0]))
    on_the_way = tasks_at([puck.state()[0]])
    passing = run_tasks(puck, on_the_way, Script(1.0), hold, "through")
    touched = run_tasks(puck, on_the_way, Script(1.0), replace(hold, hold_steps=1), "touch")
    assert passing.solved_at[0] == -1 and touched.solved_at[0] == 4
    late = run_tasks(puck, tasks_at([0.04]), Script(0.0), replace(hold, budget_steps=4), "late")
    assert late.solved_at[0] == -1, "the budget ended before the goal was held long enough"


def test_a_lead_shows_how_the_start_came_about_before_the_clock_runs(puck):
    """The recorded actions lead to the recorded start under the constants that the task then has."""
    strict = TaskProtocol("strict", goal_steps=4, budget_steps=3)
    drifting = replace(RECORDED, collection=replace(RECORDED.collection, drift_rho=0.0))
    tasks = draw_tasks(puck, drifting, strict, ControlConfig(tasks=3), PlanConfig(lead_steps=5))
    assert tasks.lead is not None and [part.shape for part in tasks.lead] == [(3, 6), (3, 5, 2)]
    assert len(tasks.part(0, 2).lead[1]) == 2  # type: ignore[index]
    for k in range(3):
        puck.restart(seed=0, state=tasks.lead[0][k], factors=tasks.factors[k])
        for action in tasks.lead[1][k]:
            puck.advance(action)
        assert np.abs(puck.state() - tasks.start[k]).max() < 1e-4
    script = Script(0.0)
    outcome = run_tasks(puck, replace(tasks, goal=tasks.start + 9), script, strict, "watch")
    assert np.array_equal(np.stack(script.watched, 1), tasks.lead[1])
    assert script.asked == [3, 3, 3] and outcome.num_decisions == 9, "watching takes nothing of the budget"
    assert len(outcome.frames) == 4 and draw_tasks(puck, drifting, strict, ControlConfig(tasks=1), PLAN).lead is None


def test_angles_may_be_compared_raw_or_on_the_circle():
    world = envs.make("reacher", image_size=8)
    start, goal = np.zeros((1, 4)), np.zeros((1, 4))
    goal[0, 0] = 2 * np.pi
    tasks = Tasks(start, goal, [{}])
    for wrap, solved in ((True, True), (False, False)):
        protocol = TaskProtocol("test", budget_steps=2, wrap=wrap)
        outcome = run_tasks(world, tasks, Script(0.0), protocol, "turn")
        assert outcome.solved[0] == solved
    world.close()


def outcome_of(solved: list[bool]) -> Outcome:
    return Outcome(np.where(solved, 3, -1), np.arange(len(solved), dtype=float), 1.0, 10, np.zeros(0))


def test_turns_that_no_picture_shows_are_told():
    world = envs.make("reacher", image_size=8)
    starts = np.zeros((2, 4))
    goals = np.array([[0.2, 0.1, 0, 0], [-4.0, 0.3, 9.0, 0]])
    assert far_turns(world, Tasks(starts, goals, [{}, {}])) == ["shoulder"]
    assert far_turns(world, Tasks(starts[:1], goals[:1], [{}])) == []


def test_figures_pool_the_seeds_and_state_regret_on_the_oracles_tasks():
    latent = [outcome_of([True, True, False, False]), outcome_of([True, False, False, False])]
    controllers, regret = achieved({"latent": latent, "oracle": [outcome_of([True, True])]}, rewarded=False)
    found = controllers["latent"]
    assert found.success and regret and found.returns is None
    assert (found.num_tasks, found.num_runs, controllers["oracle"].num_tasks) == (4, 2, 2)
    assert found.success.rate == 3 / 8 and found.success.by_run == [0.5, 0.25]
    assert found.success.interval == tuple(wilson_interval(3, 8)) and found.success.median_steps == 3
    assert regret.value == 1 - 3 / 4 and regret.interval == tuple(difference_interval((2, 2), (3, 4)))
    none_solved, no_oracle = achieved({"latent": [outcome_of([False])]}, rewarded=False)
    assert none_solved["latent"].success and none_solved["latent"].success.median_steps is None and no_oracle is None


def test_returns_pool_the_seeds_and_one_episode_has_no_interval():
    latent = [outcome_of([False] * 4), outcome_of([False] * 4)]
    controllers, regret = achieved({"latent": latent, "oracle": [outcome_of([True])]}, rewarded=True)
    found, oracle = controllers["latent"].returns, controllers["oracle"].returns
    assert found and oracle and regret and controllers["latent"].success is None
    assert found.mean == 1.5
    assert found.interval == tuple(mean_interval(np.tile(np.arange(4.0), 2)))  # type: ignore[arg-type]
    assert oracle.interval is None, "one episode has no interval, and JSON no infinity"
    assert regret.value == 0, "of the oracle's one episode, which returns 0 under every controller"


@pytest.mark.parametrize("num", [2, 3, 10])
def test_an_interval_of_a_mean_covers_it_as_often_as_it_says_however_few_the_values(num):
    drawn = np.random.default_rng(0).normal(size=(4000, num))
    low, high = np.array([mean_interval(values) for values in drawn]).T
    assert np.mean((low < 0) & (high > 0)) == pytest.approx(0.95, abs=0.015)


def test_an_interval_of_a_difference_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(0)
    p, q, n, m = 0.9, 0.97, 150, 60
    hits = 0
    for _ in range(1000):
        low, high = difference_interval((int(rng.binomial(n, p)), n), (int(rng.binomial(m, q)), m))
        hits += low <= p - q <= high
    assert 0.93 <= hits / 1000 <= 0.98


def test_an_interval_of_a_mean_covers_it_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), []
    for _ in range(4000):
        low, high = mean_interval(rng.standard_normal(4))  # type: ignore[misc]
        covered.append(low <= 0 <= high)
    assert abs(np.mean(covered) - 0.95) < 0.012


def test_a_plan_to_a_far_picture_looks_as_far_as_the_predictor_unless_it_names_a_horizon():
    plan = PlanConfig()
    assert farther(plan, 30).planner == {**plan.planner, "horizon": 30, "action_block": 6}
    assert farther(plan, 32).planner["horizon"] == 30 and farther(plan, 15) == plan
    for named in ({"horizon": 20}, {"action_block": 3}):
        chosen = PlanConfig(planner={"name": "cem", **named})
        assert farther(chosen, 30) == chosen


def test_the_reward_protocol_asks_each_episode_for_its_own_target_and_keeps_it(puck):
    with pytest.raises(UserError, match="no reward of its own"):
        draw_tasks(
            puck, RECORDED, make_protocol(ControlConfig(protocol="reward"), "puck"), ControlConfig(tasks=1), PLAN
        )
    world = envs.make("reacher", image_size=8)
    protocol = replace(make_protocol(ControlConfig(protocol="reward"), "puck"), budget_steps=3)
    tasks = draw_tasks(world, RECORDED, protocol, ControlConfig(tasks=4), PLAN)
    assert len(np.unique(tasks.goal[:, 0])) == 4
    there = replace(tasks, start=tasks.goal, moments=None)  # from the goals, and not from the snapshots of the starts
    outcome = run_tasks(world, there, Script(0.0), protocol, "still")
    assert outcome.returns.tolist() == [3] * 4, "the finger rests on the target of the episode it was drawn in"
    world.close()


def test_the_reward_protocol_sums_the_worlds_own_reward_from_its_own_starts():
    world = envs.make("pendulum", image_size=8)
    protocol = replace(make_protocol(ControlConfig(protocol="reward"), "puck"), budget_steps=4)
    tasks = draw_tasks(world, RECORDED, protocol, ControlConfig(protocol="reward", tasks=2), PLAN)
    assert not tasks.goal.any()
    upright = Tasks(np.stack([tasks.goal[0], np.array([np.pi, 0.0])]), tasks.goal, tasks.factors)

    class Still(Script):
        def act(self, frames: np.ndarray, states: np.ndarray) -> np.ndarray:
            return np.zeros((len(states), 1), np.float32)

    outcome = run_tasks(world, upright, Still(0.0), protocol, "still")
    assert outcome.returns[0] == pytest.approx(4, abs=0.01) and outcome.returns[1] == 0
    assert not outcome.solved.any(), "the reward is what counts here, not the goal"
    world.close()


def test_where_a_world_names_no_tolerance_its_own_motion_does():
    world, policy = envs.make("pendulum-swingup", image_size=16), make_policy("uniform")
    found = set_tolerance(world, None, policy, 100)
    assert found.keys() == {"hinge"} and 0.1 < found["hinge"] <= 0.25 * np.pi / np.sqrt(3) + 0.01
    assert world.scene.goal_tolerance == found  # and tasks are judged by it
    assert set_tolerance(envs.make("reacher"), None, policy, 100) == {"shoulder": 0.05, "wrist": 0.05}
    with pytest.raises(UserError, match="goal_tolerance names elbow; pendulum-swingup has hinge, hinge_vel"):
        set_tolerance(world, {"elbow": 1.0}, policy, 100)


def test_a_world_that_starts_anywhere_is_judged_by_what_it_moves_in_a_second():
    world = envs.make("reacher", image_size=16)
    weak, strong = (from_motion(world, make_policy("ou", std=std), 100) for std in (0.02, 0.5))
    assert weak.keys() == {"shoulder", "wrist"}, "the target does not move"
    of_starts = 0.25 * np.pi / np.sqrt(3)  # a quarter of their spread
    assert weak["shoulder"] < 0.05 * of_starts < strong["shoulder"] < of_starts


def test_the_more_positions_must_be_near_the_wider_each_is_judged():
    drawn = np.abs(np.random.default_rng(0).normal(size=(100_000, 9)))
    for num in (3, 6, 9):
        reached = (drawn[:, :num] <= share(num)).all(1).mean()
        assert reached == pytest.approx(0.01, abs=4 * np.sqrt(0.01 / len(drawn)))
    assert share(1) == share(2) == 0.25 and share(60) == 1.0


def test_the_place_of_a_robot_that_the_camera_follows_is_not_judged():
    world = envs.make("gym:Hopper-v5", image_size=16)
    found = from_motion(world, make_policy("uniform", hold_steps=5), 50)
    assert "rootx" not in found and {"rooty", "thigh_joint"} <= found.keys()


def test_tasks_of_a_world_with_more_than_a_state_begin_and_end_in_one_episode():
    world, policy = envs.make("gym:InvertedPendulum-v5", image_size=16), make_policy("uniform", hold_steps=3)
    set_tolerance(world, None, policy, 40)
    trained = recipe("gym:InvertedPendulum-v5")
    config = ControlConfig(run="-", tasks=3, goal_steps=10)
    protocol = make_protocol(config, world.name)
    tasks = draw_tasks(world, trained, protocol, config, trained.plan)
    assert tasks.moments is not None and tasks.pictures is not None and len(tasks.moments) == 3
    world.restore(tasks.moments[0])
    assert np.array_equal(world.state(), tasks.start[0])
    batch = envs.BatchWorld(world, 3)
    batch.go_on(tasks.moments)
    assert np.array_equal(batch.states, tasks.start)
    world.set_state(tasks.goal[1])
    assert np.array_equal(world.frame(), tasks.pictures[1])


BESIDE_A_WALL = """<mujoco><worldbody><light pos="0 0 3"/>
  <camera name="above" pos="0 0 2.5"/>
  <geom name="wall" type="box" size=".05 .8 .1" rgba="1 0 0 1"/>
  <body pos="0 0 .05"><joint name="x" type="slide" axis="1 0 0"/><geom size=".08" mass="1" rgba="0 1 0 1"/></body>
</worldbody><actuator><motor joint="x" ctrlrange="-.05 .05"/></actuator></mujoco>"""


def wall_and_slider(model, data, rng):
    """A wall somewhere in half of the episodes, else in the middle; the slider begins beside it, and gets nowhere."""
    place = rng.uniform(-0.7, 0.7) if rng.random() < 0.5 else 0.0
    model.geom("wall").pos[0], data.qpos[0] = place, place + 0.2


@pytest.fixture(scope="module")
def beside_a_wall():
    scene = envs.MjcfScene(
        BESIDE_A_WALL, name="wall", camera="above", control_dt_s=0.02, goal_tolerance={"x": 0.01},
        reset=wall_and_slider, reward=lambda model, data: 1.0,
    )  # fmt: skip
    world = envs.MujocoWorld(scene, image_size=32)
    yield world
    world.close()


def wall_columns(frames: np.ndarray) -> list[float]:
    """Where the wall stands in frames (n, S, S, 3), in columns."""
    red = (frames[..., 0].astype(int) > 60) & (frames[..., 1] < 40)
    return [float(np.flatnonzero(one.any(0)).mean()) for one in red]


@pytest.mark.parametrize(("protocol", "lead"), [("lewm", 0), ("lewm", 3), ("reward", 0)])
@pytest.mark.parametrize("num", [1, 6])
def test_tasks_are_done_and_shown_in_the_episodes_that_they_are_from(beside_a_wall, protocol, lead, num):
    world, config = beside_a_wall, ControlConfig(protocol=protocol, tasks=num, goal_steps=5)
    rule, plan = make_protocol(config, world.name), PlanConfig(lead_steps=lead)
    rule = replace(rule, drop_solved=False)
    tasks = draw_tasks(world, RECORDED, rule, config, plan)
    batch = envs.BatchWorld(world, num)
    frames, states = begin(batch, tasks, Script(0.0), rule)
    assert np.abs(states - tasks.start).max() < 1e-6
    models = SimulatorDynamics(world, tasks.factors, tasks.moments).models
    walls = np.array([model.geom("wall").pos[0] for model in models])
    assert np.abs(tasks.start[:, 0] - walls - 0.2).max() < 0.05
    if protocol == "lewm":
        assert np.abs(np.array(wall_columns(goal_frames(world, tasks))) - wall_columns(frames)).max() < 0.6
        assert np.abs(tasks.goal[:, 0] - walls - 0.2).max() < 0.05
    seen, placed = np.array(wall_columns(frames)), np.argsort(walls)
    assert (np.diff(seen[placed]) >= -0.6).all()


def test_tasks_of_a_world_whose_reset_writes_nothing_need_no_snapshots(puck):
    config = ControlConfig(tasks=2, goal_steps=5)
    assert draw_tasks(puck, RECORDED, make_protocol(config, puck.name), config, PLAN).moments is None
