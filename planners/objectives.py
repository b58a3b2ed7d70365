"""Costs of candidate plans, to be added up with `WeightedSum`. All are frozen and hold no hidden state."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, final

import torch
from torch import Tensor

from worldmodel.planners.checks import check_choice, check_shape
from worldmodel.planners.interfaces import (
    Objective,
    RecordableObjective,
    evaluate_objective,
    form_of,
    form_of_function,
    map_tensors,
)

Reduction = Literal["sum", "terminal", "min", "mixed"]
REDUCTIONS = ("sum", "terminal", "min", "mixed")


@final
@dataclass(frozen=True)
class OverHorizon:
    """How the costs of single steps become the cost of a plan."""

    reduction: Reduction = "sum"
    """By name: "sum" is the mean over the horizon, so that its scale does not depend on H; "terminal" is the last step;
    "min" is the lowest step; "mixed" is the last step plus `running_weight` times the mean. Under replanning "terminal"
    tends to postpone arrival, so prefer "sum"."""

    running_weight: float = 0.3
    """Weight of the mean in "mixed"."""

    def __post_init__(self) -> None:
        check_choice("reduction", self.reduction, REDUCTIONS, option="reduction")

    def __call__(self, per_step: Tensor) -> Tensor:
        """Cost (B, N) of a plan from the costs (B, N, H) of its steps."""
        match self.reduction:
            case "sum":
                return per_step.mean(-1)
            case "terminal":
                return per_step[..., -1]
            case "min":
                return per_step.amin(-1)
            case "mixed":
                return per_step[..., -1] + self.running_weight * per_step.mean(-1)


@final
@dataclass(frozen=True)
class GoalDistance(RecordableObjective):
    """Squared distance of the latents to a goal."""

    goal: Tensor
    """The goal's latent (B, D)."""

    reduction: Reduction | OverHorizon = "sum"
    """How step costs are combined over the horizon: a name, or an `OverHorizon` with its parameters."""

    metric: Tensor | None = None
    """None weighs all directions alike. (D,) weighs each coordinate. (D, R) is a factor L of the metric L L^T: the
    distance is |(z - goal) L|^2, for whitened latents or a learned metric."""

    def __post_init__(self) -> None:
        check_shape("goal", self.goal, (None, None), "(B, D)", "pass one goal latent per environment")
        over_horizon(self.reduction)
        if self.metric is not None:
            shape = (self.goal.shape[1], None)[: max(self.metric.ndim, 1)]
            check_shape("metric", self.metric, shape, "(D,) or (D, R)", "pass one weight per coordinate, or a factor")

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B, N) of latents (B, N, H, D). Actions are not read."""
        _check_goal(self.goal, latents)
        error = latents - self.goal[:, None, None]
        if self.metric is None:
            distance = error.square().sum(-1)
        elif self.metric.ndim == 1:
            distance = (error.square() * self.metric).sum(-1)
        else:
            distance = (error @ self.metric).square().sum(-1)
        return over_horizon(self.reduction)(distance)

    def map_tensors(self, change: Callable[[Tensor], Tensor]) -> "GoalDistance":
        goal = change(self.goal)
        return replace(self, goal=goal, metric=None if self.metric is None else change(self.metric))

    def form(self) -> object:
        return GoalDistance, self.reduction, self.metric is None


@final
@dataclass(frozen=True)
class LearnedDistance(RecordableObjective):
    """A learned distance to a goal, such as the time it takes to get there."""

    goal: Tensor
    """The goal's latent (B, D)."""

    distance: Callable[[Tensor, Tensor], Tensor]
    """Maps latents (B, N, H, D) and the goal (B, 1, 1, D) to distances (B, N, H)."""

    reduction: Reduction | OverHorizon = "sum"
    """How step costs are combined over the horizon: a name, or an `OverHorizon` with its parameters."""

    def __post_init__(self) -> None:
        check_shape("goal", self.goal, (None, None), "(B, D)", "pass one goal latent per environment")
        over_horizon(self.reduction)

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B, N) of latents (B, N, H, D). Actions are not read."""
        _check_goal(self.goal, latents)
        distance = self.distance(latents, self.goal[:, None, None])
        check_shape("distance", distance, latents.shape[:3], "(B, N, H)", "return one distance per latent")
        return over_horizon(self.reduction)(distance)

    def map_tensors(self, change: Callable[[Tensor], Tensor]) -> "LearnedDistance":
        return replace(self, goal=change(self.goal))

    def form(self) -> object:
        return LearnedDistance, form_of_function(self.distance), self.reduction


def over_horizon(reduction: Reduction | OverHorizon) -> OverHorizon:
    """The reduction of this name with its default parameters, or the one given."""
    if isinstance(reduction, str):
        return _BY_NAME.get(reduction) or OverHorizon(reduction)
    return reduction


_BY_NAME = {reduction: OverHorizon(reduction) for reduction in REDUCTIONS}


def _check_goal(goal: Tensor, latents: Tensor) -> None:
    expected = (latents.shape[0], latents.shape[-1])
    check_shape("goal", goal, expected, "(B, D)", "encode one goal per environment with the planning model")


@final
@dataclass(frozen=True)
class Constraint(RecordableObjective):
    """A limit on states or actions: the mean squared excess over it."""

    excess: Callable[[Tensor, Tensor], Tensor]
    """Maps latents (B, N, H, D) and actions (B, N, H, A) to (B, N, H): by how much each step passes the limit; at most
    0 within it."""

    weight: float = math.inf
    """Weight of the mean squared excess. Infinity forbids: a plan that passes the limit at any step costs infinity."""

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ValueError(f"weight must be > 0, got {self.weight}; a finite weight discourages, infinity forbids")

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B, N) of latents (B, N, H, D) and actions (B, N, H, A)."""
        excess = self.excess(latents, actions)
        check_shape("excess", excess, latents.shape[:3], "(B, N, H)", "return by how much each step passes the limit")
        if math.isinf(self.weight):
            return torch.where((excess > 0).any(-1), math.inf, 0.0)
        return self.weight * excess.clamp_min(0).square().mean(-1)

    def map_tensors(self, change: Callable[[Tensor], Tensor]) -> "Constraint":
        return self

    def form(self) -> object:
        return Constraint, form_of_function(self.excess), self.weight


