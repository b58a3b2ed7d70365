"""The interface of a method to the encoder's training, and the one place where the latents of a batch are computed."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from worldmodel.data.frames import Frames
from worldmodel.data.pairs import PairSampler
from worldmodel.learning.loop import Stage
from worldmodel.models.cuda_graphs import Captured, bfloat16_on_gpu
from worldmodel.models.encoders import Encoder
from worldmodel.settings import OptimConfig
from worldmodel.system.distributed import in_parallel

CLOSER_FROM = 0.5
"""Share of training after which pairs are closer, where a method has closer ones."""


@dataclass(frozen=True)
class Views:
    """One batch: V views of each of B states. A loss is a function of it."""

    rows: Tensor
    """Rows of the data set, int64 (V, B)."""
    frames: Tensor
    """Their frames, uint8 (V, B, 3, S, S)."""
    latents: Tensor
    """Their latents by the encoder that learns, float (V, B, D)."""
    targets: Tensor
    """Latents that may be predicted, (V, B, D): those of the target encoder where there is one, else `latents`."""
    progress: float
    """Progress of training, in [0, 1]."""
    generator: torch.Generator
    """Source of the loss's random numbers."""


@dataclass(frozen=True)
class EncoderObjective:
    """How an encoder learns: which rows form a batch, and the loss of their latents."""

    sampler: PairSampler
    """Draws rows (V, B)."""
    loss: nn.Module
    """Maps `Views` to named scalars, "loss" among them. It owns whatever else is learned, such as a decoder."""
    target: "MovingAverage | None" = None
    """Follows the encoder and computes `Views.targets`; None uses the encoder itself."""
    closer: PairSampler | None = None
    """Draws rows in place of `sampler` from progress `CLOSER_FROM` on."""
    drop: float = 0.0
    """Share of the pixels that each frame loses; 0 takes none and draws no random numbers."""

    def sampler_at(self, progress: float) -> PairSampler:
        """The sampler that draws rows at a progress in [0, 1]."""
        return self.closer if self.closer and progress >= CLOSER_FROM else self.sampler


class MovingAverage(nn.Module):
    """A copy of an encoder whose weights follow the original's: w <- momentum w + (1 - momentum) w_original.

    BatchNorm normalises by the batch in both, so that both see the same inputs.
    """

    def __init__(self, encoder: Encoder, momentum: float) -> None:
        super().__init__()
        self.encoder = Encoder(encoder.config).to(encoder.mean.device)
        self.encoder.load_state_dict(encoder.state_dict())
        self.encoder.requires_grad_(False)
        self.momentum = momentum

    @torch.no_grad()
    def follow(self, encoder: Encoder) -> None:
        """Move a step towards the weights of `encoder`."""
        for own, other in zip(self.encoder.parameters(), encoder.parameters(), strict=True):
            own.lerp_(other, 1 - self.momentum)

    @torch.no_grad()
    def forward(self, frames: Tensor) -> Tensor:
        """Frames uint8 (n, 3, S, S) -> latents (n, D), without gradient."""
        return self.encoder(frames)


def encoder_stage(
    objective: EncoderObjective, encoder: Encoder, frames: Frames, optim: OptimConfig, on_collapse: str = "stop"
) -> Stage:
    """The stage that trains `encoder` by an objective. The latents of a batch are computed here and nowhere else.

    Each of several processes computes a share of them and then gets all, so that a loss need not know of processes.
    """
    parts = {"encoder": encoder, "objective": objective.loss.to(encoder.mean.device)}
    if objective.target:
        parts["target"] = objective.target
    module = nn.ModuleDict(parts)
    encode = Captured(encoder)
    mean = _mean_frame(objective.sampler, frames) if objective.drop else None

    def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        rows = objective.sampler_at(progress).sample(optim.batch_size, generator)
        seen = frames.gather(rows.flatten())
        if mean is not None:
            seen = without_some_pixels(seen, objective.drop, mean, generator)
        with bfloat16_on_gpu(encoder.mean.device):
            latents = in_parallel(encoder, encode, seen).view(*rows.shape, -1)
            targets = latents
            if objective.target:
                # at the start of a step, which is the end of the last one: so an interrupted training resumes exactly
                objective.target.follow(encoder)
                targets = in_parallel(objective.target, objective.target, seen).view_as(latents)
        views = Views(rows, seen.view(*rows.shape, *seen.shape[1:]), latents, targets, progress, generator)
        values = cast(dict[str, Tensor], objective.loss(views))
        return {**values, "latents": latents.flatten(0, 1)}

    return Stage("encoder", module, loss, optim, on_collapse, kept_as="encoder")


def _mean_frame(sampler: PairSampler, frames: Frames) -> Tensor:
    """The mean of some training frames, uint8 (3, S, S)."""
    rows = sampler.sample(256, torch.Generator().manual_seed(0))
    return frames.gather(rows.flatten()).float().mean(0).round().to(torch.uint8)


def without_some_pixels(frames: Tensor, share: float, mean: Tensor, generator: torch.Generator) -> Tensor:
    """Frames uint8 (n, 3, S, S), each with a share of its pixels, drawn anew, as the mean frame (3, S, S) has them."""
    lost = torch.rand(len(frames), 1, *frames.shape[-2:], generator=generator) < share
    return torch.where(lost.to(frames.device), mean, frames)
