"""Frames read from memory-mapped shards: any rows, without HDF5, at the speed of the page cache.

Frames are stored in chunks without compression, so HDF5's index says at which byte each chunk begins. It is read once
per shard; from then on a row is a known range of bytes of the file, and gathering it is one copy. Data sets larger than
memory stream through the page cache. All rows of a batch are announced to the operating system before the first is
copied, so that the disk reads them together. Rows that are read so are not compared with a checksum, since those are of
whole columns.
"""

import mmap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

from worldmodel.data.shards import damaged, open_shard, plain_column
from worldmodel.data.store import DataSet
from worldmodel.system.files import open_regular


@dataclass(frozen=True)
class _Mapping:
    """A shard in memory."""

    file: mmap.mmap
    """The whole file."""

    windows: np.ndarray
    """The bytes of a row from every byte of the file on, uint8 (positions, bytes of a row); a view, no copy."""

    offset: np.ndarray
    """Byte at which each row begins, int64 (rows,)."""


class MappedFrames:
    """Frames of a data set by row number, uint8 (n, S, S, 3), copied from mapped shards."""

    def __init__(self, data: DataSet) -> None:
        self._shards = data.shards
        self._starts = np.concatenate([[0], np.cumsum(data.shard_rows)])
        self._open: dict[int, _Mapping] = {}

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Shape of a frame, (S, S, 3)."""
        with open_shard(self._shards[0]) as file:
            return plain_column(file, "pixels", self._shards[0]).shape[1:]

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Copy rows int64 (n,) -> uint8 (n, S, S, 3); StoreError where a shard is damaged."""
        frames = np.empty((len(rows), int(np.prod(self.shape))), np.uint8)
        of_shard = np.searchsorted(self._starts, rows, "right") - 1
        for shard in np.unique(of_shard):
            chosen = np.flatnonzero(of_shard == shard)
            mapping = self._mapping(int(shard))
            offsets = mapping.offset[rows[chosen] - self._starts[shard]]
            frames[chosen] = mapping.windows[offsets]
        return frames.reshape(len(rows), *self.shape)

    def announce(self, rows: np.ndarray) -> None:
        """Ask the operating system to read these rows, int64 (n,), ahead."""
        num_bytes, page = int(np.prod(self.shape)), mmap.PAGESIZE
        of_shard = np.searchsorted(self._starts, rows, "right") - 1
        for row, shard in zip(rows.tolist(), of_shard.tolist(), strict=True):
            mapping = self._mapping(shard)
            first = int(mapping.offset[row - self._starts[shard]])
            begin = first - first % page
            mapping.file.madvise(mmap.MADV_WILLNEED, begin, first + num_bytes - begin)

    def _mapping(self, shard: int) -> _Mapping:
        if shard not in self._open:
            self._open[shard] = _map(self._shards[shard], self.shape)
        return self._open[shard]


def _map(path: Path, shape: tuple[int, int, int]) -> _Mapping:
    num_bytes = int(np.prod(shape))
    with open_shard(path) as file:
        pixels = plain_column(file, "pixels", path)
        offset = _row_offsets(pixels, num_bytes)
        if pixels.shape[1:] != shape or offset is None:
            raise damaged(path, "its frames are not stored in plain chunks")
    with open_regular(path) as handle:
        mapped = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    flat = np.frombuffer(mapped, np.uint8)
    if offset.min() < 0 or offset.max() + num_bytes > len(flat):
        raise damaged(path, "frames beyond its end")
    windows = np.lib.stride_tricks.as_strided(flat, (len(flat) - num_bytes + 1, num_bytes), (1, 1), writeable=False)
    return _Mapping(mapped, windows, offset)


def _row_offsets(pixels: h5py.Dataset, num_bytes: int) -> np.ndarray | None:
    """The byte at which each row begins, int64 (rows,); None where rows are not whole stretches of bytes."""
    if pixels.chunks is None or pixels.chunks[1:] != pixels.shape[1:]:
        return None
    per_chunk = pixels.chunks[0]
    begins = np.full(-(-len(pixels) // per_chunk), -1, np.int64)

    def note(chunk: h5py.h5d.StoreInfo) -> None:
        if chunk.filter_mask == 0 and chunk.size == per_chunk * num_bytes:
            begins[chunk.chunk_offset[0] // per_chunk] = chunk.byte_offset

    pixels.id.chunk_iter(note)
    if (begins < 0).any():
        return None
    return (begins[:, None] + np.arange(per_chunk) * num_bytes).ravel()[: len(pixels)]
