"""Frames of a video by time."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.interchange.foreign import MAX_EPISODE_BYTES
from worldmodel.system.errors import StoreError, UserError
from worldmodel.system.files import check_regular

# The frame that a camera shows at a time is the last one before it. Written times are rounded: a frame that begins by
# less than this share of its duration later counts as there.
_EARLY = 0.05
_DEEP_GRAY = re.compile(r"gray(9|1\d|f)")


class VideoReader:
    """Decodes videos from front to back, each once where episodes are asked for in their order."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._decoder: Any = None  # a generator: the first item describes the video, the others are frames
        self._size, self._fps = (0, 0), 0.0
        self._next = 0
        self._frame = np.zeros(0, np.uint8)

    def frames(self, file: Path, seconds: np.ndarray) -> np.ndarray:
        """What the video shows at these times, float (n,) ascending: uint8 (n, H, W, 3).

        A camera may be faster than the rows of a table, and skip frames, or slower, and show one for several rows.
        """
        if file != self._file:
            self._open(file)
        wanted = np.floor(seconds * self._fps + _EARLY)
        if not np.isfinite(wanted).all() or (np.diff(wanted) < 0).any() or wanted[0] < 0:
            raise StoreError(f"{file}: the times of an episode's rows, from {seconds[0]:g} s on, do not ascend")
        if wanted[0] < self._next - 1:
            self._open(file)
        width, height = self._size
        if len(wanted) * width * height * 3 > MAX_EPISODE_BYTES:
            raise StoreError(f"{file}: an episode of {len(wanted)} frames is larger than {MAX_EPISODE_BYTES} bytes")
        return np.stack([self._frame_at(int(index), file, len(wanted)) for index in wanted])

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None

    def _open(self, file: Path) -> None:
        import imageio_ffmpeg

        self.close()
        try:
            check_regular(file)
            # the format is named: others, such as playlists, name files of their own, which ffmpeg would open
            self._decoder = imageio_ffmpeg.read_frames(str(file), input_params=["-f", "mp4"])
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

    def _frame_at(self, index: int, file: Path, num_rows: int) -> np.ndarray:
        while self._next <= index:
            try:
                raw = next(self._decoder)
            except (StopIteration, RuntimeError, OSError) as error:
                raise StoreError(
                    f"{file} ends after {self._next} frames ({self._fps:g} a second), but its table has rows until "
                    f"frame {index}"
                ) from error
            width, height = self._size
            self._frame = np.frombuffer(raw, np.uint8).reshape(height, width, 3)
            self._next += 1
        return self._frame
