"""Data sets from other toolkits, and for them."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from worldmodel.data.arrays import as_episode, episodes_per_shard, recorded_world
from worldmodel.data.index import INDEX_NAME, Index, RecordingRecord
from worldmodel.data.interchange import ForeignData, is_written_from, open_foreign, write_stable_worldmodel
from worldmodel.data.store import DataSet
from worldmodel.data.writing import write_data_set
from worldmodel.envs.rollout import Episode
from worldmodel.settings.names import check_name
from worldmodel.system.errors import UserError
from worldmodel.system.progress import progress

MAX_IMAGE_SIZE = 4096
"""Pixels a side of the largest frames that are written."""


@dataclass(frozen=True)
class LeftOut:
    """An episode of the source that could not be used."""

    episode: int
    """Its number there, from 0."""

    reason: str
    """Why, such as "it has 1 frame"."""


@dataclass(frozen=True)
class ConvertResult:
    """A data set in another layout."""

    path: Path
    """The new data set's directory, or the file that was written."""

    layout: str
    """The other toolkit: "lerobot", "minari" or "stable-worldmodel"."""

    episodes: int
    """Episodes that were copied."""

    frames: int
    """Frames of these."""

    camera: str = ""
    """The image column that frames were taken from; empty for data sets of ours."""

    other_cameras: tuple[str, ...] = ()
    """Image columns that were not taken."""

    left_out: tuple[LeftOut, ...] = ()
    """Episodes that could not be used."""

    missing: int = 0
    """Episodes that the source says it has and does not list."""


def convert(source: Path, out: Path, camera: str = "", image_size: int = 0) -> ConvertResult:
    """From another toolkit's layout to ours, or from ours to stable-worldmodel's.

    Args:
        source: a LeRobot v3 folder, a Minari folder or an HDF5 file of stable-worldmodel; or a data set of ours.
        out: the new data set's folder; for a data set of ours the new file, which ends in .h5.
        camera: which image column to take; empty takes the one called "pixels", or the first.
        image_size: pixels a side that frames are reduced to, after their middle square was cut out; 0 keeps theirs.

    Actions are scaled to [-1, 1] by the lowest and highest of the source, unless they lie there. Episodes that are too
    short, or hold numbers that are not finite, are left out and named in the result. A command that was cut off can be
    given again: it continues where it stopped, and leaves the same bytes.

    Raises StoreError where the source cannot be read, or `out` holds something else; UserError where no episode can
    be used, or `camera` is not there.
    """
    if image_size > MAX_IMAGE_SIZE:
        raise UserError(f"image_size must be at most {MAX_IMAGE_SIZE} pixels, got {image_size}")
    if (source / INDEX_NAME).exists():
        return _to_stable_worldmodel(source, out)
    check_name(f"{out}: a data set's name", out.name)
    with closing(open_foreign(source, camera)) as foreign:
        survey = _survey(foreign, source)
        first = foreign.frames(survey.episodes[0], image_size)
        size = first.shape[1]
        world = recorded_world(size, foreign.control_dt_s, foreign.state_names, survey.bounds, foreign.camera)
        settings = RecordingRecord(source=f"{foreign.kind}: {source.name}", source_digest=survey.digest, drift_rho=None)
        index = Index(out.name, len(survey.episodes), episodes_per_shard(len(first)), settings, world)

        def episodes(numbers: range) -> Iterator[Episode]:
            for number in numbers:
                yield _episode(foreign, survey.episodes[number], survey.bounds, image_size, size)

        write_data_set(out, index, episodes, "convert")
        others = tuple(name for name in foreign.cameras if name != foreign.camera)
        return ConvertResult(
            out,
            foreign.kind,
            len(survey.episodes),
            survey.num_frames,
            foreign.camera,
            others,
            tuple(survey.left_out),
            missing=max(0, foreign.num_promised - foreign.num_episodes),
        )


def _to_stable_worldmodel(source: Path, out: Path) -> ConvertResult:
    if out.suffix not in (".h5", ".hdf5"):
        raise UserError(f"a data set of ours is converted to stable-worldmodel's one file: out=NAME.h5, got {out}")
    data = DataSet(source)
    if not os.path.lexists(out):
        write_stable_worldmodel(data, out)
    elif not is_written_from(data, out):
        raise UserError(f"{out} exists and is no copy of {source}; choose another place, or delete it")
    return ConvertResult(out, "stable-worldmodel", data.num_episodes, data.num_rows)


@dataclass(frozen=True)
class _Survey:
    """The result of a first pass over everything but the frames."""

    episodes: list[int]
    """Numbers of the episodes that can be used."""

    num_frames: int
    """Frames of these."""

    left_out: list[LeftOut]
    """The others."""

    bounds: tuple[np.ndarray, np.ndarray]
    """Lowest and highest action, each float32 (A,); [-1, 1] where all lie there."""

    digest: str
    """SHA-256 of all that was read."""


def _survey(foreign: ForeignData, source: Path) -> _Survey:
    usable: list[int] = []
    left_out: list[LeftOut] = []
    lows: list[np.ndarray] = []
    highs: list[np.ndarray] = []
    num_frames, digest = 0, hashlib.sha256()
    for episode in progress(range(foreign.num_episodes), desc="survey", unit="episode"):
        columns = foreign.columns(episode)
        for values in (columns.actions, columns.states, columns.rewards):
            digest.update(f"{values.shape}".encode() + np.ascontiguousarray(values).tobytes())
        if problem := columns.problem():
            left_out.append(LeftOut(episode, problem))
            continue
        widths = columns.actions.shape[1], columns.states.shape[1]
        expected = lows[0].shape[0] if lows else widths[0], len(foreign.state_names)
        if widths != expected:
            raise UserError(
                f"episode {episode} of {source} has actions of {widths[0]} and states of {widths[1]} numbers, "
                f"{expected[0]} and {expected[1]} are expected: it is of another robot, or the source is wrong"
            )
        usable.append(episode)
        num_frames += len(columns.states)
        lows.append(columns.actions.min(0))
        highs.append(columns.actions.max(0))
    if not usable:
        reason = f": {left_out[0].reason}" if left_out else ""
        raise UserError(f"none of the {foreign.num_episodes} episodes of {source} can be used{reason}")
    low, high = np.min(lows, 0), np.max(highs, 0)
    if (low >= -1).all() and (high <= 1).all():
        low, high = -np.ones_like(low), np.ones_like(high)
    return _Survey(usable, num_frames, left_out, (low, high), digest.hexdigest())


def _episode(
    foreign: ForeignData, number: int, bounds: tuple[np.ndarray, np.ndarray], image_size: int, expected: int
) -> Episode:
    columns, frames = foreign.columns(number), foreign.frames(number, image_size)
    if frames.shape[1] != expected:
        raise UserError(
            f"episode {number} has frames of {frames.shape[1]} pixels a side, the first one of {expected}; "
            f"set image_size={expected}, which all are reduced to"
        )
    arrays = {
        "frames": frames,
        "actions": columns.actions,
        "states": columns.states,
        "rewards": columns.rewards,
    }
    return as_episode(number, arrays, len(foreign.state_names), bounds)
