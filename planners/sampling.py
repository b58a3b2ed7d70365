"""What the planners share: the problem in blocks of held actions, noise, candidates, and the best one so far.

With `action_block` b, one action is held for b control steps, and the search runs over G = H / b blocks.
Nothing here synchronises with the host.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from worldmodel.planners.checks import check_shape
from worldmodel.planners.interfaces import LatentDynamics, Objective, Plan, evaluate_objective


@dataclass(frozen=True)
class Problem:
    """A planning problem: from z0 (B,D') under context (B,C), block sequences (B,N,G,A) have costs (B,N)."""

    dynamics: LatentDynamics
    objective: Objective
    z0: Tensor
    context: Tensor | None
    horizon: int
    action_block: int

    def starts(self, warm_start: Tensor | None) -> Tensor:
        """The M sequences from which to start, (B,M,G,A), in the box: the warm start, each block its mean, or zeros.

        warm_start: (B,H,A), or (B,M,H,A), or None; an entry that is not finite counts as zero.
        """
        batch_size, action_dim = self.z0.shape[0], self.dynamics.action_dim
        if warm_start is None:
            return self.z0.new_zeros(batch_size, 1, self.horizon // self.action_block, action_dim)
        sequences = warm_start.unsqueeze(1) if warm_start.ndim == 3 else warm_start
        shape = (batch_size, None, self.horizon, action_dim)
        check_shape("warm_start", sequences, shape, "(B, M, H, A)", "shift a plan of this planner for this batch")
        inside = sequences.to(self.z0).nan_to_num(0.0, 0.0, 0.0).clamp(-1, 1)
        return inside.unflatten(2, (-1, self.action_block)).mean(3)

    def normal(self, num_iterations: int, num_samples: int, generator: torch.Generator) -> Tensor:
        """White normal noise (I,N,G,A), drawn once and shared by the batch (common random numbers)."""
        shape = (num_iterations, num_samples, self.horizon // self.action_block, self.dynamics.action_dim)
        return torch.randn(shape, generator=generator, device=generator.device, dtype=self.z0.dtype).to(self.z0.device)

    def hold(self, blocks: Tensor) -> Tensor:
        """Blocks (...,G,A) as actions (...,H,A)."""
        if self.action_block == 1:
            return blocks
        return blocks.repeat_interleave(self.action_block, dim=-2)

    def cost(self, blocks: Tensor) -> Tensor:
        """Cost (B,N) of block sequences (B,N,G,A); +inf where it is not finite."""
        actions = self.hold(blocks)
        latents = self.dynamics.rollout(self.z0, actions, self.context)
        shape = (*actions.shape[:3], None)
        check_shape("rolled-out latents", latents, shape, "(B, N, H, D)", "return the latent after each action")
        return evaluate_objective(self.objective, latents, actions)


@dataclass(frozen=True)
class Incumbent:
    """The best candidate so far: blocks (B,G,A), its cost (B,), the best cost after each update, rollouts spent."""

    blocks: Tensor
    cost: Tensor
    curve: tuple[Tensor, ...] = ()
    num_rollouts: int = 0

    @staticmethod
    def at(start: Tensor) -> "Incumbent":
        """Begin at start (B,G,A), which any candidate of finite cost will replace."""
        return Incumbent(start, start.new_full(start.shape[:1], math.inf))

    def update(self, candidates: Tensor, cost: Tensor) -> "Incumbent":
        """Take the best of candidates (B,N,G,A) with cost (B,N) where it is strictly better."""
        return self.challenge(*lowest(candidates, cost, 1), num_rollouts=cost.shape[1])

    def challenge(self, elites: Tensor, elite_cost: Tensor, num_rollouts: int) -> "Incumbent":
        """Take the first of the elites (B,E,G,A), sorted by cost (B,E), of so many rollouts, if strictly better."""
        blocks, cost = self.choose(elites[:, 0], elite_cost[:, 0], elite_cost[:, 0] < self.cost)
        return Incumbent(blocks, cost, (*self.curve, cost), self.num_rollouts + num_rollouts)

    def choose(self, blocks: Tensor, cost: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Blocks (B,G,A) and cost (B,) where mask (B,) holds, the incumbent elsewhere."""
        return torch.where(mask[:, None, None], blocks, self.blocks), torch.where(mask, cost, self.cost)


def lowest(candidates: Tensor, cost: Tensor, num: int) -> tuple[Tensor, Tensor]:
    """The num candidates (B,num,G,A) of lowest cost, best first, and their costs (B,num)."""
    elite_cost, index = cost.topk(num, dim=1, largest=False)
    return candidates.gather(1, index[:, :, None, None].expand(-1, -1, *candidates.shape[2:])), elite_cost


def candidates_around(mean: Tensor, std: Tensor, noise: Tensor, kept: Tensor) -> Tensor:
    """Candidates (B,N,G,A) in the box: the mean, then the kept ones, then mean + std * noise.

    mean, std: (B,G,A). noise: (N,G,A). kept: (B,M,G,A).
    """
    drawn = mean[:, None] + std[:, None] * noise
    return with_first(torch.cat([mean[:, None], kept], dim=1), drawn)


def with_first(given: Tensor, drawn: Tensor) -> Tensor:
    """Drawn sequences (B,N,G,A) with the first M replaced by the given ones (B,M,G,A), N in all, clamped to the box."""
    num_samples = drawn.shape[1]
    return torch.cat([given[:, :num_samples], drawn[:, given.shape[1] :]], dim=1).clamp(-1, 1)


def refit(
    candidates: Tensor, weights: Tensor, mean: Tensor, std: Tensor, *, momentum: float, min_std: float
) -> tuple[Tensor, Tensor]:
    """Weighted mean and unbiased standard deviation (B,G,A), mixed with the old ones by momentum.

    candidates: (B,N,G,A). weights: (B,N), non-negative; where all are zero the old mean and std (B,G,A) stay.
    """
    total = weights.sum(1, keepdim=True)
    share = (weights / total.clamp_min(1e-30))[:, :, None, None]
    new_mean = (share * candidates).sum(1)
    spread = (share * (candidates - new_mean[:, None]).square()).sum(1)
    new_std = (spread / (1 - share.square().sum(1)).clamp_min(1e-6)).sqrt()
    any_weight = (total > 0)[:, :, None]
    if momentum:
        new_mean, new_std = torch.lerp(new_mean, mean, momentum), torch.lerp(new_std, std, momentum)
    new_mean, new_std = new_mean.clamp(-1, 1), new_std.clamp_min(min_std)
    return torch.where(any_weight, new_mean, mean), torch.where(any_weight, new_std, std)


def coloured(noise: Tensor, exponent: float) -> Tensor:
    """White noise (...,G,A) with its spectrum along G shaped to 1 / frequency**exponent, its variance kept.

    exponent 0 leaves it white, 1 is pink, 2 red. Timmer and Koenig (1995); iCEM, section 3.1.
    """
    length = noise.shape[-2]
    frequency = torch.fft.fftfreq(length, device=noise.device, dtype=noise.dtype).abs().clamp_min(1 / length)
    amplitude = frequency ** (-exponent / 2)
    amplitude = amplitude / amplitude.square().mean().sqrt()
    return torch.fft.ifft(torch.fft.fft(noise, dim=-2) * amplitude[:, None], dim=-2).real


def shift(actions: Tensor, num_steps: int, tail: Literal["zero", "repeat"] = "zero") -> Tensor:
    """Actions (...,H,A) without their first num_steps, the tail filled with zeros or with the last action."""
    num_steps = min(num_steps, actions.shape[-2])
    last = actions[..., -1:, :]
    filler = torch.zeros_like(last) if tail == "zero" else last
    return torch.cat([actions[..., num_steps:, :], filler.repeat_interleave(num_steps, dim=-2)], dim=-2)


def best_plan(problem: Problem, best: Incumbent) -> Plan:
    """The incumbent as a plan."""
    return _plan(problem, best, best.blocks, best.cost)


def mean_plan(problem: Problem, best: Incumbent, mean: Tensor) -> Plan:
    """The mean (B,G,A) as a plan, and the incumbent where the mean has no finite cost; costs one more rollout."""
    cost = problem.cost(mean[:, None])[:, 0]
    blocks, cost = best.choose(mean, cost, cost.isfinite())
    spent = Incumbent(best.blocks, best.cost, best.curve, best.num_rollouts + 1)
    return _plan(problem, spent, blocks, cost)


def _plan(problem: Problem, best: Incumbent, blocks: Tensor, cost: Tensor) -> Plan:
    diagnostics = {
        "valid": cost.isfinite(),
        "cost_curve": torch.stack(best.curve),
        "num_rollouts": torch.full((), best.num_rollouts, device=cost.device),
    }
    return Plan(problem.hold(blocks), cost, diagnostics)
