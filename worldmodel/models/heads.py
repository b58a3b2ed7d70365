"""Goal heads on frozen latents: an inverse dynamics, a temporal distance, and metrics of the latent space."""

import torch
from torch import Tensor, nn

from worldmodel.models.layers import mlp
from worldmodel.settings import HeadsConfig


class GoalHeads(nn.Module):
    """Networks and metrics that planners may use beside a predictor; learned from what episodes reached in hindsight
    (`learning.dynamics`). D latents, D' numbers of a planning state, A of an action, H steps of the horizon."""

    whitening: Tensor
    """Factor L (D, D) of the metric L L^T: the inverse covariance of latents."""
    precision: Tensor
    """The same factor for the inverse covariance of the predictor's errors."""

    def __init__(self, config: HeadsConfig, latent_dim: int, state_dim: int, action_dim: int, horizon: int) -> None:
        super().__init__()
        self.config, self.action_dim, self.horizon = config, action_dim, horizon
        hidden = [config.hidden] * config.depth
        self.inverse = mlp(state_dim + latent_dim + 1, hidden, horizon * action_dim)
        self.temporal = mlp(latent_dim, [config.temporal_hidden], config.temporal_dim)
        self.register_buffer("whitening", torch.eye(latent_dim))
        self.register_buffer("precision", torch.eye(latent_dim))

    def actions_to(self, state: Tensor, goal: Tensor, steps: Tensor) -> Tensor:
        """The mean of the actions that led to the goal in so many steps: (…, D'), (…, D), (…) -> (…, H, A).

        Args:
            state: planning state.
            goal: latent of the goal.
            steps: control steps to get there; actions after them are undefined.
        """
        time = (steps / self.config.reach).unsqueeze(-1)
        flat = self.inverse(torch.cat([state, goal, time.to(state)], -1))
        return flat.unflatten(-1, (self.horizon, self.action_dim))

    @torch.no_grad()
    def propose(self, state: Tensor, goal: Tensor, horizon: int) -> Tensor:
        """Action sequences (B, M, H', A) from planning states (B, D') to goals (B, D).

        Each of the M sequences takes another number of steps, up to what the inverse dynamics was trained on; actions
        after them are zero. horizon: H', which may differ from H.
        """
        reach = min(self.config.reach, self.horizon)
        times = torch.tensor(sorted({max(1, reach * part // 4) for part in (1, 2, 3, 4)}), device=state.device)
        shape = (len(state), len(times))
        states, goals = (x[:, None].expand(*shape, -1) for x in (state, goal))
        actions = self.actions_to(states, goals, times.expand(shape)).clamp(-1, 1)
        alive = torch.arange(self.horizon, device=state.device) < times[:, None]
        actions = (actions * alive[:, :, None])[:, :, :horizon]
        return nn.functional.pad(actions, (0, 0, 0, horizon - actions.shape[2]))

    def squared_time(self, latents: Tensor, goal: Tensor) -> Tensor:
        """Squared control steps of the shortest way between latents (…, D) and goals (…, D): (…).

        `temporal` embeds latents so that time is distance, the same in both directions (`losses.unfolding`).
        """
        return (self.temporal(latents) - self.temporal(goal)).square().sum(-1)
