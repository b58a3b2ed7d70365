"""Training the decoder on frozen latents, and measuring how well its frames show the world."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worldmodel import figures
from worldmodel.data.frames import DiskFrames
from worldmodel.data.truth import latent_variables
from worldmodel.learning.dynamics import encode_rows
from worldmodel.learning.loop import Stage
from worldmodel.learning.sources import Source, spread_rows
from worldmodel.measures.identifiability import affine_apply, affine_fit, scores
from worldmodel.measures.pictures import psnr, ssim
from worldmodel.models import WorldModel
from worldmodel.models.decoder import Decoder
from worldmodel.models.encoders import Encoder
from worldmodel.runs import DecodingResult, PictureQuality, RunDirectory
from worldmodel.settings import OptimConfig
from worldmodel.system.distributed import in_parallel

_LARGEST_SAMPLE = 20_000
"""Most training frames that a decoder learns from."""
_MOST_PASSES = 40
"""Most passes over these frames."""
_LEARNING_RATE = 4e-3
_NUM_FITTED = 2048
"""Frames from which mean and scale of frames are computed."""
_NUM_JUDGED = 1000
"""Held-out frames that are compared with decoded ones."""
_NUM_SHOWN = 8


@dataclass(frozen=True)
class Pictures:
    """A decoder's examples: latents, and the frames that they encode."""

    latents: Tensor
    """float32 (n, D)."""
    rows: Tensor
    """Row of each in the data set, int64 (n,)."""
    frames: DiskFrames
    """All frames of the data set."""


def training_pictures(encoder: Encoder, decoder: Decoder, source: Source) -> Pictures:
    """Training frames, evenly spread, at the size at which they are decoded."""
    rows = spread_rows(source.train, _LARGEST_SAMPLE)
    frames = DiskFrames(source.data, decoder.side, encoder.mean.device)
    return Pictures(encode_rows(encoder, source.frames, rows), rows, frames)


def fit_normalization(decoder: Decoder, pictures: Pictures) -> None:
    """Set the units of the decoder's latents and frames from training frames."""
    chosen = torch.linspace(0, len(pictures.rows) - 1, min(_NUM_FITTED, len(pictures.rows))).long()
    decoder.fit_normalization(pictures.latents, pictures.frames.gather(pictures.rows[chosen]))


def decoder_stage(decoder: Decoder, pictures: Pictures, num_steps: int, batch_size: int = 64) -> Stage:
    """The stage that trains a decoder by the squared error of every pixel, so that it gives the mean of the frames that
    a latent may stand for.

    Args:
        decoder: the decoder, its normalisation fitted.
        pictures: training frames and their latents.
        num_steps: training steps; fewer where frames are few.
        batch_size: frames per step.
    """
    num = len(pictures.rows)
    steps = min(num_steps, max(1, _MOST_PASSES * num // batch_size))

    def errors(latents: Tensor, frames: Tensor) -> Tensor:
        return ((decoder(latents) - frames) / decoder.scale).square().mean((1, 2, 3))

    def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        chosen = torch.randint(num, (batch_size,), generator=generator)
        latents = pictures.latents[chosen.to(pictures.latents.device)]
        frames = pictures.frames.gather(pictures.rows[chosen])
        return {"loss": in_parallel(decoder, errors, latents, frames).mean()}

    return Stage("decoder", decoder, loss, OptimConfig(steps, batch_size, _LEARNING_RATE))


def judge_decoder(model: WorldModel, source: Source, known: Pictures, run: RunDirectory) -> DecodingResult:
    """How much of held-out frames comes back from their latents, beside the training frame of the nearest latent.

    known: the training frames, among which the nearest is looked for.
    """
    assert model.decoder is not None
    size = model.decoder.config.image_size
    frames, rows = DiskFrames(source.data, size, torch.device("cpu")), spread_rows(source.test, _NUM_JUDGED)
    latents = encode_rows(model.encoder, source.frames, rows)
    nearest = known.rows[torch.cdist(latents, known.latents).argmin(1).cpu()]
    truth = frames.gather(rows).movedim(-3, -1)
    shown = {"decoded": model.decode(latents).cpu(), "nearest": frames.gather(nearest).movedim(-3, -1)}
    read = _reader(source, known) if source.data.state_names else None

    def state_r2(pictures: Tensor) -> dict[str, float | None] | None:
        return None if read is None else read(model.embed(pictures.movedim(-1, -3).to(model.device)), rows)

    quality = {
        name: PictureQuality(psnr(truth.numpy(), of.numpy()), ssim(truth.numpy(), of.numpy()), state_r2(of))
        for name, of in shown.items()
    }
    few = np.linspace(0, len(rows) - 1, min(_NUM_SHOWN, len(rows))).astype(int)
    strips = {"camera": truth.numpy()[few], "decoded from its latent": shown["decoded"].numpy()[few]}
    with figures.drawing("decoded.png"):
        figures.filmstrip(run.figures / "decoded.png", strips)
    return DecodingResult(size, len(rows), quality["decoded"], quality["nearest"], state_r2(truth))


Reader = Callable[[Tensor, Tensor], dict[str, float | None]]


def _reader(source: Source, known: Pictures) -> Reader:
    """A function from latents (n, D) and the rows (n,) that they should show to R2 of every state variable.

    It reads by a linear map that is fitted on training frames.
    """
    variables = latent_variables(source.data)
    weights = affine_fit(known.latents.cpu().numpy(), variables.values[known.rows.numpy()])

    def read(latents: Tensor, rows: Tensor) -> dict[str, float | None]:
        found = affine_apply(weights, latents.cpu().numpy())
        return dict(zip(variables.names, scores(variables.values[rows.numpy()], found), strict=True))

    return read
