"""Experiment trackers: TensorBoard's files are read back, Trackio and Weights & Biases are played by a stand-in."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
import tiny
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from worldmodel.cli.main import main
from worldmodel.evaluation.control import control
from worldmodel.evaluation.control.showing import track
from worldmodel.figures.videos import write_video
from worldmodel.runs import check_tracker, open_tracker, track_result
from worldmodel.settings import ControlConfig
from worldmodel.system.errors import UserError

EXTRAS = ("trackio", "wandb")
TRAIN = tiny.OPTIONS["train"]


class Service(ModuleType):
    """What the toolkit uses of Trackio and of Weights & Biases; keeps what it is told."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.config: dict[str, Any] = {}
        self.logged: list[dict[str, Any]] = []
        self.entries: list[dict[str, Any]] = []
        self.finished = 0

    def init(self, **options: Any) -> "Service":
        self.entries.append(options)
        return self

    def log(self, values: dict[str, Any]) -> None:
        self.logged.append(values)

    def finish(self) -> None:
        self.finished += 1

    def Image(self, path: str) -> tuple[str, str]:
        return "image", Path(path).name

    def Video(self, path: str, format: str) -> tuple[str, str]:
        return f"video {format}", Path(path).name


@pytest.fixture
def service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Service:
    found = Service(request.param)
    found.__spec__ = importlib.util.spec_from_loader(request.param, loader=None)
    monkeypatch.setitem(sys.modules, request.param, found)
    return found


@pytest.fixture
def media(tmp_path: Path) -> list[Path]:
    """A PNG and an MP4."""
    picture, video = tmp_path / "curves.png", tmp_path / "drive.mp4"
    imageio.imwrite(picture, np.full((8, 12, 3), 200, np.uint8))
    write_video(video, np.random.default_rng(0).integers(0, 255, (6, 32, 32, 3), np.uint8), 10)
    return [picture, video]


def test_tensorboard_holds_scalars_pictures_and_videos(tmp_path: Path, media: list[Path]):
    run = tmp_path / "run"
    tracker = open_tracker("tensorboard", run)
    tracker.settings({"seed": 3})
    tracker.begin("encoder", 0)
    tracker.scalars("encoder", 7, {"loss": 0.5})
    tracker.close()
    track_result("tensorboard", run, "control", {"success/latent": 1.0}, media)
    curves = EventAccumulator(str(run / "tensorboard/encoder")).Reload()
    assert [(event.step, event.value) for event in curves.Scalars("encoder/loss")] == [(7, 0.5)]
    shown = EventAccumulator(str(run / "tensorboard/control")).Reload()
    assert shown.Scalars("control/success/latent")[0].value == 1
    assert (shown.Images("control/curves")[0].width, shown.Images("control/curves")[0].height) == (12, 8)
    assert shown.Images("control/drive")[0].encoded_image_string.startswith(b"GIF8")


@pytest.mark.parametrize("service", EXTRAS, indirect=True)
def test_a_service_is_told_the_same_and_a_run_keeps_its_entry(tmp_path: Path, service: Service, media: list[Path]):
    run, name = tmp_path / "run", service.__name__
    tracker = open_tracker(name, run)  # type: ignore[arg-type]
    tracker.settings({"seed": 3})
    tracker.begin("encoder", 0)
    tracker.scalars("encoder", 7, {"loss": 0.5})
    tracker.close()
    track_result(name, run, "control", {"success/latent": 1.0}, media)  # type: ignore[arg-type]
    assert service.config == {"seed": 3} and service.finished == 2
    assert service.logged[:2] == [
        {"encoder/step": 7, "encoder/loss": 0.5},
        {"control/step": 0, "control/success/latent": 1},
    ]
    assert service.logged[2:] == [
        {"control/step": 0, "control/curves": ("image", "curves.png")},
        {"control/drive": ("video mp4", "drive.mp4")},
    ]
    assert service.entries[0] == service.entries[1]
    assert service.entries[0]["project"] == "worldmodel" and service.entries[0]["resume"] == "allow"


