"""SIGReg's torus target: its characteristic function, and that nothing but the torus is at its minimum."""

import math

import pytest
import torch

from worldmodel.learning.losses import torus_sigreg
from worldmodel.learning.losses.torus import torus_characteristic

pytestmark = pytest.mark.numerics


def on_torus(num, circles, seed=0):
    angles = 2 * math.pi * torch.rand(num, circles, generator=torch.Generator().manual_seed(seed))
    return math.sqrt(2) * torch.stack([angles.cos(), angles.sin()], -1).flatten(1)


def test_characteristic_function_is_the_empirical_one():
    samples = on_torus(60_000, 2)
    directions = torch.nn.functional.normalize(torch.randn(4, 5, generator=torch.Generator().manual_seed(1)), dim=0)
    knots = torch.tensor([0.3, 1.0, 2.2])
    phase = knots[:, None, None] * (samples @ directions)
    torch.testing.assert_close(phase.cos().mean(1), torus_characteristic(directions, knots), atol=0.014, rtol=0)


def statistic(latents):
    return float(torus_sigreg(latents, 64, torch.Generator().manual_seed(3)))


def test_the_torus_is_the_minimum():
    num = 4000
    torus = statistic(on_torus(num, 2))
    assert torus < 2.0  # of order 1 whatever n is, as for the Gaussian
    gaussian = torch.randn(num, 4, generator=torch.Generator().manual_seed(2))
    assert statistic(gaussian) > 10 * torus
    assert statistic(on_torus(num, 2)[:, [0, 2, 1, 3]]) > 5 * torus  # circles torn apart: the axes count
    assert statistic(torch.cat([on_torus(num, 1), on_torus(num, 1)], 1)) > 10 * torus  # dependent circles


def test_gradient_is_that_of_finite_differences():
    latents = on_torus(6, 2).double()
    latents.requires_grad_()

    def loss(x):
        return torus_sigreg(x, 3, torch.Generator().manual_seed(0))

    (gradient,) = torch.autograd.grad(loss(latents), latents)
    step = 1e-3
    shift = torch.zeros_like(latents)
    shift[2, 1] = step
    slope = (loss(latents.detach() + shift) - loss(latents.detach() - shift)) / (2 * step)
    torch.testing.assert_close(gradient[2, 1].float(), slope.float(), atol=2e-3, rtol=0.02)
