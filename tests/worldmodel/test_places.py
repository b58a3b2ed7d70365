"""Each file and folder that a stranger sends, replaced in turn by something else: one line, or it is left out.

Nothing outside is opened or changed, nothing waits, and no error is unexpected.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.trust.fuzzing.valid import make_valid
from worldmodel.cli.main import main

PATIENCE_S = 120
_TASKS = ["tasks=1", "goal_steps=4", "budget_steps=2"]
COMMANDS = [
    ("run", ["report", "run=run"]),
    ("run", ["control", "run=run", *_TASKS, "videos=1", "oracle=false"]),
    ("run", ["robust", "run=run", "looks={texture: [.5]}", "instances=1", "frames=4", "windows=4", *_TASKS]),
    ("run", ["surprise", "run=run", "trajectories=6", "episode_steps=12", "event_step=6"]),
    ("data", ["data", "merge", "path=data", "others=[again]", "out=whole"]),
    ("again", ["data", "verify", "path=again"]),
    ("minari", ["data", "convert", "path=minari", "out=mine"]),
    ("film", ["data", "convert", "path=film", "out=mine"]),
]
"""A folder that a stranger sends, and a command that reads it."""
DRIVING = ("control", "robust", "surprise")
"""Verbs of which links alone are tried, since each trial takes most of a second."""

_opened: list[str] = []  # an audit hook cannot be removed; it is idle while nothing is watched
_watched: list[str] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _watched and event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str | os.PathLike):
        path = os.path.realpath(os.fspath(arguments[0]))
        _opened.extend(path for place in _watched if path.startswith(place))


sys.addaudithook(_hook)


@contextmanager
def watched(folder: Path) -> Iterator[list[str]]:
    """Paths below a folder that are opened meanwhile."""
    _opened.clear()
    _watched.append(str(folder.resolve()))
    try:
        yield _opened
    finally:
        _watched.clear()


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("valid")
    make_valid(folder)
    shutil.copytree(folder / "data", folder / "again")
    return folder


def linked(place: Path, before: Path, outside: Path) -> None:
    shutil.move(before, outside / "x")
    place.symlink_to(outside / "x")


def a_pipe(place: Path, before: Path, outside: Path) -> None:
    os.mkfifo(place)


def of_the_other_kind(place: Path, before: Path, outside: Path) -> None:
    place.write_bytes(b"a thesis") if before.is_dir() else place.mkdir()


def cut_off(place: Path, before: Path, outside: Path) -> None:
    place.mkdir() if before.is_dir() else place.write_bytes(before.read_bytes()[: before.stat().st_size // 2])


def of_holes(place: Path, before: Path, outside: Path) -> None:
    place.touch()
    os.truncate(place, 3 * 10**9)


OTHERS: list[Callable[[Path, Path, Path], None]] = [a_pipe, of_the_other_kind, cut_off, of_holes]


@pytest.mark.parametrize(
    ("folder", "command"), COMMANDS, ids=lambda value: value if isinstance(value, str) else value[0]
)
def test_whatever_stands_at_a_place_is_refused_in_one_line_or_left_out(
    folder: str,
    command: list[str],
    valid: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    def too_long(*_: object) -> None:
        raise RuntimeError(f"waits for more than {PATIENCE_S} s")

    monkeypatch.setattr("worldmodel.system.files.SPARE_BYTES", 0)
    before = signal.signal(signal.SIGALRM, too_long)
    try:
        for number, path in enumerate(sorted((valid / folder).rglob("*"))):
            for change in (linked,) if command[0] in DRIVING else (linked, OTHERS[number % len(OTHERS)]):
                home, outside = tmp_path / f"{number}-{change.__name__}", tmp_path / "outside"
                shutil.rmtree(outside, ignore_errors=True)
                outside.mkdir()
                for name in {folder, "data", "again"}:
                    shutil.copytree(valid / name, home / name)
                _change(home / path.relative_to(valid), change, outside)
                monkeypatch.chdir(home)
                kept = _content(outside)
                signal.alarm(PATIENCE_S)
                with watched(outside) as opened:
                    status = main(command)
                signal.alarm(0)
                told = capfd.readouterr().err
                errors = [line for line in told.splitlines() if line.startswith("error: ")]
                what = f"{path.relative_to(valid)} {change.__name__}: {told[-600:]} {opened}"
                assert len(errors) == status and not any("--traceback shows where" in line for line in errors), what
                assert not opened and _content(outside) == kept, what
                shutil.rmtree(home)
    finally:
        signal.signal(signal.SIGALRM, before)


def _change(place: Path, change: Callable[[Path, Path, Path], None], outside: Path) -> None:
    before = outside.with_name("before")
    if before.is_dir():
        shutil.rmtree(before)
    before.unlink(missing_ok=True)
    place.rename(before)
    change(place, before, outside)


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
