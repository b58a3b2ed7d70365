"""Frames of a video by time."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.interchange.images import MAX_IMAGE_PIXELS
from worldmodel.system.errors import StoreError, UserError
from worldmodel.system.files import read_start

# The frame that a camera shows at a time is the last one before it. Written times are rounded: a frame that begins by
# less than this share of its duration later counts as there.
_EARLY = 0.05
MAX_VIDEO_BYTES = 2**40
_BOUNDED = ["-max_pixels", str(MAX_IMAGE_PIXELS), "-protocol_whitelist", "file", "-threads", "2"]
_DEEP_GRAY = re.compile(r"gray(9|1\d|f)")


def check_is_video(path: Path) -> None:
    """UserError where a file is no MP4: ffmpeg would open the files that a playlist names."""
    if read_start(path, MAX_VIDEO_BYTES)[4:8] != b"ftyp":
        raise UserError(f"{path} is no MP4 file; only those are read")


class VideoReader:
    """Decodes videos from front to back, each once where episodes are asked for in their order."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._decoder: Any = None  # a generator: the first item describes the video, the others are frames
        self._size, self._fps = (0, 0), 0.0
        self._next = 0
        self._frame = np.zeros(0, np.uint8)

    def frames(self, file: Path, seconds: np.ndarray) -> Iterator[np.ndarray]:
        """What the video shows at these times, float (n,) ascending: n frames, each uint8 (H, W, 3).

        A camera may be faster than the rows of a table, and skip frames, or slower, and show one for several rows.
        """
        if file != self._file:
            self._open(file)
        wanted = np.floor(seconds * self._fps + _EARLY)
        if not np.isfinite(wanted).all() or (np.diff(wanted) < 0).any() or wanted[0] < 0:
            raise StoreError(f"{file}: the times of an episode's rows, from {seconds[0]:g} s on, do not ascend")
        if wanted[0] < self._next - 1:
            self._open(file)
        for index in wanted:
            yield self._frame_at(int(index), file)

    def first(self, file: Path, most: int) -> Iterator[np.ndarray]:
        """The first frames of a video, at most so many, each uint8 (H, W, 3)."""
        self._open(file)
        for _ in range(most):
            try:
                raw = next(self._decoder)
            except (StopIteration, RuntimeError, OSError):
                return
            width, height = self._size
            yield np.frombuffer(raw, np.uint8).reshape(height, width, 3).copy()

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None

    def _open(self, file: Path) -> None:
        import imageio_ffmpeg

        self.close()
        try:
            check_is_video(file)
            # the format is named: others, such as playlists, name files of their own, which ffmpeg would open
            self._decoder = imageio_ffmpeg.read_frames(str(file), input_params=["-f", "mp4", *_BOUNDED])
            described = next(self._decoder)
        except FileNotFoundError:
            raise StoreError(f"{file} is missing") from None
        except UserError as error:
            raise StoreError(str(error)) from error
        except (OSError, RuntimeError, KeyError, StopIteration) as error:
            raise StoreError(f"{file} is not a video that ffmpeg reads") from error
        pixel_format = described.get("pix_fmt", "").partition("(")[0]
        if _DEEP_GRAY.match(pixel_format):
            raise StoreError(
                f"{file} holds {pixel_format} pictures, such as depth; frames have 8 bits a channel: choose "
                "another camera"
            )
        self._size, self._fps = described["size"], float(described["fps"])
        if not self._fps > 0:
            raise StoreError(f"{file} does not say how many frames a second it has")
        self._file, self._next = file, 0

    def _frame_at(self, index: int, file: Path) -> np.ndarray:
        while self._next <= index:
            try:
                raw = next(self._decoder)
            except (StopIteration, RuntimeError, OSError) as error:
                raise StoreError(
                    f"{file} ends after {self._next} frames ({self._fps:g} a second), but its table has rows until "
                    f"frame {index}"
                ) from error
            width, height = self._size
            self._frame = np.frombuffer(raw, np.uint8).reshape(height, width, 3).copy()
            self._next += 1
        return self._frame
