"""Shards: the HDF5 files of a data set, written whole or not at all, and checked when they are read.

A shard holds whole episodes as flat rows, one row a frame: an episode of T actions has T + 1 rows.

    pixels   uint8   (rows, S, S, 3)   uncompressed, chunks of four frames
    state    float32 (rows, X)         named in dataset.json
    action   float32 (rows, A)         taken after the row's frame was seen; NaN in an episode's last row
    reward   float32 (rows,)           of that action; NaN in an episode's last row
    factors  float32 (rows, P)         every physical constant and visual factor, as it was at that frame
    ep_len, ep_offset  int64 (episodes,)   rows of an episode; stable-worldmodel's HDF5 reader opens a shard as it is

Shard k holds episodes [k * n, (k + 1) * n), each from its own seed: its bytes depend neither on the number of workers
nor on interruptions. A shard is written under a temporary name, flushed, and renamed when it is whole: a kill at any
instant loses at most the shard that is being written. Each column carries the SHA-256 of its bytes as an attribute.
Columns are compared with it whenever they are read whole; of a shard that is used in part, the rest is read for it,
too. (Frames that are streamed from the disk row by row are not: `worldmodel data verify` reads them all.)

Anybody may have written a shard that a user opens: only plain columns that lie in the file itself are read, of no more
bytes than the file has.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from worldmodel.data.hdf5_files import check_room, new_hdf5, open_hdf5
from worldmodel.data.index import INDEX_NAME, WorldRecord
from worldmodel.envs.rollout import Episode
from worldmodel.system.digest import CHECKSUM
from worldmodel.system.errors import StoreError, UserError
from worldmodel.system.files import write_atomically

FRAMES_PER_SHARD = 10_000
"""Frames up to which whole episodes are put into one shard; a longer episode has its own."""
COLUMNS = {"pixels": (4, "u1"), "state": (2, "f4"), "action": (2, "f4"), "reward": (1, "f4"), "factors": (2, "f4"),
           "ep_len": (1, "i8"), "ep_offset": (1, "i8")}  # fmt: skip


def shard_path(directory: Path, index: int) -> Path:
    """The file of shard `index`; it is there when it is whole."""
    return directory / f"shard-{index:05d}.h5"


def write_shard(path: Path, episodes: Iterable[Episode], unless: Callable[[], bool] | None = None) -> None:
    """Write whole episodes to `path`, which is not there until all of them are on the disk.

    unless: called when all are written; where it returns True, another command was faster, and its file is kept.
    """

    def fill(temporary: Path) -> None:
        with new_hdf5(temporary) as file:
            _fill(file, path, episodes)

    write_atomically(path, fill, unless)


def _fill(file: h5py.File, path: Path, episodes: Iterable[Episode]) -> None:
    """Fill a file that will stand at `path`."""
    small: list[dict[str, np.ndarray]] = []
    num_bytes = 0
    digest = hashlib.sha256()
    pixels: h5py.Dataset | None = None
    for episode in episodes:
        frames = np.ascontiguousarray(episode.frames)
        small.append(_small_columns(episode))
        added = frames.nbytes + sum(values.nbytes for values in small[-1].values())
        check_room(path, added, num_bytes)
        num_bytes += added
        if pixels is None:
            shape = frames.shape[1:]
            pixels = file.create_dataset("pixels", (0, *shape), np.uint8, maxshape=(None, *shape), chunks=(4, *shape))
        _append(pixels, frames)
        file.flush()  # a disk that refuses is noticed here, and not when HDF5 empties its caches
        digest.update(frames)  # type: ignore[arg-type]
    assert pixels is not None
    lengths = np.array([len(columns["state"]) for columns in small], np.int64)
    columns = {name: np.concatenate([columns[name] for columns in small]) for name in small[0]}
    columns |= {"ep_len": lengths, "ep_offset": np.cumsum(lengths) - lengths}
    written = []  # open until the flush: what HDF5 writes when it closes them, it cannot complain about
    for name, values in columns.items():
        written.append(file.create_dataset(name, data=values))
        written[-1].attrs[CHECKSUM] = hashlib.sha256(values).hexdigest()  # type: ignore[arg-type]
    pixels.attrs[CHECKSUM] = digest.hexdigest()
    file.flush()


def _append(pixels: h5py.Dataset, frames: np.ndarray) -> None:
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


@contextmanager
def open_shard(path: Path) -> Iterator[h5py.File]:
    """The shard at `path`; StoreError where it is missing or damaged, also where HDF5 notices while it is read."""
    try:
        with open_hdf5(path) as file:
            yield file
    except FileNotFoundError:
        raise missing(path) from None
    except StoreError:
        raise
    except UserError as error:  # of the door
        raise StoreError(f"shard {error}") from error
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, MemoryError) as error:  # of damaged bytes
        raise damaged(path, str(error)) from error


def read_column(file: h5py.File, name: str, path: Path) -> np.ndarray:
    """A whole column of an open shard; StoreError where its bytes are not those that were written."""
    column = plain_column(file, name, path)
    values = np.asarray(column[:])
    found = hashlib.sha256(np.ascontiguousarray(values)).hexdigest()  # type: ignore[arg-type]
    compare(column, found, path)
    return values


def plain_column(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """A column that lies in the file itself, of the right type, and no larger than the file; StoreError otherwise.

    HDF5 can name other files as a column's storage, and promise terabytes in a few bytes.
    """
    num_dimensions, kind = COLUMNS[name]
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise damaged(path, f"{name} is not in the file itself")
    column = file[name]
    if not isinstance(column, h5py.Dataset) or column.external or column.is_virtual or column.compression:
        raise damaged(path, f"{name} is not a plain column")
    if column.ndim != num_dimensions or column.dtype != np.dtype(kind):
        raise damaged(path, f"{name} has shape {column.shape} and type {column.dtype}")
    if column.nbytes > path.stat().st_size:
        raise damaged(path, f"{name} promises more bytes than the file has")
    return column


def missing(path: Path) -> StoreError:
    """The error for a shard that is not there."""
    return StoreError(f"shard {path} is missing: the data set is incomplete; give the command that made it again")


def damaged(path: Path, reason: str) -> StoreError:
    """The error for a shard that is not as it was written; reason: one line."""
    reason = " ".join(reason.split())[:120]
    return StoreError(f"shard {path} is damaged ({reason}); delete it and give the command that made it again")


def compare(column: h5py.Dataset, found: str, path: Path) -> None:
    """StoreError where a column's checksum is not `found`; a shard without checksums is of an older version."""
    written = column.attrs.get(CHECKSUM)
    if written is not None and written != found:
        raise damaged(path, f"the checksum of {column.name} differs from the one written with it")


