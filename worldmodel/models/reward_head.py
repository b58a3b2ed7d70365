"""The reward head on frozen latents: the reward of every control step, and the value of what follows it."""

import torch
from torch import Tensor, nn

from worldmodel.models.layers import mlp
from worldmodel.models.predictor import DIFFERENCE_GAIN
from worldmodel.settings import RewardConfig


class RewardHead(nn.Module):
    """Reward and value of the states that a sequence of latents passes through; learned in `learning.reward_stage`.

    A reward may depend on velocities and on the action, and one latent shows neither. So a state is its latent, the
    differences of earlier latents from it, as far back as the predictor looks, and the reward sees the last action too.

    The reward is the mean of a distribution over `config.num_bins` levels from the lowest to the highest reward that
    was recorded ("two-hot", as in arXiv:2301.04104 and arXiv:2310.16828). A mean is what sums of rewards need; levels
    need no transform such as symlog, since all rewards are known before training begins.
    """

    levels: Tensor
    """Rewards that the distribution is over, float32 (num_bins,), evenly spaced."""
    mean: Tensor
    """Mean of every number of a state, which is subtracted from it, (I,)."""
    std: Tensor
    """Its divisor after that, (I,)."""
    scale: Tensor
    """Unit of values: a reward's standard deviation times the steps that a discounted sum spans, ()."""

    def __init__(self, config: RewardConfig, latent_dim: int, action_dim: int, history: list[int]) -> None:
        """history: ages of the latents that a state is made of, in control steps, ascending from 0."""
        super().__init__()
        self.config, self.history = config, list(history)
        num_inputs, hidden = latent_dim * len(history), [config.hidden] * 2
        self.reward = mlp(num_inputs + action_dim, hidden, config.num_bins)
        self.value = mlp(num_inputs, hidden, 1)
        self.register_buffer("levels", torch.zeros(config.num_bins))
        self.register_buffer("mean", torch.zeros(num_inputs))
        self.register_buffer("std", torch.ones(num_inputs))
        self.register_buffer("scale", torch.ones(()))

    def fit_normalization(self, sequences: Tensor, rewards: Tensor) -> None:
        """Take the buffers from sample latents (n, K+H, D), and from all recorded rewards (m,)."""
        states = self._raw_states(sequences).flatten(0, -2)
        self.mean.copy_(states.mean(0))
        self.std.copy_(states.std(0).clamp_min(1e-6))
        lowest, highest = float(rewards.min()), float(rewards.max())
        self.levels.copy_(torch.linspace(lowest, max(highest, lowest + 1e-6), self.config.num_bins))
        self.scale.copy_((rewards.std() / (1 - self.config.discount)).clamp_min(1e-6))

    def states(self, sequences: Tensor) -> Tensor:
        """Latents (…, K+H, D), K of them seen before the first of H actions -> states after each action, (…, H, I)."""
        return (self._raw_states(sequences)[..., 1:, :] - self.mean) / self.std

    def logits(self, states: Tensor, actions: Tensor) -> Tensor:
        """Logits (…, num_bins) of the reward of actions (…, A) that led to states (…, I)."""
        return self.reward(torch.cat([states, actions], -1))

    def rewards(self, sequences: Tensor, actions: Tensor) -> Tensor:
        """The expected reward (…, H) of each of the actions (…, H, A), in the unit of the recorded rewards.

        sequences: latents (…, K+H, D), K of them seen before the first action.
        """
        return self.logits(self.states(sequences), actions).softmax(-1) @ self.levels

    def values(self, sequences: Tensor) -> Tensor:
        """The discounted sum of the rewards after the last of the latents (…, T, D): (…)."""
        return self.scale * self.value(self.last_state(sequences)).squeeze(-1)

    def last_state(self, sequences: Tensor) -> Tensor:
        """The state at the last of the latents (…, T, D): (…, I)."""
        last = self._raw_states(sequences[..., -1 - self.history[-1] :, :])
        return (last.squeeze(-2) - self.mean) / self.std

    def _raw_states(self, sequences: Tensor) -> Tensor:
        """From the first latent that has a history to the last: (…, T, D) -> (…, T - history[-1], I)."""
        oldest, num = self.history[-1], sequences.shape[-2]
        now, *earlier = (sequences[..., oldest - lag : num - lag, :] for lag in self.history)
        return torch.cat([now, *((before - now) * DIFFERENCE_GAIN for before in earlier)], -1)


def two_hot(rewards: Tensor, levels: Tensor) -> Tensor:
    """Weights (…, n) on evenly spaced levels (n,), at most two of them above zero, whose mean is each reward (…)."""
    step = levels[1] - levels[0]
    place = ((rewards - levels[0]) / step).clamp(0, len(levels) - 1)
    return (1 - (place[..., None] - torch.arange(len(levels), device=place.device)).abs()).clamp_min(0)
