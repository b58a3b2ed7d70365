"""Held-out episodes, encoded, and the windows of them that a model imagines."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from worldmodel.data.frames import Frames
from worldmodel.data.pairs import window_starts
from worldmodel.data.store import DataSet, EpisodeIndex
from worldmodel.data.table import LatentTable
from worldmodel.learning.constants import PastContexts, Windows
from worldmodel.learning.dynamics import encode_rows
from worldmodel.learning.imagining import with_past
from worldmodel.learning.sources import segments
from worldmodel.models import WorldModel
from worldmodel.system.errors import UserError

_MOST_ROWS = 20_000
"""Most frames that are encoded."""


@dataclass(frozen=True)
class HeldOutWindows:
    """n windows of held-out episodes."""

    table: LatentTable
    """Latents and actions of the episodes' frames, episode after episode."""
    rows: np.ndarray
    """Row of the data set of every row of the table, int64 (rows,)."""
    start: Tensor
    """Row of the table with which each window begins, int64 (n,)."""
    episode: np.ndarray
    """Number of the episode that each window is of, int (n,)."""
    context: Tensor | None
    """What the model knows of physical constants at the last frame that it sees, (n, C); None where it knows none."""


def held_out_windows(
    model: WorldModel, data: DataSet, frames: Frames, num_rows: int, most: int, split: str = "test"
) -> HeldOutWindows:
    """At most `most` windows of `num_rows` frames, evenly spread over the episodes of a split.

    Raises:
        UserError: no episode is that long.
    """
    chosen = _some(data.split(split), num_rows)
    if num_rows > chosen.length.max():
        raise UserError(
            f"steps={num_rows - model.num_context_frames} after {model.num_context_frames} seen frames do not fit into "
            f"{split} episodes of {chosen.length.max()} frames; lower steps"
        )
    rows = chosen.rows()
    latents = encode_rows(model.encoder, frames, torch.from_numpy(rows))
    table = LatentTable(latents, torch.from_numpy(np.nan_to_num(data.actions[rows])).to(latents.device))
    offset = np.concatenate([[0], np.cumsum(chosen.length)[:-1]])
    episodes = replace(chosen, offset=offset)
    stretches = segments(data, episodes)
    starts = window_starts(with_past(model, stretches, num_rows), num_rows)
    start = starts[torch.linspace(0, len(starts) - 1, min(most, len(starts))).long()]
    context = None
    if model.context_encoder is not None:
        windows = Windows(model.context_encoder, table)
        context = PastContexts(model.context_encoder, windows, stretches, model.num_context_frames)(start)
    return HeldOutWindows(table, rows, start, np.searchsorted(offset, start.numpy(), "right") - 1, context)


def _some(episodes: EpisodeIndex, num_rows: int) -> EpisodeIndex:
    """Evenly spread episodes that are long enough, of not too many frames; all where none is."""
    long_enough = episodes.at_least(num_rows)
    if not len(long_enough):
        return episodes
    most = max(1, int(_MOST_ROWS / long_enough.length.mean()))
    few = np.unique(np.linspace(0, len(long_enough) - 1, min(most, len(long_enough))).astype(int))
    return long_enough.only(few)
