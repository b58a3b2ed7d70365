"""A captured plan is the eager plan."""

import sys

import pytest
import torch
from planner_fakes import A, B, D, H, LinearDynamics, linear_problem, seeded

from worldmodel.planners import (
    ActionCost,
    ActionRate,
    CapturedPlanner,
    Constraint,
    GoalDistance,
    LearnedDistance,
    MeanOverMembers,
    NotRecordable,
    OverHorizon,
    Problem,
    Recordable,
    RewardCost,
    Staged,
    WeightedSum,
    capture,
    form_of,
    make_planner,
    map_tensors,
)
from worldmodel.planners.capture import _inputs_of, _Recording, _with_inputs
from worldmodel.planners.objectives import Reduction


def test_on_a_cpu_the_search_itself_comes_back():
    generator = seeded()
    dynamics, objective, z0 = linear_problem()
    planner = make_planner("cem", horizon=H)

    def search(x):
        return planner.plan(Problem(dynamics, objective, x["z0"]), generator)

    assert capture(search, {"z0": z0}, generator) is search


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["cem", "icem", "mppi", "random_shooting"])
def test_replayed_plans_are_the_eager_ones_with_new_inputs_and_new_noise(name):
    dynamics, _, z0 = linear_problem()
    dynamics = LinearDynamics(dynamics.drift.cuda(), dynamics.gain.cuda())
    planner = make_planner(name, horizon=H)
    goals = torch.rand(3, B, D, device="cuda")
    inputs = [{"z0": z0.cuda() * k, "goal": goal, "start": torch.zeros(B, H, A).cuda()} for k, goal in enumerate(goals)]
    graphed, eager = (torch.Generator("cuda").manual_seed(0) for _ in range(2))

    def search(x, generator):
        return planner.plan(Problem(dynamics, GoalDistance(x["goal"]), x["z0"], warm_start=x["start"]), generator)

    replay = capture(lambda x: search(x, graphed), inputs[0], graphed)
    plans = [replay(x) for x in inputs]
    for plan, x in zip(plans, inputs, strict=True):
        expected = search(x, eager)
        torch.testing.assert_close(plan.actions, expected.actions, rtol=0, atol=1e-5)
        torch.testing.assert_close(plan.cost, expected.cost, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
def test_wrong_inputs_of_a_captured_plan_are_one_line():
    dynamics, _, z0 = linear_problem()
    dynamics = LinearDynamics(dynamics.drift.cuda(), dynamics.gain.cuda())
    generator = torch.Generator("cuda")
    planner = make_planner("cem", horizon=H)
    goal = GoalDistance(torch.zeros(B, D, device="cuda"))
    z0 = z0.cuda()

    def plan_of(x):
        return planner.plan(Problem(dynamics, goal, x["z0"]), generator)

    plan = capture(plan_of, {"z0": z0}, generator)
    with pytest.raises(ValueError, match=r"z0 must have shape .* capture again"):
        plan({"z0": z0[:, :1]})
    with pytest.raises(ValueError, match=r"z0 must have shape .* capture again"):
        plan({"z0": torch.cat([z0, z0])})
    with pytest.raises(ValueError, match="inputs must be z0, got state"):
        plan({"state": z0})
    with pytest.raises(ValueError, match="needs a CUDA generator"):
        capture(plan_of, {"z0": z0}, torch.Generator())


def squared(latents: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
    return (latents - goal).square().sum(-1)


def first_of(latents: torch.Tensor) -> torch.Tensor:
    return latents[..., 0]


def staged(goal: torch.Tensor, reduction: Reduction = "sum") -> WeightedSum:
    """A cost of every kind of part: nested dataclasses, a list, a function, tensors with and without a batch."""
    near = GoalDistance(goal, OverHorizon(reduction), torch.ones(D, device=goal.device))
    far = LearnedDistance(goal, squared)
    return WeightedSum([(1.0, Staged(near, far, goal[:, 0] > 0.5)), (0.1, ActionCost())])


def problem_of(goal: torch.Tensor) -> Problem:
    return Problem(linear_problem()[0], staged(goal), goal[:, :3], context=goal[:, :2], warm_start=goal[:, :1])


def test_a_problem_with_the_tensors_of_another_is_that_other_problem():
    mine, other = (problem_of(goal) for goal in torch.rand(2, B, D))
    tensors = _inputs_of(other)
    assert next(iter(tensors)) == "z0" and len(tensors) == 3 + 4  # of the objective: two goals, a metric, is_near
    again = _with_inputs(mine, tensors)
    latents, actions = torch.rand(B, 7, H, D), torch.rand(B, 7, H, A)
    assert torch.equal(again.objective(latents, actions), other.objective(latents, actions))
    for name in ("z0", "context", "warm_start"):
        assert getattr(again, name) is getattr(other, name)
    assert all(kept is tensor for kept, tensor in zip(_inputs_of(again).values(), tensors.values(), strict=True))


def test_the_form_of_an_objective_is_all_but_its_tensors():
    first, second = torch.rand(2, B, D)
    assert form_of(staged(first)) == form_of(staged(second))
    assert form_of(staged(first)) != form_of(staged(first, "terminal"))
    metric = torch.ones(D)
    for one, other in (
        (GoalDistance(first), GoalDistance(first, metric=metric)),
        (GoalDistance(first), LearnedDistance(first, squared)),
        (LearnedDistance(first, squared), LearnedDistance(first, lambda z, goal: squared(z, goal))),
        (ActionCost(0.1), ActionCost(0.2)),
        (ActionCost(), ActionRate()),
        (RewardCost(first_of, 0.5), RewardCost(first_of, 0.9)),
        (Constraint(squared), Constraint(squared, 2.0)),
        (WeightedSum([(1.0, ActionCost())]), WeightedSum([(2.0, ActionCost())])),
        (MeanOverMembers(ActionCost(), 2), MeanOverMembers(ActionCost(), 3)),
    ):
        assert form_of(one) != form_of(other)


def test_an_objective_that_shows_no_tensors_has_no_form():
    class Hidden:
        goal = torch.zeros(B, D)

        def __call__(self, latents, actions):
            return latents.square().sum((-1, -2))

    for objective in (Hidden(), WeightedSum([(1.0, Hidden())]), LearnedDistance(torch.zeros(B, D), Hidden())):
        with pytest.raises(NotRecordable, match="Hidden does not show its tensors; derive it from RecordableObjective"):
            form_of(objective)


def test_a_function_is_recorded_only_where_it_shows_its_tensors():
    def to_goal(latents, actions, goal):
        return (latents - goal[:, None, None]).square().sum((-1, -2))

    goals, latents, actions = torch.rand(2, B, D), torch.rand(B, 7, H, D), torch.rand(B, 7, H, A)

    def bound(latents, actions):
        return to_goal(latents, actions, goals[0])  # whose goals may be rebound, which no graph would notice

    for objective in (bound, WeightedSum([(1.0, bound)]), MeanOverMembers(bound, 2)):
        with pytest.raises(NotRecordable, match=r"bound does not show its tensors; give Recordable\(function, tensors"):
            form_of(objective)
    first, second = (Recordable(to_goal, [goal]) for goal in goals)
    assert form_of(first) == form_of(second) and form_of(WeightedSum([(1.0, first)]))
    replayed = map_tensors(first, lambda _: goals[1])
    assert torch.equal(replayed(latents, actions), second(latents, actions))
    assert torch.equal(second(latents, actions), to_goal(latents, actions, goals[1]))


def test_on_a_cpu_a_captured_planner_is_its_planner():
    dynamics, objective, z0 = linear_problem()
    planner = make_planner("cem", horizon=H)
    plans = [one.plan(Problem(dynamics, objective, z0), seeded()) for one in (planner, CapturedPlanner(planner))]
    assert torch.equal(plans[0].actions, plans[1].actions)
    assert CapturedPlanner(planner).horizon == H


@pytest.mark.parametrize("name", ["cem", "icem", "mppi", "random_shooting", "gradient", "follow"])
def test_a_recorded_plan_reads_nothing_of_the_problem_it_was_recorded_with(name):
    """On a CPU a recording is the code that would be recorded: new tensors must reach it as inputs."""
    dynamics, _, z0 = linear_problem()
    planner = make_planner(name, horizon=H)
    captured, recorded, eager = CapturedPlanner(planner), seeded(), seeded()
    for goal, warm_start in zip(torch.rand(4, B, D), torch.rand(4, B, H, A), strict=True):
        problem = Problem(dynamics, staged(goal), z0 * goal.mean(), goal[:, :2], warm_start)
        plan = captured._plan_by_graph(problem, form_of(problem.objective), recorded)
        expected = planner.plan(problem, eager)
        assert torch.equal(plan.actions, expected.actions) and torch.equal(plan.cost, expected.cost)
    assert len(captured._recordings) == 1


def test_a_kind_of_plan_is_recorded_once_and_answers_fewer_environments_alone(monkeypatch):
    recorded = []
    monkeypatch.setattr(
        sys.modules[_Recording.__module__],
        "capture",
        lambda plan_of, inputs, generator: recorded.append(inputs) or plan_of,
    )
    shapes = {"z0": torch.Size([B, D]), "goal": torch.Size([B, H])}
    owners = (object(), object())
    recording = _Recording(owners, "form", shapes)
    inputs = {"z0": torch.zeros(B - 1, D), "goal": torch.zeros(B - 1, H)}
    fewer = {name: x.shape for name, x in inputs.items()}
    assert recording.answers(owners, "form", shapes) and recording.answers(owners, "form", fewer)
    assert not recording.answers((owners[0], object()), "form", shapes)
    assert not recording.answers(owners, "another", shapes)
    assert not recording.answers(owners, "form", shapes | {"start": torch.Size([B, H])})
    assert not recording.answers(owners, "form", {name: torch.Size([B, 2]) for name in shapes})
    assert not recorded
    for _ in range(2):
        assert recording.plan(lambda x: x, inputs, seeded()) is inputs
    assert len(recorded) == 1
    # what was recorded counts, not what was asked for first
    assert recording.answers(owners, "form", fewer) and not recording.answers(owners, "form", shapes)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["cem", "icem", "mppi", "random_shooting", "gradient"])
def test_a_captured_planner_plans_as_its_planner_for_new_goals_and_fewer_environments(name):
    dynamics, _, z0 = linear_problem()
    dynamics = LinearDynamics(dynamics.drift.cuda(), dynamics.gain.cuda())
    planner = make_planner(name, horizon=H)
    captured = CapturedPlanner(planner)
    graphed, eager = (torch.Generator("cuda").manual_seed(0) for _ in range(2))
    for goal, rows in zip(torch.rand(4, B, D, device="cuda"), (B, B, B - 1, 1), strict=True):
        problem = Problem(dynamics, staged(goal[:rows]), z0[:rows].cuda())
        plan = captured.plan(problem, graphed)
        expected = planner.plan(problem, eager)
        assert plan.actions.shape == (rows, H, A)
        torch.testing.assert_close(plan.actions, expected.actions, rtol=0, atol=1e-4)
        torch.testing.assert_close(plan.cost, expected.cost, rtol=1e-3, atol=1e-5)
        assert plan.cost_curve.shape == expected.cost_curve.shape and plan.valid.shape == (rows,)
        assert plan.num_rollouts == expected.num_rollouts
    assert len(captured._recordings) == 1
    captured.plan(Problem(dynamics, staged(goal, "terminal"), z0.cuda()), graphed)
    assert len(captured._recordings) == 2
