"""Verbs only read a stranger's run, data set or folder; and `out` replaces only results of its own kind."""

import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from worldmodel_fakes import fake_episode, write_fake_data

from worldmodel.cli.main import main
from worldmodel.cli.runs_table import runs
from worldmodel.data import DataSet
from worldmodel.data.curation import verify
from worldmodel.designing import worlds
from worldmodel.evaluation.imagination import imagine
from worldmodel.evaluation.robustness import robust
from worldmodel.evaluation.robustness.films import read_films
from worldmodel.learning.imagining import show_futures
from worldmodel.reporting import report
from worldmodel.runs import CellStore, Run, cell_key
from worldmodel.runs.array_files import read_arrays
from worldmodel.runs.run_directory import RunDirectory, scratch_run
from worldmodel.runs.zoo import FOLDER, find_run
from worldmodel.settings import (
    ImagineConfig,
    ReportConfig,
    RobustConfig,
    RunsConfig,
    TrainConfig,
    ViewConfig,
    WorldsConfig,
    read_run_config,
    write_run_config,
)
from worldmodel.system.errors import StoreError, UserError
from worldmodel.system.files import write_atomically, write_text
from worldmodel.system.locks import lock_file
from worldmodel.system.printable import say
from worldmodel.system.progress import end_open_bars, progress
from worldmodel.viewing import view
from worldmodel.viewing.playback import Playback, open_playback


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


