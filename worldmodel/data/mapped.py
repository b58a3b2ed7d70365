"""Frames straight from the files: shards mapped into memory, any rows copied out at the speed of the page cache.

Frames are stored uncompressed in chunks, so that HDF5's index only says at which byte each chunk begins. That is read
once per shard; from then on a row is a known stretch of bytes of the file, and gathering rows is one copy each, without
HDF5. Data sets larger than memory stream through the page cache: the operating system keeps what is used, and is told
of all rows of a batch before the first is copied, so that the disk works on them together.
"""

import mmap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

from worldmodel.data.shards import damaged, open_shard, plain_column
from worldmodel.data.store import DataSet


@dataclass(frozen=True)
class _Mapping:
    """A mapped shard: `windows` (bytes, row bytes) begins at every byte of the file; `offset` int64 (rows,)."""

    file: mmap.mmap
    windows: np.ndarray
    offset: np.ndarray


class MappedFrames:
    """Frames of a data set by row number, uint8 (n, S, S, 3), copied from mapped shards."""

    def __init__(self, data: DataSet) -> None:
        self._shards = data.shards
        self._starts = np.concatenate([[0], np.cumsum(data.shard_rows)])
        self._open: dict[int, _Mapping] = {}

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Of a frame, (S, S, 3)."""
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
        """Let the disk begin to read these rows, int64 (n,), all at once."""
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
    with path.open("rb") as handle:
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
