"""A disk that is full, and really there: each verb that writes says so in one line, and loses nothing."""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from benchmarks.trust.fuzzing.valid import make_valid
from worldmodel.cli.main import main
from worldmodel.data import write_arrays
from worldmodel.data.shards import write_shard
from worldmodel.envs import Episode
from worldmodel.figures.style import save_png
from worldmodel.figures.videos import write_film
from worldmodel.learning.checkpoints import write_checkpoint
from worldmodel.models.weights import write_weights
from worldmodel.runs.array_files import write_arrays as write_table
from worldmodel.system.errors import UserError
from worldmodel.system.files import append_line, write_json, write_new

_OPTIM = [f"{stage}.{name}" for stage in ("method.optim", "predictor_training") for name in ("steps=6", "batch_size=8")]
WRITERS = {
    "collect": ["collect", "env=puck", "env.image_size=16", "episodes=2", "episode_steps=5", "workers=1", "data=more"],
    "train": [
        "train", "env=recorded", "env.name=many", "data=.", "name=other", "device=cpu", "decoder=false",
        "encoder.input_size=16", "encoder.hidden=8", "predictor.hidden=8", "predictor.horizon=4",
        "predictor.history=[0,1]", *_OPTIM,
    ],
    "merge": ["data", "merge", "path=data", "others=[again]", "out=twice"],
    "convert": ["data", "convert", "path=data", "out=data.h5"],
    "control": ["control", "run=run", "tasks=2", "goal_steps=4", "budget_steps=2", "videos=1", "oracle=false"],
    "report": ["report", "run=run"],
}  # fmt: skip


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("valid")
    make_valid(folder)
    rng = np.random.default_rng(0)
    frames, actions = rng.integers(0, 255, (10, 12, 16, 16, 3), np.uint8), rng.uniform(-1, 1, (10, 11, 2))
    write_arrays(folder / "many", "many", [{"frames": f, "actions": a} for f, a in zip(frames, actions, strict=True)])
    return folder


@contextmanager
def mounted(disk: Path, size: str) -> Iterator[Path]:
    """A disk of its own, so large."""
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a disk here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture
def disk(tmp_path: Path, valid: Path):
    """A disk of 100 MB with a run and a data set; the current folder."""
    with mounted(tmp_path / "disk", "100m") as disk:
        for name, source in (("run", "run"), ("data", "data"), ("again", "data"), ("many", "many")):
            shutil.copytree(valid / source, disk / name)
        before = Path.cwd()
        os.chdir(disk)
        yield disk
        os.chdir(before)


def fill(disk: Path, left: int) -> Path:
    """A file that leaves so many bytes of a disk."""
    filler = disk / "filler"
    with filler.open("wb", 0) as file:
        free = shutil.disk_usage(disk).free - left
        while free > 0:
            free -= file.write(b"\0" * min(free, 2**20)) or 0
    return filler


@pytest.mark.parametrize("verb", WRITERS)
def test_a_full_disk_is_one_line_and_loses_nothing(
    disk: Path, verb: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("worldmodel.system.files.SPARE_BYTES", 0)  # writes themselves fail, not the question before
    before = {path: path.read_bytes() for path in disk.rglob("*") if path.is_file() and path.name != ".lock"}
    filler = fill(disk, left=12 * 1024)
    capfd.readouterr()
    assert main(WRITERS[verb]) == 1
    told = "".join(capfd.readouterr())
    errors = [line for line in told.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "space" in errors[0] and "Traceback" not in told, told
    assert {path: path.read_bytes() for path in before} == before
    filler.unlink()
    assert main(WRITERS[verb]) == 0


# ---------------------------------------------------------------------------------------------------------------------
# each format by itself: a command that meets a full disk fails at its first file, and never comes to the others

_RNG = np.random.default_rng(0)
_FRAMES = _RNG.integers(0, 255, (12, 64, 64, 3), np.uint8)
_TENSORS = {"a": torch.randn(50_000)}
FORMATS: dict[str, Callable[[Path], object]] = {
    "x.json": lambda path: write_json(path, {"a": "x" * 200_000}),
    "new.json": lambda path: write_json(path, {"a": "x" * 200_000}, write_new),
    "x.jsonl": lambda path: append_line(path, "x" * 200_000),
    "x.safetensors": lambda path: write_weights(path, _TENSORS),
    "x.pt": lambda path: write_checkpoint(path, {"model": _TENSORS}),
    "x.mp4": lambda path: write_film(path, _FRAMES, 10),
    "x.gif": lambda path: write_film(path, _FRAMES, 10),
    "x.png": lambda path: save_png(_noise(), path),
    "x.npz": lambda path: write_table(path, {"a": _RNG.random(30_000)}),
    "x.h5": lambda path: write_shard(path, [_episode()]),
}


def _noise() -> Figure:
    figure = Figure((6, 6))
    figure.add_subplot().imshow(_RNG.random((300, 300)))
    return figure


def _episode() -> Episode:
    num, nothing = len(_FRAMES), np.zeros((len(_FRAMES), 0), np.float32)
    return Episode(_FRAMES, nothing, np.zeros((num - 1, 2), np.float32), np.zeros(num - 1, np.float32), nothing, seed=0)


@pytest.mark.parametrize("name", FORMATS)
def test_half_a_file_is_no_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("worldmodel.system.files.SPARE_BYTES", 0)
    with mounted(tmp_path / "disk", "20k") as disk:
        with pytest.raises(UserError, match="no space left on the disk of"):
            FORMATS[name](disk / name)
        assert name == "x.jsonl" or not list(disk.iterdir())  # whose last line does not count
    most, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(UserError, match=f"{name} becomes larger than a file may be here; .*ulimit -f"):
            FORMATS[name](tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    assert name == "x.jsonl" or not (tmp_path / name).exists()
    assert not "".join(capfd.readouterr())
