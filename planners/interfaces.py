"""What a planner needs of a model and of a cost, and what it gives back.

Letters of shapes, the same everywhere in this repository:

    B  batch            T  time steps        K  context frames    N  candidate plans
    H  horizon          G  action blocks     I  iterations        A  action
    D  latent           C  context           S  image side        M  sequences to start from

`D'` is the planning state of a model: whatever `encode` returns and `rollout` starts from. A frame is embedded once,
when it is seen. Actions are in [-1, 1].
Alignment in time: `frames[t]` is seen, then `actions[t]` is taken, then `frames[t+1]` is seen.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class LatentDynamics(Protocol):
    """A world model as planners see it; models satisfy it structurally."""

    @property
    def num_context_frames(self) -> int:
        """K, the embedded frames that `encode` reads."""
        ...

    @property
    def action_dim(self) -> int:
        """A, the numbers in one action."""
        ...

    def embed(self, frames: Tensor) -> Tensor:
        """The latents of single frames: uint8 (B,3,S,S) -> (B,D)."""
        ...

    def encode(self, latents: Tensor, actions: Tensor) -> Tensor:
        """The planning state: latents (B,K,D), the newest last, and the actions (B,K-1,A) between them -> (B,D')."""
        ...

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """The latent after action h: z0 (B,D'), actions (B,N,H,A), context (B,C) -> (B,N,H,D)."""
        ...


class Objective(Protocol):
    """The cost of candidate plans."""

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B,N), lower is better, of latents (B,N,H,D) reached by actions (B,N,H,A)."""
        ...


@dataclass(frozen=True)
class Plan:
    """One action sequence per batch element.

    actions: (B,H,A) in [-1, 1], always finite.
    cost: (B,) of these actions; +inf where no candidate had a finite cost.
    diagnostics: "valid" (B,) bool, False where no candidate had a finite cost (the actions are then the start of the
        search); "cost_curve" (I,B), the best cost found up to each iteration; "num_rollouts" (), rollouts per element.
    elites: (B,M,H,A), further sequences from which the next plan may start, or None.
    """

    actions: Tensor
    cost: Tensor
    diagnostics: dict[str, Tensor]
    elites: Tensor | None = None


class Planner(Protocol):
    """A search for actions of low cost; it holds hyperparameters only."""

    @property
    def horizon(self) -> int:
        """H, in control steps."""
        ...

    def plan(
        self,
        dynamics: LatentDynamics,
        objective: Objective,
        z0: Tensor,
        *,
        warm_start: Tensor | None = None,
        generator: torch.Generator,
        context: Tensor | None = None,
    ) -> Plan:
        """Search from the planning state z0 (B,D') under context (B,C).

        warm_start: (B,H,A), or (B,M,H,A) where the first is searched around and the others are tried as they are.
        generator: the only source of randomness; its draws are shared by the batch, so that a plan does not depend on
            the batch it sits in.
        """
        ...


def evaluate_objective(objective: Objective, latents: Tensor, actions: Tensor) -> Tensor:
    """Cost (B,N) of latents (B,N,H,D) and actions (B,N,H,A), with every non-finite cost as +inf: never an elite.

    Raises ValueError when the cost has another shape, or is no tensor. Does not synchronise with the host.
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
