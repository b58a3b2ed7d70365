"""A run directory: everything one training run leaves on the disk, and what later verbs add to it."""

import fcntl
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from worldmodel.system.errors import CheckpointError, UserError
from worldmodel.system.files import read_json, write_atomically, write_json

SUMMARY_SCHEMA_VERSION = 1


class RunDirectory:
    """`config.yaml`, `model.*`, `trainer.pt`, `metrics.jsonl`, `summary.json`, `figures/`, `videos/`, TensorBoard."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def open(path: Path) -> "RunDirectory":
        """An existing run; CheckpointError when nothing was trained there."""
        if not (path / "summary.json").exists():
            raise CheckpointError(
                f"{path} is not a finished run (no summary.json); train it first: worldmodel train env=NAME"
            )
        return RunDirectory(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other commands out of this run, and clear away the half-written files of one that was killed.

        The operating system releases the lock however this process ends.

        Raises UserError when another command is at work here; on a shared file system, on whatever machine.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise UserError(
                    f"{self.path} is in use by {file.read(500).strip() or 'another command'}; "
                    "wait until it has ended, or choose another run"
                ) from error
            file.truncate(0)
            file.write(f"`{command_line()}` (process {os.getpid()} on {platform.node()})\n")
            file.flush()
            for temporary in self.path.glob(".*.tmp"):  # of a command that was killed while it wrote
                temporary.unlink(missing_ok=True)
            yield

    @property
    def figures(self) -> Path:
        return self._folder("figures")

    @property
    def videos(self) -> Path:
        return self._folder("videos")

    def _folder(self, name: str) -> Path:
        folder = self.path / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def read_summary(self) -> dict[str, Any]:
        path = self.path / "summary.json"
        if not path.exists():
            return {}
        try:
            return read_json(path)
        except ValueError as error:
            raise CheckpointError(f"{path} is not JSON ({error}); delete it and run the verb again") from error

    def update_summary(self, verb: str, **sections: Any) -> None:
        """Merge top-level sections into `summary.json`; "seconds" is merged key by key."""
        summary = {"schema": SUMMARY_SCHEMA_VERSION, **self.read_summary()}
        summary.setdefault("commands", {})[verb] = command_line()
        seconds = {**summary.get("seconds", {}), **sections.pop("seconds", {})}
        summary.update(sections, seconds=seconds, versions=versions(), hardware=hardware())
        write_json(self.path / "summary.json", summary)

    def read_metrics(self) -> list[dict[str, Any]]:
        """Logged lines; one that a kill cut short is none."""
        path = self.path / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def seconds_of(self, stage: str) -> float:
        """What a stage's training has taken so far, in every process that worked on it; 0 where nothing is logged."""
        return max((line["seconds"] for line in self.read_metrics() if line["stage"] == stage), default=0.0)


class MetricsLog:
    """Appends to `metrics.jsonl` and TensorBoard; a resumed run first drops what it is about to write again."""

    def __init__(self, run: RunDirectory, stages_done: list[str], stage: str, step: int) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        kept = [
            line
            for line in run.read_metrics()
            if line["stage"] in stages_done or (line["stage"] == stage and line["step"] < step)
        ]
        self._path = run.path / "metrics.jsonl"
        text = "".join(json.dumps(line) + "\n" for line in kept)
        write_atomically(self._path, lambda path: path.write_text(text, encoding="utf-8"))
        self._stage, self._start = stage, time.monotonic()
        self._seconds_before = run.seconds_of(stage)
        self._board = SummaryWriter(str(run.path / "tensorboard" / stage), purge_step=step)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Log scalars, and lists of them (one curve an entry in TensorBoard)."""
        seconds = round(self._seconds_before + time.monotonic() - self._start, 3)
        line = {"stage": self._stage, "step": step, "seconds": seconds, **values}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in values.items():
            if isinstance(value, list):
                for index, entry in enumerate(value):
                    self._board.add_scalar(f"{self._stage}/{name}/{index}", entry, step)
            else:
                self._board.add_scalar(f"{self._stage}/{name}", value, step)

    def close(self) -> None:
        self._board.close()


def command_line() -> str:
    """The command that is running, as a user would type it."""
    name = Path(sys.argv[0]).name
    return " ".join(["worldmodel" if name in ("cli.py", "__main__.py") else name, *sys.argv[1:]])


def versions() -> dict[str, str]:
    names = ("worldmodel", "torch", "mujoco", "dm_control", "gymnasium", "numpy")
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return {"python": platform.python_version(), **found}


def hardware() -> dict[str, Any]:
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {"machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count(), "gpu": gpu}


def peak_memory_mb() -> float:
    """Most memory that this process has held at once, in megabytes (10^6 bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
