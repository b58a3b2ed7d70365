"""Encoders of mixed vectors, many at once: the same as `vectors`, batched and on a device.

Letters: E runs, Z latents, V views, B parents of a batch, D learned latents.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.reproduce import synthetic
from benchmarks.reproduce.definitions import Cell
from benchmarks.reproduce.together import SIGRegWeights, align_each, lejepa_each, train_together
from benchmarks.reproduce.vectors import (
    INFONCE_TEMPERATURE,
    Learned,
    VectorRun,
    num_held_out,
    recovery,
    world_and_encoder,
)
from worldmodel.learning import infonce, whitening_penalty
from worldmodel.settings import OptimConfig
from worldmodel.system import pick_device


def shape_of(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """What runs must share to be trained side by side."""
    run = VectorRun(**settings)
    optim = (run.steps, run.batch_size, run.lr, run.weight_decay, run.grad_clip)
    return run.encoder, run.dim, run.num_views, run.num_layers, run.latent_dim, run.num_slices, *optim


def measure_runs(cells: list[Cell]) -> Iterator[dict[str, float]]:
    """As `measure_run` of cells of one shape, trained side by side on the request's device."""
    for learned, cell in zip(learn_together(cells), cells, strict=True):
        yield recovery(learned, cell, num_held_out(learned.run))


def learn_together(cells: list[Cell]) -> list[Learned]:
    """As `learn`, for many cells of one shape."""
    device = pick_device(cells[0].request.device)
    runs = [VectorRun(**cell.settings) for cell in cells]
    worlds, encoders = zip(*(world_and_encoder(run, c.seed) for run, c in zip(runs, cells, strict=True)), strict=True)
    first = runs[0]
    optim = OptimConfig(steps=first.steps, batch_size=first.batch_size, lr=first.lr, weight_decay=first.weight_decay)
    draw = DrawEach(runs, [cell.seed for cell in cells], device)
    networks = [encoder.to(device) for encoder in encoders]
    losses = _LossOfEach(runs, device)
    share_s = train_together(cells, networks, draw, losses, optim, grad_clip=first.grad_clip) / len(runs)
    return [
        Learned(run, world, encoder.cpu(), share_s) for run, world, encoder in zip(runs, worlds, encoders, strict=True)
    ]


class DrawEach:
    """Views of fresh Gaussian latents for every run, mixed on the device: (E, V, B, Z)."""

    def __init__(self, runs: Sequence[VectorRun], seeds: Sequence[int], device: torch.device) -> None:
        self._size = (len(runs), runs[0].num_views, runs[0].batch_size, runs[0].dim)
        self._rho = torch.tensor([run.rho for run in runs], device=device).view(-1, 1, 1, 1)
        self._alpha = [run.alpha for run in runs]
        # indices by mixing; every coupling world has weights of its own
        self._indices = _indices_by([run.mixing for run in runs], device)
        coupled = [
            torch.from_numpy(synthetic.coupling_weights(run.dim, run.num_layers, seed))
            for run, seed in zip(runs, seeds, strict=True)
            if run.mixing == "coupling"
        ]
        self._weights = torch.stack(coupled).to(device) if coupled else None

    def __call__(self, generator: torch.Generator) -> Tensor:
        num, num_views, batch, dim = self._size
        noise = generalised_normal((num, 1 + num_views, batch, dim), self._alpha, generator)
        z = self._rho * noise[:, :1] + (1 - self._rho.square()).sqrt() * noise[:, 1:]
        seen = torch.empty_like(z)
        for name, indices in self._indices.items():
            seen[indices] = mix_each(name, z[indices].flatten(1, 2), self._weights).unflatten(1, (num_views, batch))
        return seen


def generalised_normal(size: tuple[int, ...], alpha: Sequence[float], generator: torch.Generator) -> Tensor:
    """`synthetic.latents` on the generator's device, (E, …), alpha one for each of E."""
    z = torch.randn(size, generator=generator, device=generator.device)
    if all(shape == 2.0 for shape in alpha):
        return z
    root = (1 / torch.tensor(alpha, device=z.device)).view(-1, *[1] * (z.ndim - 1))
    scale = torch.exp(0.5 * (torch.lgamma(root) - torch.lgamma(3 * root)))
    # torch.distributions draws from the global generator only
    gamma = torch._standard_gamma(root.expand(size).contiguous(), generator=generator)  # type: ignore
    return scale * gamma**root * z.sign()


def mix_each(name: str, z: Tensor, weights: Tensor | None) -> Tensor:
    """The mixings of `synthetic` on a device: (E, n, Z) -> (E, n, Z), coupling weights (E, layers, Z / 2, Z / 2)."""
    if name == "coupling":
        assert weights is not None
        halves = list(z.chunk(2, -1))
        for layer in range(weights.shape[1]):
            moved = 1 - layer % 2
            halves[moved] = halves[moved] + torch.tanh(halves[1 - moved] @ weights[:, layer])
        return torch.cat(halves, -1)
    x, y = z.unbind(-1)
    if name == "banana":
        return torch.stack([x, y + x.square()], -1)
    if name == "sinusoid":
        return torch.stack([x + torch.sin(synthetic.SINUSOID_FREQUENCY * y), y], -1)
    angle = synthetic.SPIRAL_RAD_PER_UNIT * z.norm(dim=-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * x - sin * y, sin * x + cos * y], -1)


class _LossOfEach:
    """Every run's loss of its own latents, (E, V, B, D) -> (E,)."""

    def __init__(self, runs: Sequence[VectorRun], device: torch.device) -> None:
        self._num_slices = runs[0].num_slices
        self._indices = _indices_by([run.loss for run in runs], device)
        gaussian = [run for run in runs if run.loss == "lejepa"]
        self._weights = SIGRegWeights(
            [run.sigreg_start for run in gaussian],
            [run.sigreg_end for run in gaussian],
            [1.0 if run.absolute else 1 - run.pair_rho for run in gaussian],
            device,
        )

    def __call__(self, latents: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        losses = latents.new_zeros(len(latents))
        for name, indices in self._indices.items():
            own = latents[indices]
            if name == "lejepa":
                losses[indices] = lejepa_each(own, self._weights(progress), self._num_slices, generator)
            elif name == "whitening":
                losses[indices] = (align_each(own) + torch.vmap(whitening_penalty)(own.flatten(1, 2))) / 2
            else:
                losses[indices] = torch.vmap(partial(infonce, temperature=INFONCE_TEMPERATURE))(own[:, 0], own[:, 1])
        return losses


def _indices_by(names: Sequence[str], device: torch.device) -> dict[str, Tensor]:
    """Where every name stands."""
    return {
        name: torch.tensor([i for i, other in enumerate(names) if other == name], device=device)
        for name in dict.fromkeys(names)
    }
