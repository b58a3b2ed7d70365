"""What a page shows of a run: results, training metrics, and the pictures and films that can be shown."""

from dataclasses import dataclass
from pathlib import Path

from worldmodel.runs import LogLine, Run, Summary

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
    videos: list[Path]
    """Films, MP4."""
    notes: list[str]
    """Files that are left out, and why."""


def open_reported(run: Run) -> ReportedRun:
    """Read a run.

    Raises:
        ResultError: its summary or its log cannot be read.
    """
    notes: list[str] = []
    figures = [file for file in sorted((run.path / "figures").glob("*.png")) if _is_png(file, notes)]
    summary = run.summary
    videos = _videos(run.path, summary, notes)
    return ReportedRun(run.path, summary, run.metrics, figures, videos, notes)


def _videos(path: Path, summary: Summary, notes: list[str]) -> list[Path]:
    """The films that the summary lists; never a file outside the run directory."""
    root, usable = path.resolve(), []
    for name in summary.control.videos if summary.control else ():
        file = path / name
        if not file.resolve().is_relative_to(root) or file.suffix != ".mp4":
            notes.append(f"{file.name} is left out: only .mp4 files inside the run directory are shown")
        elif not file.is_file() or file.stat().st_size == 0:
            notes.append(f"{file.relative_to(path)} is missing or empty")
        else:
            usable.append(file)
    return usable


def _is_png(file: Path, notes: list[str]) -> bool:
    """Whether `file` starts like a PNG; a note where it does not."""
    with file.open("rb") as handle:
        good = handle.read(8) == _PNG_SIGNATURE
    if not good:
        notes.append(f"figures/{file.name} is not a PNG")
    return good
