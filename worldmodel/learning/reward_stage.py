"""Training the reward head on frozen latents, and measuring how well it predicts held-out rewards."""

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from worldmodel.data.pairs import window_starts
from worldmodel.data.store import DataSet, EpisodeIndex
from worldmodel.data.table import LatentTable
from worldmodel.learning.imagining import contexts_of, held_out_contexts, imagine_futures, with_past
from worldmodel.learning.loop import Stage, Trainer
from worldmodel.learning.sources import Source, segments
from worldmodel.measures.identifiability import scores
from worldmodel.models import WorldModel
from worldmodel.models.reward_head import RewardHead, two_hot
from worldmodel.runs import RewardResult
from worldmodel.settings import OptimConfig
from worldmodel.system.distributed import in_parallel

_MOST_STEPS = 10
"""Most rewards that a value's target sums before it bootstraps; their number is drawn for each example."""
_EXPECTILE = 0.9
"""Targets above the value weigh nine times as much as those below it, so that the value is that of the better actions
taken from a state. Where dynamics are deterministic, as a simulator's are, a better outcome is skill and not luck."""
_TARGET_RATE = 0.02
"""Rate at which the target network follows the one that learns, per step."""
_OPTIM = OptimConfig(steps=2000, batch_size=256, lr=1e-3)
_MOST_PASSES = 40
"""Most passes over the training steps."""
_SAMPLE, _JUDGED = 4096, 8192
_TOLD = 1e-4
"""Share of the training rewards' range by which held-out rewards must differ for an R2."""


class _Learner(nn.Module):
    """A reward head, and a slow copy of its value network, which is dropped afterwards."""

    def __init__(self, head: RewardHead) -> None:
        super().__init__()
        self.head, self.slow = head, copy.deepcopy(head.value)
        for weight in self.slow.parameters():
            weight.requires_grad_(False)

    @torch.no_grad()
    def follow(self) -> None:
        """Move the slow copy towards the value network."""
        for slow, weight in zip(self.slow.parameters(), self.head.value.parameters(), strict=True):
            slow.lerp_(weight, _TARGET_RATE)


def recorded_rewards(data: DataSet, episodes: EpisodeIndex) -> np.ndarray:
    """Every reward of these episodes, float32 (n,)."""
    rewards = data.rewards[episodes.rows()]
    return rewards[np.isfinite(rewards)]


def reward_range(data: DataSet) -> tuple[float, float]:
    """Lowest and highest reward of the training episodes; 0, 0 for a data set without rewards."""
    rewards = recorded_rewards(data, data.split("train"))
    return (float(rewards.min()), float(rewards.max())) if len(rewards) else (0.0, 0.0)


def train_reward(model: WorldModel, trainer: Trainer, source: Source, table: LatentTable) -> tuple[float, RewardResult]:
    """Train the reward head; returns its seconds, and how well it predicts held-out rewards."""
    head, predictor, stretches = model.reward_head, model.predictor, segments(source.data, source.train)
    assert head is not None and predictor is not None
    if "reward" not in trainer.stages_done:
        _fit_units(head, table, source.data, stretches)
    rewards, horizon = torch.from_numpy(np.nan_to_num(source.data.rewards)), predictor.eval().config.horizon
    contexts = contexts_of(model, source, table, source.train)

    def imagine(start: Tensor, generator: torch.Generator) -> Tensor:
        return imagine_futures(model, table, start, horizon, contexts.of_rows(start, generator) if contexts else None)

    seconds = trainer.fit(reward_stage(head, table, rewards, stretches, _OPTIM, horizon, imagine))
    context_of = held_out_contexts(model, source, table)
    return seconds, judge_reward(model, table, source.data, segments(source.data, source.test), context_of)


def _fit_units(head: RewardHead, table: LatentTable, data: DataSet, episodes: EpisodeIndex) -> None:
    """Set the units of a reward head's inputs and outputs from training episodes."""
    starts = window_starts(episodes, head.history[-1] + 2)
    chosen = starts[torch.linspace(0, len(starts) - 1, min(_SAMPLE, len(starts))).long()]
    rows = chosen[:, None] + torch.arange(head.history[-1] + 1)
    head.fit_normalization(table.latents[rows], torch.from_numpy(recorded_rewards(data, episodes)))


