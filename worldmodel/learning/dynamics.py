"""What is learned on frozen latents: the dynamics predictor; `contexts.py` has what is learned of constants."""

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
from worldmodel.models.cuda_graphs import Captured
from worldmodel.models.encoders import Encoder
from worldmodel.models.heads import GoalHeads
from worldmodel.models.kinds import AnyPredictor
from worldmodel.settings import OptimConfig
from worldmodel.system.distributed import in_parallel
from worldmodel.system.progress import progress


@torch.no_grad()
def encode_rows(encoder: Encoder, frames: Frames, rows: Tensor, shown: bool = True) -> Tensor:
    """Latents (n, D) of the given rows int64 (n,), by the encoder in evaluation mode.

    shown: its progress, where it takes more than two seconds.
    """
    encoder.eval()
    # feature maps of more frames than this leave a core's caches: half as many frames a second
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
    """Multi-step rollout loss: mean squared error of all predicted latents over windows of `episodes`."""
    frames, horizon = predictor.config.num_context_frames, predictor.config.horizon
    starts = window_starts(episodes, frames + horizon)
    rollout = Captured(predictor)

    def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        start = starts[torch.randint(len(starts), (optim.batch_size,), generator=generator)]
        given = [contexts.of_rows(start, generator)] if contexts else []

        def errors(start: Tensor, context: Tensor | None = None) -> Tensor:
            predicted, target, _ = _predict(predictor, table, start, context, rollout)
            return (predicted - target).square().mean((1, 2))

        error = in_parallel(errors, start, *given).mean()
        return {"loss": error, "prediction": error}

    return Stage("predictor", predictor, loss, optim)


def _predict(
    predictor: AnyPredictor,
    table: LatentTable,
    start: Tensor,
    context: Tensor | None,
    rollout: Captured | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Predicted and true latents (B, h, D) at the h steps that the predictor foresees, and the latent before (B, D); of
    windows from rows `start` (B,). rollout: the predictor's forward pass, where it is captured."""
    frames, horizon = predictor.config.num_context_frames, predictor.config.horizon
    rows = start[:, None] + torch.arange(frames + horizon)
    latents, actions = table.latents[rows], table.actions[rows]
    state = predictor.planning_state(latents[:, :frames], actions[:, : frames - 1])
    future = actions[:, None, frames - 1 : frames - 1 + horizon]
    foreseen = slice(predictor.config.stride - 1, None, predictor.config.stride)
    predicted = (rollout or predictor)(state, future, context)[:, 0, foreseen]
    return predicted, latents[:, frames:][:, foreseen], latents[:, frames - 1]


@torch.no_grad()
def prediction_errors(
    predictor: AnyPredictor,
    table: LatentTable,
    episodes: EpisodeIndex,
    context_of: Callable[[Tensor], Tensor] | None,
    num_windows: int = 4096,
) -> tuple[np.ndarray, np.ndarray]:
    """Root mean squared latent error at each step that is foreseen, of the model and of persistence: (h,), (h,).

    context_of: rows int64 (n,) at which windows begin -> contexts (n, C).
    """
    generator = torch.Generator().manual_seed(0)
    starts = window_starts(episodes, predictor.config.num_context_frames + predictor.config.horizon)
    start = starts[torch.randperm(len(starts), generator=generator)[:num_windows]]
    context = context_of(start) if context_of else None
    predicted, target, now = _predict(predictor.eval(), table, start, context)
    model = (predicted - target).square().sum(-1).mean(0).sqrt()
    persistence = (now[:, None] - target).square().sum(-1).mean(0).sqrt()
    return model.cpu().numpy(), persistence.cpu().numpy()


# ---------------------------------------------------------------------------------------------------------------------
# goal heads


# steps between the states that may not be unfolded farther apart: enough for motion to stand out from noise
_UNFOLDING_STEPS = 4
# of a violated step: distances stretch by about a twentieth before it costs more than the spread gains
_UNFOLDING_WEIGHT = 100.0


def heads_stage(
    heads: GoalHeads, predictor: AnyPredictor, table: LatentTable, episodes: EpisodeIndex, optim: OptimConfig
) -> Stage:
    """The inverse dynamics from hindsight, the temporal distance by unfolding.

    Whatever an episode shows k steps later, k = 1 ... reach, was a goal that its actions led to: the inverse dynamics
    learns the mean of those actions (up to step k).
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
    num_windows: int = 4096,
) -> None:
    """Set the heads' metrics: inverse covariance of latents, and of prediction errors over all steps of the horizon."""
    generator = torch.Generator().manual_seed(0)
    starts = window_starts(episodes, predictor.config.num_context_frames + predictor.config.horizon)
    start = starts[torch.randperm(len(starts), generator=generator)[:num_windows]]
    context = contexts.of_rows(start, generator) if contexts else None
    predicted, target, now = _predict(predictor.eval(), table, start, context)
    heads.whitening.copy_(whitening(now))
    heads.precision.copy_(whitening((predicted - target).flatten(0, 1)))


def whitening(x: Tensor) -> Tensor:
    """A factor L (D, D) of the inverse covariance L L^T of x (n, D), scaled so that its metric has trace D.

    Of what does not vary, or is not finite, no direction counts more than another: the identity.
    """
    centred = (x - x.mean(0)).double()
    covariance = centred.T @ centred / len(x)
    if not 0 < float(covariance.trace()) < math.inf:
        return torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    values, vectors = torch.linalg.eigh(covariance)
    # directions of less than a thousandth of the mean variance count like those that have it
    factor = vectors * values.clamp_min(1e-3 * float(values.mean())).rsqrt()
    return (factor * (x.shape[1] / factor.square().sum()).sqrt()).to(x.dtype)
