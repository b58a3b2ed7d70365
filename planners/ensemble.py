"""Several models of one world, planned with as one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from worldmodel.planners.interfaces import LatentDynamics, Objective, evaluate_objective


@final
@dataclass(frozen=True)
class Ensemble:
    """A `LatentDynamics` of M members that share an encoder: latents (B,N,H,M*D), member after member.

    The first member embeds and encodes. `MeanOverMembers` turns a cost for one member into one for all of them.
    """

    members: Sequence[LatentDynamics]

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("members must hold at least one dynamics, got none; pass [dynamics]")

    @property
    def num_context_frames(self) -> int:
        return self.members[0].num_context_frames

    @property
    def action_dim(self) -> int:
        return self.members[0].action_dim

    def embed(self, frames: Tensor) -> Tensor:
        return self.members[0].embed(frames)

    def encode(self, latents: Tensor, actions: Tensor) -> Tensor:
        return self.members[0].encode(latents, actions)

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        return torch.cat([member.rollout(z0, actions, context) for member in self.members], -1)


@final
@dataclass(frozen=True)
class MeanOverMembers:
    """The mean cost over the members of an `Ensemble`, plus `caution` times its standard deviation over them."""

    objective: Objective
    num_members: int
    caution: float = 0.0

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Cost (B,N) of latents (B,N,H,M*D) and actions (B,N,H,A)."""
        members = latents.chunk(self.num_members, -1)
        cost = torch.stack([evaluate_objective(self.objective, one, actions) for one in members])
        mean = cost.mean(0)
        return mean + self.caution * cost.std(0) if self.caution else mean
