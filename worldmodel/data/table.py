"""A data set as dynamics see it: latents instead of frames."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LatentTable:
    """All rows of a data set as the dynamics see them: latents (rows, D), actions (rows, A; 0 in last rows)."""

    latents: Tensor
    actions: Tensor
