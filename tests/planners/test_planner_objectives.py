import math
from dataclasses import replace

import pytest
import torch
from planner_fakes import A, B, D, H, linear_problem, seeded
from rounding import assert_same_up_to_rounding

from worldmodel.planners import (
    ActionCost,
    ActionRate,
    Constraint,
    Ensemble,
    GoalDistance,
    LearnedDistance,
    MeanOverMembers,
    RewardCost,
    Staged,
    WeightedSum,
    evaluate_objective,
)

pytestmark = pytest.mark.numerics

N = 7
LATENTS = torch.randn(B, N, H, D, generator=seeded(1))
ACTIONS = torch.rand(B, N, H, A, generator=seeded(2)) * 2 - 1
GOAL = torch.randn(B, D, generator=seeded(3))


def squared_distances(weights=None) -> list[list[list[float]]]:
    """(B,N,H) by plain loops."""
    scale = weights if weights is not None else torch.ones(D)
    return [[[float((scale * (z - GOAL[b]) ** 2).sum()) for z in plan] for plan in LATENTS[b]] for b in range(B)]


@pytest.mark.parametrize(
    ("reduction", "reduce"),
    [
        ("sum", lambda d: sum(d) / H),
        ("terminal", lambda d: d[-1]),
        ("min", min),
        ("mixed", lambda d: d[-1] + 0.3 * sum(d) / H),
    ],
)
@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.0, 0.5])])
def test_goal_distance_by_hand(reduction, reduce, weights):
    expected = torch.tensor([[reduce(d) for d in plans] for plans in squared_distances(weights)])
    found = GoalDistance(GOAL, reduction, metric=weights)(LATENTS, ACTIONS)
    assert_same_up_to_rounding(found, expected, terms=H * D, depth=2)


def test_a_metric_by_its_factor_weighs_directions():
    factor = torch.randn(D, 3, generator=seeded(4))
    error = LATENTS - GOAL[:, None, None]
    expected = torch.einsum("bnhd,de,bnhe->bnh", error, factor @ factor.T, error).mean(-1)
    assert_same_up_to_rounding(GoalDistance(GOAL, metric=factor)(LATENTS, ACTIONS), expected, terms=H * D, depth=3)
    diagonal = torch.rand(D, generator=seeded(5))
    one, other = (GoalDistance(GOAL, metric=metric) for metric in (diagonal.sqrt().diag(), diagonal))
    assert_same_up_to_rounding(one(LATENTS, ACTIONS), other(LATENTS, ACTIONS), terms=H * D, depth=3)


def test_a_learned_distance_is_reduced_like_any_other():
    learned = LearnedDistance(GOAL, lambda z, goal: (z - goal).square().sum(-1), "mixed")
    torch.testing.assert_close(learned(LATENTS, ACTIONS), GoalDistance(GOAL, "mixed")(LATENTS, ACTIONS))
    with pytest.raises(ValueError, match="distance must have shape"):
        LearnedDistance(GOAL, lambda z, goal: z)(LATENTS, ACTIONS)


def test_stages_are_chosen_by_batch_element():
    near, far = GoalDistance(GOAL), GoalDistance(GOAL, "terminal")
    staged = Staged(near, far, torch.tensor([True, False, True]))(LATENTS, ACTIONS)
    assert torch.equal(staged[[0, 2]], near(LATENTS, ACTIONS)[[0, 2]])
    assert torch.equal(staged[1], far(LATENTS, ACTIONS)[1])


def test_a_constraint_discourages_or_forbids():
    too_far = Constraint(lambda latents, actions: actions[..., 0] - 0.5, weight=3.0)
    excess = (ACTIONS[..., 0] - 0.5).clamp_min(0)
    torch.testing.assert_close(too_far(LATENTS, ACTIONS), 3 * excess.square().mean(-1))
    forbidden = replace(too_far, weight=math.inf)(LATENTS, ACTIONS)
    assert torch.equal(forbidden.isinf(), (excess > 0).any(-1)) and (forbidden[forbidden.isfinite()] == 0).all()
    with pytest.raises(ValueError, match="weight must be > 0"):
        Constraint(lambda latents, actions: latents[..., 0], weight=0.0)


