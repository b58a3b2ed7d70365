"""Frames of a video by time."""

import re
import subprocess
from collections.abc import Iterator
from fractions import Fraction
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
_MAX_FRAMES = 10**7
# the format is named: others, such as playlists, name files of their own, which ffmpeg would open
_BOUNDED = ["-f", "mp4", "-max_pixels", str(MAX_IMAGE_PIXELS), "-protocol_whitelist", "file", "-threads", "2"]
# each frame once, whatever its time, and none after one that cannot be decoded: frames are counted
_EACH_ONCE = ["-fps_mode", "passthrough", "-xerror"]
_DISCARDED = 4  # of a packet's flags: before the beginning that an edit has set
_DEEP_GRAY = re.compile(r"gray(9|1\d|f)")


class VideoReader:
    """Decodes videos from front to back, each once where episodes are asked for in their order."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._decoder: Any = None  # a generator: the first item describes the video, the others are frames
        self._size = (0, 0)
        self._times: tuple[Path, np.ndarray] | None = None
        self._next = 0
        self._frame = np.zeros(0, np.uint8)

    def times(self, file: Path) -> np.ndarray:
        """When each frame of a video begins, float64 seconds (n + 1,), ascending from 0; last, when the video ends."""
        if self._times is None or self._times[0] != file:
            _check_readable(file)
            self._times = file, _frame_times(file)
        return self._times[1]

    def frames(self, file: Path, seconds: np.ndarray) -> Iterator[np.ndarray]:
        """The frames shown at these times, float (n,) seconds, ascending: n frames, each uint8 (H, W, 3).

        A camera may be faster than the rows of a table, and skip frames, or slower, and show one for several rows.
        """
        times = self.times(file)
        wanted = np.searchsorted(times, seconds + _EARLY * np.median(np.diff(times)), "right") - 1
        if not np.isfinite(seconds).all() or (np.diff(wanted) < 0).any() or wanted[0] < 0:
            raise StoreError(
                f"{file}: the times of an episode's rows, from {seconds[0]:g} s on, do not ascend; record it anew"
            )
        num_frames = len(times) - 1
        if wanted[-1] >= num_frames:
            raise StoreError(
                f"{file} ends after {num_frames} frames ({num_frames / times[-1]:.4g} a second), but its table has "
                f"rows until {seconds[-1]:g} s; copy it again, or leave the episode out"
            )
        if file != self._file or wanted[0] < self._next - 1:
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
        _check_readable(file)
        try:
            self._decoder = imageio_ffmpeg.read_frames(str(file), input_params=_BOUNDED, output_params=_EACH_ONCE)
            described = next(self._decoder)
        except (OSError, RuntimeError, KeyError, StopIteration) as error:
            raise StoreError(f"{file} is not a video that ffmpeg reads; copy it again") from error
        pixel_format = described.get("pix_fmt", "").partition("(")[0]
        if _DEEP_GRAY.match(pixel_format):
            raise StoreError(
                f"{file} holds {pixel_format} pictures, such as depth; frames have 8 bits a channel: choose "
                "another camera"
            )
        self._size = described["size"]
        self._file, self._next = file, 0

    def _frame_at(self, index: int, file: Path) -> np.ndarray:
        while self._next <= index:
            try:
                raw = next(self._decoder)
            except (StopIteration, RuntimeError, OSError) as error:
                raise StoreError(f"{file} is damaged: frame {self._next} cannot be decoded") from error
            width, height = self._size
            self._frame = np.frombuffer(raw, np.uint8).reshape(height, width, 3).copy()
            self._next += 1
        return self._frame


def _check_readable(file: Path) -> None:
    """StoreError where a file is missing, or no MP4: ffmpeg would open the files that a playlist names."""
    try:
        start = read_start(file, MAX_VIDEO_BYTES)
    except FileNotFoundError:
        raise StoreError(f"{file} is missing") from None
    except UserError as error:
        raise StoreError(str(error)) from error
    if start[4:8] != b"ftyp":
        raise StoreError(f"{file} is no MP4 file; only those are read")


def _frame_times(file: Path) -> np.ndarray:
    """As `VideoReader.times`. They are those of the container: a rate in the header is rounded, and not every camera
    keeps one.
    """
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", *_BOUNDED, "-i", str(file)]
    command += ["-an", "-sn", "-dn", "-c", "copy", "-f", "framecrc", "-"]
    unit_s, begin, duration = 0.0, [], 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith("#tb 0: "):
                    unit_s = float(Fraction(line[7:].strip()))
                elif not line.startswith("#"):  # stream, decoding time, time, duration, bytes, checksum, perhaps flags
                    _, _, time, length, _, _, *flags = line.split(",")
                    if any(int(flag.strip()[2:], 16) & _DISCARDED for flag in flags if flag.strip().startswith("F=")):
                        continue
                    begin.append(int(time))
                    duration = int(length)
                if len(begin) > _MAX_FRAMES:
                    raise ValueError("too many frames")
        except ValueError as error:
            process.kill()
            raise StoreError(f"{file} does not say when each of its frames is shown ({error})") from error
    times = np.sort(np.array([*begin, max(begin, default=0) + max(duration, 1)], np.float64))
    if len(begin) == 0 or not unit_s > 0:
        raise StoreError(f"{file} is not a video that ffmpeg reads; copy it again")
    return (times - times[0]) * unit_s
