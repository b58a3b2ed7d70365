"""Training the robust encoder: a second encoder that gives the latents of the first under other looks as well.

The trained encoder is the teacher. The student sees frames under random looks and learns to give the teacher's latents
of the frames as they were, so that predictor, contexts and goal heads, which know the teacher's latents, serve it too.
With most of them it gets a reference: the same scene with the robot elsewhere, or without it, as an episode shows it.
"""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from worldmodel.data.frames import DiskFrames
from worldmodel.data.store import DataSet, EpisodeIndex
from worldmodel.data.truth import latent_variables
from worldmodel.learning.composites import CLEAN, Composites, median_background
from worldmodel.learning.loop import Stage, Trainer
from worldmodel.learning.sources import spread_rows
from worldmodel.measures.identifiability import affine_apply, affine_fit, scores
from worldmodel.measures.statistics import conformal_bound, mean_known
from worldmodel.models.encoders import Encoder
from worldmodel.models.world_model import WorldModel
from worldmodel.runs import RobustEncoderResult
from worldmodel.settings import DistillationConfig, EncoderConfig, EncoderName, OptimConfig
from worldmodel.settings.training import ROBUST_KIND
from worldmodel.system.errors import UserError

SIZES = (64, 32)
"""Sides of the frames that the robust encoder sees: the first that divides the frame's side and is a multiple of the
encoder's input size; if there is none, the encoder's input size."""
_CHANNELS = [16, 32, 64]
_BATCH_SIZE, _LEARNING_RATE = 64, 2e-3
_CHUNK = 500
_VALIDATION_FRAMES = 1500
_USUAL = 0.99
"""Share of clean frames on which the two encoders are to count as agreeing; sets the threshold."""
_MOST_PASSES = 40
"""Most passes over the training frames."""
_ALONE, _ELSEWHERE, _EMPTY = 0.25, 0.15, 0.25
"""Shares of views without a reference and with one of another scene; share of references without the robot."""
_SMALL = 0.005
"""Share of the pixels below which what moves is small, and is shown without looks first."""
_ALL_LOOKS = 0.5
"""Share of that training from which on looks are as frequent as for larger bodies."""
_NEAR = 8
"""In half of the pairs, the two frames are at most so many rows apart among the frames that the student learns from."""

MOST_ERROR = 0.05
"""Largest error on clean frames, as a share of the latents' variance, with which the robust encoder is used."""
MOST_R2_LOST = 0.02
"""Largest loss of R2 of the true positions with which it is used."""


