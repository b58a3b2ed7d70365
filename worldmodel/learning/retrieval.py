"""How far off predictions are in time: a measure of encoder and predictor that needs no labels.

Predict H steps ahead, find the true latent nearest to the prediction among those of the next 2 H frames, and count the
steps between its frame and the one predicted for. The scale of the latents does not matter, so that trainings with
different encoders can be compared; a blurred prediction finds the wrong moment.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from worldmodel.data.pairs import window_starts
from worldmodel.data.store import EpisodeIndex
from worldmodel.data.table import LatentTable
from worldmodel.learning.imagining import imagine_futures, with_past
from worldmodel.models import WorldModel
from worldmodel.runs import StepsOff
from worldmodel.settings import PredictorConfig

_MOST_AHEAD = 15
"""Control steps ahead; fewer where the predictor's horizon is shorter, more where a block of actions is longer."""
_NUM_WINDOWS = 2048


@dataclass(frozen=True)
class Retrieved:
    """Predictions of windows, and how far off each is in time."""

    start: Tensor
    """First row of each window, int64 (n,)."""
    off: Tensor
    """Control steps between the moment predicted for and the moment found, int64 (n,)."""
    steps_ahead: int
    """Control steps ahead of the predictions."""


def steps_off(
    model: WorldModel, table: LatentTable, episodes: EpisodeIndex, context_of: Callable[[Tensor], Tensor] | None
) -> StepsOff | None:
    """Mean control steps between the moment predicted for and the one whose latent is nearest to the prediction.

    Arguments are those of `retrieved`; None where all episodes are too short.
    """
    found = retrieved(model, table, episodes, context_of)
    return None if found is None else StepsOff(float(found.off.float().mean()), found.steps_ahead)


def steps_ahead(config: PredictorConfig) -> int:
    """Control steps ahead of the predictions that are judged: whole blocks of actions, and at least one."""
    return max(config.stride, min(_MOST_AHEAD, config.horizon) // config.stride * config.stride)


@torch.no_grad()
def retrieved(
    model: WorldModel, table: LatentTable, episodes: EpisodeIndex, context_of: Callable[[Tensor], Tensor] | None
) -> Retrieved | None:
    """The moments whose latents are nearest to predictions, window by window; None where all episodes are too short.

    Args:
        model: has dynamics.
        table: latents and actions.
        episodes: stretches of one motion, which the model did not learn from.
        context_of: first rows of windows int64 (n,) -> contexts (n, C).
    """
    assert model.predictor is not None
    ahead, num_seen = steps_ahead(model.predictor.config), model.num_context_frames
    if int(episodes.length.max()) < num_seen + 2 * ahead:
        return None
    starts = window_starts(with_past(model, episodes, num_seen + 2 * ahead), num_seen + 2 * ahead)
    start = starts[torch.linspace(0, len(starts) - 1, min(_NUM_WINDOWS, len(starts))).long()]
    predicted = imagine_futures(model, table, start, ahead, context_of(start) if context_of else None)[:, -1]
    truth = table.latents[start[:, None] + torch.arange(num_seen, num_seen + 2 * ahead)]
    nearest = (truth - predicted[:, None]).square().sum(-1).argmin(1) + 1
    return Retrieved(start, (nearest - ahead).abs(), ahead)
