"""The benchmarks' command lines: typed options, plain errors, help."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import command
from benchmarks.settings import BenchConfig, ReproduceConfig
from benchmarks.speed import bench, bench_lines, new_worlds, oracle
from worldmodel.settings import configure
from worldmodel.system import UserError


def test_options_become_typed_settings():
    arguments = ["table=mixings", 'rows=["s=1-*",b]', "seeds=[0, 4]", "rhos=[0.5]", "out=/tmp/x", "polish=false"]
    assert configure(ReproduceConfig, command.options(arguments)) == ReproduceConfig(
        table="mixings", rows=("s=1-*", "b"), seeds=(0, 4), rhos=(0.5,), out="/tmp/x", polish=False
    )
    planning = configure(BenchConfig, command.options(["what=plan", "planner=lewm", "planner.num_samples=9"]))
    assert planning.planner["num_samples"] == 9 and planning.planner["num_iterations"] == 30
    assert command.options(["rho=1e-3", "name=1e", "none=null"]) == {"rho": 0.001, "name": "1e", "none": None}


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("scale=huge", "scale must be one of quick, full, got 'huge'"),
        ("seeds=[]", "seeds is empty"),
        ("seeds=[1,1]", "seeds must be different"),
        ("seeds=[-1]", r"seeds must be a list, each a whole number >= 0, got \[-1\]"),
        ("rhos=[0.5,1.0]", "rhos must be a list, each a number > 0 and < 1"),
        ("tabel=mixings", r"unknown option 'tabel' \(did you mean table"),
        ("mixings", "options are written key=value, got 'mixings'"),
        ("rows=[a", r"cannot read the value of 'rows=\[a'"),
    ],
)
def test_bad_options_are_one_clear_line(argument: str, message: str):
    with pytest.raises(UserError, match=message):
        configure(ReproduceConfig, command.options([argument]))


def test_a_command_prints_its_result_or_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(sys, "argv", ["benchmark", "what=plan", "repeats=2"])
    assert command.run(BenchConfig, lambda config: f"{config.what} {config.repeats}") == 0
    assert capsys.readouterr().out == "plan 2\n"
    monkeypatch.setattr(sys, "argv", ["benchmark", "what=nothing"])
    assert command.run(BenchConfig, lambda config: "") == 1
    assert capsys.readouterr().err.startswith("error: what must be one of render, collect")


def test_help_names_every_option_with_its_default_and_meaning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", ["benchmark", "--help"])
    assert command.run(ReproduceConfig, lambda config: "") == 0
    printed = capsys.readouterr().out
    assert "  seeds=[0, 1, 2]\n      Seeds of training" in printed and "  workers=null\n" in printed


def test_figures_of_a_benchmark_are_written_and_shown(tmp_path: Path):
    figures = bench(BenchConfig(what="render", repeats=1, out=str(tmp_path / "render.json")))
    assert figures["image_size"] == 64 and figures["physics_steps_per_cpu_s"] > figures["step_frames_per_cpu_s"] > 0
    written = json.loads((tmp_path / "render.json").read_text())
    assert written["what"] == "render" and {name: written[name] for name in figures} == figures
    assert bench_lines("render", figures).splitlines()[0] == "render"


def test_a_first_look_at_a_world_is_timed(monkeypatch):
    monkeypatch.setattr(new_worlds, "WORLDS", ("two_room",))
    figures = bench(BenchConfig(what="worlds", repeats=1))
    assert figures["slowest_s"] == figures["seconds"]["two_room"] > 0


def test_the_oracle_of_a_world_is_timed(monkeypatch):
    monkeypatch.setattr(oracle, "TASKS", 2)
    figures = bench(BenchConfig(what="oracle", world="two_room"))
    assert 0 < figures["planning_cpu_s"] <= figures["cpu_s"] and figures["success"] == 1
    assert figures["planner"]["name"] == "cem" and figures["decisions"] >= 2
