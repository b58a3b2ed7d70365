"""What is learned on frozen latents: the dynamics predictor, and the context encoder for physical constants."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from worldmodel.data.frames import Frames
from worldmodel.data.pairs import window_starts
from worldmodel.data.store import EpisodeIndex
from worldmodel.distributed import in_parallel
from worldmodel.errors import UserError
from worldmodel.losses import alignment, sigreg
from worldmodel.models.context import ContextEncoder
from worldmodel.models.encoders import Encoder
from worldmodel.models.predictor import Predictor
from worldmodel.training import OptimConfig, Stage


@dataclass(frozen=True)
class LatentTable:
    """All rows of a data set as the dynamics see them: latents (rows, D), actions (rows, A; 0 in last rows)."""

    latents: Tensor
    actions: Tensor


@torch.no_grad()
def encode_rows(encoder: Encoder, frames: Frames, rows: Tensor, chunk: int = 4096) -> Tensor:
    """Latents (n, D) of the given rows int64 (n,), by the encoder in evaluation mode."""
    encoder.eval()
    return torch.cat([encoder(frames.gather(part)) for part in rows.split(chunk)])


# ---------------------------------------------------------------------------------------------------------------------
# the predictor


def predictor_stage(
    predictor: Predictor, table: LatentTable, episodes: EpisodeIndex, optim: OptimConfig, contexts: "Contexts | None"
) -> Stage:
    """Multi-step rollout loss: mean squared error of all H predicted latents over windows of `episodes`."""
    frames, horizon = predictor.config.num_context_frames, predictor.config.horizon
    starts = window_starts(episodes, frames + horizon)

    def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        start = starts[torch.randint(len(starts), (optim.batch_size,), generator=generator)]
        given = [contexts.of_rows(start, generator)] if contexts else []

        def errors(start: Tensor, context: Tensor | None = None) -> Tensor:
            predicted, target, _ = _predict(predictor, table, start, context)
            return (predicted - target).square().mean((1, 2))

        error = in_parallel(errors, start, *given).mean()
        return {"loss": error, "prediction": error}

    return Stage("predictor", predictor, loss, optim)


def _predict(
    predictor: Predictor, table: LatentTable, start: Tensor, context: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Predicted and true latents (B, H, D) and the latent before (B, D), of windows from rows `start` (B,)."""
    frames, horizon = predictor.config.num_context_frames, predictor.config.horizon
    rows = start[:, None] + torch.arange(frames + horizon)
    latents, actions = table.latents[rows], table.actions[rows]
    state = predictor.planning_state(latents[:, :frames], actions[:, : frames - 1])
    future = actions[:, None, frames - 1 : frames - 1 + horizon]
    return predictor(state, future, context)[:, 0], latents[:, frames:], latents[:, frames - 1]


@torch.no_grad()
def prediction_errors(
    predictor: Predictor,
    table: LatentTable,
    episodes: EpisodeIndex,
    contexts: "Contexts | None",
    num_windows: int = 4096,
) -> tuple[np.ndarray, np.ndarray]:
    """Root mean squared latent error at each horizon step, of the model and of persistence: (H,), (H,)."""
    generator = torch.Generator().manual_seed(0)
    starts = window_starts(episodes, predictor.config.num_context_frames + predictor.config.horizon)
    start = starts[torch.randperm(len(starts), generator=generator)[:num_windows]]
    context = contexts.of_rows(start, generator) if contexts else None
    predicted, target, now = _predict(predictor.eval(), table, start, context)
    model = (predicted - target).square().sum(-1).mean(0).sqrt()
    persistence = (now[:, None] - target).square().sum(-1).mean(0).sqrt()
    return model.cpu().numpy(), persistence.cpu().numpy()


# ---------------------------------------------------------------------------------------------------------------------
# the context encoder


@dataclass
class ContextTraining:
    """How the context encoder is trained: alignment + SIGReg on two windows of one episode, one from each half.

    Where the constants drift between the halves (env.drift_rho), the pair has the autocorrelation that makes the
    optimum linear in them. sigreg_weight: lambda.
    """

    sigreg_weight: float = 0.002
    num_slices: int = 16
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(steps=1500, batch_size=256, lr=2e-3, weight_decay=0.3)
    )

    def __post_init__(self) -> None:
        if not 0 < self.sigreg_weight < 1:
            raise UserError(f"context_training.sigreg_weight must lie in (0, 1), got {self.sigreg_weight}")


