"""Data sets: a directory of HDF5 shards and one `dataset.json`.

A shard holds whole episodes as flat rows, one row a frame: an episode of T actions has T + 1 rows.

    pixels   uint8   (rows, S, S, 3)   uncompressed, chunks of four frames
    state    float32 (rows, X)         named in dataset.json
    action   float32 (rows, A)         taken after the row's frame was seen; NaN in an episode's last row
    reward   float32 (rows,)           of that action; NaN in an episode's last row
    factors  float32 (rows, P)         every physical constant and visual factor, as it was at that frame
    ep_len, ep_offset  int64 (episodes,)   rows of an episode; stable-worldmodel's HDF5 reader opens a shard as it is

Shard k holds episodes [k * n, (k + 1) * n), each from its own seed, so its content depends neither on the number of
workers nor on what was interrupted. A shard is written under a temporary name, flushed, and renamed when whole: a kill
at any instant loses at most the shard being written.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from envs.rollout import Episode
from worldmodel.errors import StoreError
from worldmodel.files import require_space, write_atomically, write_json

SCHEMA_VERSION = 1
INDEX_NAME = "dataset.json"
INDEX_KEYS = {"name", "num_episodes", "episodes_per_shard", "settings", "world"}
SPLITS = {"train": range(8), "validation": range(8, 9), "test": range(9, 10)}


def shard_path(directory: Path, index: int) -> Path:
    """Where shard `index` stands once it is whole."""
    return directory / f"shard-{index:05d}.h5"


def write_shard(path: Path, episodes: Iterable[Episode]) -> None:
    """Write whole episodes to `path`; nothing stands there until all of them are on the disk."""

    def fill(temporary: Path) -> None:
        with h5py.File(temporary, "w") as file:
            small: list[dict[str, np.ndarray]] = []
            for episode in episodes:
                require_space(path.parent, episode.frames.nbytes)
                _append_frames(file, episode.frames)
                small.append(_small_columns(episode))
            lengths = np.array([len(columns["state"]) for columns in small], np.int64)
            for name in small[0]:
                file[name] = np.concatenate([columns[name] for columns in small])
            file["ep_len"] = lengths
            file["ep_offset"] = np.cumsum(lengths) - lengths

    write_atomically(path, fill)


def _append_frames(file: h5py.File, frames: np.ndarray) -> None:
    shape = frames.shape[1:]
    if "pixels" not in file:
        file.create_dataset("pixels", (0, *shape), np.uint8, maxshape=(None, *shape), chunks=(4, *shape))
    pixels = file["pixels"]
    assert isinstance(pixels, h5py.Dataset)
    start = pixels.shape[0]
    pixels.resize(start + len(frames), axis=0)
    pixels[start:] = frames


def _small_columns(episode: Episode) -> dict[str, np.ndarray]:
    def padded(steps: np.ndarray) -> np.ndarray:
        return np.concatenate([steps, np.full((1, *steps.shape[1:]), np.nan, np.float32)])

    return {
        "state": episode.states,
        "action": padded(episode.actions),
        "reward": padded(episode.rewards),
        "factors": episode.factors,
    }


@dataclass(frozen=True)
class EpisodeIndex:
    """Episodes of a split as row ranges: `offset` and `length` int64 (E,), rows of the flat columns."""

    offset: np.ndarray
    length: np.ndarray

    def __len__(self) -> int:
        return len(self.offset)

    def halves(self) -> tuple["EpisodeIndex", "EpisodeIndex"]:
        """First and second half of every episode; the middle frame, where constants may drift, belongs to both."""
        middle = (self.length - 1) // 2
        return (
            EpisodeIndex(self.offset, middle + 1),
            EpisodeIndex(self.offset + middle, self.length - middle),
        )

    def rows(self) -> np.ndarray:
        """All rows of these episodes, int64 (rows,), episode after episode."""
        return np.concatenate([np.arange(o, o + n) for o, n in zip(self.offset, self.length, strict=True)])


class DataSet:
    """A finished data set, opened for reading; columns are loaded when first asked for."""

    def __init__(self, directory: Path, num_episodes: int | None = None) -> None:
        """Open `directory`, or only its first `num_episodes`.

        Raises StoreError when the directory is missing, empty, foreign, of another schema, or a shard is damaged.
        """
        self.directory = directory
        self.info = read_index(directory)
        available = int(self.info["num_episodes"])
        if available == 0:
            raise StoreError(f"{directory} holds no episode yet; run the same worldmodel collect command again")
        self.num_episodes = available if num_episodes is None else num_episodes
        if self.num_episodes > available:
            raise StoreError(
                f"{directory} holds {available} episodes, {self.num_episodes} were asked for; "
                f"collect the rest with: worldmodel collect env={self.info['name']} episodes={self.num_episodes}"
            )
        per_shard = int(self.info["episodes_per_shard"])
        self._shards = [shard_path(directory, i) for i in range(-(-self.num_episodes // per_shard))]
        lengths = self._read_all("ep_len", check=_check_shard)[: self.num_episodes]
        self.length = lengths
        self.offset = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        self.num_rows = int(lengths.sum())

    @property
    def state_names(self) -> list[str]:
        return list(self.info["world"]["state_names"])

    @property
    def factor_names(self) -> list[str]:
        return [factor["name"] for factor in self.info["world"]["factors"]]

    @cached_property
    def states(self) -> np.ndarray:
        """float32 (rows, X)."""
        return self._read_all("state")

    @cached_property
    def actions(self) -> np.ndarray:
        """float32 (rows, A); NaN in the last row of an episode."""
        return self._read_all("action")

    @cached_property
    def factors(self) -> np.ndarray:
        """float32 (rows, P), the columns named by `factor_names`."""
        return self._read_all("factors")

    def frames(self, rows: slice) -> np.ndarray:
        """Frames of a range of rows, uint8 (rows, S, S, 3), straight from the disk."""
        parts, start = [], 0
        for path in self._shards:
            with _open_shard(path) as file:
                pixels = file["pixels"]
                assert isinstance(pixels, h5py.Dataset)
                stop = start + pixels.shape[0]
                low, high = max(rows.start, start), min(rows.stop, stop)
                if low < high:
                    parts.append(pixels[low - start : high - start])
            start = stop
        return np.concatenate(parts)

    def map_frames(self, function: Callable[[np.ndarray], np.ndarray], chunk: int = 4096) -> np.ndarray:
        """Apply `function` to all frames, chunk by chunk (uint8 (n, S, S, 3) -> (n, …)), and concatenate."""
        return np.concatenate([function(frames) for frames in self._chunks(chunk)])

    def _chunks(self, chunk: int) -> Iterator[np.ndarray]:
        left = self.num_rows
        for path in self._shards:
            with _open_shard(path) as file:
                pixels = file["pixels"]
                assert isinstance(pixels, h5py.Dataset)
                rows = min(left, pixels.shape[0])
                for start in range(0, rows, chunk):
                    yield pixels[start : min(start + chunk, rows)]
                left -= rows

    def split(self, name: str) -> EpisodeIndex:
        """Episodes of "train" (80 %), "validation" or "test" (10 % each), by index: more data keeps the split."""
        chosen = np.isin(np.arange(self.num_episodes) % 10, list(SPLITS[name]))
        if not chosen.any():
            raise StoreError(
                f"{self.directory} has {self.num_episodes} episodes, too few for a {name} split; "
                "collect at least 10 (episodes=10)"
            )
        return EpisodeIndex(self.offset[chosen], self.length[chosen])

    def _read_all(self, column: str, check: Callable[[h5py.File, Path], None] | None = None) -> np.ndarray:
        parts = []
        for path in self._shards:
            with _open_shard(path) as file:
                if check:
                    check(file, path)
                parts.append(np.asarray(file[column][:]))  # type: ignore[index]
        whole = np.concatenate(parts)
        return whole[: self.num_rows] if column != "ep_len" else whole


def read_index(directory: Path) -> dict[str, Any]:
    """The parsed `dataset.json` of a data set; StoreError when it is missing, foreign or of another schema."""
    path = directory / INDEX_NAME
    if not path.exists():
        raise StoreError(f"no data set at {directory} (no {INDEX_NAME}); make one with: worldmodel collect env=NAME")
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        schema = info["schema"]
        missing = INDEX_KEYS - set(info)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is not a data set index ({error}); delete {directory} and collect again") from error
    if schema != SCHEMA_VERSION:
        raise StoreError(f"{path} has schema {schema}, this version reads {SCHEMA_VERSION}; collect it again")
    if missing:
        lacking = ", ".join(sorted(missing))
        raise StoreError(f"{path} is not a data set index (no {lacking}); delete {directory} and collect again")
    return info


def write_index(directory: Path, info: dict[str, Any]) -> None:
    """Write `dataset.json`."""
    write_json(directory / INDEX_NAME, {"schema": SCHEMA_VERSION, **info})


@contextmanager
def _open_shard(path: Path) -> Iterator[h5py.File]:
    """The shard at `path`; StoreError where it is missing, or where HDF5 stumbles over it, now or while it is read."""
    if not path.exists():
        raise StoreError(f"shard {path} is missing: the data set is incomplete; run the same collect command again")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except StoreError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError) as error:  # h5py's answers to damaged bytes
        reason = " ".join(str(error).split())[:120]
        raise StoreError(f"shard {path} is damaged ({reason}); delete it and run the same collect command") from error


def _check_shard(file: h5py.File, path: Path) -> None:
    missing = {"pixels", "state", "action", "reward", "factors", "ep_len", "ep_offset"} - set(file)
    if missing:
        raise StoreError(f"shard {path} lacks {', '.join(sorted(missing))}; it was not written by worldmodel collect")
    rows = int(np.asarray(file["ep_len"][:]).sum())  # type: ignore[index]
    if rows != file["pixels"].shape[0]:  # type: ignore[union-attr]
        raise StoreError(f"shard {path} is damaged (rows do not add up); delete it and run the same collect command")
