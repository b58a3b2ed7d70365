"""Videos that any browser plays from disk: H.264 in MP4, 4:2:0, even sides, index at the front.

Letters: T frames, S image side. Frames are uint8 RGB.
"""

import subprocess
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import imageio.v3 as imageio
import imageio_ffmpeg
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from worldmodel.system.files import write_atomically

_BACKGROUND = (24, 29, 36)
_TEXT = (206, 213, 222)
_FRAME = (72, 82, 95)
_REACHED = (46, 190, 120)
_BAR_PX = 26
_DPI = 100
_EDGE_PX = 3
_GAP_PX = 12
_TILE_PX = 128
PAUSE_FRAMES = 6
"""Frames for which a film of imagined frames rests on its last one."""


def write_video(path: Path, frames: np.ndarray, fps: float) -> Path:
    """Write frames (T, S, S', 3) uint8 as an MP4 at `fps` frames a second; odd sides repeat their last line."""
    _check_frames(frames)
    if fps <= 0:
        raise ValueError(f"fps must be > 0, got {fps}")
    even = _evened(frames)
    write_atomically(path, lambda temporary: _encode(temporary, even, fps))
    return path


def control_video(
    path: Path, views: np.ndarray, goal: np.ndarray | None, reached: np.ndarray, fps: float, scale: int = 3
) -> Path:
    """Write an episode's views (T, S, S, 3) beside its goal image (S, S, 3), if any, each pixel `scale` pixels wide.

    The frame around the view turns green at the steps where `reached` (T,) holds.
    """
    _check_frames(views)
    shape = views.shape[1:] if goal is None else goal.shape
    if shape != views.shape[1:] or len(reached) != len(views):
        expected = f"views {views.shape} need a goal {views.shape[1:]} and reached ({len(views)},)"
        raise ValueError(f"{expected}, got {shape} and {np.shape(reached)}")
    beside = []
    if goal is not None:
        goal_tile = _tile(goal, scale, _FRAME, "goal", "")
        beside = [np.full((len(goal_tile), 2 * _GAP_PX, 3), _BACKGROUND, np.uint8), goal_tile]
    composed = []
    for step, (view, done) in enumerate(zip(views, reached, strict=True)):
        note = "reached" if done else f"step {step}"
        view_tile = _tile(view, scale, _REACHED if done else _FRAME, "view", note)
        composed.append(np.hstack([view_tile, *beside]))
    stacked = np.stack(composed)
    padded = np.empty((len(stacked), stacked.shape[1] + 2 * _GAP_PX, stacked.shape[2] + 2 * _GAP_PX, 3), np.uint8)
    padded[:] = _BACKGROUND
    padded[:, _GAP_PX:-_GAP_PX, _GAP_PX:-_GAP_PX] = stacked
    return write_video(path, padded, fps)


def rows_of_films(rows: Mapping[str, np.ndarray], notes: Sequence[str]) -> np.ndarray:
    """Several films in one, uint8 (T', h, w, 3): rows, label -> uint8 (n, T, S, S, 3), one below the other, n of them
    side by side. The last frame stays for a while.

    notes: text beside the labels at each of the T frames.
    """
    side = next(iter(rows.values())).shape[-2]
    scale = max(1, round(_TILE_PX / side))
    shown = []
    for step, note in enumerate(notes):
        lines = []
        for label, frames in rows.items():
            last = frames.shape[0] - 1
            tiles = [
                _tile(frame, scale, _FRAME, "" if index else label, note if index == last else "")
                for index, frame in enumerate(frames[:, step])
            ]
            gap = np.full((len(tiles[0]), _GAP_PX, 3), _BACKGROUND, np.uint8)
            lines.append(np.hstack([part for tile in tiles for part in (gap, tile)] + [gap]))
        foot = np.full((_GAP_PX, lines[0].shape[1], 3), _BACKGROUND, np.uint8)
        shown.append(np.vstack([*lines, foot]))
    return np.stack(shown + [shown[-1]] * PAUSE_FRAMES)


def write_film(path: Path, frames: np.ndarray, fps: float) -> Path:
    """Write frames (T, h, w, 3) uint8 as an MP4 or, where the path ends so, a GIF."""
    if path.suffix != ".gif":
        return write_video(path, frames, fps)
    _check_frames(frames)
    # in memory first: of a file that cannot be written, imageio prints a traceback and goes on
    film = imageio.imwrite("<bytes>", frames, extension=".gif", duration=1000 / fps, loop=0)
    write_atomically(path, lambda temporary: temporary.write_bytes(film))
    return path


def _encode(path: Path, frames: np.ndarray, fps: float) -> None:
    """Run the encoder: constant quality, index first so that playback starts at once.

    Raises RuntimeError, with what the encoder says, where it fails: imageio would leave half a film without a word.
    """
    (height, width), rate = frames.shape[1:3], Fraction(fps).limit_denominator()
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(rate), "-i", "-"]
    wanted = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "20", "-preset", "medium", "-movflags", "+faststart"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *given, *wanted, "-f", "mp4", str(path)]
    # signals stay as they are here, so that a limit to the size of files is an error and does not kill the encoder
    done = subprocess.run(command, input=frames.tobytes(), capture_output=True, restore_signals=False, check=False)
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip() or f"it ended with {done.returncode}"
        raise RuntimeError(f"ffmpeg wrote no film: {told}")


def _tile(image: np.ndarray, scale: int, edge: tuple[int, int, int], label: str, note: str) -> np.ndarray:
    """An enlarged image in a coloured frame, under a bar with its label at the left and a note at the right."""
    enlarged = image.repeat(scale, axis=0).repeat(scale, axis=1)
    framed = np.pad(enlarged, ((_EDGE_PX, _EDGE_PX), (_EDGE_PX, _EDGE_PX), (0, 0)))
    border = np.ones(framed.shape[:2], bool)
    border[_EDGE_PX:-_EDGE_PX, _EDGE_PX:-_EDGE_PX] = False
    framed[border] = edge
    return np.vstack([_bar(framed.shape[1], label, note, _TEXT if edge == _FRAME else edge), framed])


@lru_cache(maxsize=512)
def _bar(width: int, label: str, note: str, note_colour: tuple[int, int, int]) -> np.ndarray:
    """A dark bar (_BAR_PX, width, 3) with one text at its left and one at its right."""
    figure = Figure(figsize=(width / _DPI, _BAR_PX / _DPI), dpi=_DPI, facecolor=_unit(_BACKGROUND))
    canvas = FigureCanvasAgg(figure)
    for position, text, colour in ((0.0, label, _TEXT), (1.0, note, note_colour)):
        side = "left" if position == 0.0 else "right"
        figure.text(position, 0.5, text, ha=side, va="center", fontsize=9, color=_unit(colour))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _unit(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    """An 8-bit colour as matplotlib takes it, each channel in [0, 1]."""
    return colour[0] / 255, colour[1] / 255, colour[2] / 255


def _evened(frames: np.ndarray) -> np.ndarray:
    """Frames with even sides, as 4:2:0 colour needs: an odd side repeats its last row or column."""
    odd_rows, odd_columns = frames.shape[1] % 2, frames.shape[2] % 2
    return np.pad(frames, ((0, 0), (0, odd_rows), (0, odd_columns), (0, 0)), mode="edge")


def _check_frames(frames: np.ndarray) -> None:
    """Raise ValueError unless frames are (T, S, S', 3) uint8 with T >= 1."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or len(frames) == 0:
        raise ValueError(f"frames must be uint8 of shape (T, S, S, 3) with T >= 1, got {frames.dtype} {frames.shape}")
