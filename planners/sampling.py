"""What the planners share: a search over blocks of held actions, its noise and candidates, and the best one so far.

With `action_block` b, one action is held for b control steps, and the search runs over G = H / b blocks. Nothing here
synchronises with the host.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from worldmodel.planners.checks import check_shape, check_size
from worldmodel.planners.interfaces import Plan, Problem, evaluate_objective

MAX_HELD = 2**28
"""Most numbers in the actions that are rolled out at once: a planner's settings may come with a stranger's run."""


@dataclass(frozen=True)
class BlockSearch:
    """A problem as the planners search it: over sequences of blocks (B, N, G, A)."""

    problem: Problem

    horizon: int
    """H, control steps."""

    action_block: int
    """Control steps for which one action is held; divides the horizon."""

    def outside_inference_mode(self) -> "BlockSearch":
        """The search with copies of tensors that were made in `torch.inference_mode`, through which autograd refuses
        to go."""
        problem = self.problem
        copies = {
            name: of.clone()
            for name in ("z0", "context")
            if (of := getattr(problem, name)) is not None and of.is_inference()
        }
        return replace(self, problem=replace(problem, **copies)) if copies else self

    def starts(self) -> Tensor:
        """The sequences of blocks from which to start, (B, M, G, A) in [-1, 1]: the warm start, or zeros.

        A block of the warm start is the mean of its actions.
        """
        z0, warm_start = self.problem.z0, self.problem.warm_start
        batch_size, action_dim = z0.shape[0], self.problem.dynamics.action_dim
        if warm_start is None:
            return z0.new_zeros(batch_size, 1, self.horizon // self.action_block, action_dim)
        sequences = warm_start.unsqueeze(1) if warm_start.ndim == 3 else warm_start
        shape = (batch_size, None, self.horizon, action_dim)
        check_shape("warm_start", sequences, shape, "(B, M, H, A)", "shift a plan of this planner for this batch")
        inside = sequences.to(z0).nan_to_num(0.0, 0.0, 0.0).clamp(-1, 1)
        return inside.unflatten(2, (-1, self.action_block)).mean(3)

    def normal(self, num_iterations: int, num_samples: int, generator: torch.Generator) -> Tensor:
        """White normal noise (I, N, G, A), drawn once and shared by the batch (common random numbers)."""
        z0, action_dim = self.problem.z0, self.problem.dynamics.action_dim
        shape = (num_iterations, num_samples, self.horizon // self.action_block, action_dim)
        check_size(*shape)
        return torch.randn(shape, generator=generator, device=generator.device, dtype=z0.dtype).to(z0.device)

    def hold(self, blocks: Tensor) -> Tensor:
        """The actions (…, H, A) that blocks (…, G, A) stand for."""
        if blocks.numel() * self.action_block > MAX_HELD:
            raise ValueError(
                f"a plan would roll out {blocks.numel() * self.action_block} numbers of actions at once, at most "
                f"{MAX_HELD}; lower planner.num_samples, planner.horizon or the number of tasks"
            )
        if self.action_block == 1:
            return blocks
        return blocks.repeat_interleave(self.action_block, dim=-2)

    def cost(self, blocks: Tensor) -> Tensor:
        """The cost (B, N) of sequences of blocks (B, N, G, A); +inf where it is not finite."""
        problem, actions = self.problem, self.hold(blocks)
        latents = problem.dynamics.rollout(problem.z0, actions, problem.context)
        shape = (*actions.shape[:3], None)
        check_shape("rolled-out latents", latents, shape, "(B, N, H, D)", "return the latent after each action")
        return evaluate_objective(problem.objective, latents, actions)


@dataclass(frozen=True)
class Incumbent:
    """The best candidate of a search so far: of the best of each iteration the first of the lowest cost."""

    found: tuple[tuple[Tensor, Tensor], ...]
    """The start of the search, and the best of each iteration: blocks (B, G, A) and cost (B,)."""

    num_rollouts: int = 0
    """Sequences rolled out so far for each environment."""

    @staticmethod
    def at(start: Tensor) -> "Incumbent":
        """Begin at blocks (B, G, A), which any candidate of finite cost will replace."""
        return Incumbent(((start, start.new_full(start.shape[:1], math.inf)),))

    def update(self, candidates: Tensor, cost: Tensor) -> "Incumbent":
        """Consider the best of candidates (B, N, G, A) with cost (B, N)."""
        return self.challenge(*lowest(candidates, cost, 1), num_rollouts=cost.shape[1])

    def challenge(self, elites: Tensor, elite_cost: Tensor, num_rollouts: int) -> "Incumbent":
        """Consider the first of the elites (B, E, G, A).

        Args:
            elites: the best of the candidates, best first.
            elite_cost: their costs (B, E).
            num_rollouts: how many candidates they were chosen from.
        """
        best = elites[:, 0], elite_cost[:, 0]
        return Incumbent((*self.found, best), self.num_rollouts + num_rollouts)

    def settle(self) -> tuple[Tensor, Tensor, Tensor]:
        """Its blocks (B, G, A) and cost (B,), and the lowest cost up to the end of each iteration (I, B)."""
        blocks, costs = (torch.stack(of) for of in zip(*self.found, strict=True))
        first = costs.argmin(0)  # of equal costs the first
        curve = costs.cummin(0).values
        return blocks.gather(0, first[None, :, None, None].expand_as(blocks[:1]))[0], curve[-1], curve[1:]


def lowest(candidates: Tensor, cost: Tensor, num: int) -> tuple[Tensor, Tensor]:
    """The `num` candidates (B, num, G, A) of lowest cost, best first, and their costs (B, num)."""
    elite_cost, index = cost.topk(num, dim=1, largest=False)
    return candidates.gather(1, index[:, :, None, None].expand(-1, -1, *candidates.shape[2:])), elite_cost


def candidates_around(mean: Tensor, std: Tensor, noise: Tensor, kept: Tensor) -> Tensor:
    """Candidates (B, N, G, A) in [-1, 1]: the mean, then the kept ones, then mean + std * noise.

    Args:
        mean, std: (B, G, A).
        noise: (N, G, A).
        kept: (B, M, G, A).
    """
    centre = mean[:, None]
    drawn = torch.addcmul(centre, std[:, None], noise[1 + kept.shape[1] :])
    return torch.cat([centre, kept, drawn], dim=1)[:, : len(noise)].clamp(-1, 1)


def refit(
    candidates: Tensor, weights: Tensor, mean: Tensor, std: Tensor, *, momentum: float, min_std: float
) -> tuple[Tensor, Tensor]:
    """The weighted mean and unbiased standard deviation of candidates, mixed with the old ones: both (B, G, A).

    Args:
        candidates: (B, N, G, A).
        weights: (B, N), not negative; where all of them are 0 the old mean and standard deviation stay.
        mean, std: the old ones, (B, G, A).
        momentum: share of the old ones that stays.
        min_std: the standard deviation never falls below this.
    """
    total = weights.sum(1, keepdim=True)
    share, flat = (weights / total.clamp_min(1e-30))[:, None], candidates.flatten(2)  # (B, 1, N), (B, N, G A)
    flat_mean = torch.bmm(share, flat)
    spread = torch.bmm(share, (flat - flat_mean).square())
    flat_std = (spread / (1 - share.square().sum(2, keepdim=True)).clamp_min(1e-6)).sqrt()
    new_mean, new_std = flat_mean.view_as(mean), flat_std.view_as(std)
    any_weight = (total > 0)[:, :, None]
    if momentum:
        new_mean, new_std = torch.lerp(new_mean, mean, momentum), torch.lerp(new_std, std, momentum)
    new_mean, new_std = new_mean.clamp(-1, 1), new_std.clamp_min(min_std)
    return torch.where(any_weight, new_mean, mean), torch.where(any_weight, new_std, std)


def coloured(noise: Tensor, exponent: float) -> Tensor:
    """White noise (…, G, A) with its spectrum along G shaped to 1 / frequency**exponent, its variance kept.

    An exponent of 0 leaves it white, 1 makes it pink, 2 red. Timmer and Koenig (1995); iCEM (Pinneri et al., 2020),
    section 3.1.
    """
    length, white = noise.shape[-2], noise.to(torch.promote_types(noise.dtype, torch.float32))  # no FFT of 16 bits
    frequency = torch.fft.fftfreq(length, device=white.device, dtype=white.dtype).abs().clamp_min(1 / length)
    amplitude = frequency ** (-exponent / 2)
    amplitude = amplitude / amplitude.square().mean().sqrt()
    return torch.fft.ifft(torch.fft.fft(white, dim=-2) * amplitude[:, None], dim=-2).real.to(noise.dtype)


def shift(actions: Tensor, num_steps: int, tail: Literal["zero", "repeat"] = "zero") -> Tensor:
    """Actions (…, H, A) without their first `num_steps`, filled up at the end with zeros or with the last action."""
    num_steps = min(num_steps, actions.shape[-2])
    last = actions[..., -1:, :]
    filler = torch.zeros_like(last) if tail == "zero" else last
    return torch.cat([actions[..., num_steps:, :], filler.repeat_interleave(num_steps, dim=-2)], dim=-2)


def best_plan(search: BlockSearch, best: Incumbent) -> Plan:
    """The incumbent as a plan."""
    return _plan(search, *best.settle(), best.num_rollouts)


def mean_plan(search: BlockSearch, best: Incumbent, mean: Tensor) -> Plan:
    """The mean (B, G, A) as a plan, or the incumbent where the mean has no finite cost. Rolls out the mean once."""
    mean_cost = search.cost(mean[:, None])[:, 0]
    best_blocks, best_cost, curve = best.settle()
    finite = mean_cost < math.inf
    blocks, cost = torch.where(finite[:, None, None], mean, best_blocks), torch.where(finite, mean_cost, best_cost)
    return _plan(search, blocks, cost, curve, best.num_rollouts + 1)


def _plan(search: BlockSearch, blocks: Tensor, cost: Tensor, curve: Tensor, num_rollouts: int) -> Plan:
    return Plan(
        actions=search.hold(blocks),
        cost=cost,
        valid=cost < math.inf,
        cost_curve=curve,
        num_rollouts=torch.full((), num_rollouts, device=cost.device),
    )
