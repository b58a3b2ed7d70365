"""The glimpse: an encoder body that finds one thing in the image and reads the pixels around it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, grid_sample

from worldmodel.models.keypoints import SpatialSoftmax, keypoint_maps
from worldmodel.models.layers import mlp
from worldmodel.settings import EncoderConfig


@dataclass(frozen=True)
class LocationLatents:
    """The first latents of an encoder, where they are the image position of one thing that the others depend on.

    A method whose objective is a sum over all latents is indifferent to which of them holds the slowest variable.
    Where the location follows something else, the pixels around it are of no use. So a method that aligns two views
    also counts the mean distance between their locations, see `losses.stillness`.
    """

    count: int
    """How many latents they are: x and y."""
    weight: float
    """Weight of their mean distance, beside the mean squared distance of all latents."""


class Glimpse(nn.Module):
    """Where one thing is, and what is there. Latents (n, D): location (2), then keypoints and glimpse (half each).

    The location itself, scaled, is a pair of latents, so that alignment makes it follow the slowest thing in the image.
    The glimpse is the pixels around it. Which way a thing points is close to linear in these pixels and in nothing
    else: from whole frames, functions of positions fill the latents before a direction is found. No gradient passes
    through where the glimpse is taken (arXiv:1406.6247 learns that by reinforcement; here the location latents do).
    """

    SHARPNESS = 3.0
    """Factor on all maps: those of a fresh network are flat, and the softmax of a flat map is in the middle of the
    image wherever things are."""
    SALIENCE = 5.0
    """Logits by which the first map starts on what differs most from the rest of the image. A head start: where the MLP
    of all keypoints is the first to follow that thing, independent latents leave nothing for the location to follow."""
    LOCATION = LocationLatents(count=2, weight=0.02)
    """On push_t's pairs 15 steps apart the weight is worth 3.4 times a latent's alignment. That read a block's angle
    with R2 .82, and 25 times with .60; without it, chance decides what the location follows."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.size = config.glimpse_size
        # one module, since saved weights have it under this name; the location's map comes before the keypoints'
        self.maps = keypoint_maps(config.num_keypoints, 1 + config.num_keypoints)
        self.softmax = SpatialSoftmax()
        self.place_norm = nn.BatchNorm1d(self.LOCATION.count, affine=False)
        others = config.num_latents - self.LOCATION.count
        of_keypoints = others // 2
        hidden = [config.hidden] * (config.depth - 1)
        self.places_head = mlp(2 * (1 + config.num_keypoints), hidden, of_keypoints, batch_norm=True)
        self.glimpse_head = mlp(3 * self.size**2, hidden, others - of_keypoints, batch_norm=True)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (n, 3, S, S) -> latents (n, D)."""
        positions = self.find(images)
        location = positions.unflatten(-1, (2, -1))[..., 0]
        glimpse = self.look(images, location.detach())
        of_keypoints, of_glimpse = self.places_head(positions), self.glimpse_head(glimpse.flatten(1))
        return torch.cat([self.place_norm(location), of_keypoints, of_glimpse], -1)

    def find(self, images: Tensor) -> Tensor:
        """Location and K keypoints in normalised images (n, 3, S, S): (n, 2 (1 + K)), all x and then all y."""
        difference = (images - images.mean((2, 3), keepdim=True)).square().sum(1, keepdim=True)
        salience = avg_pool2d(difference, 2)
        salience = salience / salience.amax((2, 3), keepdim=True).clamp_min(1e-6)
        first, others = (self.SHARPNESS * self.maps(images)).tensor_split([1], 1)
        return self.softmax(torch.cat([first + self.SALIENCE * salience, others], 1))

    def look(self, images: Tensor, location: Tensor) -> Tensor:
        """The pixels around locations (n, 2) in [-1, 1]: (n, 3, size, size), interpolated, zero beyond the edge."""
        side = images.shape[-1]
        steps = (torch.arange(self.size, device=images.device) - (self.size - 1) / 2) * (2 / side)
        down, across = torch.meshgrid(steps, steps, indexing="ij")
        # -1 is the middle of a map's first cell, which is two pixels wide, but the outer edge of an image
        centre = location * (1 - 2 / side)
        return grid_sample(images, torch.stack([across, down], -1) + centre[:, None, None], align_corners=False)
