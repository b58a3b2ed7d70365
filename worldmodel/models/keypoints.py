"""Keypoints: positions of things in an image, each the mean under the softmax of one feature map."""

import torch
from torch import Tensor, nn


class SpatialSoftmax(nn.Module):
    """Maps (n, K, H, W) to the mean position under the softmax of each: (n, 2 K), all x and then all y, in [-1, 1].

    Keypoints move in proportion to the things in an image, to a fraction of a pixel (arXiv:1504.00702, Section 5.1).
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Feature maps (n, K, H, W) -> keypoints (n, 2 K)."""
        height, width = maps.shape[-2:]
        weight = maps.flatten(2).softmax(-1).unflatten(-1, (height, width))
        across, down = (torch.linspace(-1, 1, size, device=maps.device) for size in (width, height))
        return torch.cat([weight.sum(-2) @ across, weight.sum(-1) @ down], -1)


def keypoint_maps(width: int, num_keypoints: int) -> nn.Sequential:
    """Images (n, 3, S, S) to one feature map a keypoint (n, num_keypoints, S / 2, S / 2), by three convolutions."""
    layers: list[nn.Module] = []
    channels = 3
    for kernel, stride in ((4, 2), (3, 1)):
        layers += [nn.Conv2d(channels, width, kernel, stride, padding=1), nn.BatchNorm2d(width), nn.GELU()]
        channels = width
    return nn.Sequential(*layers, nn.Conv2d(width, num_keypoints, 3, padding=1))
