"""Methods that fix second moments only: VICReg and whitening."""

import torch
from torch import Tensor, nn

from worldmodel.learning.losses import alignment, decorrelation, variance_hinge, whiten, whitening_penalty
from worldmodel.learning.methods.views import Views
from worldmodel.settings import VICRegConfig, WhiteningConfig


class VICReg(nn.Module):
    """Weighted sum of invariance, variance hinge and decorrelation, the latter two averaged over the views
    (arXiv:2105.04906)."""

    def __init__(self, config: VICRegConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, views: Views) -> dict[str, Tensor]:
        """Two views -> named scalars."""
        first, second = views.latents
        invariance = (first - second).square().mean()
        variance = torch.stack([variance_hinge(view) for view in views.latents]).mean()
        covariance = torch.stack([decorrelation(view) for view in views.latents]).mean()
        weights = self.config
        total = weights.invariance * invariance + weights.variance * variance + weights.covariance * covariance
        return {"loss": total, "invariance": invariance, "variance": variance, "covariance": covariance}


class Whitening(nn.Module):
    """Alignment after whitening both views together (W-MSE, arXiv:2007.06346, without its projection on a sphere)."""

    def __init__(self, config: WhiteningConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, views: Views) -> dict[str, Tensor]:
        """Any number of views -> named scalars.

        Raises:
            UserError: the batch is too small to be whitened.
        """
        latents = views.latents.flatten(0, 1)
        align = alignment(whiten(latents).view_as(views.latents))
        penalty = whitening_penalty(latents)
        return {"loss": align + self.config.penalty * penalty, "alignment": align, "penalty": penalty}
