"""SIGReg for angles: how far pairs of latents are from uniform on circles, measured along one-dimensional slices.

The target is (sqrt 2 cos a, sqrt 2 sin a) for every circle, angles a independent and uniform: unit variance,
uncorrelated, and as far from Gaussian as a circle is from a line. Along a direction with parts u_1, u_2, … in the
planes of the circles its characteristic function is the product of J0(sqrt 2 t |u_i|), J0 the Bessel function.
"""

import math

import torch
from torch import Tensor

from worldmodel.learning.losses.sigreg import NUM_KNOTS, T_MAX, spread_directions


def torus_characteristic(directions: Tensor, knots: Tensor) -> Tensor:
    """Characteristic function of the target along unit directions (D, M) at knots (K,): (K, M). D is even."""
    radius = directions.unflatten(0, (-1, 2)).norm(dim=1)  # (circles, M)
    return torch.special.bessel_j0(math.sqrt(2) * knots[:, None, None] * radius).prod(1)


def torus_sigreg(latents: Tensor, num_slices: int, generator: torch.Generator) -> Tensor:
    """SIGReg with the torus as its target: latents (n, D), two for each circle -> scalar, as `sigreg` counts it.

    Unlike the Gaussian the torus is not round, so its minimum also says which two latents belong to one circle.
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