def test_an_ensemble_costs_what_its_members_cost_on_average():
    dynamics, _, z0 = linear_problem()
    other = replace(dynamics, gain=2 * dynamics.gain)
    both = Ensemble([dynamics, other])
    goal = GoalDistance(GOAL[:, :D])
    costs = torch.stack([goal(member.rollout(z0, ACTIONS), ACTIONS) for member in both.members])
    latents = both.rollout(z0, ACTIONS)
    torch.testing.assert_close(MeanOverMembers(goal, 2)(latents, ACTIONS), costs.mean(0))
    torch.testing.assert_close(MeanOverMembers(goal, 2, 0.5)(latents, ACTIONS), costs.mean(0) + 0.5 * costs.std(0))


def test_action_costs_by_hand():
    torch.testing.assert_close(ActionCost(2.0)(LATENTS, ACTIONS), 2 * (ACTIONS**2).sum((2, 3)) / (H * A))
    changes = ACTIONS[:, :, 1:] - ACTIONS[:, :, :-1]
    torch.testing.assert_close(ActionRate(3.0)(LATENTS, ACTIONS), 3 * (changes**2).sum((2, 3)) / ((H - 1) * A))


def test_the_rate_of_a_single_action_is_zero():
    assert torch.equal(ActionRate()(LATENTS[:, :, :1], ACTIONS[:, :, :1]), torch.zeros(B, N))


def test_reward_is_discounted_from_the_first_reached_latent():
    cost = RewardCost(lambda latents: latents[..., 0], discount=0.9)(LATENTS, ACTIONS)
    expected = -sum(0.9**h * LATENTS[:, :, h, 0] for h in range(H))
    torch.testing.assert_close(cost, expected)


def test_weighted_sum_adds_and_spreads_infinity():
    terms = WeightedSum([(2.0, GoalDistance(GOAL)), (0.5, ActionCost())])
    expected = 2 * GoalDistance(GOAL)(LATENTS, ACTIONS) + 0.5 * ActionCost()(LATENTS, ACTIONS)
    torch.testing.assert_close(terms(LATENTS, ACTIONS), expected)
    spoiled = WeightedSum([(-1.0, lambda latents, actions: torch.full((B, N), math.nan)), (1.0, ActionCost())])
    assert (evaluate_objective(spoiled, LATENTS, ACTIONS) == math.inf).all()


def test_an_objective_that_returns_no_tensor_is_named():
    with pytest.raises(ValueError, match=r"function returned a float, expected a tensor of costs \(B, N\)"):
        evaluate_objective(lambda latents, actions: 3.0, LATENTS, ACTIONS)  # type: ignore[arg-type,return-value]


def test_non_finite_costs_become_plus_infinity_and_others_stay():
    cost = torch.arange(B * N, dtype=torch.float32).view(B, N)
    spoiled = cost.clone()
    spoiled[0, 1], spoiled[1, 2], spoiled[2, 3] = math.nan, -math.inf, math.inf
    checked = evaluate_objective(lambda latents, actions: spoiled, LATENTS, ACTIONS)
    bad = ~spoiled.isfinite()
    assert (checked[bad] == math.inf).all()
    assert torch.equal(checked[~bad], cost[~bad])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GoalDistance(GOAL[0]), r"goal must have shape \(B, D\) .* got \(4,\)"),
        (lambda: GoalDistance(GOAL[:1])(LATENTS, ACTIONS), r"goal must have shape \(B, D\) = \(3, 4\), got \(1, 4\)"),
        (
            lambda: GoalDistance(GOAL, metric=torch.ones(B)),
            r"metric must have shape .* = \(4\), got \(3,\)",
        ),
        (lambda: GoalDistance(GOAL, "last"), "reduction must be one of sum, terminal, min, mixed, got 'last'"),  # type: ignore[arg-type]
        (lambda: RewardCost(torch.sum, discount=2), r"discount must be in \[0, 1\], got 2"),
        (lambda: RewardCost(lambda z: z)(LATENTS, ACTIONS), r"reward must have shape \(B, N, H\) = \(3, 7, 5\)"),
        (
            lambda: Staged(GoalDistance(GOAL), GoalDistance(GOAL), torch.ones(2, dtype=torch.bool))(LATENTS, ACTIONS),
            r"is_near must have shape \(B,\) = \(3\), got \(2,\)",
        ),
        (lambda: WeightedSum([]), "terms must hold at least one"),
    ],
)
def test_errors_say_what_came_and_what_to_do(make, message):
    with pytest.raises(ValueError, match=message):
        make()
