"""Data sets: a directory of HDF5 shards and one `dataset.json`.

A shard holds whole episodes as flat rows, one row a frame: an episode of T actions has T + 1 rows.

    pixels   uint8   (rows, S, S, 3)   uncompressed, chunks of four frames
    state    float32 (rows, X)         named in dataset.json
    action   float32 (rows, A)         taken after the row's frame was seen; NaN in an episode's last row
    reward   float32 (rows,)           of that action; NaN in an episode's last row
    factors  float32 (rows, P)         every physical constant and visual factor, as it was at that frame
    ep_len, ep_offset  int64 (episodes,)   rows of an episode; stable-worldmodel's HDF5 reader opens a shard as it is

Shard k holds episodes [k * n, (k + 1) * n), each from its own seed, so its content depends neither on the number of
workers nor on what was interrupted, to the byte. A shard is written under a temporary name, flushed, and renamed when
whole: a kill at any instant loses at most the shard being written. Each column carries the SHA-256 of its bytes as an
attribute: whatever is read whole is checked.

Anybody may have written a shard that one opens: only plain columns that lie in the file itself are read, of no more
bytes than the file has.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from worldmodel.envs.rollout import Episode
from worldmodel.system.errors import StoreError
from worldmodel.system.files import read_json, require_space, write_atomically, write_json

SCHEMA_VERSION = 1
INDEX_NAME = "dataset.json"
COLUMNS = {"pixels": (4, "u1"), "state": (2, "f4"), "action": (2, "f4"), "reward": (1, "f4"), "factors": (2, "f4"),
           "ep_len": (1, "i8"), "ep_offset": (1, "i8")}  # fmt: skip
CHECKSUM = "sha256"
SPLITS = {"train": range(8), "validation": range(8, 9), "test": range(9, 10)}


def shard_path(directory: Path, index: int) -> Path:
    """Where shard `index` stands once it is whole."""
    return directory / f"shard-{index:05d}.h5"


def write_shard(path: Path, episodes: Iterable[Episode]) -> None:
    """Write whole episodes to `path`; nothing stands there until all of them are on the disk."""

    def fill(temporary: Path) -> None:
        with h5py.File(temporary, "w") as file:
            small: list[dict[str, np.ndarray]] = []
            digest = hashlib.sha256()
            for episode in episodes:
                require_space(path.parent, episode.frames.nbytes)
                _append_frames(file, episode.frames)
                digest.update(np.ascontiguousarray(episode.frames))  # type: ignore[arg-type]
                small.append(_small_columns(episode))
            lengths = np.array([len(columns["state"]) for columns in small], np.int64)
            columns = {name: np.concatenate([columns[name] for columns in small]) for name in small[0]}
            columns |= {"ep_len": lengths, "ep_offset": np.cumsum(lengths) - lengths}
            for name, values in columns.items():
                file[name] = values
                file[name].attrs[CHECKSUM] = hashlib.sha256(values).hexdigest()  # type: ignore[arg-type]
            file["pixels"].attrs[CHECKSUM] = digest.hexdigest()

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
    """Episodes of a split as row ranges: `offset` and `length` int64 (E,), rows of the flat columns.

    restart_midway: whether the second half of an episode is a motion of its own.
    """

    offset: np.ndarray
    length: np.ndarray
    restart_midway: bool = False

    def __len__(self) -> int:
        return len(self.offset)

    def halves(self) -> tuple["EpisodeIndex", "EpisodeIndex"]:
        """First and second half of every episode; the middle frame, where constants may drift, belongs to both, unless
        the second half starts afresh there."""
        middle = (self.length - 1) // 2
        return (
            EpisodeIndex(self.offset, middle if self.restart_midway else middle + 1),
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
        num_shards = -(-self.num_episodes // per_shard)
        if num_shards > len(standing := set(directory.glob("shard-*.h5"))):
            lost = next(path for k in range(num_shards) if (path := shard_path(directory, k)) not in standing)
            raise StoreError(f"shard {lost} is missing: the data set is incomplete; run the same collect command again")
        self.shards = [shard_path(directory, k) for k in range(num_shards)]
        lengths = [self._episode_lengths(path) for path in self.shards]
        self.length = np.concatenate(lengths)[: self.num_episodes]
        if len(self.length) < self.num_episodes:
            raise StoreError(f"{directory} holds {len(self.length)} episodes, its index promises {self.num_episodes}")
        self.offset = np.concatenate([[0], np.cumsum(self.length)[:-1]])
        self.num_rows = int(self.length.sum())
        # rows of each shard that belong to these episodes
        ends = np.minimum(np.cumsum([part.sum() for part in lengths]), self.num_rows)
        self.shard_rows = [int(rows) for rows in np.diff(ends, prepend=0)]

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
    def rewards(self) -> np.ndarray:
        """float32 (rows,); NaN in the last row of an episode."""
        return self._read_all("reward")

    @cached_property
    def factors(self) -> np.ndarray:
        """float32 (rows, P), the columns named by `factor_names`."""
        return self._read_all("factors")

    def frames(self, rows: slice) -> np.ndarray:
        """Frames of a range of rows, uint8 (rows, S, S, 3), straight from the disk."""
        parts, start = [], 0
        for path, num_rows in zip(self.shards, self.shard_rows, strict=True):
            low, high = max(rows.start, start), min(rows.stop, start + num_rows)
            if low < high:
                with open_shard(path) as file:
                    parts.append(file["pixels"][low - start : high - start])  # type: ignore[index]
            start += num_rows
        return np.concatenate(parts)

    def map_frames(self, function: Callable[[np.ndarray], np.ndarray], chunk: int = 4096) -> np.ndarray:
        """Apply `function` to all frames, chunk by chunk (uint8 (n, S, S, 3) -> (n, …)); nothing is held twice.

        Raises StoreError where the bytes of a shard are not those that were written.
        """
        parts = map(function, self.chunks(chunk))
        first = next(parts)
        mapped = np.empty((sum(self.shard_rows), *first.shape[1:]), first.dtype)
        start = 0
        for part in chain([first], parts):
            mapped[start : start + len(part)] = part
            start += len(part)
        return mapped

    def chunks(self, chunk: int) -> Iterator[np.ndarray]:
        """All frames in order, at most `chunk` at a time; StoreError at the end of a shard that is damaged."""
        for path, num_rows in zip(self.shards, self.shard_rows, strict=True):
            with open_shard(path) as file:
                pixels = file["pixels"]
                assert isinstance(pixels, h5py.Dataset)
                digest = hashlib.sha256()
                for start in range(0, num_rows, chunk):
                    frames = pixels[start : min(start + chunk, num_rows)]
                    digest.update(frames)
                    yield frames
                if num_rows == len(pixels):
                    _compare(pixels, digest.hexdigest(), path)

    def episodes(self) -> Iterator[Episode]:
        """All episodes, one after another, as they were recorded (their seeds are not kept: 0)."""
        for offset, length in zip(self.offset.tolist(), self.length.tolist(), strict=True):
            rows, steps = slice(offset, offset + length), slice(offset, offset + length - 1)
            yield Episode(
                self.frames(rows), self.states[rows], self.actions[steps], self.rewards[steps], self.factors[rows], 0
            )

    def split(self, name: str) -> EpisodeIndex:
        """Episodes of "train" (80 %), "validation" or "test" (10 % each), by index: more data keeps the split."""
        chosen = np.isin(np.arange(self.num_episodes) % 10, list(SPLITS[name]))
        if not chosen.any():
            raise StoreError(
                f"{self.directory} has {self.num_episodes} episodes, too few for a {name} split; "
                "collect at least 10 (episodes=10)"
            )
        restart_midway = self.info["settings"].get("restart_midway", False)
        return EpisodeIndex(self.offset[chosen], self.length[chosen], restart_midway)

    def _episode_lengths(self, path: Path) -> np.ndarray:
        with open_shard(path) as file:
            _check_shard(file, path, self.info["world"])
            return read_column(file, "ep_len", path)

    def _read_all(self, column: str) -> np.ndarray:
        parts = []
        for path in self.shards:
            with open_shard(path) as file:
                parts.append(read_column(file, column, path))
        return np.concatenate(parts)[: self.num_rows]


# ---------------------------------------------------------------------------------------------------------------------
# the index


def read_index(directory: Path) -> dict[str, Any]:
    """The parsed `dataset.json` of a data set; StoreError when it is missing, foreign or of another schema."""
    path = directory / INDEX_NAME
    if not path.exists():
        raise StoreError(f"no data set at {directory} (no {INDEX_NAME}); make one with: worldmodel collect env=NAME")
    try:
        info = read_json(path)
        if info.get("schema") != SCHEMA_VERSION:
            raise ValueError(f"it has schema {info.get('schema')!r}, this version reads {SCHEMA_VERSION}")
        _check_index(info)
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} is not a data set index ({error}); delete {directory} and collect again") from error
    return info


def _check_index(info: dict[str, Any]) -> None:
    """ValueError unless an index holds what this package reads of it, of the right types."""

    def expect(holds: bool, key: str, expected: str) -> None:
        if not holds:
            raise ValueError(f"{key} must be {expected}")

    def is_names(value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(name, str) for name in value)

    def is_number(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    def is_numbers(value: Any) -> bool:
        return isinstance(value, dict) and all(map(is_number, value.values()))

    expect(isinstance(info.get("name"), str), "name", "a text")
    for key, lowest in (("num_episodes", 0), ("episodes_per_shard", 1)):
        value = info.get(key)
        expect(isinstance(value, int) and not isinstance(value, bool) and value >= lowest, key, f"a number >= {lowest}")
    settings, world = info.get("settings"), info.get("world")
    if not isinstance(settings, dict) or not isinstance(world, dict):
        raise ValueError("settings and world must be objects")
    expect(is_names(world.get("state_names")), "world.state_names", "a list of names")
    for key in ("angle_names", "randomize"):
        expect(is_names(world.get(key, [])), f"world.{key}", "a list of names")
    expect(is_numbers(world.get("factor_rho", {})), "world.factor_rho", "names and numbers")
    factors = world.get("factors")
    expect(
        isinstance(factors, list)
        and all(isinstance(factor, dict) and isinstance(factor.get("name"), str) for factor in factors),
        "world.factors",
        "a list of objects with a name",
    )
    kinematic = world.get("kinematic")
    if kinematic is not None:
        expect(isinstance(kinematic, dict) and is_number(kinematic.get("rho")), "world.kinematic.rho", "a number")
        expect(is_numbers(kinematic.get("latents")), "world.kinematic.latents", "names and numbers")
        unknown = set(kinematic["latents"]) - set(world["state_names"])
        expect(not unknown, "world.kinematic.latents", "state names")


def write_index(directory: Path, info: dict[str, Any], writer: Callable[..., None] = write_atomically) -> None:
    """Write `dataset.json`, by `write_atomically` or `write_new`."""
    write_json(directory / INDEX_NAME, {"schema": SCHEMA_VERSION, **info}, writer)


# ---------------------------------------------------------------------------------------------------------------------
# a shard


@contextmanager
def open_shard(path: Path) -> Iterator[h5py.File]:
    """The shard at `path`; StoreError where it is missing, or where HDF5 stumbles over it, now or while it is read."""
    if not path.exists():
        raise StoreError(f"shard {path} is missing: the data set is incomplete; run the same collect command again")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except StoreError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, MemoryError) as error:  # of damaged bytes
        raise _damaged(path, str(error)) from error


def read_column(file: h5py.File, name: str, path: Path) -> np.ndarray:
    """A whole column of an open shard; StoreError where its bytes are not those that were written."""
    column = plain_column(file, name, path)
    values = np.asarray(column[:])
    found = hashlib.sha256(np.ascontiguousarray(values)).hexdigest()  # type: ignore[arg-type]
    _compare(column, found, path)
    return values


def plain_column(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """A column that lies in the file itself, of the right type, and no larger than the file; StoreError otherwise.

    HDF5 can name other files as a column's storage, and promise terabytes in a few bytes.
    """
    num_dimensions, kind = COLUMNS[name]
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise _damaged(path, f"{name} is not in the file itself")
    column = file[name]
    if not isinstance(column, h5py.Dataset) or column.external or column.is_virtual or column.compression:
        raise _damaged(path, f"{name} is not a plain column")
    if column.ndim != num_dimensions or column.dtype != np.dtype(kind):
        raise _damaged(path, f"{name} has shape {column.shape} and type {column.dtype}")
    if column.nbytes > path.stat().st_size:
        raise _damaged(path, f"{name} promises more bytes than the file has")
    return column


def _damaged(path: Path, reason: str) -> StoreError:
    reason = " ".join(reason.split())[:120]
    return StoreError(f"shard {path} is damaged ({reason}); delete it and run the same collect command")


def _compare(column: h5py.Dataset, found: str, path: Path) -> None:
    """StoreError where a column's checksum is not `found`; a shard without checksums is of an older version."""
    written = column.attrs.get(CHECKSUM)
    if written is not None and written != found:
        raise _damaged(path, f"the checksum of {column.name} differs from the one written with it")


