"""Imagined futures: what a model expects of an episode from its first frames and the actions taken, and films of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from worldmodel import figures
from worldmodel.data.mapped import MappedFrames
from worldmodel.data.pairs import window_starts
from worldmodel.data.store import DataSet, EpisodeIndex
from worldmodel.data.table import LatentTable
from worldmodel.figures.videos import rows_of_films, write_film
from worldmodel.learning.constants import Contexts, PastContexts, Windows
from worldmodel.learning.sources import Source, segments
from worldmodel.models import WorldModel
from worldmodel.runs import RunDirectory

_NUM_FILMED = 4
"""Futures in the film of a training."""
NUM_STRIPS = 2
"""Futures that are drawn."""
_NUM_TILES = 8
"""Frames that are drawn of each."""


@dataclass(frozen=True)
class Futures:
    """n windows of an episode each: K frames that models saw and H that they imagined, open loop."""

    rows: np.ndarray
    """Row of the data set of every frame, int64 (n, K+H)."""
    pictures: Mapping[str, np.ndarray]
    """Label -> pictures of the K latents seen and the H imagined, uint8 (n, K+H, S, S, 3)."""
    num_seen: int
    """K."""

    @property
    def notes(self) -> list[str]:
        """A label for each of the K+H frames: `seen`, or `+1` for a step ahead."""
        steps = range(1 - self.num_seen, self.rows.shape[1] - self.num_seen + 1)
        return [f"+{step}" if step > 0 else "seen" for step in steps]


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


def draw_futures(path: Path, data: DataSet, futures: Futures) -> None:
    """A figure of the first futures: the camera's frames above the imagined ones."""
    camera, notes = _camera(data, futures.rows[:NUM_STRIPS]), futures.notes
    tiles = np.unique(np.linspace(futures.num_seen - 1, len(notes) - 1, _NUM_TILES).round().astype(int))
    strips = {}
    for index, frames in enumerate(camera):
        number = f"{index + 1}: " if len(camera) > 1 else ""
        strips[f"{number}camera"] = frames[tiles]
        strips |= {f"{number}{label}": of[index, tiles] for label, of in futures.pictures.items()}
    figures.filmstrip(path, strips, [notes[step] for step in tiles])


def film_futures(path: Path, data: DataSet, futures: Futures) -> None:
    """A film, .mp4 or .gif, of all futures side by side: the camera's frames above the imagined ones."""
    film = rows_of_films({"camera": _camera(data, futures.rows), **futures.pictures}, futures.notes)
    write_film(path, film, film_fps(data.index.world.control_dt_s))


def _camera(data: DataSet, rows: np.ndarray) -> np.ndarray:
    """The camera's frames uint8 (n, h, S, S, 3) of rows (n, h)."""
    mapped = MappedFrames(data)
    return mapped.gather(rows.ravel()).reshape(*rows.shape, *mapped.shape)


def film_fps(control_dt_s: float) -> float:
    """Frames a second at which a future is shown: real time, but slow enough to compare."""
    return min(8.0, 1 / control_dt_s)


def held_out_contexts(model: WorldModel, source: Source, table: LatentTable) -> Callable[[Tensor], Tensor] | None:
    """A function from first rows of windows of test episodes (n,) to what is known of their constants at the last frame
    that the model sees, (n, C); None for a model without contexts."""
    if model.context_encoder is None:
        return None
    windows, stretches = Windows(model.context_encoder, table), segments(source.data, source.test)
    return PastContexts(model.context_encoder, windows, stretches, model.num_context_frames)


def with_past(model: WorldModel, stretches: EpisodeIndex, num_rows: int) -> EpisodeIndex:
    """The parts of stretches in which windows of `num_rows` rows are judged: where a model knows constants, each window
    has a whole context window up to its last frame seen, or of a stretch that is too short for that, the latest has as
    much as there is. What is not known yet is then no error of the predictor."""
    if model.context_encoder is None:
        return stretches
    most = max(0, model.context_encoder.config.window + 1 - model.num_context_frames)
    left_out = np.clip(stretches.length - num_rows, 0, most)
    return replace(stretches, offset=stretches.offset + left_out, length=stretches.length - left_out)


def contexts_of(model: WorldModel, source: Source, table: LatentTable, episodes: EpisodeIndex) -> Contexts | None:
    """Contexts of some episodes of a data set; None for a model without contexts."""
    if model.context_encoder is None:
        return None
    windows = Windows(model.context_encoder, table)
    return Contexts(model.context_encoder, windows, episodes, source.data.num_rows)


def show_futures(run: RunDirectory, data: DataSet, futures: Futures, name: str) -> list[str]:
    """Make a figure and a film of this name in a run; returns the film's path, relative to the run, if it was made."""
    with figures.drawing(f"{name}.png"):
        draw_futures(run.figures / f"{name}.png", data, futures)
    with figures.drawing(f"{name}.mp4"):
        path = run.videos / f"{name}.mp4"
        film_futures(path, data, futures)
        return [str(path.relative_to(run.path))]
    return []


def film_held_out(model: WorldModel, source: Source, table: LatentTable, run: RunDirectory) -> list[str]:
    """Film a few held-out episodes beside what the model imagines of them; returns as `show_futures`. Needs a
    decoder."""
    start, context = held_out_starts(model, source, table, _NUM_FILMED)
    rows, latents = held_out_futures(model, table, start, context)
    futures = Futures(rows, {"imagined": model.decode(latents).cpu().numpy()}, model.num_context_frames)
    return show_futures(run, source.data, futures, "imagination")


def held_out_starts(model: WorldModel, source: Source, table: LatentTable, most: int) -> tuple[Tensor, Tensor | None]:
    """First rows int64 (n,) of a few windows of test episodes over the predictor's horizon; their contexts (n, C)."""
    assert model.predictor is not None
    num_rows = model.num_context_frames + model.predictor.config.horizon
    starts = window_starts(with_past(model, segments(source.data, source.test), num_rows), num_rows)
    start = starts[torch.linspace(0, len(starts) - 1, min(most, len(starts))).long()]
    context_of = held_out_contexts(model, source, table)
    return start, context_of(start) if context_of else None


def held_out_futures(
    model: WorldModel, table: LatentTable, start: Tensor, context: Tensor | None
) -> tuple[np.ndarray, Tensor]:
    """Windows that begin at `start` (n,), over the predictor's horizon: rows int64 (n, K+H), latents seen and imagined
    (n, K+H, D)."""
    assert model.predictor is not None
    num_seen, horizon = model.num_context_frames, model.predictor.config.horizon
    latents = imagine_futures(model, table, start, horizon, context)
    return (start[:, None] + torch.arange(num_seen + horizon)).numpy(), latents
