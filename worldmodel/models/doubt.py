"""How much frames differ from those that a model was trained on, measured by the model alone."""

from dataclasses import dataclass

import torch
from torch import Tensor

from worldmodel.models.world_model import WorldModel


@dataclass(frozen=True)
class Unlikeness:
    """Two errors of n frames: both are small for frames like those of training."""

    picture: Tensor
    """Mean squared difference between a frame and its latent's decoded picture, in grey levels squared, float32 (n,).
    High where the frame shows something that the latent does not hold."""
    reading: Tensor
    """Mean squared difference between the latent and the one that the encoder reads from that picture, float32 (n,).
    High where the latent is unlike any of training: nothing that is planned from it can be relied on."""


@torch.no_grad()
def unlikeness(model: WorldModel, frames: Tensor) -> Unlikeness:
    """How much frames, uint8 (n, 3, S, S), differ from those of training; S is the side of frames in the world.

    Raises:
        CheckpointError: the model has no decoder.
    """
    latents = model.embed(frames)
    pictures = model.decode(latents).movedim(-1, -3).contiguous()
    difference = pictures.float() - frames.to(pictures.device).float()
    again = model.embed(pictures)
    return Unlikeness(difference.square().mean((1, 2, 3)), (again - latents).square().mean(1))
