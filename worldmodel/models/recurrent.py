"""A recurrent predictor: the same weights for every step, unrolled in a hidden state."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from worldmodel.models.layers import for_inference
from worldmodel.models.predictor import check_inputs, planning_state
from worldmodel.settings import PredictorConfig


class RecurrentPredictor(nn.Module):
    """Latents z_{t+1}, z_{t+2}, … from z_t, earlier latents, past and future actions, and a context where there is one.

    The planning state becomes a hidden state x of `width` numbers. Every action moves it by the same residual layers,
    and latents are a linear function of it: z_{t+h} = z_t + W x_h. The law of motion is the same at each step, so a
    contact seen at one step of the horizon is learned for all of them; `Predictor` has weights of its own for each step
    and must see it at each. The price is H passes, one after another.
    """

    def __init__(self, config: PredictorConfig, latent_dim: int, action_dim: int, context_dim: int = 0) -> None:
        super().__init__()
        self.config = config
        self.latent_dim, self.action_dim, self.context_dim = latent_dim, action_dim, context_dim
        self.state_dim = latent_dim * len(config.history) + action_dim * (config.num_context_frames - 1)
        hidden, width = config.hidden, config.width
        self.from_state = nn.Sequential(
            nn.Linear(self.state_dim + context_dim, hidden), nn.GELU(), nn.Linear(hidden, width)
        )
        self.from_actions = nn.ModuleList(nn.Linear(action_dim, hidden) for _ in range(config.depth))
        self.up = nn.ModuleList(nn.Linear(width, hidden, bias=False) for _ in range(config.depth))
        self.down = nn.ModuleList(nn.Linear(hidden, width) for _ in range(config.depth))
        self.out = nn.Linear(width, latent_dim)

    def planning_state(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Latents (B, K, D), oldest first, and the actions (B, K-1, A) between them -> (B, D'), z_t in front."""
        return planning_state(latents, actions, self.config.history)

    def forward(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """The latent after each of any H actions: (B, D'), (B, N, H, A), (B, C) -> (B, N, H, D).

        Raises:
            UserError: the actions are of another world, or the context is missing.
        """
        check_inputs(self, actions, context)
        given = state if context is None or not self.context_dim else torch.cat([state, context], -1)
        dtype = self.out.weight.dtype
        x = self.from_state(given.to(dtype))[:, None]
        # each layer embeds all actions at once: (B, N, H, hidden)
        driven = [embed(actions.to(dtype)) for embed in self.from_actions]
        states = []
        for step in range(actions.shape[2]):
            for index, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
                x = x + down(F.gelu(up(F.layer_norm(x, x.shape[-1:])) + driven[index][:, :, step]))
            states.append(x)
        return state[:, None, None, : self.latent_dim] + self.out(torch.stack(states, 2)).to(state.dtype)

    def rollout(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """As `forward`."""
        return self(state, actions, context)

    def for_planning(self, dtype: torch.dtype | None) -> "RecurrentPredictor":
        """A copy for rollouts without gradients, computed in `dtype`; None keeps that of the weights."""
        folded = copy.deepcopy(self).eval().requires_grad_(False).to(dtype)
        for_inference(folded)
        return folded
