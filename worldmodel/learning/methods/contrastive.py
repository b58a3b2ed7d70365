"""InfoNCE: recognise the partner among the batch."""

from dataclasses import dataclass

from torch import Tensor, nn

from worldmodel.learning.losses import SIMILARITIES, infonce
from worldmodel.learning.methods.views import Views
from worldmodel.system.errors import UserError


@dataclass
class InfoNCEConfig:
    """InfoNCE. similarity: "gaussian" (minus squared distance) or "cosine"; temperature: what it is divided by."""

    similarity: str = "gaussian"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.similarity not in SIMILARITIES:
            raise UserError(f"method.infonce.similarity is one of {', '.join(SIMILARITIES)}, got {self.similarity!r}")
        if not self.temperature > 0:
            raise UserError(f"method.infonce.temperature must be > 0, got {self.temperature}")


class InfoNCE(nn.Module):
    """InfoNCE of positive pairs, in both directions."""

    def __init__(self, config: InfoNCEConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, views: Views) -> dict[str, Tensor]:
        first, second = views.latents
        loss = infonce(first, second, self.config.similarity, self.config.temperature)
        return {"loss": loss, "infonce": loss}
