"""The interfaces of planning: a planner's problem and its plan, and what it needs of a model and of a cost.

Letters of shapes. This is the one table for the whole repository; a letter means the same everywhere.

    B  batch: environments or episodes    H  horizon                   A  numbers in an action
    T  time steps                         G  blocks of held actions    C  numbers in a context
    N  candidate plans                    I  iterations of a search    D  numbers in a latent
    M  sequences to start from            K  frames that `encode` reads
    E  elites                             S  side of a frame           X  numbers in a simulator state
    P  physical or visual factors         R  rank of a metric

D' is the size of a model's planning state: what `encode` returns and `rollout` starts from. Actions are in [-1, 1].

Alignment in time: `observations[t]` is seen, `actions[t]` is taken, `observations[t+1]` is seen. The latent "after
action h" is that of the observation which follows the action.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Protocol

import torch
from torch import Tensor

from worldmodel.planners.checks import check_shape


class LatentDynamics(Protocol):
    """A world model as planners see it. A model needs these five names and no base class."""

    @property
    def num_context_frames(self) -> int:
        """K, the number of embedded observations that `encode` reads."""
        ...

    @property
    def action_dim(self) -> int:
        """A, the numbers in one action."""
        ...

    def embed(self, observations: Tensor, /) -> Tensor:
        """The latents (B, D) of single observations (B, …), whatever these are: frames uint8 (B, 3, S, S), usually."""
        ...

    def encode(self, latents: Tensor, actions: Tensor, /) -> Tensor:
        """The planning state (B, D') of latents (B, K, D), oldest first, and the actions (B, K-1, A) between them."""
        ...

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None, /) -> Tensor:
        """The latents (B, N, H, D) after each of the actions (B, N, H, A), from z0 (B, D') under a context (B, C)."""
        ...


class Objective(Protocol):
    """The cost of candidate plans: any function of predicted latents and candidate actions."""

    def __call__(self, latents: Tensor, actions: Tensor, /) -> Tensor:
        """Cost (B, N), lower is better, of latents (B, N, H, D) that the actions (B, N, H, A) lead to."""
        ...


class NotRecordable(Exception):
    """An objective does not show its tensors, so a CUDA graph cannot be recorded of its plans."""


class RecordableObjective(ABC):
    """An objective that shows its tensors, so that a recorded plan can be replayed with others; see `CapturedPlanner`.

    An objective of your own needs this base class only for that: without it plans are the same, and slower on a GPU.
    A function needs `Recordable` instead.
    Whatever it does not show, such as the weights that a learned distance reads, must stay at its place in memory.
    """

    @abstractmethod
    def __call__(self, latents: Tensor, actions: Tensor, /) -> Tensor:
        """Cost (B, N) of latents (B, N, H, D) and actions (B, N, H, A)."""

    @abstractmethod
    def map_tensors(self, change: Callable[[Tensor], Tensor]) -> "RecordableObjective":
        """The same objective with `change(tensor)` in place of each tensor it holds, always in the same order."""

    @abstractmethod
    def form(self) -> object:
        """All but the tensors, to be compared by ==: objectives of equal form are one function of their tensors.

        Raises:
            NotRecordable: a part does not show its tensors.
        """


def map_tensors(objective: Objective, change: Callable[[Tensor], Tensor]) -> Objective:
    """The objective with `change(tensor)` in place of each tensor that it shows."""
    return objective.map_tensors(change) if isinstance(objective, RecordableObjective) else objective


def form_of(objective: Objective) -> object:
    """The form of an objective: its own.

    Raises:
        NotRecordable: the objective does not show its tensors. A plain function does not either: it reads what it
            closes over, and a graph would go on with what that was when it was recorded.
    """
    if isinstance(objective, RecordableObjective):
        return objective.form()
    if isinstance(objective, FunctionType | MethodType):
        raise NotRecordable(f"{objective.__qualname__} does not show its tensors; give Recordable(function, tensors)")
    raise NotRecordable(f"{type(objective).__name__} does not show its tensors; derive it from RecordableObjective")


def form_of_function(part: Callable[..., Tensor]) -> object:
    """The form of a function that a recordable objective calls, such as a learned distance: the function itself.

    What it reads must stay at its place in memory.

    Raises:
        NotRecordable: the part is any other object, which may hold tensors that it does not show.
    """
    return part if isinstance(part, FunctionType | MethodType) else form_of(part)


@dataclass(frozen=True)
class Problem:
    """The problem that a planner solves: find actions of low cost from a planning state.

    Raises:
        ValueError: the tensors' shapes do not fit together.
    """

    dynamics: LatentDynamics
    """The model that predicts what actions lead to."""

    objective: Objective
    """The cost of what it predicts."""

    z0: Tensor
    """The planning state (B, D') from which to plan."""

    context: Tensor | None = None
    """What the dynamics are conditioned on, (B, C): the physical constants of each environment, usually."""

    warm_start: Tensor | None = None
    """Where to begin: one action sequence (B, H, A), or several (B, M, H, A). Of several the first is searched around,
    the others are tried as they are. Values that are not finite count as 0, others are clipped to [-1, 1]."""

    def __post_init__(self) -> None:
        check_shape("z0", self.z0, (None, None), "(B, D')", "pass one planning state per environment")
        if self.context is not None:
            shape = (len(self.z0), None)
            check_shape("context", self.context, shape, "(B, C)", "pass one context per environment")


@dataclass(frozen=True)
class Plan:
    """One action sequence per environment, and how the search for it went."""

    actions: Tensor
    """The plan (B, H, A) in [-1, 1], always finite."""

    cost: Tensor
    """The cost (B,) of these actions; +inf where no candidate had a finite cost."""

    valid: Tensor
    """Whether any candidate had a finite cost, bool (B,). Where none had, the actions are the start of the search."""

    cost_curve: Tensor
    """The lowest cost found up to the end of each iteration, (I, B)."""

    num_rollouts: Tensor
    """How many action sequences the search rolled out for each environment, int64 ()."""

    elites: Tensor | None = None
    """Further sequences (B, M, H, A) from which the next plan may start, where a planner hands any on."""


class Planner(Protocol):
    """A search for actions of low cost. It holds hyperparameters only, no state between plans."""

    @property
    def horizon(self) -> int:
        """H, the control steps that a plan looks ahead."""
        ...

    def plan(self, problem: Problem, generator: torch.Generator) -> Plan:
        """Solve a problem.

        Args:
            problem: where to plan from, and for what.
            generator: the only source of randomness. All environments share its draws, so that a plan does not depend
                on the batch it is made in.

        Raises:
            ValueError: a warm start, a rollout or a cost has the wrong shape.
        """
        ...


def evaluate_objective(objective: Objective, latents: Tensor, actions: Tensor) -> Tensor:
    """The cost (B, N) of latents (B, N, H, D) and actions (B, N, H, A), with +inf for every cost that is not finite.

    So a cost of NaN never becomes an elite. Does not synchronise with the host.

    Raises:
        ValueError: the cost has another shape, or is no tensor.
    """
    cost = objective(latents, actions)
    if not isinstance(cost, Tensor):
        raise ValueError(
            f"{type(objective).__name__} returned a {type(cost).__name__}, expected a tensor of costs (B, N) = "
            f"{tuple(actions.shape[:2])}"
        )
    if cost.shape != actions.shape[:2]:
        raise ValueError(
            f"{type(objective).__name__} returned a cost of shape {tuple(cost.shape)}, expected (B, N) = "
            f"{tuple(actions.shape[:2])}; reduce over the horizon and latent dimensions only"
        )
    return cost.nan_to_num(math.inf, math.inf, math.inf)
