"""Read what the verbs left in a run directory, and check it once, so that the page never meets a surprise."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worldmodel.system.errors import UserError

SCHEMA = 1
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SECTIONS = (
    "commands",
    "versions",
    "hardware",
    "seconds",
    "data",
    "model",
    "identifiability",
    "predictor",
    "control",
    "probes",
)
_OBJECTS = {"per_variable", "error_ratio_to_persistence", "planner", "controls"}
_ALL_NUMBERS = {"seconds", "error_ratio_to_persistence", "controls"}
# Keys that the page formats as numbers; keys that it does not know pass unchecked, so that a verb may write more.
_NUMBERS = {
    *("frames", "episodes", "latent_dim", "num_frames", "num_tasks", "median_steps_to_goal", "ms_per_decision"),
    *("success_rate", "random_success_rate", "oracle_success_rate", "r2", "r2_linear", "r2_mlp"),
    *("r2_h_to_z", "r2_z_to_h", "r2_ceiling", "procrustes_mse", "theorem_bound", "alignment_gap", "covariance_gap"),
    *("orthogonality_error", "condition_number"),
}


class ReportError(UserError):
    """A run directory that cannot be reported on; the message is one line naming the file, the fault and the remedy."""


@dataclass(frozen=True)
class RunFiles:
    """One run, read and checked: its summary, its training metrics, its pictures and what could not be used."""

    path: Path
    summary: dict[str, Any]
    metrics: list[dict[str, Any]]
    figures: list[Path]
    videos: list[Path]
    notes: list[str]

    def section(self, name: str) -> dict[str, Any]:
        """A section of the summary, empty where it has not been run."""
        return self.summary.get(name) or {}


def read_run(path: Path) -> RunFiles:
    """Read the run directory at `path`; raise ReportError where its summary is missing, broken or of another schema."""
    summary = _read_summary(path / "summary.json")
    notes: list[str] = []
    figures = [file for file in sorted((path / "figures").glob("*.png")) if _is_png(file, notes)]
    videos = _videos(path, summary, notes)
    return RunFiles(path, summary, _read_metrics(path / "metrics.jsonl"), figures, videos, notes)


def _read_summary(file: Path) -> dict[str, Any]:
    """The checked content of `summary.json`."""
    if not file.is_file():
        raise ReportError(
            f"{file} does not exist; a run directory holds a summary.json, which `worldmodel train` writes"
        )
    try:
        summary = _without_gaps(json.loads(file.read_text(encoding="utf-8"), parse_constant=lambda _: None))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ReportError(f"{file} is not valid JSON ({error}); run the verb that wrote it again") from None
    if not isinstance(summary, dict):
        raise ReportError(
            f"{file} must hold a JSON object, got {type(summary).__name__}; run the verb that wrote it again"
        )
    if summary.get("schema") != SCHEMA:
        given = summary.get("schema")
        raise ReportError(f"{file} has schema {given!r}, this version reads {SCHEMA}; run the verb that wrote it again")
    for name in _SECTIONS:
        _check_section(file, name, summary.get(name))
    return summary


def _without_gaps(value: Any) -> Any:
    """`value` with lists that hold a None (a NaN, before) turned into None themselves: half an interval is none."""
    if isinstance(value, dict):
        return {key: _without_gaps(item) for key, item in value.items()}
    return None if isinstance(value, list) and None in value else value


def _check_section(file: Path, name: str, section: Any) -> None:
    """Raise ReportError unless `section` is absent or an object of the expected leaves."""
    if section is None:
        return
    _expect(isinstance(section, dict), file, name, "an object", section)
    for key, value in section.items():
        if name == "probes":
            _expect(isinstance(value, dict), file, f"probes.{key}", "an object", value)
        _check_value(file, f"{name}.{key}", key, value, number=name in _ALL_NUMBERS or key in _NUMBERS)


def _check_value(file: Path, where: str, key: str, value: Any, number: bool) -> None:
    """One value and what is inside it; None stands for "not known" everywhere."""
    if value is None:
        return
    if key in _OBJECTS:
        _expect(isinstance(value, dict), file, where, "an object", value)
    if key.endswith("_interval"):
        pair = isinstance(value, list) and len(value) == 2 and all(_is_number(end) for end in value)
        _expect(pair, file, where, "two numbers [low, high]", value)
    elif key == "videos":
        paths = isinstance(value, list) and all(isinstance(item, str) for item in value)
        _expect(paths, file, where, "a list of paths", value)
    elif isinstance(value, dict):
        for inner, item in value.items():
            inside = f"{where}.{inner}"
            if key == "per_variable":
                _expect(item is None or isinstance(item, dict), file, inside, "an object", item)
            _check_value(file, inside, inner, item, number=key in _ALL_NUMBERS or inner in _NUMBERS)
    else:
        _expect(_is_number(value) or not number, file, where, "a number", value)


def _expect(holds: bool, file: Path, where: str, expected: str, given: Any) -> None:
    """Raise ReportError naming the file, the key, what was expected and what came."""
    if not holds:
        raise ReportError(f"{file}: {where} must be {expected}, got {given!r}; run the verb that wrote it again")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _read_metrics(file: Path) -> list[dict[str, Any]]:
    """Rows of `metrics.jsonl`, none where there is no file; a last line cut short by a kill is left out."""
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            if number == len(lines):
                break
            raise ReportError(f"{file}, line {number} is not valid JSON; delete the line or train again") from None
        if not isinstance(row, Mapping) or not _is_number(row.get("step")):
            raise ReportError(
                f'{file}, line {number} must be an object with a number "step", got {line[:60]!r}; train again'
            )
        rows.append(dict(row))
    return rows


def _videos(path: Path, summary: dict[str, Any], notes: list[str]) -> list[Path]:
    """The videos that the summary lists, or else all of `videos/`; never a file outside the run directory."""
    listed = (summary.get("control") or {}).get("videos")
    files = sorted((path / "videos").glob("*.mp4")) if listed is None else [path / name for name in listed]
    root, usable = path.resolve(), []
    for file in files:
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
