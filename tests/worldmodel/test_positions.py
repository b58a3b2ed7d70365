"""`positions`: constants from true positions, kept trial by trial, and what the command refuses."""

from pathlib import Path
from typing import Any

import pytest

from worldmodel.cli.main import main
from worldmodel.evaluation.positions import PositionsResult, positions
from worldmodel.evaluation.positions.context_trials import ContextStudy
from worldmodel.runs.summary import read_record
from worldmodel.settings import PositionsConfig, configure

COMMAND = ["positions", "env=varied_pendulum", "runs=runs"]
SMALL = [
    "episodes=40", "episode_steps=40", "context.window=14", "context.strides=[1,2,4]", "num_seeds=2",
    "context_training.optim.steps=8", "context_training.optim.batch_size=32", "shift_episodes=4",
    "bound_trajectories=2",
]  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("NUM_SHUFFLES", "NUM_RESAMPLES"):
        monkeypatch.setattr(f"worldmodel.evaluation.probing.count.{name}", 3)
    monkeypatch.setattr("worldmodel.measures.regression.MLP_STEPS", 50)
    return tmp_path


@pytest.mark.parametrize("forces", ["placed", "turning"])
def test_constants_from_positions(home: Path, capsys: pytest.CaptureFixture[str], forces: str):
    chosen = ["methods=[lejepa,supervised]", f"context.forces={forces}", "tune=false", "out=found.json"]
    assert main([*COMMAND, *SMALL, *chosen]) == 0
    printed = capsys.readouterr().out
    found = read_record(Path("found.json"), PositionsResult).result
    assert found.constants == ["mass", "damping", "gravity"] == list(found.r2_bound)
    for method, reading in found.methods.items():
        gravity = reading.constants["gravity"]
        assert len(gravity.r2_linear.values) == 2 and gravity.r2_out_of_range and gravity.r2_out_of_range_averaged
        assert f"  {method}" in printed and f"gravity {gravity.r2_linear.mean:.3f}" in printed
    assert read_record(Path("runs/varied_pendulum-positions/positions.json"), PositionsResult).result == found
    assert "gravity is read best by " in printed and "next: worldmodel train env=varied_pendulum" in printed


def test_finished_trials_are_not_trained_again(home: Path, monkeypatch: pytest.MonkeyPatch):
    options: dict[str, Any] = {"env": "varied_pendulum", "episodes": 40, "episode_steps": 40, "context.window": 14}
    options |= {
        "context.strides": [1, 2, 4],
        "context_training.optim.steps": 2,
        "context_training.optim.batch_size": 32,
    }
    options |= {"num_seeds": 1, "shift_episodes": 0, "bound_trajectories": 0, "methods": ["lejepa"]}
    options |= {"context_training.optim.batch_size": 32}
    first = positions(configure(PositionsConfig, options))
    assert len(first.methods["lejepa"].validation_r2) == 4 and first.r2_bound == {}

    def never(*_: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(ContextStudy, "_trained", never)
    # folders and the number of processes do not make another trial, nor do methods beside it
    assert positions(configure(PositionsConfig, options | {"data": "elsewhere", "workers": 1})) == first
    with pytest.raises(AssertionError, match="trained again"):
        positions(configure(PositionsConfig, options | {"noise_rad": 0.02}))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["env=two_room"], "no physical constant varies in env=two_room"),
        (["methods=[magic]"], "methods must be a list, each one of lejepa, infonce, vicreg, prediction, supervised"),
        (
            ["context.window=20"],
            "two windows of 20 steps do not fit into episodes of 40 steps",
        ),  # halves share none
        (["context.window=30"], "two windows of 30 steps do not fit into episodes of 40 steps"),
        (["episodes=5"], "episodes must be >= 10"),
        (["noise_rad=0"], "noise_rad must be a number > 0"),
        (["windowz=3"], "unknown option 'windowz'"),
    ],
)
def test_bad_input_is_one_line(home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str):
    assert main([*COMMAND, *SMALL, *arguments]) == 1
    printed = capsys.readouterr().err.strip().splitlines()[-1]
    assert printed.startswith("error: ") and message in printed


def test_committed_results_are_read():
    for path in sorted((Path(__file__).parents[2] / "docs/results").glob("state-*.json")):
        found = read_record(path, PositionsResult).result
        assert set(found.methods["lejepa"].constants) == set(found.constants) == set(found.r2_bound)
        assert all(reading.constants[found.constants[0]].r2_linear.mean for reading in found.methods.values())
