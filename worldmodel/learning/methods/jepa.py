"""Standard JEPA: predict one view's latent from the other's; nothing says what latents should be like."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from worldmodel.learning.methods.views import Views
from worldmodel.models.encoders import mlp
from worldmodel.system.errors import UserError

Target = Literal["ema", "stop_gradient", "none"]


@dataclass
class JEPAConfig:
    """Standard JEPA.

    target: what is predicted: latents of a moving average of the encoder ("ema"), the encoder's own without gradient
    ("stop_gradient"), or with it ("none": nothing speaks against a constant). momentum: of the moving average, per
    step. hidden: units of the predictor's one hidden layer.
    """

    target: str = "ema"
    momentum: float = 0.99
    hidden: int = 256

    def __post_init__(self) -> None:
        if self.target not in ("ema", "stop_gradient", "none"):
            raise UserError(f"method.jepa.target is one of ema, stop_gradient, none, got {self.target!r}")
        if not 0 <= self.momentum < 1:
            raise UserError(f"method.jepa.momentum must lie in [0, 1), got {self.momentum}")
        if self.hidden < 1:
            raise UserError(f"method.jepa.hidden must be >= 1, got {self.hidden}")


class JEPA(nn.Module):
    """Mean squared error of predicting each view of a pair from the other."""

    def __init__(self, config: JEPAConfig, latent_dim: int) -> None:
        super().__init__()
        self.detach = config.target != "none"
        self.head = mlp(latent_dim, [config.hidden], latent_dim, batch_norm=True)

    def forward(self, views: Views) -> dict[str, Tensor]:
        targets = views.targets.detach() if self.detach else views.targets
        predicted = self.head(views.latents.flatten(0, 1)).view_as(targets)
        error = (predicted - targets.flip(0)).square().mean()
        return {"loss": error, "prediction": error}
