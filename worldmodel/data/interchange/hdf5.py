"""HDF5 files of other toolkits, whose content is not trusted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from worldmodel.data.hdf5_files import open_hdf5
from worldmodel.data.interchange.foreign import MAX_EPISODE_BYTES
from worldmodel.data.interchange.images import CHANNELS_FIRST, CHANNELS_LAST
from worldmodel.system.errors import StoreError, UserError
from worldmodel.system.files import open_regular

# A column is refused that promises more than this many times its stored bytes, unless it is small in any case.
MAX_COMPRESSION, ALWAYS_READ_BYTES = 100, 128 * 2**20
_BLOCK_BYTES = 32 * 2**20


class opened:
    """An HDF5 file for reading, as a context; what HDF5 says of damaged bytes becomes one line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> h5py.File:
        try:
            self._file = open_hdf5(self._path)
        except OSError as error:
            raise StoreError(f"{self._path} cannot be read ({' '.join(str(error).split())[:120]})") from error
        return self._file

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._file.close()
        if isinstance(error, Exception):  # h5py and numpy raise whatever the file provokes
            if not isinstance(error, UserError):
                reason = " ".join(str(error).split())[:120]
                raise StoreError(f"{self._path} is damaged, or of another layout ({reason})") from error


def arrays(group: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    """(name, column) of the arrays that lie in a group itself, by name; links out of the file are not followed."""
    for name in sorted(group):
        if isinstance(group.get(name, getlink=True), h5py.HardLink) and isinstance(group[name], h5py.Dataset):
            yield name, group[name]  # type: ignore[misc]


def column(group: Any, name: str, path: Path) -> h5py.Dataset:
    """A column that lies in the file itself and promises no more than the limits above; StoreError otherwise."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        there = ", ".join(sorted(group)[:10]) or "nothing"
        raise StoreError(f"{path}: {_full(group, name)} is missing, or not in the file itself; there is {there}")
    found, name = group[name], _full(group, name)
    if isinstance(found, h5py.Group):
        raise StoreError(
            f"{path}: {name} is a group of {', '.join(sorted(found)) or 'nothing'}, such as a dictionary space is "
            "stored as; one array is needed: flatten the space"
        )
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        raise StoreError(f"{path}: {name} is no array, or stored in other files, which are not read")
    if found.nbytes > max(ALWAYS_READ_BYTES, MAX_COMPRESSION * found.id.get_storage_size()):
        raise StoreError(f"{path}: {name} promises {found.nbytes} bytes, far more than are stored")
    return found


def _full(group: Any, name: str) -> str:
    """The path of a column within its file."""
    return f"{group.name}/{name}".lstrip("/")


def described(found: h5py.Dataset) -> str:
    """Name, type and shape of a column, for a message."""
    return f"{str(found.name).lstrip('/')} {found.dtype} {found.shape}"


def rows(found: h5py.Dataset, start: int, stop: int, path: Path) -> np.ndarray:
    """A stretch of rows; StoreError where it lies outside, or is too large for one episode."""
    if not 0 <= start <= stop <= len(found):
        raise StoreError(f"{path}: an episode from row {start} to {stop} does not lie in {found.name}")
    if (stop - start) * (found.nbytes // max(1, len(found))) > MAX_EPISODE_BYTES:
        raise StoreError(f"{path}: an episode of {stop - start} rows is larger than {MAX_EPISODE_BYTES} bytes")
    return found[start:stop]


def blocks(found: h5py.Dataset, start: int, stop: int, path: Path) -> Iterator[np.ndarray]:
    """A stretch of rows in blocks of some megabytes; StoreError where it lies outside."""
    if not 0 <= start <= stop <= len(found):
        raise StoreError(f"{path}: an episode from row {start} to {stop} does not lie in {found.name}")
    step = max(1, _BLOCK_BYTES // max(1, found.nbytes // max(1, len(found))))
    for first in range(start, stop, step):
        yield found[first : min(first + step, stop)]


def check_lengths(found: h5py.Dataset, path: Path) -> None:
    """StoreError where byte strings, each of a length of its own, together promise more bytes than their file has.

    HDF5 makes room for as many bytes as a string says it has, up to 4 GB, before it looks for them.
    """
    promised = sum(int(lengths.sum()) for lengths in _lengths(found, path))
    if promised > path.stat().st_size:
        raise StoreError(f"{path}: {found.name} promises {promised} bytes, more than the file has")


def _lengths(found: h5py.Dataset, path: Path) -> Iterator[np.ndarray]:
    """Bytes of each string, int64: the first four bytes of what a column stores of it, stretch by stretch."""
    stored, size = found.id, found.id.get_type().get_size()
    if found.chunks:
        chunks = [stored.get_chunk_info(index) for index in range(stored.get_num_chunks())]
        stretches = [(chunk.byte_offset, chunk.size // size) for chunk in chunks]
    else:
        stretches = [(stored.get_offset(), len(found))] if stored.get_storage_size() else []
    if stored.get_create_plist().get_nfilters() or any(place is None for place, _ in stretches):
        raise StoreError(
            f"{path}: {found.name} holds images of many lengths, packed by HDF5; write the column without compression"
        )
    with open_regular(path) as file:
        for place, num in stretches:
            file.seek(place)
            strings = np.frombuffer(file.read(num * size), np.uint8)
            yield strings.reshape(-1, size)[:, :4].copy().view("<u4").astype(np.int64)


def is_image(found: h5py.Dataset) -> bool:
    """Whether a column holds frames as arrays that `as_frames` takes."""
    has_channels = found.ndim == 4 and (found.shape[3] in CHANNELS_LAST or found.shape[1] in CHANNELS_FIRST)
    return has_channels and (found.dtype == np.uint8 or found.dtype.kind == "f")


def is_vector(found: h5py.Dataset) -> bool:
    """Whether a column holds numbers or truth values: (rows,) or (rows, x), of any type."""
    return found.dtype.kind in "fiub" and found.ndim in (1, 2)


def width(found: h5py.Dataset) -> int:
    """Columns of a vector column."""
    return 1 if found.ndim == 1 else found.shape[1]
