"""Imagination: futures line up in time, errors are told in people's units, and the verb leaves films and figures."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_decoder import SMALL
from torch import Tensor
from worldmodel_fakes import seeded

from worldmodel import envs
from worldmodel.cli.main import main
from worldmodel.data.table import LatentTable
from worldmodel.evaluation.imagination.disagreement import check_alike, disagreement
from worldmodel.evaluation.imagination.imagined_errors import error_bounds, state_errors
from worldmodel.figures.videos import rows_of_films, write_film
from worldmodel.learning import dynamics_stages
from worldmodel.learning.imagining import imagine_futures
from worldmodel.learning.state_units import UnitReader
from worldmodel.measures.statistics import conformal_bound, resampled_means
from worldmodel.runs import ControlResult, Run, read_record
from worldmodel.system.errors import UserError

K, H, A = 3, 4, 2


class Integrator:
    """A model of z' = z + a that sees K latents."""

    num_context_frames = K

    def encode(self, latents: Tensor, actions: Tensor) -> Tensor:
        torch.testing.assert_close(latents[:, 1:], latents[:, :-1] + actions)
        return latents[:, -1]

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None) -> Tensor:
        return z0[:, None, None] + actions.cumsum(2)


def test_imagined_latents_follow_the_actions_that_were_taken_after_the_last_seen_frame():
    actions = torch.randn(30, A, generator=seeded())
    latents = torch.cat([torch.zeros(1, A), actions[:-1].cumsum(0)])
    start = torch.tensor([0, 5, 30 - K - H])
    model: Any = Integrator()
    futures = imagine_futures(model, LatentTable(latents, actions), start, H)
    assert futures.shape == (3, K + H, A)
    torch.testing.assert_close(futures, latents[start[:, None] + torch.arange(K + H)])


READER = UnitReader(
    units={"joint": "deg", "block": "mm"},
    _weights=np.eye(4)[:, :3],  # latents are the cosine and sine of the joint, and the block; the constant is nothing
    _columns=["cos joint", "sin joint", "block"],
    _factors={"joint": 180 / np.pi, "block": 1000.0},
)


def latents_of(joint: np.ndarray, block: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack([np.cos(joint), np.sin(joint), block], -1))


def test_errors_of_angles_are_the_shorter_way_around_in_degrees_and_those_of_places_in_millimetres():
    """Two windows of two steps: imagined 2 degrees and 3 mm off, read 1 degree and 2 mm off, from a frame at rest."""
    truth = {"joint": np.radians([[179.5, -179.5], [90, 91]]), "block": np.array([[0.1, 0.2], [0.3, 0.4]])}
    imagined = latents_of(truth["joint"] + np.radians(2), truth["block"] - 0.003)
    before = latents_of(np.radians([[178.5], [90]]), np.array([[0.1], [0.3]]))
    seen = latents_of(truth["joint"] - np.radians(1), truth["block"] + 0.002)
    rng = np.random.default_rng(0)
    bounds = {"joint": np.array([2.5, 1.5]), "block": np.array([3.0, 3.5])}
    found = state_errors(READER, imagined, torch.cat([before, seen], 1), truth, np.array([0, 1]), 50, rng, bounds)
    joint, block = found["joint"], found["block"]
    assert (joint.unit, block.unit) == ("deg", "mm")
    assert joint.imagined == pytest.approx([2, 2]) and block.imagined == pytest.approx([3, 3])
    assert joint.persistence == pytest.approx([0.5, 1.5]) and block.persistence == pytest.approx([0, 100])
    assert joint.read == pytest.approx([1, 1]) and block.times_read == pytest.approx(1.5)
    assert block.times_read_interval == pytest.approx((1.5, 1.5))
    assert joint.imagined_interval[0] == pytest.approx((2, 2))
    assert joint.within == [2.5, 1.5] and joint.coverage == [1, 0]


def test_bounds_hold_for_as_many_further_errors_as_they_say():
    """Of 39 errors the 38th is exceeded by a further one with probability 2 in 40, whatever their distribution."""
    rng = np.random.default_rng(0)
    draws = rng.exponential(size=(4000, 40))
    covered = draws[:, -1] <= conformal_bound(draws[:, :-1].T)
    assert abs(covered.mean() - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 4000)
    assert conformal_bound(np.arange(5.0)[:, None]) == [4]
    joint = np.radians(np.arange(39.0))[:, None]
    found = error_bounds(READER, latents_of(2 * joint, joint), {"joint": joint, "block": joint})
    assert found["joint"] == pytest.approx([37])


