"""Standard JEPA: predict one view's latent from the other's; no term keeps the latents from collapsing."""

from torch import Tensor, nn

from worldmodel.learning.methods.views import Views
from worldmodel.models.layers import mlp
from worldmodel.settings import JEPAConfig


class JEPA(nn.Module):
    """Mean squared error of predicting each view of a pair from the other."""

    def __init__(self, config: JEPAConfig, latent_dim: int) -> None:
        super().__init__()
        self.detach = config.target != "none"
        self.head = mlp(latent_dim, [config.hidden], latent_dim, batch_norm=True)

    def forward(self, views: Views) -> dict[str, Tensor]:
        """Two views -> named scalars."""
        targets = views.targets.detach() if self.detach else views.targets
        predicted = self.head(views.latents.flatten(0, 1)).view_as(targets)
        error = (predicted - targets.flip(0)).square().mean()
        return {"loss": error, "prediction": error}