def _check_shard(file: h5py.File, path: Path, world: dict[str, Any]) -> None:
    """StoreError unless all columns are plain and their shapes agree with one another and with the index."""
    if missing := COLUMNS.keys() - set(file):
        raise StoreError(f"shard {path} lacks {', '.join(sorted(missing))}; it was not written by worldmodel collect")
    columns = {name: plain_column(file, name, path) for name in COLUMNS}
    lengths = columns["ep_len"][:]
    rows = columns["pixels"].shape[0]
    agree = all(columns[name].shape[0] == rows for name in ("state", "action", "reward", "factors"))
    if not agree or len(lengths) == 0 or int(lengths.min()) < 1 or int(lengths.sum()) != rows:
        raise _damaged(path, "rows do not add up")
    if columns["pixels"].shape[3] != 3 or columns["pixels"].shape[1] != columns["pixels"].shape[2]:
        raise _damaged(path, f"frames of shape {columns['pixels'].shape[1:]}")
    for name, named in (("state", world["state_names"]), ("factors", world["factors"])):
        if columns[name].shape[1] != len(named):
            raise _damaged(path, f"{name} has {columns[name].shape[1]} columns, {INDEX_NAME} names {len(named)}")


def verify_shard(path: Path) -> int:
    """Read a shard to the last byte and compare all checksums; its episodes. StoreError where anything is damaged."""
    with open_shard(path) as file:
        for name in COLUMNS:
            if name != "pixels":
                read_column(file, name, path)
        pixels, digest = plain_column(file, "pixels", path), hashlib.sha256()
        for start in range(0, len(pixels), 4096):
            digest.update(pixels[start : start + 4096])
        _compare(pixels, digest.hexdigest(), path)
        return len(file["ep_len"])  # type: ignore[arg-type]
