"""Data sets as training and evaluation use them: frames at the encoder's size, episodes by split, latents."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from worldmodel.data.frames import Frames, load_frames
from worldmodel.data.joined import with_rounds
from worldmodel.data.store import DataSet, EpisodeIndex
from worldmodel.data.table import LatentTable
from worldmodel.learning.dynamics import encode_rows
from worldmodel.models import WorldModel
from worldmodel.models.both_encoders import BothEncoders
from worldmodel.models.encoders import Encoder
from worldmodel.settings import CollectConfig, TrainConfig
from worldmodel.system.errors import UserError
from worldmodel.system.printable import say

_WATCHED = 10
"""Episodes that are looked at for something that moves."""


@dataclass(frozen=True)
class Source:
    """A data set ready for training."""

    data: DataSet
    """The data set."""
    frames: Frames
    """Its frames, at the encoder's size."""
    train: EpisodeIndex
    """Its training episodes."""
    test: EpisodeIndex
    """Its test episodes."""


def open_sources(config: TrainConfig, device: torch.device) -> tuple[Source, Source]:
    """The episodes for the dynamics, and the frames for the encoder, which are often the same.

    Rounds add their episodes to those for the dynamics.
    """
    window = config.context_or_default.window
    rounds = [config.round_directory(number) for number in range(1, config.rounds + 1)]
    episodes = open_source(config.collection, config.encoder.input_size, device, window, rounds)
    _check_motion(episodes)
    return episodes, open_source(config.atlas, config.encoder.input_size, device) if config.atlas else episodes


def open_source(
    config: CollectConfig,
    size: int,
    device: torch.device,
    window: int | None = None,
    rounds: Sequence[Path] = (),
) -> Source:
    """The finished data set of `config`, with frames of `size` pixels a side.

    window: control steps of a context window. Where constants vary, each half of an episode must hold one; episodes
    that ended before are left out.
    rounds: folders of more data sets of this world.
    """
    data = with_rounds(config, rounds)
    if window is not None and (data := long_enough(data, window)).num_too_short:
        say(
            f"left out: {data.num_too_short} of {data.num_episodes} episodes of {data.directory}, which ended "
            f"before two windows of {window} steps"
        )
    frames = load_frames(data, size, device)
    say(f"frames of {data.directory}: {frames.place}")
    return Source(data, frames, data.split("train"), data.split("test"))


def _check_motion(source: Source) -> None:
    """UserError where all frames of an episode are the same, in each of the first few episodes."""
    data, frames = source.data, source.frames
    if data.index.world.kinematic is not None:
        return
    whole = segments(data, source.train)
    for offset, length in list(zip(whole.offset, whole.length, strict=True))[:_WATCHED]:
        seen = frames.gather(torch.arange(offset, offset + length))
        if (seen != seen[:1]).any():
            return
    raise UserError(
        f"nothing moves in the frames of {data.directory} at {frames.size} x {frames.size} pixels; look at them by "
        f"worldmodel view data={data.directory}, and record what moves: by another policy= or camera, or larger frames"
    )


def long_enough(data: DataSet, window: int) -> DataSet:
    """Where physical constants vary, without episodes that ended before two windows of `window` control steps."""
    world = data.index.world
    return data.with_room_for(window) if world.drawn("physical") and world.kinematic is None else data


def latent_table(model: WorldModel, data: DataSet, frames: Frames | None = None, shown: bool = True) -> LatentTable:
    """Latents, by the encoder that the model sees by, and actions of every row of a data set.

    frames: its frames at the encoder's size; None loads them. shown: whether progress is shown.
    """
    frames = frames or load_frames(data, model.eye.config.input_size, model.device)
    return encoded_table(model.eye, data, frames, shown)


def encoded_table(encoder: Encoder | BothEncoders, data: DataSet, frames: Frames, shown: bool = True) -> LatentTable:
    """`latent_table` of an encoder that belongs to no model."""
    latents = encode_rows(encoder, frames, torch.arange(data.num_rows), shown)
    return LatentTable(latents, torch.from_numpy(np.nan_to_num(data.actions)).to(latents.device))


def spread_rows(episodes: EpisodeIndex, num: int) -> Tensor:
    """At most `num` rows int64 (n,), evenly spread over the episodes."""
    rows = episodes.rows()
    return torch.from_numpy(rows[np.linspace(0, len(rows) - 1, min(num, len(rows))).astype(np.int64)])


def segments(data: DataSet, episodes: EpisodeIndex) -> EpisodeIndex:
    """Stretches of rows with one motion and the same constants: whole episodes, or halves where constants drift or the
    world restarts in the middle."""
    return motions(episodes) if data.index.settings.drift_rho is None else _halved(episodes)


def motions(episodes: EpisodeIndex) -> EpisodeIndex:
    """Stretches of rows with one motion, of which positive pairs are taken: whole episodes, or halves where the world
    restarts in the middle. Constants may drift within one."""
    return _halved(episodes) if episodes.restart_midway else episodes


def _halved(episodes: EpisodeIndex) -> EpisodeIndex:
    first, second = episodes.halves()
    both = EpisodeIndex(np.concatenate([first.offset, second.offset]), np.concatenate([first.length, second.length]))
    return both.at_least(1)  # an episode may have ended before its second half
