"""Many trainings at once: networks of one shape run as one batched network, which fills a GPU that one of them idles.

A small network's step is hundreds of kernels of a few microseconds each, whose cost is that of launching them. E
networks side by side cost hardly more, and each is trained as if alone: parameters, batches, normalisation, clipping
and AdamW are each network's own.

Letters: E networks, V views, B states, D latents, M slices.
"""

import copy
import hashlib
import shutil
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from benchmarks.reproduce.definitions import Cell
from worldmodel.learning import Stage, Trainer, alignment, epps_pulley, spread_directions
from worldmodel.runs import RunDirectory
from worldmodel.settings import OptimConfig

Draw = Callable[[torch.Generator], Tensor]
LossOfEach = Callable[[Tensor, float, torch.Generator], Tensor]
GRAD_CLIP = 1.0  # as of a training alone
SAVE_EVERY_S = 120.0  # what is saved is as many times larger as there are networks


class SideBySide(nn.Module):
    """Networks of one architecture, their weights stacked: (E, n, …) -> (E, n, D), each by its own network."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        parameters, buffers = stack_module_state(list(networks))
        # a copy that stays as it is, in a list and so no part of this module: every call replaces all its weights
        self._body = [copy.deepcopy(networks[0]).train()]
        self._names = {_key(name): name for name in (*parameters, *buffers)}
        for name, value in parameters.items():
            self.register_parameter(_key(name), nn.Parameter(value.detach()))
        for name, value in buffers.items():
            self.register_buffer(_key(name), value)

    def forward(self, seen: Tensor) -> Tensor:
        def one(weights: dict[str, Tensor], x: Tensor) -> Tensor:
            return functional_call(self._body[0], weights, (x,))

        return torch.vmap(one)(self._weights(), seen)

    def _weights(self) -> dict[str, Tensor]:
        own = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        return {name: own[key] for key, name in self._names.items()}

    def unstack(self, networks: Sequence[nn.Module]) -> None:
        """Give every network its weights back, ready for use."""
        for index, network in enumerate(networks):
            network.load_state_dict({name: value[index].detach() for name, value in self._weights().items()})
            network.eval()


def _key(name: str) -> str:
    return name.replace(".", "/")  # a dot would say that it belongs to a part


def train_together(
    cells: Sequence[Cell],
    networks: Sequence[nn.Module],
    draw: Draw,
    loss: LossOfEach,
    optim: OptimConfig,
    half_precision: bool = False,
    grad_clip: float = GRAD_CLIP,
) -> float:
    """Train the network of every cell in place, on the device where they are; returns seconds.

    draw: what the networks see, (E, V, B, …). loss: of latents float (E, V, B, D), progress in [0, 1] and a generator
    to (E,). optim: AdamW's settings; the batch size is up to `draw`. half_precision: bfloat16 on CUDA.
    grad_clip: largest norm of a network's gradient.
    A training that was cut off goes on where it was saved, as long as it is of the same cells.
    """
    device = next(networks[0].parameters()).device
    together, own = SideBySide(networks), torch.Generator(device)

    def total(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        own.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        seen = draw(own)
        with torch.autocast(device.type, torch.bfloat16, enabled=half_precision and device.type == "cuda"):
            latents = together(seen.flatten(1, 2)).unflatten(1, seen.shape[1:3])
        return {"loss": loss(latents.float(), progress, own).sum()}

    names = " ".join(cell.folder.name for cell in cells)
    run = RunDirectory(cells[0].folder.with_name(f"together-{hashlib.sha256(names.encode()).hexdigest()[:12]}"))
    stage = Stage(f"{len(cells)} at once", together, total, optim, clip=_clip_each, grad_clip=grad_clip)
    trainer = Trainer(run, together, {stage.name: {"cells": run.path.name}}, cells[0].seed, SAVE_EVERY_S)
    seconds = trainer.fit(stage)
    together.unstack(networks)
    shutil.rmtree(run.path)
    return seconds


def _clip_each(together: nn.Module, most: float) -> None:
    """Bound the norm of every network's gradient."""
    gradients = [value.grad for value in together.parameters() if value.grad is not None]
    norm = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0).sqrt()
    scale = (most / (norm + 1e-6)).clamp_max(1.0)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.ndim - 1)))


def align_each(latents: Tensor) -> Tensor:
    """Alignment of every network's views: (E, V, B, D) -> (E,)."""
    return torch.vmap(alignment)(latents)


def sigreg_each(latents: Tensor, num_slices: int, generator: torch.Generator) -> Tensor:
    """SIGReg of every network's latents, all along the same slices: (E, V, B, D) -> (E,)."""
    flat = latents.flatten(1, 2).float()
    projections = flat @ spread_directions(flat.shape[-1], num_slices, generator, flat.device)
    columns = projections.movedim(1, 0).flatten(1)
    return epps_pulley(columns).view(len(flat), num_slices).mean(1) * flat.shape[1]


class SIGRegWeights:
    """Lambda of every network over training, (E,): geometric from `start` to `end` over the first 70 %, times `unit`,
    each one number a network (compare `SIGRegWeight`)."""

    def __init__(
        self, start: Sequence[float], end: Sequence[float], unit: Sequence[float], device: torch.device
    ) -> None:
        self._log_start, self._log_end = (torch.tensor(values, device=device).log() for values in (start, end))
        self._unit = torch.tensor(unit, device=device)

    def __call__(self, progress: float) -> Tensor:
        ramp = min(1.0, progress / 0.7)
        return self._unit * torch.exp((1 - ramp) * self._log_start + ramp * self._log_end)


def lejepa_each(latents: Tensor, weight: Tensor, num_slices: int, generator: torch.Generator) -> Tensor:
    """(1 - lambda) alignment + lambda SIGReg of every network: latents (E, V, B, D), weight (E,) -> (E,)."""
    return (1 - weight) * align_each(latents) + weight * sigreg_each(latents, num_slices, generator)
