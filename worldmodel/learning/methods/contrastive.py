"""InfoNCE: recognise the partner among the batch."""

from torch import Tensor, nn

from worldmodel.learning.losses import infonce
from worldmodel.learning.methods.views import Views
from worldmodel.settings import InfoNCEConfig


class InfoNCE(nn.Module):
    """InfoNCE of positive pairs, in both directions."""

    def __init__(self, config: InfoNCEConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, views: Views) -> dict[str, Tensor]:
        first, second = views.latents
        loss = infonce(first, second, self.config.similarity, self.config.temperature)
        return {"loss": loss, "infonce": loss}
