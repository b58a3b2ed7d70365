"""SIGReg: how far a batch of latents is from N(0, I), measured along one-dimensional projections (slices).

Along a unit direction the projections of a standard Gaussian have the characteristic function exp(-t^2/2). The
Epps-Pulley statistic integrates the squared gap between that and the empirical one over t in [0, 3], with the weight
exp(-t^2/2) (LeJEPA, arXiv:2511.08544; the discretisation of arXiv:2605.26379: 17 knots, trapezoid rule).

The knots are equally spaced, so cos and sin at knot k+1 follow from knot k by angle addition: two transcendental
evaluations serve all 17 knots. The gradient has a closed form and is accumulated in the same sweep.
"""

import math
from typing import Any

import torch
from torch import Tensor

NUM_KNOTS = 17
"""Points at which characteristic functions are compared, t = 0 included."""
T_MAX = 3.0
"""The largest t of these points."""
CACHED_NUMBERS = 131_072
"""Projections in a block on a CPU: few enough for its arrays to stay in the caches."""
DEVICE_NUMBERS = 2**24
"""Projections in a block on other devices; with all knots it takes a gigabyte."""


class _EppsPulley(torch.autograd.Function):
    """Epps-Pulley statistic of every column of x (n, M) -> (M,); its gradient is computed in the forward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # type: ignore[override]
        # on a CPU the sweep reads its arrays 17 times, so blocks must fit into the caches
        on_cpu = x.device.type == "cpu"
        sweep, most = (_sweep, CACHED_NUMBERS) if on_cpu else (_all_knots_at_once, DEVICE_NUMBERS)
        swept = [sweep(block) for block in x.split(max(1, most // len(x)), 1)]
        ctx.save_for_backward(torch.cat([gradient for _, gradient in swept], 1))
        return torch.cat([statistic for statistic, _ in swept])

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:  # type: ignore[override]
        (gradient,) = ctx.saved_tensors
        return gradient * upstream


def _sweep(x: Tensor) -> tuple[Tensor, Tensor]:
    """Statistic (M,) of every column of x (n, M), and its gradient (n, M), knot after knot."""
    num, dt = x.shape[0], T_MAX / (NUM_KNOTS - 1)
    cos_step, sin_step = torch.cos(x * dt), torch.sin(x * dt)
    cos, sin = cos_step, sin_step
    statistic = torch.zeros_like(x[0])
    gradient = torch.zeros_like(x)
    for knot in range(1, NUM_KNOTS):  # at t = 0 both characteristic functions are 1
        t = knot * dt
        gaussian = math.exp(-0.5 * t * t)
        weight = gaussian * (dt if knot == NUM_KNOTS - 1 else 2 * dt)
        real_gap, imaginary_gap = cos.mean(0) - gaussian, sin.mean(0)
        statistic += weight * (real_gap.square() + imaginary_gap.square())
        gradient += (2 * weight * t / num) * (imaginary_gap * cos - real_gap * sin)
        cos, sin = cos * cos_step - sin * sin_step, sin * cos_step + cos * sin_step
    return statistic, gradient


def _all_knots_at_once(x: Tensor) -> tuple[Tensor, Tensor]:
    """As `_sweep`, in a dozen kernels instead of two hundred: on a GPU, launching them takes most of the time."""
    dt = T_MAX / (NUM_KNOTS - 1)
    t = dt * torch.arange(1, NUM_KNOTS, device=x.device, dtype=x.dtype).view(-1, 1, 1)
    gaussian = torch.exp(-0.5 * t * t)
    weight = gaussian * 2 * dt
    weight[-1] /= 2
    cos, sin = torch.cos(t * x), torch.sin(t * x)
    real_gap, imaginary_gap = cos.mean(1, keepdim=True) - gaussian, sin.mean(1, keepdim=True)
    statistic = (weight * (real_gap.square() + imaginary_gap.square())).sum((0, 1))
    gradient = (2 * weight * t / len(x) * (imaginary_gap * cos - real_gap * sin)).sum(0)
    return statistic, gradient


def epps_pulley(projections: Tensor) -> Tensor:
    """Epps-Pulley distance of each column to N(0, 1): float (n, M) -> (M,); 0 for a perfect Gaussian."""
    return _EppsPulley.apply(projections)  # type: ignore[return-value]


def spread_directions(dim: int, num_slices: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Random unit directions (dim, num_slices), each uniform on the sphere, together evenly spread.

    In the plane they are equally spaced on the half circle, turned by one random angle; in more dimensions they are
    columns of orthonormal frames. A fraction of the number of independent directions gives the same accuracy.
    """
    if dim == 2:
        turn = torch.rand(1, generator=generator, device=generator.device)
        angle = (torch.arange(num_slices, device=generator.device) + turn) * (math.pi / num_slices)
        return torch.stack([angle.cos(), angle.sin()]).to(device)
    num_frames = -(-num_slices // dim)
    gaussian = torch.randn(num_frames, dim, min(dim, num_slices), generator=generator, device=generator.device)
    frames, _ = torch.linalg.qr(gaussian)
    return frames.permute(1, 0, 2).reshape(dim, -1)[:, :num_slices].to(device)


def sigreg(latents: Tensor, num_slices: int, generator: torch.Generator) -> Tensor:
    """SIGReg of a batch of latents (n, D) -> scalar: n times the mean Epps-Pulley distance over random slices."""
    directions = spread_directions(latents.shape[-1], num_slices, generator, latents.device)
    return epps_pulley(latents.float() @ directions).mean() * latents.shape[0]
