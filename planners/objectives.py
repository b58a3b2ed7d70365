"""Costs of candidate plans, to be added up with `WeightedSum`. All are frozen and hold no hidden state."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from planners.checks import check_choice, check_shape
from planners.interfaces import Objective, evaluate_objective


@final
@dataclass(frozen=True)
class GoalDistance:
    """Squared latent distance to a goal, reduced over the horizon.

    goal: (B,D).
    reduction: "sum" is the mean over the horizon, so that its scale does not depend on H; "terminal" the last step;
        "min" the nearest step; "mixed" the last step plus `running_weight` times the mean.
        Under replanning "terminal" tends to postpone arrival; prefer "sum".
    weights: (D,), the weight of each latent coordinate; None weighs all by one.
    """

    goal: Tensor
    reduction: Literal["sum", "terminal", "min", "mixed"] = "sum"
    weights: Tensor | None = None
    running_weight: float = 0.3

    def __post_init__(self) -> None:
        check_shape("goal", self.goal, (None, None), "(B, D)", "pass one goal latent per batch element")
        check_choice("reduction", self.reduction, ("sum", "terminal", "min", "mixed"))
        if self.weights is not None:
            check_shape("weights", self.weights, self.goal.shape[1:], "(D,)", "pass one weight per latent coordinate")

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B,N) of latents (B,N,H,D); actions are not read."""
        expected = (latents.shape[0], latents.shape[-1])
        check_shape("goal", self.goal, expected, "(B, D)", "encode one goal per batch element with the planning model")
        squared = (latents - self.goal[:, None, None]).square()
        distance = (squared if self.weights is None else squared * self.weights).sum(-1)
        match self.reduction:
            case "sum":
                return distance.mean(-1)
            case "terminal":
                return distance[..., -1]
            case "min":
                return distance.amin(-1)
            case "mixed":
                return distance[..., -1] + self.running_weight * distance.mean(-1)


@final
@dataclass(frozen=True)
class ActionCost:
    """Effort: `weight` times the mean squared action."""

    weight: float = 1.0

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B,N) of actions (B,N,H,A); latents are not read."""
        return self.weight * actions.square().mean((-2, -1))


@final
@dataclass(frozen=True)
class ActionRate:
    """Roughness: `weight` times the mean squared change between successive actions; zero when H is 1."""

    weight: float = 1.0

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B,N) of actions (B,N,H,A); latents are not read."""
        num_changes = max(actions.shape[-2] - 1, 1)
        return self.weight * actions.diff(dim=-2).square().mean(-1).sum(-1) / num_changes


@final
@dataclass(frozen=True)
class RewardCost:
    """Minus the discounted sum of rewards: the reward of the latent after action h has weight discount**h.

    reward: latents (B,N,H,D) -> (B,N,H), higher is better.
    discount: in [0, 1], per control step.
    """

    reward: Callable[[Tensor], Tensor]
    discount: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.discount <= 1:
            raise ValueError(f"discount must be in [0, 1], got {self.discount}; pass discount=0.99, say")

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B,N) of latents (B,N,H,D); actions are not read."""
        rewards = self.reward(latents)
        check_shape("reward", rewards, latents.shape[:3], "(B, N, H)", "return one reward per latent")
        steps = torch.arange(latents.shape[2], device=rewards.device, dtype=rewards.dtype)
        return -(rewards * self.discount**steps).sum(-1)


@final
@dataclass(frozen=True)
class WeightedSum:
    """The sum of weight times objective over `terms`, which must not be empty."""

    terms: Sequence[tuple[float, Objective]]

    def __post_init__(self) -> None:
        if not self.terms:
            raise ValueError("terms must hold at least one (weight, objective) pair, got none; pass [(1.0, objective)]")

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B,N) of latents (B,N,H,D) and actions (B,N,H,A)."""
        weighted = [weight * evaluate_objective(term, latents, actions) for weight, term in self.terms]
        return torch.stack(weighted).sum(0)
