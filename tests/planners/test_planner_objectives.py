import math

import pytest
import torch
from planner_fakes import A, B, D, H, seeded

from planners import ActionCost, ActionRate, GoalDistance, RewardCost, WeightedSum, evaluate_objective

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
    torch.testing.assert_close(GoalDistance(GOAL, reduction, weights)(LATENTS, ACTIONS), expected)


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
        (lambda: GoalDistance(GOAL, weights=torch.ones(B)), r"weights must have shape \(D,\) = \(4\), got \(3,\)"),
        (lambda: GoalDistance(GOAL, "last"), "reduction must be one of sum, terminal, min, mixed, got 'last'"),  # type: ignore[arg-type]
        (lambda: RewardCost(torch.sum, discount=2), r"discount must be in \[0, 1\], got 2"),
        (lambda: RewardCost(lambda z: z)(LATENTS, ACTIONS), r"reward must have shape \(B, N, H\) = \(3, 7, 5\)"),
        (lambda: WeightedSum([]), "terms must hold at least one"),
    ],
)
def test_errors_say_what_came_and_what_to_do(make, message):
    with pytest.raises(ValueError, match=message):
        make()