@pytest.mark.parametrize("service", ["wandb"], indirect=True)
def test_train_and_control_tell_the_tracker(tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch):

    monkeypatch.chdir(tmp_path)
    assert main(["train", "env=reacher", f"track={service.__name__}", *TRAIN]) == 0
    assert service.config["encoder.hidden"] == 16 and service.config["track"] == service.__name__
    keys = {key for values in service.logged for key in values}
    assert {"encoder/loss", "predictor/loss", "encoder/step", "figures/training_curves"} <= keys
    assert not Path("runs/reacher/tensorboard").exists()
    tracked = f"track={service.__name__}"
    assert main(["control", "run=runs/reacher", *tiny.OPTIONS["control"], "videos=1", tracked]) == 0
    keys = {key for values in service.logged for key in values}
    assert {"control/success/latent", "control/control_000"} <= keys and service.finished == 2
    figures = Path("runs/reacher/figures")
    (figures / "linked.png").symlink_to(figures / "training_curves.png")
    os.mkfifo(figures / "pipe.png")  # would be waited for
    service.logged.clear()
    goes_on = [option.replace("predictor_training.steps=6", "predictor_training.steps=7") for option in TRAIN]
    assert main(["train", "env=reacher", tracked, *goes_on]) == 0
    keys = {key for values in service.logged for key in values}
    assert "figures/training_curves" in keys and not {"figures/linked", "figures/pipe"} & keys


@pytest.mark.parametrize("name", EXTRAS)
def test_a_tracker_that_is_not_installed_is_refused_before_anything_is_recorded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda found: None)
    with pytest.raises(ValueError, match="needs"):
        check_tracker(name)  # type: ignore[arg-type]
    assert main(["train", "env=reacher", f"track={name}"]) == 1
    assert capsys.readouterr().err == (
        f"error: track={name} needs {name}; install it with: pip install 'worldmodel[{name}]'\n"
    )
    assert not list(tmp_path.iterdir())


def test_what_others_put_into_a_run_is_shown_only_if_it_is_a_picture_or_a_film(
    tmp_path: Path, media: list[Path], capsys: pytest.CaptureFixture[str]
):
    run, mine = tmp_path / "run", tmp_path / "mine.png"
    mine.write_bytes(media[0].read_bytes())
    (tmp_path / "linked.png").symlink_to(mine)
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("text.png", "text.mp4"):
        (tmp_path / name).write_text("a thesis")
    names = ["linked.png", "pipe.png", "text.png", "text.mp4", "curves.png"]
    track_result("tensorboard", run, "control", {}, [tmp_path / name for name in names])
    shown = EventAccumulator(str(run / "tensorboard/control")).Reload()
    assert shown.Tags()["images"] == ["control/curves"]
    told = capsys.readouterr().out.splitlines()
    assert [line.split(" is not")[0] for line in told] == [f"note: {name}" for name in names[:-1]]


@pytest.mark.parametrize("service", ["wandb"], indirect=True)
def test_where_results_are_sent_is_what_the_user_says_and_not_the_run(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    run = SimpleNamespace(path=tmp_path, figures=tmp_path, config=SimpleNamespace(track="wandb"))
    found = SimpleNamespace(controllers={}, videos=[])
    track(run, found, ControlConfig(run=str(tmp_path)).track)  # type: ignore[arg-type]
    assert not service.entries and "add track=wandb to show this there, too" in capsys.readouterr().out
    track(run, found, "wandb")  # type: ignore[arg-type]
    assert len(service.entries) == 1
    monkeypatch.setattr(importlib.util, "find_spec", lambda found: None)
    with pytest.raises(UserError, match="track=wandb needs wandb"):  # before a run is opened
        control(ControlConfig(run="nowhere", track="wandb"))
