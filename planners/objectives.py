"""Costs of candidate plans, to be added up with `WeightedSum`. All are frozen and hold no hidden state."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from worldmodel.planners.checks import check_choice, check_shape
from worldmodel.planners.interfaces import Objective, evaluate_objective

Reduction = Literal["sum", "terminal", "min", "mixed"]
REDUCTIONS = ("sum", "terminal", "min", "mixed")


@final
@dataclass(frozen=True)
class OverHorizon:
    """How a cost of each step becomes the cost of a plan.

    reduction: "sum" is the mean over the horizon, so that its scale does not depend on H; "terminal" the last step;
        "min" the lowest step; "mixed" the last step plus `running_weight` times the mean.
        Under replanning "terminal" tends to postpone arrival; prefer "sum".
    until: only the first `until` steps count, for a horizon that shrinks as time runs out; None counts all.
    """

    reduction: Reduction = "sum"
    running_weight: float = 0.3
    until: int | None = None

    def __post_init__(self) -> None:
        check_choice("reduction", self.reduction, REDUCTIONS)
        if self.until is not None and self.until < 1:
            raise ValueError(f"until must be >= 1 step, got {self.until}; pass None to count the whole horizon")

    def __call__(self, per_step: Tensor) -> Tensor:
        """Cost (B,N) of costs per step (B,N,H)."""
        counted = per_step[..., : self.until]
        match self.reduction:
            case "sum":
                return counted.mean(-1)
            case "terminal":
                return counted[..., -1]
            case "min":
                return counted.amin(-1)
            case "mixed":
                return counted[..., -1] + self.running_weight * counted.mean(-1)


@final
@dataclass(frozen=True)
class GoalDistance:
    """Squared latent distance to a goal.

    goal: (B,D). reduction: over the horizon, by name or with its parameters.
    metric: None weighs all directions alike; (D,) weighs each coordinate; (D,E) is a factor L of the metric L L^T, so
        that the distance is |(z - goal) L|^2 (whitening, a learned anisotropic metric).
    """

    goal: Tensor
    reduction: Reduction | OverHorizon = "sum"
    metric: Tensor | None = None

    def __post_init__(self) -> None:
        check_shape("goal", self.goal, (None, None), "(B, D)", "pass one goal latent per batch element")
        over_horizon(self.reduction)
        if self.metric is not None:
            shape = (self.goal.shape[1], None)[: max(self.metric.ndim, 1)]
            check_shape("metric", self.metric, shape, "(D,) or (D, E)", "pass one weight per coordinate, or a factor")

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B,N) of latents (B,N,H,D); actions are not read."""
        _check_goal(self.goal, latents)
        error = latents - self.goal[:, None, None]
        if self.metric is None:
            distance = error.square().sum(-1)
        elif self.metric.ndim == 1:
            distance = (error.square() * self.metric).sum(-1)
        else:
            distance = (error @ self.metric).square().sum(-1)
        return over_horizon(self.reduction)(distance)


@final
@dataclass(frozen=True)
class LearnedDistance:
    """A learned distance to a goal, such as the time it takes to get there.

    goal: (B,D). distance: latents (B,N,H,D), goal (B,1,1,D) -> (B,N,H), lower is nearer.
    """

    goal: Tensor
    distance: Callable[[Tensor, Tensor], Tensor]
    reduction: Reduction | OverHorizon = "sum"

    def __post_init__(self) -> None:
        check_shape("goal", self.goal, (None, None), "(B, D)", "pass one goal latent per batch element")
        over_horizon(self.reduction)

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B,N) of latents (B,N,H,D); actions are not read."""
        _check_goal(self.goal, latents)
        distance = self.distance(latents, self.goal[:, None, None])
        check_shape("distance", distance, latents.shape[:3], "(B, N, H)", "return one distance per latent")
        return over_horizon(self.reduction)(distance)


def over_horizon(reduction: Reduction | OverHorizon) -> OverHorizon:
    """The reduction of this name with its default parameters, or the one given."""
    return OverHorizon(reduction) if isinstance(reduction, str) else reduction


def _check_goal(goal: Tensor, latents: Tensor) -> None:
    expected = (latents.shape[0], latents.shape[-1])
    check_shape("goal", goal, expected, "(B, D)", "encode one goal per batch element with the planning model")


@final
@dataclass(frozen=True)
class Constraint:
    """What a plan must not do to states or actions: its mean squared excess over the horizon.

    excess: latents (B,N,H,D), actions (B,N,H,A) -> (B,N,H), by how much the limit is passed; at most 0 within it.
    weight: of the mean squared excess; infinity forbids: a plan that passes the limit anywhere costs infinity.
    """

    excess: Callable[[Tensor, Tensor], Tensor]
    weight: float = math.inf

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ValueError(f"weight must be > 0, got {self.weight}; a finite weight discourages, infinity forbids")

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B,N) of latents (B,N,H,D) and actions (B,N,H,A)."""
        excess = self.excess(latents, actions)
        check_shape("excess", excess, latents.shape[:3], "(B, N, H)", "return by how much each step passes the limit")
        if math.isinf(self.weight):
            return torch.where((excess > 0).any(-1), math.inf, 0.0)
        return self.weight * excess.clamp_min(0).square().mean(-1)


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


@final
@dataclass(frozen=True)
class Staged:
    """One objective far from the goal and another near it.

    is_near: (B,), bool, of the state that the plan starts from: where it holds `near` counts, elsewhere `far`.
    """

    near: Objective
    far: Objective
    is_near: Tensor

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B,N) of latents (B,N,H,D) and actions (B,N,H,A)."""
        check_shape("is_near", self.is_near, latents.shape[:1], "(B,)", "say it of every batch element")
        near, far = (evaluate_objective(part, latents, actions) for part in (self.near, self.far))
        return torch.where(self.is_near[:, None], near, far)
