"""Many trainings at once: networks of one shape run as one batched network, which fills a GPU that one of them idles.

A small network's step is hundreds of kernels of a few microseconds each, and costs what launching them costs. E
networks side by side cost hardly more, and none of them notices: parameters, batches, normalisation, clipping and
AdamW are each network's own.

Letters: E networks, V views, B states, D latents, M slices.
"""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from worldmodel.losses import alignment, epps_pulley, spread_directions
from worldmodel.progress import progress
from worldmodel.training import OptimConfig, one_cycle

Draw = Callable[[torch.Generator], Tensor]
LossOfEach = Callable[[Tensor, float, torch.Generator], Tensor]


def train_together(
    networks: Sequence[nn.Module],
    draw: Draw,
    loss: LossOfEach,
    optim: OptimConfig,
    seed: int,
    label: str,
    half_precision: bool = False,
) -> None:
    """Train every network in place, on the device where they are.

    draw: what the networks see, (E, V, B, …). loss: of latents float (E, V, B, D), progress in [0, 1] and a generator
    to (E,). optim: AdamW's settings; the batch size is up to `draw`. half_precision: bfloat16 on CUDA.
    """
    device = next(networks[0].parameters()).device
    kind = device.type
    # a copy that stays as it is: every call replaces all its weights
    body = copy.deepcopy(networks[0]).train()
    parameters, buffers = stack_module_state(list(networks))

    def forward(own: dict[str, Tensor], kept: dict[str, Tensor], seen: Tensor) -> Tensor:
        return functional_call(body, (own, kept), (seen,))

    optimizer = torch.optim.AdamW(parameters.values(), optim.lr, weight_decay=optim.weight_decay, fused=True)
    generator = torch.Generator(device).manual_seed(seed)
    for step in progress(range(optim.steps), desc=f"{label}: {len(networks)} trainings at once", unit="step"):
        for group in optimizer.param_groups:
            group["lr"] = optim.lr * one_cycle(step / optim.steps)
        seen = draw(generator)
        with torch.autocast(kind, torch.bfloat16, enabled=half_precision and kind == "cuda"):
            latents = torch.vmap(forward)(parameters, buffers, seen.flatten(1, 2)).unflatten(1, seen.shape[1:3])
        losses = loss(latents.float(), step / optim.steps, generator)
        optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        _clip_each([value.grad for value in parameters.values() if value.grad is not None], optim.grad_clip)
        optimizer.step()
    for index, network in enumerate(networks):
        network.load_state_dict({name: value[index].detach() for name, value in {**parameters, **buffers}.items()})
        network.eval()


def _clip_each(gradients: Sequence[Tensor], most: float) -> None:
    """Bound the norm of every network's gradient, each (E, …)."""
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
