"""Supervised regression on the true variables: the upper bound for the other methods."""

import torch
from torch import Tensor, nn

from worldmodel.data.truth import Variables
from worldmodel.learning.methods.views import Views
from worldmodel.system.errors import UserError


class Supervised(nn.Module):
    """Mean squared error of latents against the true variables; further latents should be 0."""

    def __init__(self, truth: Tensor) -> None:
        """truth: float32 (rows, D), what each latent of every row should be, see `supervised_targets`."""
        super().__init__()
        self.truth = truth

    def forward(self, views: Views) -> dict[str, Tensor]:
        """Any number of views -> named scalars."""
        truth = self.truth[views.rows].to(views.latents.device)
        error = (views.latents - truth).square().mean()
        return {"loss": error, "regression": error}


def supervised_targets(variables: Variables, latent_dim: int) -> Tensor:
    """True variables of every row, then zeros: float32 (rows, D).

    Raises:
        UserError: there are more variables than latents.
    """
    num_rows, num = variables.values.shape
    if num > latent_dim:
        raise UserError(
            f"method=supervised needs a latent for each of the {num} true variables ({', '.join(variables.names)}), "
            f"encoder.latent_dim is {latent_dim}; raise it to at least {num}"
        )
    truth = torch.zeros(num_rows, latent_dim)
    truth[:, :num] = torch.from_numpy(variables.values)
    return truth
