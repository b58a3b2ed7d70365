"""A captured plan is the eager plan."""

import pytest
import torch
from planner_fakes import A, B, D, H, LinearDynamics, linear_problem, seeded

from planners import GoalDistance, capture, make_planner


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
        plan({"z0": z0[:1]})
    with pytest.raises(ValueError, match="inputs must be z0, got state"):
        plan({"state": z0})
    with pytest.raises(ValueError, match="needs a CUDA generator"):
        capture(lambda x: planner.plan(dynamics, goal, x["z0"], generator=generator), {"z0": z0}, torch.Generator())
