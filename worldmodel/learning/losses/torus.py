"""SIGReg for angles: how far pairs of latents are from uniform on circles, measured along one-dimensional slices.

The target distribution is (sqrt 2 cos a, sqrt 2 sin a) for every circle, with independent uniform angles a: unit
variance and uncorrelated. Along a direction with parts u_1, u_2, … in the planes of the circles, its characteristic
function is the product of J0(sqrt 2 t |u_i|) with the Bessel function J0.
"""

import math

import torch
from torch import Tensor

from worldmodel.learning.losses.sigreg import NUM_KNOTS, T_MAX, spread_directions


def torus_characteristic(directions: Tensor, knots: Tensor) -> Tensor:
    """Characteristic function of the target along unit directions (D, M), D even, at knots (K,): (K, M)."""
    radius = directions.unflatten(0, (-1, 2)).norm(dim=1)  # (circles, M)
    return torch.special.bessel_j0(math.sqrt(2) * knots[:, None, None] * radius).prod(1)


def torus_sigreg(latents: Tensor, num_slices: int, generator: torch.Generator) -> Tensor:
    """SIGReg with the torus as its target: latents (n, D), two for each circle -> scalar, in the units of `sigreg`.

    Unlike the Gaussian, the torus is not invariant to rotation: at the minimum, each circle has two latents of its own.
    """
    directions = spread_directions(latents.shape[-1], num_slices, generator, latents.device)
    step = T_MAX / (NUM_KNOTS - 1)
    knots = torch.arange(1, NUM_KNOTS, device=latents.device) * step
    phase = knots[:, None, None] * (latents.float() @ directions)
    real_gap = phase.cos().mean(1) - torus_characteristic(directions, knots)
    weight = 2 * step * torch.exp(-0.5 * knots**2)
    weight[-1] /= 2
    statistic = (weight[:, None] * (real_gap.square() + phase.sin().mean(1).square())).sum(0)
    return statistic.mean() * latents.shape[0]
