"""Frames for training: uint8, at the encoder's input size, in the fastest memory that holds them."""

import math
import os
from typing import Protocol

import torch
from torch import Tensor

from worldmodel.data.mapped import MappedFrames
from worldmodel.data.store import DataSet
from worldmodel.system.errors import UserError
from worldmodel.system.resident import available_bytes, shown


def box_resize(frames: Tensor, size: int) -> Tensor:
    """Average square blocks of pixels: uint8 (n, S, S, 3) -> uint8 (n, size, size, 3), halves rounded up.

    In integers, so that frames that are reduced when they are loaded and frames that are reduced one by one agree to
    the bit. UserError where S is no multiple of `size`.
    """
    side = frames.shape[1]
    if side == size:
        return frames
    check_frame_size(side, size)
    block = side // size
    dtype = torch.int16 if 255 * block**2 <= torch.iinfo(torch.int16).max else torch.int32
    rows = frames[:, 0::block].to(dtype)
    for i in range(1, block):
        rows += frames[:, i::block]
    boxes = rows[:, :, 0::block].clone()
    for i in range(1, block):
        boxes += rows[:, :, i::block]
    return ((boxes.to(torch.int32) + block * block // 2) // (block * block)).to(torch.uint8)


def check_frame_size(image_size: int, input_size: int) -> None:
    """UserError unless frames of `image_size` pixels a side can be averaged to an encoder's `input_size`."""
    if image_size % input_size:
        raise UserError(
            f"frames are {image_size} x {image_size} pixels, the encoder takes {input_size} x {input_size} or a "
            f"multiple of it; set env.image_size to a multiple of {input_size}, or encoder.input_size to a divisor of "
            f"{image_size}"
        )


class Frames(Protocol):
    """All frames of a data set, of which any rows can be gathered."""

    size: int
    """Pixels a side."""

    place: str
    """Their number, size and place in words: "4,020 of 16 x 16 in memory (3.09 MB)"."""

    def gather(self, rows: Tensor) -> Tensor:
        """Frames of rows, int64 (…) -> uint8 (…, 3, size, size), on the training device."""
        ...


class MemoryFrames:
    """All frames in the memory of the training device where they fit there, else of the host."""

    def __init__(self, frames: Tensor, device: torch.device) -> None:
        self.size = frames.shape[1]
        self._device = device
        self._frames = frames.to(device) if _fits(frames.numel(), device) else frames
        where = "device memory" if self._frames.device.type == "cuda" else "memory"
        self.place = f"{len(frames):,} of {self.size} x {self.size} in {where} ({shown(frames.numel())})"

    def gather(self, rows: Tensor) -> Tensor:
        # index_select on a matrix copies whole rows: ten times as fast as indexing, which copies byte by byte
        flat = self._frames.flatten(1).index_select(0, rows.flatten().to(self._frames.device))
        picked = flat.view(*rows.shape, *self._frames.shape[1:])
        return picked.to(self._device, non_blocking=True).movedim(-1, -3)


class DiskFrames:
    """Frames that are read from the mapped shards when they are asked for: for data sets larger than memory."""

    def __init__(self, data: DataSet, size: int, device: torch.device) -> None:
        self.size = size
        self._mapped, self._device = MappedFrames(data), device
        num_bytes = data.num_rows * math.prod(self._mapped.shape)
        self.place = (
            f"{data.num_rows:,} streamed from {data.directory} ({shown(num_bytes)}), reduced to {size} x {size}"
        )

    def gather(self, rows: Tensor) -> Tensor:
        flat = rows.flatten().numpy()
        self._mapped.announce(flat)
        small = box_resize(torch.from_numpy(self._mapped.gather(flat)), self.size)
        return small.view(*rows.shape, *small.shape[1:]).to(self._device).movedim(-1, -3)


def load_frames(data: DataSet, size: int, device: torch.device) -> Frames:
    """All frames of `data` box-averaged to `size`: in device memory, else in host memory, else streamed from disk."""
    if not _fits(data.num_rows * size * size * 3, torch.device("cpu")):
        return DiskFrames(data, size, device)
    reduced = data.map_frames(lambda chunk: box_resize(torch.from_numpy(chunk), size).numpy())
    return MemoryFrames(torch.from_numpy(reduced), device)


def _fits(num_bytes: int, device: torch.device) -> bool:
    """Whether `num_bytes` take less than half of the device's free memory, shared with this machine's other ranks."""
    if device.type == "cuda":
        return num_bytes < torch.cuda.mem_get_info(device)[0] // 2
    return num_bytes < available_bytes() // 2 // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