def test_an_angle_does_not_jump_along_its_path():
    path = READER.path("joint", np.radians([170.0, -170.0, -150.0]))
    assert path == pytest.approx([170, 190, 210]) and READER.path("block", np.array([0.1])) == pytest.approx([100])


def test_disagreement_tells_how_wrong_the_mean_forecast_is_where_it_does():
    """Two runs that err by e and 3 e: a mean error of 2 e, a spread of sqrt(2) e."""
    e = np.arange(1.0, 13.0)[:, None]
    found = disagreement([{"block": e}, {"block": 3 * e}])["block"]
    assert found.mean_forecast == pytest.approx([13]) and found.spread == pytest.approx([6.5 * np.sqrt(2)])
    assert found.foretells == pytest.approx(1)
    opposite = disagreement([{"block": e}, {"block": -e}])["block"]
    assert opposite.mean_forecast == [0] and opposite.foretells is None


def test_a_single_episode_has_no_interval():
    truth = {"joint": np.zeros((3, 1)), "block": np.zeros((3, 1))}
    latents = latents_of(truth["joint"] + 0.1, truth["block"])
    rng = np.random.default_rng(0)
    found = state_errors(READER, latents, torch.cat([latents] * 2, 1), truth, np.zeros(3, int), 20, rng)
    assert not found["joint"].within  # no validation episode is long enough
    assert found["joint"].imagined_interval == [None] and found["joint"].times_read_interval is None
    assert found["block"].times_read is None  # nothing was read wrong, so that nothing can be compared with it


def test_means_over_resampled_groups_weigh_every_value_alike():
    values, group = np.array([[1.0, 0.0], [2.0, 0.0], [9.0, 0.0]]), np.array([7, 7, 3])
    means = resampled_means(values, group, 400, np.random.default_rng(0))
    assert set(np.round(means[:, 0], 9)) == {1.5, 4.0, 9.0} and not means[:, 1].any()
    np.testing.assert_allclose(resampled_means(values, np.zeros(3, int), 5, np.random.default_rng(0))[:, 0], 4.0)


@pytest.mark.parametrize(
    ("world", "units"),
    [("reacher", {"shoulder": "rad", "wrist": "rad"}), ("cartpole-swingup", {"slider": "m", "hinge_1": "rad"})],
)
def test_a_world_tells_the_units_of_its_positions(world: str, units: dict[str, str]):
    made = envs.make(world)
    try:
        assert made.scene.position_units.items() >= units.items()
    finally:
        made.close()


@pytest.mark.parametrize("ending", ["mp4", "gif"])
def test_films_stand_side_by_side_and_one_below_the_other(tmp_path: Path, ending: str):
    frames = np.random.default_rng(0).integers(0, 256, (3, 5, 8, 8, 3), np.uint8)
    film = rows_of_films({"camera": frames, "imagined": frames}, ["seen", "+1", "+2", "+3", "+4"])
    assert film.dtype == np.uint8 and len(film) > 5 and (film[-1] == film[4]).all() and (film[0] != film[1]).any()
    found = imageio.imread(write_film(tmp_path / f"film.{ending}", film, 8.0))
    # a GIF keeps a frame that stays as one that is shown for longer
    assert len(found) == (len(film) if ending == "mp4" else 5) and found.shape[1:3] == film.shape[1:3]


# ---------------------------------------------------------------------------------------------------------------------
# the verb


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder, before = tmp_path_factory.mktemp("home"), Path.cwd()
    os.chdir(folder)
    assert main(["train", *(f"{name}={value}" for name, value in SMALL.items())]) == 0
    yield folder
    os.chdir(before)


def test_a_training_leaves_a_film_of_what_the_model_imagines(home: Path):
    decoding = Run("runs/reacher").train.decoding
    assert decoding and decoding.videos == ["videos/imagination.mp4"]
    assert (
        Path("runs/reacher/videos/imagination.mp4").exists() and Path("runs/reacher/figures/imagination.png").exists()
    )


def test_what_a_predictor_imagines_is_shown_while_it_is_trained(home: Path):
    lines = [line for line in Run("runs/reacher").metrics if line["stage"] == "predictor"]
    (shown,) = (of for of in EventAccumulator("runs/reacher/tensorboard/predictor").Reload().images.Keys())
    assert {"wrist_error_2_steps_ahead_deg", "shoulder_error_2_steps_ahead_deg"} <= lines[-1].keys()
    assert shown == "predictor/imagination_in_training"
    assert Path("runs/reacher/figures/imagination_in_training.png").exists()


