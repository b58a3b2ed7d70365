"""Timing of plans: parts that add up, and a network of LeWM's size whose two rollouts agree."""

import pytest
import torch

from planners import CEM, GoalDistance
from worldmodel.models import PlanningModel
from worldmodel.plan_timing import (
    Clock,
    LewmSizeDynamics,
    LewmSizePredictor,
    Timed,
    cached_rollout,
    default_model,
    machine_rates,
    time_plan,
    windowed_rollout,
)


def test_the_cached_rollout_is_the_windowed_one():
    torch.manual_seed(0)
    network = LewmSizePredictor(dim=24, action_dim=10, depth=2, heads=3, width=12).eval()
    z0, blocks = torch.randn(7, 24), torch.randn(7, 5, 10)
    with torch.no_grad():
        slow, fast = (rollout(network, z0, blocks) for rollout in (windowed_rollout, cached_rollout))
    assert slow.shape == (7, 5, 24)
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)


def test_a_planner_drives_that_network():
    network = LewmSizePredictor(dim=24, action_dim=10, depth=1, heads=3, width=12).eval()
    planner = CEM(horizon=10, action_block=5, num_samples=8, num_iterations=1, num_elites=2)
    goal = GoalDistance(torch.randn(1, 24), "terminal")
    with torch.no_grad():
        plan = planner.plan(LewmSizeDynamics(network), goal, torch.zeros(1, 24), generator=torch.Generator())
    assert plan.actions.shape == (1, 10, 2) and plan.diagnostics["valid"].all()


def test_figures_of_a_plan_are_complete_and_the_parts_are_within_the_whole():
    model, clock = PlanningModel(default_model()), Clock(torch.device("cpu"))
    rates = machine_rates(clock, torch.device("cpu"), 1)
    assert min(rates.values()) > 0
    planner = CEM(horizon=5, num_samples=8, num_iterations=2, num_elites=2)
    timed = time_plan(model, planner, 2, 1, clock, rates)
    # two iterations of eight candidates and the final mean, for two environments; weights of the first layers aside
    width, horizon, steps, dim = 384, 15, 5, 16
    least = 2 * 2 * (8 + 8 + 1) * width * (width // 2 + steps * dim) / 1e9
    assert timed["gflop"] * 2 == pytest.approx(least, rel=1.0) and timed["gflop"] * 2 > least / 2
    assert horizon > steps and timed["ratio_to_floor"] > 0


def test_a_timed_dynamics_answers_like_the_one_it_wraps():
    model, clock = PlanningModel(default_model()), Clock(torch.device("cpu"))
    goal = GoalDistance(torch.ones(2, 16))
    timed = Timed(model, goal, clock)
    z0, actions = torch.randn(2, 72), torch.rand(2, 3, 4, 2)
    with torch.no_grad():
        latents = timed.rollout(z0, actions)
        assert torch.equal(latents, model.rollout(z0, actions))
    assert torch.equal(timed(latents, actions), goal(latents, actions))
