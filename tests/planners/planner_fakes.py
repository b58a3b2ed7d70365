"""Dynamics with known answers."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from worldmodel.planners import ActionCost, GoalDistance, WeightedSum

B, H, A, D, C, S = 3, 5, 2, 4, 6, 8  # all dimensions differ, so that no transposed axis passes
EFFORT = 0.3


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@dataclass(frozen=True)
class LinearDynamics:
    """z[h+1] = z[h] @ drift + action[h] @ gain."""

    drift: Tensor
    gain: Tensor
    num_context_frames: int = 1

    @property
    def action_dim(self) -> int:
        return len(self.gain)

    def embed(self, frames: Tensor) -> Tensor:
        return frames.to(self.drift.dtype).flatten(1)[:, : len(self.drift)]

    def encode(self, latents: Tensor, actions: Tensor) -> Tensor:
        return latents[:, -1]

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        z = z0[:, None].expand(-1, actions.shape[1], -1)
        latents = []
        for action in actions.unbind(2):
            z = z @ self.drift + action @ self.gain
            latents.append(z)
        return torch.stack(latents, dim=2)


@dataclass
class RecordingDynamics:
    """Keeps what it was asked; its latents are the running sum of actions, and `context` is recorded."""

    num_context_frames: int = 3
    action_dim: int = A
    encoded: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    rolled_out: list[tuple[Tensor, Tensor | None]] = field(default_factory=list)
    num_embedded: int = 0

    def embed(self, frames: Tensor) -> Tensor:
        self.num_embedded += len(frames)
        return frames.flatten(1)[:, :1].float()

    def encode(self, latents: Tensor, actions: Tensor) -> Tensor:
        self.encoded.append((latents, actions))
        return torch.zeros(len(latents), D)

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        self.rolled_out.append((actions, context))
        return actions.cumsum(2).repeat(1, 1, 1, D // A)


def linear_problem() -> tuple[LinearDynamics, WeightedSum, Tensor]:
    """Linear dynamics, a quadratic cost whose optimum is inside the box, and z0 (B,D)."""
    generator = seeded(1)
    drift = 0.9 * torch.linalg.qr(torch.randn(D, D, generator=generator))[0]
    dynamics = LinearDynamics(drift, torch.randn(A, D, generator=generator))
    z0, goal = 0.25 * torch.randn(2, B, D, generator=generator)
    return dynamics, WeightedSum([(1.0, GoalDistance(goal)), (EFFORT, ActionCost())]), z0


def analytic_optimum(dynamics: LinearDynamics, objective: WeightedSum, z0: Tensor) -> tuple[Tensor, Tensor]:
    """The optimal actions (B,H,A) and costs (B,) by least squares: the cost is |residual|^2, linear in the actions."""
    distance = objective.terms[0][1]
    assert isinstance(distance, GoalDistance)
    plans = []
    for start, goal in zip(z0, distance.goal, strict=True):

        def residual(flat: Tensor, start: Tensor = start, goal: Tensor = goal) -> Tensor:
            latents = dynamics.rollout(start[None], flat.view(1, 1, H, A))
            return torch.cat([(latents - goal).flatten() / H**0.5, flat * (EFFORT / (H * A)) ** 0.5])

        zero = torch.zeros(H * A)
        jacobian = torch.func.jacrev(residual)(zero)
        plans.append(torch.linalg.lstsq(jacobian, -residual(zero)[:, None]).solution.view(H, A))
    actions = torch.stack(plans)
    latents = dynamics.rollout(z0, actions[:, None])
    return actions, objective(latents, actions[:, None])[:, 0]
