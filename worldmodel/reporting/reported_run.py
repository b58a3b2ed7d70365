"""What a page shows of a run: results, training metrics, and the pictures and films that can be shown."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from worldmodel.reporting.verdicts import outdated_verdict
from worldmodel.runs import LogLine, Run, Summary
from worldmodel.settings import TrainConfig
from worldmodel.system.errors import CheckpointError, UserError
from worldmodel.system.files import check_inside, read_start
from worldmodel.system.printable import printable

MAX_PICTURE_BYTES, MAX_VIDEO_BYTES, MAX_PAGE_BYTES = 16 * 2**20, 32 * 2**20, 100 * 2**20
MAX_PIXELS = 64 * 2**20
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class ReportedRun:
    """One run, read and checked."""

    path: Path
    """The run directory."""
    summary: Summary
    """What the verbs found."""
    metrics: list[LogLine]
    """What training logged."""
    figures: list[Path]
    """Pictures, PNG."""
    videos: dict[str, list[Path]]
    """Section -> its films, MP4."""
    notes: list[str]
    """Files that are left out, and why; results of earlier weights."""
    settings: TrainConfig | None = None
    """What it was trained with; None where that cannot be read."""


def open_reported(run: Run) -> ReportedRun:
    """Read a run.

    Raises:
        ResultError: its summary or its log cannot be read.
    """
    notes: list[str] = []
    summary = run.summary
    folder = run.path / "figures"
    names = ["figures"] if folder.is_symlink() else [f"figures/{path.name}" for path in sorted(folder.glob("*.png"))]
    figures = _usable(run.path, names, notes, "PNG", MAX_PICTURE_BYTES, _is_png)
    decoding = summary.train.decoding
    films = {
        "imagination": summary.imagine.videos if summary.imagine else decoding.videos if decoding else [],
        "control": summary.control.videos if summary.control else [],
    }
    videos = {key: _usable(run.path, of, notes, "MP4", MAX_VIDEO_BYTES, _is_mp4) for key, of in films.items()}
    notes += outdated_verdict(summary)
    return ReportedRun(run.path, summary, run.metrics, figures, videos, notes, _settings(run))


def _settings(run: Run) -> TrainConfig | None:
    try:
        return run.config
    except CheckpointError:
        return None


def _usable(
    run: Path, names: Sequence[str], notes: list[str], kind: str, most: int, is_kind: Callable[[bytes], bool]
) -> list[Path]:
    """The files of these names that lie in the run directory, at most `MAX_PAGE_BYTES` in all; notes of the others."""
    usable, num_bytes = [], 0
    for name in names:
        file = run / name
        try:
            check_inside(file, run)
            if not is_kind(read_start(file, most)):
                raise UserError(f"it is no {kind} file")
            num_bytes += file.stat().st_size
            if num_bytes > MAX_PAGE_BYTES:
                raise UserError(f"the page has room for {MAX_PAGE_BYTES} bytes")
            usable.append(file)
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links that lead to one another
            reason = "it is missing" if isinstance(error, FileNotFoundError) else str(error).split(";")[0]
            notes.append(f"{printable(name[:100])} is left out: {reason}")
    return usable


def _is_png(start: bytes) -> bool:
    """Whether a file begins as a PNG of a size that a page can show."""
    if not start.startswith(_PNG_SIGNATURE) or len(start) < 33:
        return False
    width, height = struct.unpack(">II", start[16:24])
    return 0 < width * height <= MAX_PIXELS


def _is_mp4(start: bytes) -> bool:
    """Whether a file begins as an MP4."""
    return start[4:8] == b"ftyp"
