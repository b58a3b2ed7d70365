"""Methods that fix second moments only: VICReg and whitening."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worldmodel.learning.losses import alignment, decorrelation, variance_hinge, whiten, whitening_penalty
from worldmodel.learning.methods.views import Views
from worldmodel.system.errors import UserError


@dataclass
class VICRegConfig:
    """VICReg (arXiv:2105.04906): weights of its invariance, variance and covariance terms; no expander."""

    invariance: float = 25.0
    variance: float = 25.0
    covariance: float = 1.0

    def __post_init__(self) -> None:
        for name in ("invariance", "variance", "covariance"):
            if not getattr(self, name) >= 0:
                raise UserError(f"method.vicreg.{name} must be >= 0, got {getattr(self, name)}")


class VICReg(nn.Module):
    """Invariance + variance hinge + decorrelation, the latter two averaged over the views."""

    def __init__(self, config: VICRegConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, views: Views) -> dict[str, Tensor]:
        first, second = views.latents
        invariance = (first - second).square().mean()
        variance = torch.stack([variance_hinge(view) for view in views.latents]).mean()
        covariance = torch.stack([decorrelation(view) for view in views.latents]).mean()
        weights = self.config
        total = weights.invariance * invariance + weights.variance * variance + weights.covariance * covariance
        return {"loss": total, "invariance": invariance, "variance": variance, "covariance": covariance}


@dataclass
class WhiteningConfig:
    """Alignment of latents that the batch itself whitens.

    penalty: weight of the mean squared entry of Cov - I of the latents before whitening. Alignment does not see their
    linear map, so it costs nothing, and leaves latents that are white without a batch to whiten them.
    """

    penalty: float = 0.1

    def __post_init__(self) -> None:
        if not self.penalty >= 0:
            raise UserError(f"method.whitening.penalty must be >= 0, got {self.penalty}")


class Whitening(nn.Module):
    """Alignment after whitening both views together (W-MSE, arXiv:2007.06346, without its projection on a sphere)."""

    def __init__(self, config: WhiteningConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, views: Views) -> dict[str, Tensor]:
        latents = views.latents.flatten(0, 1)
        align = alignment(whiten(latents).view_as(views.latents))
        penalty = whitening_penalty(latents)
        return {"loss": align + self.config.penalty * penalty, "alignment": align, "penalty": penalty}
