"""Timing of plans: parts that add up, and a network of LeWM's size whose two rollouts agree."""

import sys

import pytest
import torch
from rounding import assert_same_up_to_rounding

from benchmarks import peer_planning
from benchmarks.plan_timing import (
    LEWM_LATENT_DIM,
    Clock,
    PredictorDynamics,
    Timed,
    default_model,
    machine_rates,
    search_from,
    time_plan,
    windowed_rollout,
)
from worldmodel.models import PlanningModel
from worldmodel.models.transformer import TransformerPredictor
from worldmodel.planners import CEM, GoalDistance
from worldmodel.settings import PredictorConfig, TransformerConfig

CPU = torch.device("cpu")
SMALL = PredictorConfig(
    kind="transformer",
    history=[0],
    horizon=25,
    hidden=36,
    depth=2,
    width=24,
    transformer=TransformerConfig(heads=3, head_dim=4, residual=False),
)


def test_the_straightforward_rollout_is_the_predictors_own():
    torch.manual_seed(0)
    predictor = TransformerPredictor(SMALL, 24, 2)
    for weight in predictor.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    z0, actions = torch.randn(7, 24), torch.randn(7, 1, 25, 2)
    with torch.no_grad():
        slow = windowed_rollout(predictor, z0, actions.reshape(7, 5, 10))
        fast = predictor.rollout(z0, actions)[:, 0, 4::5]
    # five blocks through two layers of four sums each
    assert_same_up_to_rounding(fast, slow, terms=SMALL.hidden, depth=5 * SMALL.depth * 4)


def test_a_predictor_alone_is_searched():
    predictor = TransformerPredictor(SMALL, 24, 2)
    planner = CEM(horizon=10, num_samples=8, num_iterations=1, num_elites=2)
    plan = search_from(PredictorDynamics(predictor), planner, torch.zeros(1, 24), torch.randn(1, 24))()
    assert plan.actions.shape == (1, 10, 2) and plan.valid.all()
    with pytest.raises(TypeError, match="pass its latents"):
        PredictorDynamics(predictor).embed(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_without_the_peer_there_is_nothing_of_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "stable_worldmodel", None)
    assert peer_planning.time_peer(1, Clock(CPU), CPU, torch.float32) == {}


@pytest.mark.peer
def test_the_peers_network_answers_alike_in_ours():
    pytest.importorskip("stable_worldmodel")
    model = peer_planning.peer_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    z0, actions = torch.randn(1, LEWM_LATENT_DIM), torch.rand(1, 3, 25, 2) * 2 - 1
    with torch.no_grad():
        theirs = peer_planning.peer_rollout(model, z0, actions)
        ours = peer_planning.from_peer(model).rollout(z0, actions)[:, :, 4::5]
    assert theirs.std(1).mean() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    plan = peer_planning.peer_plan(model, z0, z0 + 1, 1)
    assert plan["actions"].shape == (1, 5, 10)


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
