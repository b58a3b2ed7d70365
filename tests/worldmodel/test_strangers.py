"""Verbs only read a stranger's run, data set or folder; and `out` replaces only results of its own kind."""

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from worldmodel_fakes import fake_episode, write_fake_data

from worldmodel.cli.runs_table import runs
from worldmodel.designing import worlds
from worldmodel.evaluation.imagination import imagine
from worldmodel.evaluation.robustness import robust
from worldmodel.evaluation.robustness.films import read_films
from worldmodel.identifying.array_files import read_arrays
from worldmodel.runs.run_directory import RunDirectory
from worldmodel.settings import (
    ImagineConfig,
    RobustConfig,
    RunsConfig,
    TrainConfig,
    ViewConfig,
    WorldsConfig,
)
from worldmodel.system.errors import UserError
from worldmodel.system.printable import say
from worldmodel.system.progress import progress
from worldmodel.viewing import view
from worldmodel.viewing.playback import open_playback


@pytest.mark.parametrize(
    "name", ["gym:a_stranger_s_module/Fly-v0", "gym:Hopper-v5?xml_file=/etc/passwd", "world.py:make"]
)
def test_playing_a_data_set_imports_and_opens_nothing_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    (tmp_path / "a_stranger_s_module.py").write_text("raise SystemExit('code of a stranger ran')")
    (tmp_path / "world.py").write_text("raise SystemExit('code of a stranger ran')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    write_fake_data(tmp_path / "data", [fake_episode(0)])
    index = json.loads((tmp_path / "data" / "dataset.json").read_text())
    index["settings"]["world"] = {"name": name}
    del index["sha256"]
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(index))
    open_playback(tmp_path / "data", None, trust_world=False).close()
    assert "a_stranger_s_module" not in sys.modules


TEXT = b"a thesis"
REPLACING: dict[str, Callable[[str], object]] = {
    "thesis.json": lambda out: robust(RobustConfig(run="runs/none", out=out)),
    "thesis.mp4": lambda out: imagine(ImagineConfig(run="runs/none", out=out)),
    "thesis.png": lambda out: worlds(WorldsConfig(env="puck", out=out)),
    "thesis.html": lambda out: view(ViewConfig(run="runs/none", save=out)),
}


@pytest.mark.parametrize("name", REPLACING)
def test_what_is_of_another_kind_is_not_replaced(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(TEXT)
    with pytest.raises(UserError, match="exists and is no"):
        REPLACING[name](str(tmp_path / name))
    assert (tmp_path / name).read_bytes() == TEXT


def test_a_round_is_inside_its_run(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "gift").mkdir()
    (tmp_path / "gift" / "rounds").symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match="leads out of"):
        TrainConfig(runs=str(tmp_path), name="gift", rounds=1).round_directory(1)


def test_a_folder_of_pictures_leads_nowhere_else(tmp_path: Path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "secret").write_bytes(b"\x89PNG")
    (tmp_path / "pictures" / "x.png").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="is a link"):
        read_films(tmp_path / "pictures", 16, 60)
    (tmp_path / "pictures" / "x.png").unlink()
    (tmp_path / "pictures" / "film").symlink_to(tmp_path)
    with pytest.raises(UserError, match="is a link"):
        read_films(tmp_path / "pictures", 16, 60)


def deflated(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", b"\0" * 10**7)


def promised(path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,), }"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


@pytest.mark.parametrize("trick", [deflated, promised, lambda path: path.write_bytes(b"\x93NUMPY")])
def test_a_table_of_arrays_takes_no_more_than_its_file(tmp_path: Path, trick: Callable[[Path], None]):
    trick(tmp_path / "calibration.npz")
    with pytest.raises(ValueError):
        read_arrays(tmp_path / "calibration.npz", 10**6)


def test_a_table_of_arrays_is_read_whole_or_by_names(tmp_path: Path):
    np.savez(tmp_path / "x.npz", a=np.ones(3), b=np.array([None]))
    assert read_arrays(tmp_path / "x.npz", 10**6, "a")["a"].tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="Object arrays"):
        read_arrays(tmp_path / "x.npz", 10**6)


def test_a_link_to_a_run_is_not_removed(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "gift").symlink_to(tmp_path / "mine")
    (tmp_path / "mine" / "summary.json").write_text("{}")
    with pytest.raises(UserError):
        runs(RunsConfig("remove", str(tmp_path / "gift")))
    assert (tmp_path / "mine").is_dir()


def test_a_logged_step_is_a_number_of_a_step(tmp_path: Path):
    (tmp_path / "metrics.jsonl").write_text('{"stage": "encoder", "step": Infinity, "seconds": 1.0}\n')
    with pytest.raises(UserError, match="line 1 is damaged"):
        RunDirectory(tmp_path).read_metrics()


def test_the_terminal_obeys_no_name(capsys: pytest.CaptureFixture[str]):
    say("data\x1b]0;owned\x07\u202e")
    list(progress([1], desc="world\x1b[31m"))
    told = "".join(capsys.readouterr())
    assert "\\x1b]0;owned\\x07\\u202e" in told and "\\x1b[31m" in told and "\x1b[31m" not in told