def test_looking_at_a_training_changes_no_bit_of_it(home: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamics_stages, "ImaginationWatch", lambda *_: None)
        small = [f"{name}={value}" for name, value in SMALL.items()]
        assert main(["train", *small, "name=unwatched"]) == 0
    watched, unwatched = (Path("runs", name, "model.safetensors").read_bytes() for name in ("reacher", "unwatched"))
    assert watched == unwatched and not Path("runs/unwatched/figures/imagination_in_training.png").exists()


def test_several_runs_imagine_the_same_windows(home: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copytree("runs/reacher", "runs/seed-0")
    assert main(["train", *(f"{name}={value}" for name, value in SMALL.items()), "seed=1", "name=seed-1"]) == 0
    assert main(["imagine", "run=runs/seed-?", "steps=2", "windows=12", "shown=1", "bootstrap=20"]) == 0
    found = [Run(f"runs/seed-{seed}").imagine for seed in (0, 1)]
    assert found[0] and found[1] and found[0].runs == found[1].runs == ["runs/seed-0", "runs/seed-1"]
    assert found[0].disagreement == found[1].disagreement and found[0].disagreement.keys() == {"shoulder", "wrist"}
    assert found[0].videos == ["videos/imagination.mp4", "videos/imagination_of_all.mp4"]
    assert "2 runs lie" in capsys.readouterr().out


def test_runs_that_see_other_windows_are_not_compared():
    with pytest.raises(UserError, match="a and b cannot be compared window by window"):
        check_alike({"a": ("data", 3, [1, 2]), "b": ("data", 2, [1, 2])})


def test_the_verb_films_futures_and_plans_and_says_how_far_off_they_are(home: Path, capsys: pytest.CaptureFixture[str]):
    small = ["steps=3", "windows=9", "tasks=1", "bootstrap=20"]
    assert main(["imagine", "run=runs/reacher", *small, "out=film.gif"]) == 0
    printed = capsys.readouterr().out
    found = Run("runs/reacher").imagine
    assert found and found.steps == [1, 2, 3] and found.num_seen == 2 and found.num_windows == 9
    assert found.errors.keys() == {"shoulder", "wrist"} and found.errors["wrist"].unit == "deg"
    assert all(Path("runs/reacher", name).exists() for name in found.videos) and len(found.videos) == 2
    assert Path("film.gif").exists() and Path("runs/reacher/figures/imagination_errors.png").exists()
    assert f"{found.errors['wrist'].imagined[-1]:.3g}" in printed and "videos: " in printed
    assert main(["report", "run=runs/reacher"]) == 0
    page = Path("runs/reacher/report.html").read_text(encoding="utf-8")
    assert page.count("data:video/mp4") == 2 and page.index("What it imagines</h3>") < page.index(
        "What the latents are</h3>"
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["run=runs/nothing"], "runs/nothing is not a finished run"),
        (["run=runs/reacher", "out=film.txt"], "out is a video, .mp4 or .gif"),
        (["run=runs/reacher", "steps=99"], "steps=99"),
        (["run=runs/reacher", "steps=0"], "steps must be"),
        (["run=runs/blind"], "no decoder"),
        (["run=runs/still"], "no dynamics predictor"),
    ],
)
def test_what_cannot_be_imagined_is_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
):
    small = [f"{name}={value}" for name, value in SMALL.items()]
    if arguments == ["run=runs/blind"]:
        assert main(["train", *small, "name=blind", "decoder=false"]) == 0
    if arguments == ["run=runs/still"]:
        assert main(["train", *small, "env=reacher_ou", "name=still", "episode_steps=1", "episodes=40"]) == 0
    capsys.readouterr()
    assert main(["imagine", *arguments]) == 1
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line and "%|" not in line)
    assert line.startswith("error: ") and named in line


def test_a_run_without_a_decoder_is_driven_beside_one_with_it(home: Path, capsys: pytest.CaptureFixture[str]):
    """Only the one with a decoder doubts its tasks, and only its tasks count there."""
    small = [f"{name}={value}" for name, value in SMALL.items()]
    assert main(["train", *small, "name=blind", "decoder=false"]) == 0
    tiny = ["tasks=3", "goal_steps=5", "budget_steps=4", "videos=0", "oracle=false", "out=both.json"]
    assert main(["control", "run=runs/[rb]*", *tiny]) == 0, capsys.readouterr().err
    both, alone = read_record(Path("both.json"), ControlResult).result, Run("runs/reacher").control
    assert len(both.runs) == 2 and alone and both.doubt == alone.doubt is not None
    assert Run("runs/blind").control.doubt is None
