"""What every method's loss sees, the recipe a method is, and the one place where a batch's latents are made."""

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

# share of training from which pairs are closer, where a recipe has closer ones
CLOSER_FROM = 0.5


@dataclass(frozen=True)
class Views:
    """One batch: V views of each of B things.

    rows: int64 (V, B), which rows of the data set they are. frames: uint8 (V, B, 3, S, S). latents: float (V, B, D), of
    the encoder that learns. targets: (V, B, D), what may be predicted: latents of the target encoder where the method
    has one, else `latents` themselves. progress: of training, in [0, 1]. generator: all randomness of the loss.
    """

    rows: Tensor
    frames: Tensor
    latents: Tensor
    targets: Tensor
    progress: float
    generator: torch.Generator


@dataclass(frozen=True)
class Recipe:
    """A method: which rows are looked at together, and what their latents should be like.

    sampler: draws rows (V, B). objective: a module from `Views` to named scalars, "loss" among them; what it learns
    besides the encoder (a predictor head, a decoder) is its own. target: follows the encoder, and makes `targets`.
    closer: draws rows in place of `sampler` from `CLOSER_FROM` on.
    """

    sampler: PairSampler
    objective: nn.Module
    target: "MovingAverage | None" = None
    closer: PairSampler | None = None

    def sampler_at(self, progress: float) -> PairSampler:
        return self.closer if self.closer and progress >= CLOSER_FROM else self.sampler


class MovingAverage(nn.Module):
    """A copy of an encoder whose weights follow the original's: w <- momentum w + (1 - momentum) w_original.

    BatchNorm normalises with the batch in both, so that the copy sees what the original sees.
    """

    def __init__(self, encoder: Encoder, momentum: float) -> None:
        super().__init__()
        self.encoder = Encoder(encoder.config).to(encoder.mean.device)
        self.encoder.load_state_dict(encoder.state_dict())
        self.encoder.requires_grad_(False)
        self.momentum = momentum

    @torch.no_grad()
    def follow(self, encoder: Encoder) -> None:
        for own, other in zip(self.encoder.parameters(), encoder.parameters(), strict=True):
            own.lerp_(other, 1 - self.momentum)

    @torch.no_grad()
    def forward(self, frames: Tensor) -> Tensor:
        return self.encoder(frames)


def encoder_stage(
    recipe: Recipe, encoder: Encoder, frames: Frames, optim: OptimConfig, on_collapse: str = "stop"
) -> Stage:
    """Train `encoder` by a recipe. The latents of a batch, targets included, are made here and nowhere else.

    Several processes make them in shares, and every one has them all: the objective knows nothing of it.
    """
    parts = {"encoder": encoder, "objective": recipe.objective.to(encoder.mean.device)}
    if recipe.target:
        parts["target"] = recipe.target
    module = nn.ModuleDict(parts)
    encode = Captured(encoder)

    def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        rows = recipe.sampler_at(progress).sample(optim.batch_size, generator)
        seen = frames.gather(rows.flatten())
        with bfloat16_on_gpu(encoder.mean.device):
            latents = in_parallel(encode, seen).view(*rows.shape, -1)
            targets = latents
            if recipe.target:
                # before the step, which is after the last one: an interrupted training resumes to the bit
                recipe.target.follow(encoder)
                targets = in_parallel(recipe.target, seen).view_as(latents)
        views = Views(rows, seen.view(*rows.shape, *seen.shape[1:]), latents, targets, progress, generator)
        values = cast(dict[str, Tensor], recipe.objective(views))
        return {**values, "latents": latents.flatten(0, 1)}

    return Stage("encoder", module, loss, optim, on_collapse)
