"""A captured plan is the eager plan."""

import sys
from dataclasses import dataclass

import pytest
import torch
from planner_fakes import A, B, D, H, LinearDynamics, linear_problem, seeded

from worldmodel.planners import (
    ActionCost,
    CapturedPlanner,
    GoalDistance,
    LearnedDistance,
    OverHorizon,
    Staged,
    WeightedSum,
    capture,
    make_planner,
)
from worldmodel.planners.capture import _OPAQUE, _put_together, _Recording, _take_apart


def test_on_a_cpu_the_search_itself_comes_back():
    generator = seeded()
    dynamics, objective, z0 = linear_problem()
    planner = make_planner("cem", horizon=H)

    def search(x):
        return planner.plan(dynamics, objective, x["z0"], generator=generator)

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
        return planner.plan(dynamics, GoalDistance(x["goal"]), x["z0"], warm_start=x["start"], generator=generator)

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
    plan = capture(lambda x: planner.plan(dynamics, goal, x["z0"], generator=generator), {"z0": z0}, generator)
    with pytest.raises(ValueError, match=r"z0 must have shape .* capture again"):
        plan({"z0": z0[:, :1]})
    with pytest.raises(ValueError, match=r"z0 must have shape .* capture again"):
        plan({"z0": torch.cat([z0, z0])})
    with pytest.raises(ValueError, match="inputs must be z0, got state"):
        plan({"state": z0})
    with pytest.raises(ValueError, match="needs a CUDA generator"):
        capture(lambda x: planner.plan(dynamics, goal, x["z0"], generator=generator), {"z0": z0}, torch.Generator())


def squared(latents: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
    return (latents - goal).square().sum(-1)


def staged(goal: torch.Tensor, until: int | None = None) -> WeightedSum:
    """A cost of every kind of part: nested dataclasses, a list, a function, tensors with and without a batch."""
    near = GoalDistance(goal, OverHorizon("sum", until=until), torch.ones(D, device=goal.device))
    far = LearnedDistance(goal, squared)
    return WeightedSum([(1.0, Staged(near, far, goal[:, 0] > 0.5)), (0.1, ActionCost())])


def test_an_objective_is_put_together_from_the_tensors_it_was_taken_apart_into():
    goals = torch.rand(2, B, D)
    tensors, others = {}, {}
    form, other_form = (
        _take_apart(staged(goal), "cost", into) for goal, into in zip(goals, (tensors, others), strict=True)
    )
    assert form == other_form and list(tensors) == list(others) and len(tensors) == 4
    latents, actions = torch.rand(B, 7, H, D), torch.rand(B, 7, H, A)
    again = _put_together(staged(goals[0]), "cost", others)
    assert torch.equal(again(latents, actions), staged(goals[1])(latents, actions))
    assert form != _take_apart(staged(goals[0], until=2), "cost", {})


def test_an_objective_with_hidden_state_is_not_taken_apart():
    class Hidden:
        goal = torch.zeros(B, D)

        def __call__(self, latents, actions):
            return latents.square().sum((-1, -2))

    @dataclass
    class Changing:
        goal: torch.Tensor

    for objective in (Hidden(), Changing(torch.zeros(B, D)), WeightedSum([(1.0, Hidden())])):
        assert _take_apart(objective, "cost", {}) is _OPAQUE


def test_on_a_cpu_a_captured_planner_is_its_planner():
    dynamics, objective, z0 = linear_problem()
    planner = make_planner("cem", horizon=H)
    plans = [one.plan(dynamics, objective, z0, generator=seeded()) for one in (planner, CapturedPlanner(planner))]
    assert torch.equal(plans[0].actions, plans[1].actions)
    assert CapturedPlanner(planner).horizon == H


def test_a_kind_of_plan_is_recorded_once_and_answers_fewer_environments_alone(monkeypatch):
    recorded = []
    monkeypatch.setattr(
        sys.modules[_Recording.__module__],
        "capture",
        lambda search, inputs, generator: recorded.append(inputs) or search,
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
        problem = (dynamics, staged(goal[:rows]), z0[:rows].cuda())
        plan = captured.plan(*problem, generator=graphed)
        expected = planner.plan(*problem, generator=eager)
        assert plan.actions.shape == (rows, H, A)
        torch.testing.assert_close(plan.actions, expected.actions, rtol=0, atol=1e-4)
        torch.testing.assert_close(plan.cost, expected.cost, rtol=1e-3, atol=1e-5)
        for key, value in expected.diagnostics.items():
            assert plan.diagnostics[key].shape == value.shape
    assert len(captured._recordings) == 1
    captured.plan(dynamics, staged(goal, until=2), z0.cuda(), generator=graphed)
    assert len(captured._recordings) == 2