def check_shard(file: h5py.File, path: Path, world: WorldRecord) -> None:
    """StoreError unless all columns are plain and their shapes agree with one another and with the index."""
    if absent := COLUMNS.keys() - set(file):
        raise StoreError(f"shard {path} lacks {', '.join(sorted(absent))}; it was not written by this package")
    columns = {name: plain_column(file, name, path) for name in COLUMNS}
    lengths = columns["ep_len"][:]
    rows = columns["pixels"].shape[0]
    agree = all(columns[name].shape[0] == rows for name in ("state", "action", "reward", "factors"))
    agree = agree and np.array_equal(columns["ep_offset"][:], np.cumsum(lengths) - lengths)
    if not agree or len(lengths) == 0 or int(lengths.min()) < 1 or int(lengths.sum()) != rows:
        raise damaged(path, "rows do not add up")
    if columns["pixels"].shape[3] != 3 or columns["pixels"].shape[1] != columns["pixels"].shape[2]:
        raise damaged(path, f"frames of shape {columns['pixels'].shape[1:]}")
    sides = [("pixels", "pixels a side", world.image_size), ("state", "columns", len(world.state_names))]
    sides.append(("factors", "columns", len(world.factors)))
    if world.action_bounds is not None:
        sides.append(("action", "columns", len(world.action_bounds[0])))
    for name, what, promised in sides:
        if columns[name].shape[1] != promised:
            raise damaged(path, f"{name} has {columns[name].shape[1]} {what}, {INDEX_NAME} says {promised}")


@dataclass(frozen=True)
class ShardCheck:
    """What a verified shard holds."""

    episodes: int
    """Episodes in it."""

    frames: int
    """Frames of all its episodes."""

    unchecked: tuple[str, ...]
    """Columns without a checksum, which may have changed unseen."""


def verify_shard(path: Path) -> ShardCheck:
    """Read a shard to the last byte and compare all checksums; StoreError where anything is damaged."""
    with open_shard(path) as file:
        for name in COLUMNS:
            if name != "pixels":
                read_column(file, name, path)
        pixels, digest = plain_column(file, "pixels", path), hashlib.sha256()
        for start in range(0, len(pixels), 4096):
            digest.update(pixels[start : start + 4096])
        compare(pixels, digest.hexdigest(), path)
        unchecked = tuple(name for name in COLUMNS if CHECKSUM not in file[name].attrs)
        return ShardCheck(len(plain_column(file, "ep_len", path)), len(pixels), unchecked)


def digest_of_shards(paths: Iterable[Path]) -> str:
    """SHA-256 of the checksums that shards carry: of what they hold, without reading it."""
    found = hashlib.sha256()
    for path in paths:
        with open_shard(path) as file:
            checksums = {name: str(plain_column(file, name, path).attrs.get(CHECKSUM, "")) for name in COLUMNS}
        found.update(repr(sorted(checksums.items())).encode())
    return found.hexdigest()
