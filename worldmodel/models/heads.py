"""Goal heads on frozen latents: an inverse dynamics, a temporal distance, and metrics of the latent space."""

import torch
from torch import Tensor, nn

from worldmodel.models.encoders import mlp
from worldmodel.settings import HeadsConfig


class GoalHeads(nn.Module):
    """Learned from what episodes reached in hindsight; see `dynamics.heads_stage` and `dynamics.fit_metrics`.

    whitening, precision: factors L (D, D) of metrics L L^T, the inverse covariance of latents and of prediction errors.
    """

    whitening: Tensor
    precision: Tensor

    def __init__(self, config: HeadsConfig, latent_dim: int, state_dim: int, action_dim: int, horizon: int) -> None:
        super().__init__()
        self.config, self.action_dim, self.horizon = config, action_dim, horizon
        hidden = [config.hidden] * config.depth
        self.inverse = mlp(state_dim + latent_dim + 1, hidden, horizon * action_dim)
        self.temporal = mlp(latent_dim, [config.temporal_hidden], config.temporal_dim)
        self.register_buffer("whitening", torch.eye(latent_dim))
        self.register_buffer("precision", torch.eye(latent_dim))

    def actions_to(self, state: Tensor, goal: Tensor, steps: Tensor) -> Tensor:
        """Planning state (…, D'), goal latent (…, D), control steps to get there (…) -> actions (…, H, A).

        The mean of the actions that led from there to there in that time; those after it mean nothing.
        """
        time = (steps / self.config.reach).unsqueeze(-1)
        flat = self.inverse(torch.cat([state, goal, time.to(state)], -1))
        return flat.unflatten(-1, (self.horizon, self.action_dim))

    @torch.no_grad()
    def propose(self, state: Tensor, goal: Tensor, horizon: int) -> Tensor:
        """Action sequences (B, M, H', A) from states (B, D') to goals (B, D), for M times to get there, then zeros."""
        reach = min(self.config.reach, self.horizon)
        times = torch.tensor(sorted({max(1, reach * part // 4) for part in (1, 2, 3, 4)}), device=state.device)
        shape = (len(state), len(times))
        states, goals = (x[:, None].expand(*shape, -1) for x in (state, goal))
        actions = self.actions_to(states, goals, times.expand(shape)).clamp(-1, 1)
        alive = torch.arange(self.horizon, device=state.device) < times[:, None]
        actions = (actions * alive[:, :, None])[:, :, :horizon]
        return nn.functional.pad(actions, (0, 0, 0, horizon - actions.shape[2]))

    def squared_time(self, latents: Tensor, goal: Tensor) -> Tensor:
        """Square of the control steps that the shortest way between latents and goals (…, D) takes -> (…).

        As if it went both ways: `temporal` maps latents to where that time is a distance, see `losses.unfolding`.
        """
        return (self.temporal(latents) - self.temporal(goal)).square().sum(-1)