class Windows:
    """Moments of any window of any episode, from cumulative sums over all rows."""

    def __init__(self, encoder: ContextEncoder, table: LatentTable) -> None:
        self.num_steps = encoder.config.window
        with torch.no_grad():
            features = encoder.step_features(table.latents, table.actions[:-1]).double()
        self._sums = torch.cat([torch.zeros_like(features[:1]), features.cumsum(0)])

    def moments(self, start: Tensor) -> Tensor:
        """Mean step features (n, F) of the windows of `num_steps` actions that begin at rows `start` (n,)."""
        count = self.num_steps - 1
        return ((self._sums[start + count] - self._sums[start]) / count).float()


def fit_context_scale(encoder: ContextEncoder, table: LatentTable, episodes: EpisodeIndex) -> None:
    """Set the encoder's input scales from training episodes."""
    rows = torch.from_numpy(np.stack([np.arange(o, o + episodes.length.min()) for o in episodes.offset]))
    encoder.fit_scale(table.latents[rows], table.actions[rows[:, :-1]])


def context_stage(
    encoder: ContextEncoder, windows: Windows, episodes: EpisodeIndex, training: ContextTraining
) -> Stage:
    """Alignment + SIGReg on one window from each half of an episode."""
    low, room = _half_windows(episodes, windows.num_steps)

    def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        num = training.optim.batch_size
        episode = torch.randint(len(episodes), (num,), generator=generator)
        shift = (torch.rand(2, num, generator=generator) * room[:, episode]).long()
        rows = (low[:, episode] + shift).flatten()
        views = in_parallel(lambda rows: encoder.from_moments(windows.moments(rows)), rows).view(2, num, -1)
        align, latents = alignment(views), views.flatten(0, 1)
        gaussian = sigreg(latents, training.num_slices, generator)
        total = (1 - training.sigreg_weight) * align + training.sigreg_weight * gaussian
        return {"loss": total, "alignment": align, "sigreg": gaussian, "latents": latents}

    return Stage("context", encoder, loss, training.optim)


def _half_windows(episodes: EpisodeIndex, num_steps: int) -> tuple[Tensor, Tensor]:
    """First row and number of possible starts of windows in each half: int64 (2, E), (2, E)."""
    halves = episodes.halves()
    low = torch.from_numpy(np.stack([half.offset for half in halves]))
    room = torch.from_numpy(np.stack([half.length - num_steps for half in halves]))
    if int(room.min()) < 1:
        raise UserError(
            f"two windows of {num_steps} steps do not fit into episodes of {int(episodes.length.min()) - 1} steps; "
            "set context.window to less than half of env.episode_steps"
        )
    return low, room


class Contexts:
    """The context of every half episode: for conditioning the predictor, and for probing constants."""

    def __init__(self, encoder: ContextEncoder, windows: Windows, episodes: EpisodeIndex, num_rows: int) -> None:
        low, room = _half_windows(episodes, windows.num_steps)
        self._encoder, self._windows = encoder.eval(), windows
        self._low, self._room = low, room
        # which half episode a row belongs to; the middle frame counts to the second half
        self._half = torch.zeros(num_rows, dtype=torch.long)
        for half, index in enumerate(episodes.halves()):
            for episode, (offset, length) in enumerate(zip(index.offset, index.length, strict=True)):
                self._half[offset : offset + length] = 2 * episode + half

    def of_rows(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Context (n, C) of a random window in the half episode that each row (n,) belongs to."""
        half = self._half[rows]
        return self._sample(half // 2, half % 2, generator)

    def of_halves(self, num_windows: int, generator: torch.Generator) -> Tensor:
        """Contexts (E, 2, num_windows, C) of random windows of every half episode."""
        episodes = self._low.shape[1]
        grid = torch.cartesian_prod(torch.arange(episodes), torch.arange(2), torch.arange(num_windows))
        return self._sample(grid[:, 0], grid[:, 1], generator).view(episodes, 2, num_windows, -1)

    @torch.no_grad()
    def _sample(self, episode: Tensor, half: Tensor, generator: torch.Generator) -> Tensor:
        shift = (torch.rand(len(episode), generator=generator) * self._room[half, episode]).long()
        return self._encoder.from_moments(self._windows.moments(self._low[half, episode] + shift))


def canonical_correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Canonical correlations of paired contexts (n, C), (n, C), falling: (C,).

    With constants drifting at rho between the pair the ladder is rho for each constant, then rho^2: the gap tells how
    many constants there are.
    """
    first, second = first - first.mean(0), second - second.mean(0)
    qs = [np.linalg.qr(x)[0] for x in (first, second)]
    return np.clip(np.linalg.svd(qs[0].T @ qs[1], compute_uv=False), 0.0, 1.0)
