"""Stages on frozen latents: the dynamics predictor and the goal heads; `constants.py` has the context encoder."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from worldmodel.data.frames import Frames
from worldmodel.data.pairs import window_starts
from worldmodel.data.store import EpisodeIndex
from worldmodel.data.table import LatentTable
from worldmodel.learning.constants import Contexts
from worldmodel.learning.loop import Stage
from worldmodel.learning.losses import unfolding
from worldmodel.models.both_encoders import BothEncoders
from worldmodel.models.cuda_graphs import Captured
from worldmodel.models.encoders import Encoder
from worldmodel.models.heads import GoalHeads
from worldmodel.models.kinds import AnyPredictor
from worldmodel.settings import OptimConfig
from worldmodel.system.distributed import in_parallel
from worldmodel.system.progress import progress


@torch.no_grad()
def encode_rows(encoder: Encoder | BothEncoders, frames: Frames, rows: Tensor, shown: bool = True) -> Tensor:
    """Latents float32 (n, D) of rows int64 (n,) of a data set, by the encoder in evaluation mode.

    shown: whether progress is shown, where it takes more than two seconds.
    """
    encoder.eval()
    # on a CPU, feature maps of more frames than this do not fit into the caches, which halves the speed
    chunk = 4096 if next(encoder.parameters()).is_cuda else 256
    latents = []
    with progress(total=len(rows), desc="encode", unit="frame", unit_scale=True, delay=2, disable=not shown) as bar:
        for part in rows.split(chunk):
            latents.append(encoder(frames.gather(part)))
            bar.update(len(part))
    return torch.cat(latents)


def predictor_stage(
    predictor: AnyPredictor, table: LatentTable, episodes: EpisodeIndex, optim: OptimConfig, contexts: Contexts | None
) -> Stage:
    """The stage that trains a predictor by the multi-step rollout loss: mean squared error of all predicted latents.

    Args:
        predictor: the predictor.
        table: latents and actions of the data set.
        episodes: training episodes, from which windows are drawn.
        optim: the optimiser.
        contexts: gives the contexts of windows; None for a predictor without context.
    """
    frames, horizon = predictor.config.num_context_frames, predictor.config.horizon
    starts = window_starts(episodes, frames + horizon)
    rollout = Captured(predictor)

    def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        start = starts[torch.randint(len(starts), (optim.batch_size,), generator=generator)]
        given = [contexts.of_rows(start, generator)] if contexts else []

        def errors(start: Tensor, context: Tensor | None = None) -> Tensor:
            predicted, target, _ = _predict(predictor, table, start, context, rollout)
            return (predicted - target).square().mean((1, 2))

        error = in_parallel(predictor, errors, start, *given).mean()
        return {"loss": error, "prediction": error}

    return Stage("predictor", predictor, loss, optim)


def _predict(
    predictor: AnyPredictor,
    table: LatentTable,
    start: Tensor,
    context: Tensor | None,
    rollout: Captured | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Predicted latents (B, h, D), true ones (B, h, D), and the last latent before them (B, D).

    Args:
        predictor: predicts h of the H steps of its horizon: all, or the last of every action block.
        table: latents and actions of the data set.
        start: first row of every window, int64 (B,).
        context: (B, C), for a conditioned predictor.
        rollout: the predictor's forward pass, where it is captured.
    """
    frames, horizon = predictor.config.num_context_frames, predictor.config.horizon
    rows = start[:, None] + torch.arange(frames + horizon)
    latents, actions = table.latents[rows], table.actions[rows]
    state = predictor.planning_state(latents[:, :frames], actions[:, : frames - 1])
    future = actions[:, None, frames - 1 : frames - 1 + horizon]
    predicted_steps = slice(predictor.config.stride - 1, None, predictor.config.stride)
    predicted = (rollout or predictor)(state, future, context)[:, 0, predicted_steps]
    return predicted, latents[:, frames:][:, predicted_steps], latents[:, frames - 1]


def _some_windows(predictor: AnyPredictor, episodes: EpisodeIndex, generator: torch.Generator) -> Tensor:
    """First rows of at most 4096 random windows of context and horizon, int64 (n,)."""
    starts = window_starts(episodes, predictor.config.num_context_frames + predictor.config.horizon)
    return starts[torch.randperm(len(starts), generator=generator)[:4096]]