@final
@dataclass(frozen=True)
class ActionCost(RecordableObjective):
    """Effort: `weight` times the mean squared action."""

    weight: float = 1.0

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B, N) of actions (B, N, H, A). Latents are not read."""
        return self.weight * actions.square().mean((-2, -1))

    def map_tensors(self, change: Callable[[Tensor], Tensor]) -> "ActionCost":
        return self

    def form(self) -> object:
        return ActionCost, self.weight


@final
@dataclass(frozen=True)
class ActionRate(RecordableObjective):
    """Roughness: `weight` times the mean squared change between successive actions; 0 where H is 1."""

    weight: float = 1.0

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B, N) of actions (B, N, H, A). Latents are not read."""
        num_changes = max(actions.shape[-2] - 1, 1)
        return self.weight * actions.diff(dim=-2).square().mean(-1).sum(-1) / num_changes

    def map_tensors(self, change: Callable[[Tensor], Tensor]) -> "ActionRate":
        return self

    def form(self) -> object:
        return ActionRate, self.weight


@final
@dataclass(frozen=True)
class RewardCost(RecordableObjective):
    """Minus the discounted sum of rewards: the reward of the latent after action h has the weight discount**h."""

    reward: Callable[[Tensor], Tensor]
    """Maps latents (B, N, H, D) to rewards (B, N, H); higher is better."""

    discount: float = 1.0
    """Discount factor per control step, in [0, 1]."""

    def __post_init__(self) -> None:
        _check_discount(self.discount)

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B, N) of latents (B, N, H, D). Actions are not read."""
        rewards = self.reward(latents)
        check_shape("reward", rewards, latents.shape[:3], "(B, N, H)", "return one reward per latent")
        steps = torch.arange(latents.shape[2], device=rewards.device, dtype=rewards.dtype)
        return -(rewards * self.discount**steps).sum(-1)

    def map_tensors(self, change: Callable[[Tensor], Tensor]) -> "RewardCost":
        return self

    def form(self) -> object:
        return RewardCost, form_of_function(self.reward), self.discount


@final
@dataclass(frozen=True)
class ReturnAhead(RecordableObjective):
    """Minus what a plan earns: its discounted rewards, and the value of where it ends.

    Rewards may depend on velocities, which a single latent does not show; so the functions see the latents before the
    plan as well.
    """

    seen: Tensor
    """The latents (B, K, D) of the last observations, oldest first."""

    rewards: Callable[[Tensor, Tensor], Tensor]
    """Maps latents (B, N, K+H, D), seen and predicted, and actions (B, N, H, A) to rewards (B, N, H)."""

    value: Callable[[Tensor], Tensor] | None = None
    """Maps the same latents to what is earned after them (B, N); None: nothing counts after the horizon."""

    discount: float = 0.99
    """Discount factor per control step, in [0, 1]."""

    def __post_init__(self) -> None:
        check_shape("seen", self.seen, (None, None, None), "(B, K, D)", "pass the last K latents of each environment")
        _check_discount(self.discount)

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B, N) of latents (B, N, H, D) and actions (B, N, H, A)."""
        batch, num, horizon, _ = latents.shape
        sequences = torch.cat([self.seen[:, None].expand(-1, num, -1, -1), latents], 2)
        rewards = self.rewards(sequences, actions)
        check_shape("rewards", rewards, (batch, num, horizon), "(B, N, H)", "return one reward per action")
        steps = torch.arange(horizon, device=rewards.device, dtype=rewards.dtype)
        earned = (rewards * self.discount**steps).sum(-1)
        if self.value is not None:
            earned = earned + self.discount**horizon * self.value(sequences)
        return -earned

    def map_tensors(self, change: Callable[[Tensor], Tensor]) -> "ReturnAhead":
        return replace(self, seen=change(self.seen))

    def form(self) -> object:
        value = None if self.value is None else form_of_function(self.value)
        return ReturnAhead, form_of_function(self.rewards), value, self.discount


