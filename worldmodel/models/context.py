"""The context encoder: a window of latents and actions to the physical constants at work in it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worldmodel.errors import UserError
from worldmodel.models.encoders import mlp


@dataclass
class ContextConfig:
    """What a context encoder is made of.

    dim: C; 0 chooses the number of randomised physical constants. window: control steps it looks at.
    hidden: width of its two-layer MLP.
    """

    dim: int = 0
    window: int = 40
    hidden: int = 128

    def __post_init__(self) -> None:
        if self.dim < 0:
            raise UserError(f"context.dim must be >= 0 (0 chooses it), got {self.dim}")
        if self.window < 3:
            raise UserError(f"context.window must be >= 3 control steps, got {self.window}")
        if self.hidden < 1:
            raise UserError(f"context.hidden must be >= 1, got {self.hidden}")


class ContextEncoder(nn.Module):
    """Window of latents (B, W+1, D) and actions (B, W, A) -> context (B, C).

    A rigid body obeys an equation that is linear in its (transformed) constants given velocity v, direction v/|v|,
    action a and change of velocity dv. The first and second moments of (v, v/|v|, a, dv) over the window are therefore
    the statistics that a regression for those constants needs, whatever rotation the latents are in; an MLP maps them
    to the context. Moments are means over steps, so that any window of an episode comes from two cumulative sums.
    """

    scale: Tensor

    def __init__(self, config: ContextConfig, latent_dim: int, action_dim: int) -> None:
        super().__init__()
        self.config = config
        self.latent_dim, self.action_dim = latent_dim, action_dim
        width = 3 * latent_dim + action_dim
        self.register_buffer("scale", torch.ones(3))  # of v, a, dv
        self.register_buffer("pairs", torch.triu_indices(width, width), persistent=False)
        num_features = width + width * (width + 1) // 2
        self.standardize = nn.BatchNorm1d(num_features, affine=False)
        self.head = mlp(num_features, [config.hidden, config.hidden], config.dim)

    pairs: Tensor

    def fit_scale(self, latents: Tensor, actions: Tensor) -> None:
        """Take the scales of velocity, action and change of velocity from episodes (E, T+1, D), (E, T, A)."""
        velocity, action, change = _derivatives(latents, actions)
        scales = [x.std().clamp_min(1e-6) for x in (velocity, action, change)]
        self.scale.copy_(torch.stack(scales))

    def step_features(self, latents: Tensor, actions: Tensor) -> Tensor:
        """(…, T+1, D), (…, T, A) -> features (…, T-1, F) of each pair of consecutive steps."""
        velocity, action, change = (x / s for x, s in zip(_derivatives(latents, actions), self.scale, strict=True))
        direction = velocity / (velocity.norm(dim=-1, keepdim=True) + 0.1)
        u = torch.cat([velocity, direction, action, change], -1)
        return torch.cat([u, u[..., self.pairs[0]] * u[..., self.pairs[1]]], -1)

    def from_moments(self, moments: Tensor) -> Tensor:
        """Mean step features of windows (…, F) -> context (…, C)."""
        return self.head(self.standardize(moments.flatten(0, -2))).view(*moments.shape[:-1], -1)

    def forward(self, latents: Tensor, actions: Tensor) -> Tensor:
        return self.from_moments(self.step_features(latents, actions).mean(-2))


def _derivatives(latents: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Velocity, action and change of velocity, all centred on the frame between two steps: each (…, T-1, ·)."""
    step = latents[..., 1:, :] - latents[..., :-1, :]
    velocity = (step[..., 1:, :] + step[..., :-1, :]) / 2
    change = step[..., 1:, :] - step[..., :-1, :]
    return velocity, (actions[..., 1:, :] + actions[..., :-1, :]) / 2, change
