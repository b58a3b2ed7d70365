"""A run directory: everything one training run leaves on the disk, and what later verbs add to it."""

import difflib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypedDict

from worldmodel.runs.process_info import command_line
from worldmodel.runs.summary import RunResult, Summary, add_to_summary, read_summary
from worldmodel.runs.trackers import Tracker
from worldmodel.system.errors import CheckpointError, ResultError, UserError
from worldmodel.system.files import (
    append_line,
    check_folder,
    inner_folder,
    open_lock,
    parse_json,
    read_regular,
    remove_all_leftovers,
    write_text,
)
from worldmodel.system.locks import is_at, lock_file
from worldmodel.system.printable import printable

MAX_LOG_BYTES = 64 * 2**20
"""Largest `metrics.jsonl` that is read; a stage writes some 200 lines."""


class LogLine(TypedDict):
    """A line of `metrics.jsonl`; beside these entries, every logged number under its name."""

    stage: str
    """Stage of training."""
    step: int
    """Step of the optimiser."""
    seconds: float
    """Wall seconds of the stage so far, over all processes that worked on it."""


class RunDirectory:
    """`config.yaml`, `model.*`, `trainer.pt`, `metrics.jsonl`, `summary.json`, `figures/`, `videos/`, TensorBoard."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_locked, self._was_there = False, False

    @staticmethod
    def open(path: Path) -> "RunDirectory":
        """An existing run.

        Raises:
            CheckpointError: nothing was trained there.
            ResultError: its summary cannot be read.
        """
        run = RunDirectory(path)
        if not os.path.lexists(run.summary_file):
            raise CheckpointError(f"{path} is not a finished run (no summary.json); {_remedy(path)}")
        run.read_summary()
        run._was_there = True
        return run

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other commands out of this run.

        The operating system releases the lock however this process ends.

        Raises:
            UserError: another command is at work here; on a shared file system, on whatever machine.
            CheckpointError: another command has removed the run since it was opened.
        """
        while True:
            if self._was_there and not self.path.is_dir():
                raise CheckpointError(f"{self.path} was removed meanwhile; {_remedy(self.path)}")
            self.path.mkdir(parents=True, exist_ok=True)
            with open_lock(self.path / ".lock") as file:
                if not lock_file(file):
                    file.seek(0)
                    user = printable(file.read(500).decode(errors="replace")).strip() or "another command"
                    raise UserError(f"{self.path} is in use by {user}; wait until it has ended, or choose another run")
                if not is_at(self.path / ".lock", file):
                    continue
                file.truncate(0)
                file.write(f"`{command_line()}` (process {os.getpid()} on {platform.node()})\n".encode())
                file.flush()
                yield
                return

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands out of this run, whose results are to be changed, and clear away the half-written files
        of one that was killed.

        Raises:
            UserError: as by `alone`; or something else is where folders of a run belong.
            ResultError: results could not be added to the summary that is here.
        """
        with self.alone():
            for folder in (self.path / name for name in ("figures", "videos", "tensorboard")):
                check_folder(folder)  # now, and not when minutes were spent
                remove_all_leftovers(folder)
            remove_all_leftovers(self.path, locked=True)  # of a command that was killed while it wrote
            if os.path.lexists(self.summary_file):
                self.read_summary()
            self._is_locked = True
            try:
                yield
            finally:
                self._is_locked = False

    @property
    def summary_file(self) -> Path:
        """Where results are kept."""
        return self.path / "summary.json"

    @property
    def figures(self) -> Path:
        """Folder of pictures, made where it is missing."""
        return inner_folder(self.path / "figures")

    @property
    def videos(self) -> Path:
        """Folder of films, made where it is missing."""
        return inner_folder(self.path / "videos")

    def read_summary(self) -> Summary:
        """Results of the verbs so far; ResultError where `summary.json` cannot be read."""
        return read_summary(self.summary_file)

    def record(self, result: RunResult) -> None:
        """Put the result of a verb into `summary.json`; only inside `locked()`."""
        assert self._is_locked, "results are recorded inside `with run.locked():`"
        add_to_summary(self.summary_file, result)

    def read_metrics(self) -> list[LogLine]:
        """What training logged; a last line that was cut short by a kill is left out.

        Raises:
            ResultError: a line is damaged.
        """
        path = self.path / "metrics.jsonl"
        if not os.path.lexists(path):
            return []
        lines = read_regular(path, MAX_LOG_BYTES).decode("utf-8", errors="replace").splitlines(keepends=True)
        return [_metrics_line(path, number, line) for number, line in enumerate(lines, 1) if line.endswith("\n")]

    def seconds_of(self, stage: str) -> float:
        """What a stage's training has taken so far, in every process that worked on it; 0 where nothing is logged."""
        return max((line["seconds"] for line in self.read_metrics() if line["stage"] == stage), default=0.0)


