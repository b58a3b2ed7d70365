"""Shards: the HDF5 files of a data set, written whole or not at all, and read with suspicion.

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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from worldmodel.data.index import INDEX_NAME, WorldRecord
from worldmodel.envs.rollout import Episode
from worldmodel.system.errors import StoreError
from worldmodel.system.files import require_space, write_atomically

COLUMNS = {"pixels": (4, "u1"), "state": (2, "f4"), "action": (2, "f4"), "reward": (1, "f4"), "factors": (2, "f4"),
           "ep_len": (1, "i8"), "ep_offset": (1, "i8")}  # fmt: skip
CHECKSUM = "sha256"


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
    compare(column, found, path)
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


def compare(column: h5py.Dataset, found: str, path: Path) -> None:
    """StoreError where a column's checksum is not `found`; a shard without checksums is of an older version."""
    written = column.attrs.get(CHECKSUM)
    if written is not None and written != found:
        raise _damaged(path, f"the checksum of {column.name} differs from the one written with it")


def check_shard(file: h5py.File, path: Path, world: WorldRecord) -> None:
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
    for name, named in (("state", world.state_names), ("factors", world.factors)):
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
        compare(pixels, digest.hexdigest(), path)
        return len(file["ep_len"])  # type: ignore[arg-type]
