"""A disk that is full, and really there: each verb that writes says so in one line, and loses nothing."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks.trust.fuzzing.valid import make_valid
from worldmodel.cli.main import main
from worldmodel.data import write_arrays

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


@pytest.fixture
def disk(tmp_path: Path, valid: Path, monkeypatch: pytest.MonkeyPatch):
    """A disk of 100 MB with a run and a data set; the current folder."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a disk here")
    for name, source in (("run", "run"), ("data", "data"), ("again", "data"), ("many", "many")):
        shutil.copytree(valid / source, disk / name)
    before = Path.cwd()
    os.chdir(disk)
    yield disk
    os.chdir(before)
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


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