@torch.no_grad()
def prediction_errors(
    predictor: AnyPredictor,
    table: LatentTable,
    episodes: EpisodeIndex,
    context_of: Callable[[Tensor], Tensor] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Root mean squared latent error at each predicted step, of the predictor and of persistence: float (h,), (h,).

    Persistence predicts that nothing changes. context_of: first rows of windows int64 (n,) -> contexts (n, C).
    """
    generator = torch.Generator().manual_seed(0)
    start = _some_windows(predictor, episodes, generator)
    context = context_of(start) if context_of else None
    predicted, target, now = _predict(predictor.eval(), table, start, context)
    model = (predicted - target).square().sum(-1).mean(0).sqrt()
    persistence = (now[:, None] - target).square().sum(-1).mean(0).sqrt()
    return model.cpu().numpy(), persistence.cpu().numpy()


# ---------------------------------------------------------------------------------------------------------------------
# goal heads


_UNFOLDING_STEPS = 4
"""Control steps between the states whose distance is bounded: enough for motion to stand out from noise."""
_UNFOLDING_WEIGHT = 100.0
"""Weight of violated bounds: distances stretch by about a twentieth before that costs more than the spread gains."""


def heads_stage(
    heads: GoalHeads, predictor: AnyPredictor, table: LatentTable, episodes: EpisodeIndex, optim: OptimConfig
) -> Stage:
    """The stage that trains the goal heads: the inverse dynamics from hindsight, the temporal distance by unfolding.

    What an episode shows k steps later, k = 1 … reach, is a goal that its actions led to; the inverse dynamics learns
    the mean of these actions up to step k.
    """
    frames, horizon, reach = predictor.config.num_context_frames, heads.horizon, heads.config.reach
    starts = window_starts(episodes, frames + max(reach, horizon, _UNFOLDING_STEPS))

    def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        start = starts[torch.randint(len(starts), (optim.batch_size,), generator=generator)]
        steps = torch.randint(1, reach + 1, (optim.batch_size,), generator=generator)
        now = start + frames - 1
        history = start[:, None] + torch.arange(frames)
        state = predictor.planning_state(table.latents[history], table.actions[history[:, :-1]])
        goal, target = table.latents[now + steps], table.actions[now[:, None] + torch.arange(horizon)]
        device = table.latents.device
        counts = (torch.arange(horizon) < steps[:, None])[:, :, None].to(device)
        inverse = ((heads.actions_to(state, goal, steps.to(device)) - target).square() * counts).sum()
        inverse = inverse / (counts.sum() * heads.action_dim)
        here, later = (heads.temporal(table.latents[rows]) for rows in (now, now + _UNFOLDING_STEPS))
        temporal = unfolding(here, later, _UNFOLDING_STEPS, _UNFOLDING_WEIGHT)
        return {"loss": inverse + temporal, "inverse": inverse, "temporal": temporal}

    return Stage("heads", heads, loss, optim)


@torch.no_grad()
def fit_metrics(
    heads: GoalHeads,
    predictor: AnyPredictor,
    table: LatentTable,
    episodes: EpisodeIndex,
    contexts: Contexts | None,
) -> None:
    """Set the metrics of the heads: inverse covariances of latents, and of prediction errors at all steps together."""
    generator = torch.Generator().manual_seed(0)
    start = _some_windows(predictor, episodes, generator)
    context = contexts.of_rows(start, generator) if contexts else None
    predicted, target, now = _predict(predictor.eval(), table, start, context)
    heads.whitening.copy_(whitening(now))
    heads.precision.copy_(whitening((predicted - target).flatten(0, 1)))


def whitening(x: Tensor) -> Tensor:
    """A factor L (D, D) of the inverse covariance L L^T of x (n, D), scaled so that its metric has trace D.

    The identity where x does not vary or is not finite.
    """
    centred = (x - x.mean(0)).double()
    covariance = centred.T @ centred / len(x)
    if not 0 < float(covariance.trace()) < math.inf:
        return torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    values, vectors = torch.linalg.eigh(covariance)
    # directions of less than a thousandth of the mean variance count like those that have it
    factor = vectors * values.clamp_min(1e-3 * float(values.mean())).rsqrt()
    return (factor * (x.shape[1] / factor.square().sum()).sqrt()).to(x.dtype)
