"""Several models of one world, planned with as one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from worldmodel.planners.interfaces import (
    LatentDynamics,
    Objective,
    RecordableObjective,
    evaluate_objective,
    form_of,
    map_tensors,
)


@final
@dataclass(frozen=True)
class Ensemble:
    """A `LatentDynamics` whose latents are those of all its members, one member after the other.

    Plan with it for the cost `MeanOverMembers`.
    """

    members: Sequence[LatentDynamics]
    """At least one model. They share an encoder: the first one embeds and encodes for all."""

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("members must hold at least one dynamics, got none; pass [dynamics]")

    @property
    def num_context_frames(self) -> int:
        return self.members[0].num_context_frames

    @property
    def action_dim(self) -> int:
        return self.members[0].action_dim

    def embed(self, observations: Tensor) -> Tensor:
        return self.members[0].embed(observations)

    def encode(self, latents: Tensor, actions: Tensor) -> Tensor:
        return self.members[0].encode(latents, actions)

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """See `LatentDynamics.rollout`; the last dimension is the number of members times D."""
        return torch.cat([member.rollout(z0, actions, context) for member in self.members], -1)


@final
@dataclass(frozen=True)
class MeanOverMembers(RecordableObjective):
    """The mean of a cost over the members of an `Ensemble`, plus `caution` times its standard deviation over them."""

    objective: Objective
    """The cost of one member's latents."""

    num_members: int

    caution: float = 0.0
    """Above 0, plans on which the members disagree cost more."""

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B, N) of latents (B, N, H, members * D) and actions (B, N, H, A)."""
        members = latents.chunk(self.num_members, -1)
        cost = torch.stack([evaluate_objective(self.objective, one, actions) for one in members])
        mean = cost.mean(0)
        return mean + self.caution * cost.std(0) if self.caution else mean

    def map_tensors(self, change: Callable[[Tensor], Tensor]) -> "MeanOverMembers":
        return replace(self, objective=map_tensors(self.objective, change))

    def form(self) -> object:
        return MeanOverMembers, form_of(self.objective), self.num_members, self.caution