def reward_stage(
    head: RewardHead,
    table: LatentTable,
    rewards: Tensor,
    episodes: EpisodeIndex,
    optim: OptimConfig,
    horizon: int,
    imagine: Callable[[Tensor, torch.Generator], Tensor],
) -> Stage:
    """The stage that trains a reward head: the reward by cross-entropy, the value by expectile regression.

    Both learn on recorded and on imagined latents alike, because plans are judged by imagined ones: where these are
    blurred, the head learns the mean reward of what may be, and not the reward of the blur.

    A value's target is the discounted sum of the next recorded rewards and of the value of the recorded state after
    them: implicit Q-learning (arXiv:2110.06169) without a Q function, which is enough where dynamics are deterministic.

    Args:
        head: the reward head, its units fitted.
        table: latents and actions of the data set.
        rewards: reward of the action taken at each row, float32 (rows,).
        episodes: training episodes, from which windows are drawn.
        optim: the optimiser.
        horizon: H, control steps that are imagined.
        imagine: first rows of windows int64 (n,), and what draws contexts -> latents (n, K+H, D), K of them seen; see
            `imagine_futures`.
    """
    oldest, learner = head.history[-1], _Learner(head)
    starts, ends = window_starts(episodes, oldest + 1 + horizon), _last_rows(episodes, oldest + 1 + horizon)
    device = table.latents.device
    rewards, discounts = rewards.to(device), (head.config.discount ** torch.arange(_MOST_STEPS + 1)).to(device)

    def losses(first: Tensor, end: Tensor, steps: Tensor, imagined: Tensor) -> Tensor:
        """Of windows from `first` to one row after the action; imagined: the same rows, (n, oldest + 2, D)."""
        now = first + oldest
        steps = torch.minimum(steps, end - now)  # an episode may end before
        taken = torch.minimum(now[:, None] + torch.arange(_MOST_STEPS), end[:, None] - 1)
        counts = (torch.arange(_MOST_STEPS) < steps[:, None]).to(device) * discounts[:-1]
        with torch.no_grad():
            after = head.last_state(table.latents[(first + steps)[:, None] + torch.arange(oldest + 1)])
            later = discounts[steps] * learner.slow(after).squeeze(-1)
            target = (rewards[taken] * counts).sum(1) / head.scale + later
        sequences = torch.stack([table.latents[first[:, None] + torch.arange(oldest + 2)], imagined])
        logits = head.logits(head.states(sequences)[:, :, 0], table.actions[now].expand(2, -1, -1))
        reward = -(two_hot(rewards[now], head.levels) * logits.log_softmax(-1)).sum(-1)
        short = target - head.value(head.last_state(sequences[:, :, :-1])).squeeze(-1)
        weight = torch.where(short > 0, _EXPECTILE, 1 - _EXPECTILE)
        return torch.stack([reward.mean(0), (weight * short.square()).mean(0)], 1)

    def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        learner.follow()
        chosen = torch.randint(len(starts), (optim.batch_size,), generator=generator)
        steps = torch.randint(1, _MOST_STEPS + 1, (optim.batch_size,), generator=generator)
        depth = int(torch.randint(horizon, (), generator=generator))
        imagined = imagine(starts[chosen], generator)[:, depth : depth + oldest + 2]
        reward, value = in_parallel(learner, losses, starts[chosen] + depth, ends[chosen], steps, imagined).mean(0)
        return {"loss": reward + value, "reward": reward, "value": value}

    steps = min(optim.steps, max(1, _MOST_PASSES * len(starts) // optim.batch_size))
    return Stage("reward", learner, loss, replace(optim, steps=steps))


def _last_rows(episodes: EpisodeIndex, num_rows: int) -> Tensor:
    """For each of `window_starts`, the last row of its episode, int64 (windows,)."""
    ends = zip(episodes.offset, episodes.length, strict=True)
    return torch.from_numpy(np.concatenate([np.full(max(0, n - num_rows + 1), o + n - 1) for o, n in ends]))


@torch.no_grad()
def judge_reward(
    model: WorldModel,
    table: LatentTable,
    data: DataSet,
    test: EpisodeIndex,
    context_of: Callable[[Tensor], Tensor] | None,
) -> RewardResult:
    """R2 of held-out rewards: from frames that are seen, and at the end of the predictor's horizon.

    test: stretches of one motion of test episodes. context_of: first rows of windows int64 (n,) -> contexts (n, C).
    """
    head, predictor = model.reward_head, model.predictor
    assert head is not None and predictor is not None
    num, horizon = predictor.config.num_context_frames, predictor.config.horizon
    starts = window_starts(with_past(model, test, num + horizon), num + horizon)
    start = starts[torch.randperm(len(starts), generator=torch.Generator().manual_seed(0))[:_JUDGED]]
    rows = start[:, None] + torch.arange(num + horizon)
    taken = rows[:, num - 1 : -1]
    truth, actions = data.rewards[taken.numpy()], table.actions[taken]
    imagined = imagine_futures(model, table, start, horizon, context_of(start) if context_of else None)
    seen, ahead = (head.rewards(of, actions).cpu().numpy() for of in (table.latents[rows], imagined))
    rewards, (lowest, highest) = recorded_rewards(data, test), reward_range(data)
    # tails of a reward that was never come near, such as 1e-40, are nothing to be explained
    told = np.ptp(rewards) > _TOLD * (highest - lowest)
    return RewardResult(
        lowest=float(rewards.min()),
        highest=float(rewards.max()),
        mean=float(rewards.mean()),
        num_steps=len(rewards),
        horizon=horizon,
        r2=scores(truth.reshape(-1, 1), seen.reshape(-1, 1))[0] if told else None,
        r2_ahead=scores(truth[:, -1:], ahead[:, -1:])[0] if told else None,
    )