def robust_encoder_config(encoder: EncoderConfig, image_size: int) -> EncoderConfig:
    """The robust encoder beside an encoder, for frames of `image_size` pixels a side.

    Raises:
        UserError: frames are of an odd size.
    """
    own = encoder.input_size
    size = next((side for side in SIZES if image_size % side == 0 and side % own == 0), own)
    halvings = next((n for n in (3, 2, 1) if size % 2**n == 0 and size // 2**n >= 4), None)
    if halvings is None:
        raise UserError(f"robust=true needs frames of an even number of at least 8 pixels a side, got {size}")
    return EncoderConfig(ROBUST_KIND, size, encoder.latent_dim, 256, channels=_CHANNELS[-halvings:])


def train_robust_encoder(
    model: WorldModel, trainer: Trainer, data: DataSet, config: DistillationConfig, seed: int
) -> tuple[float, RobustEncoderResult]:
    """Train the robust encoder; the model uses it if it is as good as the encoder on clean frames.

    Returns:
        The seconds of training, and how the two encoders compare.
    """
    assert model.robust_encoder is not None
    seen = looks_data(model, data, config)
    if "looks" not in trainer.stages_done:
        model.robust_encoder.fit_normalization(seen.frames[:4096])
    seconds = trainer.fit(looks_stage(model.robust_encoder, seen, config, seed))
    found = judge_robust_encoder(model, data, seen, config, seed)
    sees_by: EncoderName = "both" if found.used else "encoder"
    model.config = dataclasses.replace(model.config, sees_by=sees_by, agreement=found.agreement)
    return seconds, found


@dataclass(frozen=True)
class LooksData:
    """Training data of the robust encoder."""

    frames: Tensor
    """uint8 (n, 3, S, S)."""
    latents: Tensor
    """The encoder's, (n, D)."""
    background: Tensor
    """The static background, float32 (3, S, S)."""


def looks_data(model: WorldModel, data: DataSet, config: DistillationConfig) -> LooksData:
    """Training frames at the robust encoder's size, with the latents of the encoder."""
    frames = _frames(model, data, data.split("train"), config.frames)
    return LooksData(frames, _latents(model.encoder, frames), median_background(frames[:: max(1, len(frames) // 2000)]))


def looks_stage(student: Encoder, data: LooksData, config: DistillationConfig, seed: int) -> Stage:
    """The stage that trains the robust encoder, by the squared error of its latents in units of their deviation."""
    composites = Composites(data.background, config.kinds, seed)
    deviation = data.latents.std(0).clamp_min(1e-6)
    num = len(data.frames)
    is_small = _moving_share(data.frames[:: max(1, num // 2000)], data.background) < _SMALL
    steps = min(config.optim.steps, max(1, _MOST_PASSES * num // _BATCH_SIZE))

    def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        half = _BATCH_SIZE // 2
        first, far = torch.randint(num, (2, half), generator=generator)
        near = (first + torch.randint(-_NEAR, _NEAR + 1, (half,), generator=generator)).clamp(0, num - 1)
        second = torch.where(torch.rand(half, generator=generator) < 0.5, near, far)
        empty = torch.rand(half, generator=generator) < _EMPTY
        others = data.frames[second].float()
        others[empty] = data.background
        clean = _clean_share(progress) if is_small else CLEAN
        one, other = composites.of_scenes([data.frames[first].float(), others], generator, clean)
        views, references = torch.cat([one, other]), torch.cat([other, one])
        chance = torch.rand(len(views), 1, 1, 1, generator=generator).to(views.device)
        references = torch.where(chance < _ALONE + _ELSEWHERE, references.roll(1, 0), references)
        references = torch.where(chance < _ALONE, views, references)
        rows, shows = torch.cat([first, second]), torch.cat([torch.ones_like(empty), ~empty])
        latents = student.see(views[shows], references[shows]).float()
        return {"loss": ((latents - data.latents[rows[shows]]) / deviation).square().mean()}

    return Stage("looks", student, loss, OptimConfig(steps, _BATCH_SIZE, _LEARNING_RATE))


def _clean_share(progress: float) -> float:
    """Share of scenes as they are, after a share `progress` of the training on a small body.

    All of them at first: from these it is soon learned where two pixels are, and never among looks, which show so much
    else that is as large and as bright.
    """
    return max(CLEAN, 1 - (1 - CLEAN) * progress / _ALL_LOOKS)


def _moving_share(frames: Tensor, background: Tensor) -> float:
    """Share of the pixels of frames (n, 3, S, S) that differ from the background, (3, S, S)."""
    return float(((frames.float() - background).abs().amax(1) > 8).float().mean())


def judge_robust_encoder(
    model: WorldModel, data: DataSet, trained_on: LooksData, config: DistillationConfig, seed: int
) -> RobustEncoderResult:
    """Compare the two encoders on validation frames: as they are, and under the looks of training."""
    assert model.robust_encoder is not None
    rows = spread_rows(data.split("validation"), _VALIDATION_FRAMES)
    frames = _frames(model, data, data.split("validation"), _VALIDATION_FRAMES)
    latents, read = _latents(model.encoder, frames), _latents(model.robust_encoder, frames)
    in_episode = _latents(model.robust_encoder, frames, frames.roll(len(frames) // 2, 0))
    generator = torch.Generator().manual_seed(seed)
    views = Composites(trained_on.background, config.kinds, seed + 1)(frames, generator).round().to(torch.uint8)
    shown = _latents(model.robust_encoder, views)
    apart = (in_episode - latents).square().mean(1)[:, None].double().cpu().numpy()  # control gives a reference, too
    deviation = trained_on.latents.std(0).clamp_min(1e-6)
    error, error_shown = (float(((of - latents) / deviation).square().mean()) for of in (read, shown))
    r2 = r2_encoder = None
    if data.state_names:  # a recording from elsewhere may hold frames and actions only
        truth = latent_variables(data).values[rows.numpy()]
        weights = affine_fit(latents.double().cpu().numpy(), truth)
        r2, r2_encoder = (
            mean_known(scores(truth, affine_apply(weights, of.double().cpu().numpy()))) for of in (read, latents)
        )
    keeps_state = r2 is None or r2_encoder is None or r2 >= r2_encoder - MOST_R2_LOST
    return RobustEncoderResult(
        encoder=f"{model.robust_encoder.config.kind} {frames.shape[-1]}x{frames.shape[-1]}",
        error=error,
        error_under_looks=error_shown,
        r2=r2,
        r2_encoder=r2_encoder,
        moving_share=_moving_share(frames, trained_on.background),
        agreement=float(conformal_bound(apart, _USUAL)[0]),
        used=error <= MOST_ERROR and keeps_state,
    )


def _frames(model: WorldModel, data: DataSet, episodes: EpisodeIndex, most: int) -> Tensor:
    """At most so many frames of the episodes, at the robust encoder's size."""
    assert model.robust_encoder is not None
    source = DiskFrames(data, model.robust_encoder.config.input_size, model.device)
    return torch.cat([source.gather(rows) for rows in spread_rows(episodes, most).split(_CHUNK)]).contiguous()


@torch.no_grad()
def _latents(encoder: Encoder, frames: Tensor, reference: Tensor | None = None) -> Tensor:
    encoder.eval()
    others = frames if reference is None else reference
    return torch.cat([encoder(*parts) for parts in zip(frames.split(_CHUNK), others.split(_CHUNK), strict=True)])