def write_contradicting(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A data set whose index was changed afterwards, by whoever can leave out its checksum."""
    write_fake_data(folder, [fake_episode(0)])
    index = json.loads((folder / "dataset.json").read_text())
    del index["sha256"]
    change(index)
    (folder / "dataset.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize(
    ("told", "change"),
    [
        ("pixels has 8 pixels a side, dataset.json says 9", lambda of: of["world"].update(image_size=9)),
        ("action has 2 columns, dataset.json says 1", lambda of: of["world"].update(action_bounds=[[0.0], [1.0]])),
        ("action_bounds are no lowest", lambda of: of["world"].update(action_bounds=[[1.0, 1.0], [0.0, 2.0]])),
        ("'wings' in randomize is no factor", lambda of: of["world"].update(randomize=["wings"])),
        ("'factor1' in factor_rho is no factor that was", lambda of: of["world"].update(factor_rho={"factor1": 0.5})),
        ("'wings' in goal_tolerance is no state", lambda of: of["world"].update(goal_tolerance={"wings": 1.0})),
        ("nominal=0, bounds=9 to -9", lambda of: of["world"]["factors"][0].update(bounds=[9.0, -9.0])),
        ("nominal=0, bounds=-9 to 9", lambda of: of["world"]["factors"][0].update(transform="log")),
        ("control_dt_s", lambda of: of["world"].update(control_dt_s=1e-300)),
        ("episode_steps", lambda of: of["settings"].update(episode_steps=-5)),
        ("length <= 1000", lambda of: of.update(name="x" * 2000)),
        ("state has 3 columns", lambda of: of["world"].update(state_names=[f"x{k}" for k in range(100_000)])),
    ],
)
def test_an_index_that_contradicts_itself_or_its_shards_is_refused(
    tmp_path: Path, told: str, change: Callable[[dict[str, Any]], object]
):
    with pytest.raises(StoreError, match=told):
        DataSet(write_contradicting(tmp_path / "data", change))


def test_numbers_of_a_data_set_are_finite(tmp_path: Path):
    episodes = [fake_episode(0), fake_episode(1)]
    episodes[1].states[3, 0] = np.nan
    write_fake_data(tmp_path / "data", episodes)
    data = DataSet(tmp_path / "data")
    assert np.isnan(data.actions[6]).all()  # an episode's last frame has no action
    with pytest.raises(StoreError, match="state of episode 1 is not finite"):
        _ = data.states
    assert verify(tmp_path / "data").damaged


def test_a_view_without_a_page_ends_where_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_fake_data(tmp_path / "data", [fake_episode(0)])
    monkeypatch.setattr(Playback, "advance", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        view(ViewConfig(data=str(tmp_path / "data"), serve=False, steps=2, save=str(tmp_path / "view.html")))


def test_a_list_of_runs_follows_no_link(tmp_path: Path):
    for name in ("runs", "elsewhere/run"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("summary.json", "config.yaml"):
        (tmp_path / "elsewhere" / "run" / name).write_text("{}")
    (tmp_path / "runs" / "gift").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="no run at"):
        runs(RunsConfig(runs=str(tmp_path / "runs")))
    assert "cannot be read" in runs(RunsConfig(runs=str(tmp_path / "elsewhere")))


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


@pytest.mark.parametrize("name", REPLACING)
def test_a_place_where_nothing_can_be_written_is_named_first(tmp_path: Path, name: str):
    (tmp_path / "notes").write_bytes(TEXT)
    with pytest.raises(UserError, match="notes is no folder; choose another place"):
        REPLACING[name](str(tmp_path / "notes" / "in" / name))


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


def of_text_in_a_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", "no array")


def promised(path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,), }"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


@pytest.mark.parametrize("trick", [deflated, promised, of_text_in_a_zip, lambda path: path.write_bytes(b"\x93NUMPY")])
def test_a_table_of_arrays_takes_no_more_than_its_file(tmp_path: Path, trick: Callable[[Path], None]):
    trick(tmp_path / "calibration.npz")
    with pytest.raises(ValueError):
        read_arrays(tmp_path / "calibration.npz", 10**6)


def test_an_error_stands_on_a_line_of_its_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    write_fake_data(tmp_path / "data", [fake_episode(0)])
    (tmp_path / "data" / "shard-00000.h5").write_bytes(b"no shard")
    assert main(["data", "verify", f"path={tmp_path / 'data'}"]) == 1
    errors = [line for line in capfd.readouterr().err.splitlines() if "error: " in line]
    assert len(errors) == 1 and errors[0].startswith("error: ")
    with pytest.raises(UserError):
        list(read_films(of_text(tmp_path / "pictures"), 16, 60))
    end_open_bars()
    assert capfd.readouterr().err.endswith("\n")


def of_text(folder: Path) -> Path:
    """A folder with a picture that is none."""
    folder.mkdir()
    (folder / "x.png").write_bytes(TEXT)
    return folder


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


def test_a_run_is_removed_at_once_and_a_removal_that_was_cut_off_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.yaml", "summary.json"):
        (run / name).write_text("{}")
    with monkeypatch.context() as cut_off, pytest.raises(KeyboardInterrupt):
        cut_off.setattr("shutil.rmtree", interrupt)
        runs(RunsConfig("remove", str(run)))
    assert not run.exists() and len(list(tmp_path.iterdir())) == 1
    assert runs(RunsConfig("remove", str(run))) == f"removed: {run}"
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="no run at"):
        runs(RunsConfig("remove", str(run)))


def test_a_run_of_the_zoo_is_copied_whole_and_through_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target, mine = tmp_path / "zoo" / "puck", tmp_path / "mine"
    mine.write_text("mine")
    target.mkdir(parents=True)
    (target / "model.json").symlink_to(mine)
    with monkeypatch.context() as cut_off, pytest.raises(KeyboardInterrupt):
        left = iter([shutil.copyfile] * 3)
        cut_off.setattr("shutil.copyfile", lambda *paths: next(left, interrupt)(*paths))
        find_run("zoo/puck", tmp_path)
    assert not (target / "summary.json").exists()
    find_run("zoo/puck", tmp_path)
    assert {path.name: path.read_bytes() for path in target.iterdir() if path.name != ".lock"} == {
        path.name: path.read_bytes() for path in (FOLDER / "puck").iterdir()
    }
    assert mine.read_text() == "mine"


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_finished_cell_is_what_was_written_and_where(tmp_path: Path):
    store, key = CellStore(tmp_path / "cells", dict[str, float]), cell_key("reacher", seed=1)
    assert store.result(key, lambda: {"r2": 0.25}) == store.read(key) == {"r2": 0.25}
    store.path(key).write_text(store.path(key).read_text().replace("0.25", "0.75"))
    with pytest.raises(UserError, match="checksum differs"):
        store.read(key)
    (tmp_path / "linked").symlink_to(tmp_path / "cells")
    with pytest.raises(UserError, match="is a link"):
        CellStore(tmp_path / "linked", dict[str, float]).result(cell_key("puck"), dict)


def test_a_folder_with_the_name_of_a_temporary_file_is_left_alone(tmp_path: Path):
    (tmp_path / ".summary.json.x-1-y.tmp").mkdir()
    with RunDirectory(tmp_path).locked():
        pass
    assert (tmp_path / ".summary.json.x-1-y.tmp").is_dir()


def test_settings_that_are_cut_off_are_no_settings(tmp_path: Path):
    write_run_config(tmp_path, TrainConfig())
    lines = (tmp_path / "config.yaml").read_text().splitlines(keepends=True)
    for number in range(len(lines)):
        (tmp_path / "config.yaml").write_text("".join(lines[:number]))
        with pytest.raises(UserError, match=r"config\.yaml"):
            read_run_config(tmp_path)


def test_a_logged_step_is_a_number_of_a_step(tmp_path: Path):
    (tmp_path / "metrics.jsonl").write_text('{"stage": "encoder", "step": Infinity, "seconds": 1.0}\n')
    with pytest.raises(UserError, match="line 1 is damaged"):
        RunDirectory(tmp_path).read_metrics()


def test_the_terminal_obeys_no_name(capsys: pytest.CaptureFixture[str]):
    say("data\x1b]0;owned\x07\u202e")
    list(progress([1], desc="world\x1b[31m"))
    told = "".join(capsys.readouterr())
    assert "\\x1b]0;owned\\x07\\u202e" in told and "\\x1b[31m" in told and "\x1b[31m" not in told


@pytest.mark.parametrize("name", ["figures", "videos", "tensorboard"])
def test_a_run_whose_folders_lead_elsewhere_is_refused_before_minutes_are_spent(tmp_path: Path, name: str):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    for folder in (run, elsewhere):
        folder.mkdir()
    (run / name).symlink_to(elsewhere)
    with pytest.raises(UserError, match=f"{name} is a link, and a folder is expected"), RunDirectory(run).locked():
        pass
    (run / name).unlink()
    (run / name).write_text("a thesis")
    with pytest.raises(UserError, match=f"{name} is a file, and a folder is expected"), RunDirectory(run).locked():
        pass
    with RunDirectory(run).alone():  # so that it can be removed
        pass


def test_a_run_of_the_zoo_that_another_command_copies_is_left_to_it(tmp_path: Path):
    target = tmp_path / "zoo" / "puck"
    with RunDirectory(target).alone(), pytest.raises(UserError, match="in use by"):
        find_run("zoo/puck", tmp_path)
    assert [path.name for path in target.iterdir()] == [".lock"]


def test_the_lock_of_a_run_that_was_removed_meanwhile_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def removed_first(file: Any) -> bool:
        if not asked:
            shutil.rmtree(tmp_path / "run")
        asked.append(file)
        return lock_file(file)

    monkeypatch.setattr("worldmodel.runs.run_directory.lock_file", removed_first)
    with RunDirectory(tmp_path / "run").alone():
        assert len(asked) == 2 and (tmp_path / "run" / ".lock").read_text().startswith("`")


def test_a_run_that_was_removed_after_it_was_opened_is_not_begun_anew(tmp_path: Path):
    run = Run(find_run("zoo/puck", tmp_path))
    runs(RunsConfig("remove", str(run.path)))
    with pytest.raises(UserError, match="puck was removed meanwhile"), run.directory.locked():
        pass
    assert not run.path.exists()


def test_a_file_that_a_living_process_writes_without_the_lock_is_left_to_it(tmp_path: Path):
    def fill(temporary: Path) -> None:
        temporary.write_text("a page")
        with RunDirectory(tmp_path).locked():
            pass

    write_atomically(tmp_path / "report.html", fill)
    assert (tmp_path / "report.html").read_text() == "a page"


def test_what_killed_studies_left_is_removed_and_what_others_work_in_is_not(tmp_path: Path):
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    for folder in (work / "run-killed", elsewhere):
        folder.mkdir(parents=True)
        (folder / "trainer.pt").write_text("half")
    (work / "run-linked").symlink_to(elsewhere)
    with RunDirectory(work / "run-alive").alone(), scratch_run(work) as run:
        assert {path.name for path in work.iterdir()} == {"run-alive", "run-linked", run.path.name}
    assert not run.path.exists() and [path.name for path in elsewhere.iterdir()] == ["trainer.pt"]


def test_a_page_of_several_runs_replaces_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mine = tmp_path / "report.html"
    mine.write_text("my own")
    of = [SimpleNamespace(path=tmp_path / name) for name in ("a", "b")]
    monkeypatch.setattr("worldmodel.reporting.page.find_runs", lambda _: of)
    with pytest.raises(UserError, match=r"report\.html exists and is no page of a run"):
        report(ReportConfig(run="?"))
    assert mine.read_text() == "my own"


def test_a_film_that_cannot_be_made_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for place in ("figures/x.png", "videos/x.mp4"):
        (tmp_path / place).mkdir(parents=True)
    draw = "worldmodel.learning.imagining"
    monkeypatch.setattr(f"{draw}.draw_futures", lambda path, *_: write_text(path, "a picture"))
    monkeypatch.setattr(f"{draw}.film_futures", lambda path, *_: write_text(path, "a film"))
    assert show_futures(RunDirectory(tmp_path), None, None, "x") == []  # type: ignore[arg-type]
    assert [line.split(" could")[0] for line in capsys.readouterr().out.splitlines()] == ["note: x.png", "note: x.mp4"]
