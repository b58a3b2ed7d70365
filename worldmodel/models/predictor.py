"""The latent dynamics predictor: from K latents of history and past actions to H future latents in one pass."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from worldmodel.errors import UserError


@dataclass
class PredictorConfig:
    """What a predictor sees and how far it looks.

    history: which past latents it sees, in control steps before now (0 is now). horizon: H, latents predicted in one
    pass; longer rollouts chain passes. hidden, depth: its MLP.
    """

    history: list[int] = field(default_factory=lambda: [0, 1, 2, 4])
    horizon: int = 15
    hidden: int = 384
    depth: int = 2

    def __post_init__(self) -> None:
        if not self.history or self.history[0] != 0 or sorted(set(self.history)) != list(self.history):
            raise UserError(f"predictor.history must rise from 0, like [0,1,2,4], got {self.history}")
        for name in ("horizon", "hidden", "depth"):
            if getattr(self, name) < 1:
                raise UserError(f"predictor.{name} must be >= 1, got {getattr(self, name)}")

    @property
    def num_context_frames(self) -> int:
        """K: frames from the oldest latent of the history to now."""
        return self.history[-1] + 1


class Predictor(nn.Module):
    """z_{t+1} … z_{t+H} from z_t, earlier latents, past and future actions, and physical constants where known.

    All H latents leave one MLP, trained with the sum of their errors: the multi-step rollout loss, without compounding
    errors and without H sequential passes. It is causal by construction: the first layer sees the actions through a
    block lower-triangular mask and its units are grouped by step, so the latent after action h does not depend on
    later actions.
    """

    causal_in: Tensor
    causal_mid: Tensor
    causal_out: Tensor

    def __init__(self, config: PredictorConfig, latent_dim: int, action_dim: int, context_dim: int = 0) -> None:
        super().__init__()
        self.config = config
        self.latent_dim, self.action_dim, self.context_dim = latent_dim, action_dim, context_dim
        horizon, hidden = config.horizon, config.hidden
        self.state_dim = latent_dim * len(config.history) + action_dim * (config.num_context_frames - 1)
        self.from_state = nn.Linear(self.state_dim + context_dim, hidden)
        self.from_actions = nn.Linear(horizon * action_dim, hidden, bias=False)
        self.middle = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(config.depth - 1))
        self.out = nn.Linear(hidden, horizon * latent_dim)
        # a unit of group g may see actions up to step g, so only outputs from step g on may see it: a quarter of the
        # units serve every step (group 0), the others are shared evenly by all steps
        group = ((torch.arange(hidden) - hidden // 4).clamp_min(0) * horizon) // (hidden - hidden // 4)
        step = torch.arange(horizon)
        self.register_buffer("causal_in", _mask(step.repeat_interleave(action_dim), group), persistent=False)
        self.register_buffer("causal_mid", _mask(group, group), persistent=False)
        self.register_buffer("causal_out", _mask(group, step.repeat_interleave(latent_dim)), persistent=False)

    def planning_state(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Latents (B, K, D) oldest first and the actions (B, K-1, A) between them -> (B, D'), z_t in front."""
        now = latents[:, -1]
        earlier = [(latents[:, -1 - lag] - now) * _DIFFERENCE_GAIN for lag in self.config.history[1:]]
        return torch.cat([now, *earlier, actions.flatten(1)], -1)

    def forward(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, D'), (B, N, H', A) with H' <= horizon, (B, C) -> latents (B, N, H', D) after each action."""
        steps = actions.shape[2]
        flat = nn.functional.pad(actions.flatten(2), (0, (self.config.horizon - steps) * self.action_dim))
        if self.context_dim:
            if context is None:
                raise UserError("this predictor is conditioned on physical constants; pass context=(B, C)")
            state_and_context = torch.cat([state, context], -1)
        else:
            state_and_context = state
        driven = nn.functional.linear(flat, self.from_actions.weight * self.causal_in)
        x = nn.functional.gelu(self.from_state(state_and_context)[:, None] + driven)
        for layer in self.middle:
            assert isinstance(layer, nn.Linear)
            x = nn.functional.gelu(nn.functional.linear(x, layer.weight * self.causal_mid, layer.bias))
        size = steps * self.latent_dim
        weight = (self.out.weight * self.causal_out)[:size]
        change = nn.functional.linear(x, weight, self.out.bias[:size]).unflatten(-1, (steps, self.latent_dim))
        return state[:, None, None, : self.latent_dim] + change

    def rollout(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """As `forward`, for any number of steps: passes of `horizon` steps are chained on their own predictions."""
        horizon = self.config.horizon
        latents = self(state, actions[:, :, :horizon], context)
        while latents.shape[2] < actions.shape[2]:
            done = latents.shape[2]
            chunk = actions[:, :, done : done + horizon]
            state_n, context_n = self._advance(state, latents, actions[:, :, :done], context)
            more = self(state_n, chunk.flatten(0, 1)[:, None], context_n)
            latents = torch.cat([latents, more.view(*chunk.shape[:3], self.latent_dim)], 2)
        return latents

    def _advance(
        self, state: Tensor, latents: Tensor, actions: Tensor, context: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Planning states (B * N, D') at the end of predicted latents (B, N, h, D), h >= K."""
        frames = self.config.num_context_frames
        if latents.shape[2] < frames:
            raise UserError(
                f"chained rollouts need predictor.horizon >= {frames} (the history), got {self.config.horizon}"
            )
        last = latents[:, :, -frames:].flatten(0, 1)
        between = actions[:, :, actions.shape[2] - frames + 1 :].flatten(0, 1)
        expanded = None if context is None else context.repeat_interleave(latents.shape[1], 0)
        return self.planning_state(last, between), expanded


# latents a step apart differ little; this brings differences to the size of the latents themselves
_DIFFERENCE_GAIN = 4.0


def _mask(seen: Tensor, by: Tensor) -> Tensor:
    """float (by, seen): 1 where a unit of group `by` may see a unit of group `seen`."""
    return (seen[None, :] <= by[:, None]).float()
