"""Imagined futures: what a model expects of an episode from its first frames and the actions taken, and films of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from worldmodel import figures
from worldmodel.data.mapped import MappedFrames
from worldmodel.data.pairs import window_starts
from worldmodel.data.store import DataSet
from worldmodel.data.table import LatentTable
from worldmodel.figures.videos import rows_of_films, write_film
from worldmodel.learning.constants import Contexts, Windows
from worldmodel.learning.sources import Source, segments
from worldmodel.models import WorldModel
from worldmodel.runs import RunDirectory

_NUM_FILMED = 4
"""Futures in the film of a training."""
_STRIPS, _TILES = 2, 8
"""Futures that are drawn, and the frames that are drawn of each."""


@dataclass(frozen=True)
class Futures:
    """n windows of an episode each: K frames that the model saw and H that it imagined, open loop."""

    rows: np.ndarray
    """Row of the data set of every frame, int64 (n, K+H)."""
    latents: Tensor
    """Latents of the K frames that were seen, then the H that were imagined, float32 (n, K+H, D)."""
    num_seen: int
    """K."""


@torch.no_grad()
def imagine_futures(
    model: WorldModel, table: LatentTable, start: Tensor, steps: int, context: Tensor | None = None
) -> Tensor:
    """The latents that a model sees in K frames and then imagines for H control steps, float32 (n, K+H, D).

    Args:
        model: has dynamics.
        table: latents and actions of every row.
        start: first row of each window, int64 (n,); the K + H rows from it on are of one episode.
        steps: H.
        context: (n, C), for a model that knows constants.
    """
    num_seen = model.num_context_frames
    rows = start[:, None] + torch.arange(num_seen + steps)
    seen, actions = table.latents[rows[:, :num_seen]], table.actions[rows]
    state = model.encode(seen, actions[:, : num_seen - 1])
    imagined = model.rollout(state, actions[:, None, num_seen - 1 : -1], context)[:, 0]
    return torch.cat([seen, imagined], 1)


def film_futures(model: WorldModel, data: DataSet, futures: Futures, run: RunDirectory, also: str | None = None) -> str:
    """The camera's frames above the imagined ones: `figures/imagination.png` and `videos/imagination.mp4`.

    Args:
        model: has a decoder.
        data: the data set.
        futures: what is shown, side by side.
        run: where both go.
        also: another file for the film, .mp4 or .gif.

    Returns:
        The film's path, relative to the run.
    """
    mapped = MappedFrames(data)
    camera = mapped.gather(futures.rows.ravel()).reshape(*futures.rows.shape, *mapped.shape)
    imagined = model.decode(futures.latents).cpu().numpy()
    steps = range(1 - futures.num_seen, futures.rows.shape[1] - futures.num_seen + 1)
    notes = [f"+{step}" if step > 0 else "seen" for step in steps]
    tiles = np.unique(np.linspace(futures.num_seen - 1, len(notes) - 1, _TILES).round().astype(int))
    strips = {}
    for index in range(min(_STRIPS, len(camera))):
        strips |= {f"{index + 1}: camera": camera[index, tiles], f"{index + 1}: imagined": imagined[index, tiles]}
    figures.filmstrip(run.figures / "imagination.png", strips, [notes[step] for step in tiles])
    film = rows_of_films({"camera": camera, "imagined": imagined}, notes)
    fps = film_fps(data.index.world.control_dt_s)
    path = run.videos / "imagination.mp4"
    for file in (path, *([Path(also)] if also else [])):
        write_film(file, film, fps)
    return str(path.relative_to(run.path))


def film_fps(control_dt_s: float) -> float:
    """Frames a second at which a future is shown: real time, but slow enough to compare."""
    return min(8.0, 1 / control_dt_s)


def held_out_contexts(model: WorldModel, source: Source, table: LatentTable) -> Callable[[Tensor], Tensor] | None:
    """From rows of test episodes (n,) to their contexts (n, C); None for a model that knows no constants."""
    if model.context_encoder is None:
        return None
    windows = Windows(model.context_encoder, table)
    contexts = Contexts(model.context_encoder, windows, source.test, source.data.num_rows)
    return partial(contexts.of_rows, generator=torch.Generator().manual_seed(0))


def film_held_out(model: WorldModel, source: Source, table: LatentTable, run: RunDirectory) -> str:
    """Film a few held-out episodes beside what the model imagines of them; returns the film's path."""
    assert model.predictor is not None
    num_seen, horizon = model.num_context_frames, model.predictor.config.horizon
    starts = window_starts(segments(source.data, source.test), num_seen + horizon)
    start = starts[torch.linspace(0, len(starts) - 1, min(_NUM_FILMED, len(starts))).long()]
    context_of = held_out_contexts(model, source, table)
    latents = imagine_futures(model, table, start, horizon, context_of(start) if context_of else None)
    rows = (start[:, None] + torch.arange(num_seen + horizon)).numpy()
    return film_futures(model, source.data, Futures(rows, latents, num_seen), run)
