"""InfoNCE: recognise the partner of a view among the rows of the batch."""

from torch import Tensor, nn

from worldmodel.learning.losses import infonce
from worldmodel.learning.methods.views import Views
from worldmodel.settings import InfoNCEConfig


class InfoNCE(nn.Module):
    """InfoNCE (arXiv:1807.03748) of positive pairs, averaged over both directions."""

    def __init__(self, config: InfoNCEConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, views: Views) -> dict[str, Tensor]:
        """Two views -> named scalars."""
        first, second = views.latents
        loss = infonce(first, second, self.config.similarity, self.config.temperature)
        return {"loss": loss, "infonce": loss}