@contextmanager
def scratch_run(folder: Path) -> Iterator[RunDirectory]:
    """A run inside `folder`, a folder of ours, that is gone afterwards, as are those of commands that were killed."""
    for left in inner_folder(folder).glob("run-*"):
        if left.is_dir() and not left.is_symlink():
            with suppress(UserError), RunDirectory(left).alone():  # not one that a living command is at work in
                shutil.rmtree(left)
    with TemporaryDirectory(prefix="run-", dir=folder) as made:
        run = RunDirectory(Path(made))
        with run.alone():
            yield run


def _metrics_line(path: Path, number: int, line: str) -> LogLine:
    try:
        values = parse_json(line, constant=float)  # a logged number may be NaN
        if isinstance(values["stage"], str) and all(map(_is_logged, values.values())):
            return {**values, "step": int(values["step"]), "seconds": float(values["seconds"])}  # type: ignore[typeddict-item]
    except (ValueError, OverflowError, TypeError, KeyError, AttributeError):
        pass
    raise ResultError(f"{path}, line {number} is damaged ({line[:60].strip()!r}); delete the line, or train again")


def _is_logged(value: object) -> bool:
    """Whether a value is one that is logged: text, a number, or a list of numbers."""
    return all(isinstance(item, str | float | int) for item in (value if isinstance(value, list) else [value]))


class MetricsLog:
    """Appends to `metrics.jsonl` and a tracker; a resumed run first drops what it is about to write again."""

    def __init__(
        self, run: RunDirectory, stages_done: list[str], stage: str, step: int, tracker: Tracker | None = None
    ) -> None:
        kept = [
            line
            for line in run.read_metrics()
            if line["stage"] in stages_done or (line["stage"] == stage and line["step"] < step)
        ]
        self._path = run.path / "metrics.jsonl"
        write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self._stage, self._start = stage, time.monotonic()
        self._seconds_before = run.seconds_of(stage)
        self._tracker = tracker
        if tracker:
            tracker.begin(stage, step)

    def write(self, step: int, values: Mapping[str, float | list[float]]) -> None:
        """Log scalars, and lists of them (one curve an entry in a tracker)."""
        seconds = round(self._seconds_before + time.monotonic() - self._start, 3)
        line = {"stage": self._stage, "step": step, "seconds": seconds, **values}
        append_line(self._path, json.dumps(line))
        if self._tracker:
            self._tracker.scalars(self._stage, step, dict(_curves(values)))


def _curves(values: Mapping[str, float | list[float]]) -> Iterator[tuple[str, float]]:
    """(name, number) of each scalar; the entries of a list are `name/0`, `name/1`, …"""
    for name, value in values.items():
        if isinstance(value, list):
            yield from ((f"{name}/{index}", entry) for index, entry in enumerate(value))
        else:
            yield name, value


def _remedy(path: Path) -> str:
    """What to do where a run was asked for and is not there: a run of a similar name, or the command that makes one."""
    if (path / "config.yaml").exists():
        return "its training was interrupted; give its worldmodel train command again, which continues from there"
    nearby = [summary.parent for folder in (path.parent, Path("runs")) for summary in folder.glob("*/summary.json")]
    by_name = {run.name: run for run in nearby}
    close = difflib.get_close_matches(path.name, by_name, n=1)
    meant = f"did you mean run={by_name[close[0]]}? or " if close else ""
    return f"{meant}train it first: worldmodel train env=NAME"
