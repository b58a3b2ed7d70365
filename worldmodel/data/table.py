"""A data set whose frames have been encoded."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LatentTable:
    """All rows of a data set, as the dynamics model reads them."""

    latents: Tensor
    """Latent of every frame, float32 (rows, D)."""

    actions: Tensor
    """Action taken after it, float32 (rows, A); 0 in the last row of an episode."""