@final
@dataclass(frozen=True)
class Recordable(RecordableObjective):
    """A function as an objective that shows its tensors: Recordable(cost, [goal]) calls cost(latents, actions, goal).

    What else the function reads must stay at its place in memory.
    """

    function: Callable[..., Tensor]
    """Maps latents (B, N, H, D), actions (B, N, H, A) and the tensors to costs (B, N)."""

    tensors: Sequence[Tensor] = ()
    """What may be another tensor in the next plan, such as a goal; each is passed to the function."""

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B, N) of latents (B, N, H, D) and actions (B, N, H, A)."""
        return self.function(latents, actions, *self.tensors)

    def map_tensors(self, change: Callable[[Tensor], Tensor]) -> "Recordable":
        return replace(self, tensors=[change(tensor) for tensor in self.tensors])

    def form(self) -> object:
        return Recordable, form_of_function(self.function)


@final
@dataclass(frozen=True)
class WeightedSum(RecordableObjective):
    """A sum of weighted objectives."""

    terms: Sequence[tuple[float, Objective]]
    """Pairs (weight, objective), at least one."""

    def __post_init__(self) -> None:
        if not self.terms:
            raise ValueError("terms must hold at least one (weight, objective) pair, got none; pass [(1.0, objective)]")

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B, N) of latents (B, N, H, D) and actions (B, N, H, A)."""
        weighted = [weight * evaluate_objective(term, latents, actions) for weight, term in self.terms]
        return torch.stack(weighted).sum(0)

    def map_tensors(self, change: Callable[[Tensor], Tensor]) -> "WeightedSum":
        return WeightedSum([(weight, map_tensors(term, change)) for weight, term in self.terms])

    def form(self) -> object:
        return WeightedSum, tuple((weight, form_of(term)) for weight, term in self.terms)


@final
@dataclass(frozen=True)
class Staged(RecordableObjective):
    """One objective near the goal and another one far from it."""

    near: Objective
    far: Objective

    is_near: Tensor
    """Bool (B,): which of the two counts for each environment, by the state that the plan starts from."""

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B, N) of latents (B, N, H, D) and actions (B, N, H, A)."""
        check_shape("is_near", self.is_near, latents.shape[:1], "(B,)", "pass one bool per environment")
        near, far = (evaluate_objective(part, latents, actions) for part in (self.near, self.far))
        return torch.where(self.is_near[:, None], near, far)

    def map_tensors(self, change: Callable[[Tensor], Tensor]) -> "Staged":
        near, far = map_tensors(self.near, change), map_tensors(self.far, change)
        return Staged(near, far, change(self.is_near))

    def form(self) -> object:
        return Staged, form_of(self.near), form_of(self.far)


def _check_discount(discount: float) -> None:
    if not 0 <= discount <= 1:
        raise ValueError(f"discount must be in [0, 1], got {discount}; pass discount=0.99, say")
