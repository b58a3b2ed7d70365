"""What somebody meets in the first hour: arguments written as other programs take them, names of worlds and runs."""

import re
from pathlib import Path

import pytest
import torch

from worldmodel.cli.main import main
from worldmodel.cli.worlds_table import worlds_lines
from worldmodel.designing import FactorView, WorldsResult, WorldSummary, WorldView
from worldmodel.envs.excitation import POLICIES
from worldmodel.learning.checkpoints import write_checkpoint
from worldmodel.planners import PLANNERS
from worldmodel.runs import RunDirectory
from worldmodel.settings import CollectConfig, PlanConfig, recipe, write_run_config
from worldmodel.settings.base import field_docs


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["control", "zoo/reacher"], "such as run=zoo/reacher"),
        (["train", "reacher"], "such as env=reacher"),
        (["data", "info", "data/reacher"], "such as path=data/reacher"),
        (["worlds", "reacher"], "such as env=reacher"),
        (["zoo", "reacher"], "such as name=reacher"),
        (["control", "--run=zoo/reacher"], "options have no dashes: run=zoo/reacher"),
        (["train", "--env", "reacher"], "options have no dashes: env=VALUE"),
        (["control", "run", "=", "zoo/reacher"], "write run=VALUE, without spaces around the ="),
        (["control", "run=zoo/reacher", "planner.horizon", "=3"], "write planner.horizon=VALUE, without spaces"),
        (["control", "=3"], "without spaces around the ="),
        (["train", "nam=x"], "did you mean name?"),
        (["train", "env=walker"], "did you mean walker-run, walker-stand, walker-walk?"),
        (["train", "env=nowhere-at-all"], "unknown env 'nowhere-at-all'; worldmodel worlds lists"),
        (["train", "env=reacher,puck"], "add -m to run once for each"),
        (["train", "env=Reacher-v5"], "env=gym:Reacher-v5"),
        (["train", "env=arm.py"], "env=arm.py:factory"),
        (["worlds", "env=nowhere-at-all"], "worldmodel worlds lists what there is"),
        (["versions"], "unknown command 'versions'"),
    ],
)
def test_the_message_shows_how_to_write_it(arguments, said, capsys):
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert said in error and len(error) < 300, error


def test_help_and_version_are_found_by_their_usual_names(capsys):
    for asked in (["help", "zoo"], ["zoo", "--help"]):
        assert main(asked) == 0 and "Print the card of this one" in capsys.readouterr().out
    for asked in (["version"], ["--version"], ["-V"]):
        assert main(asked) == 0 and capsys.readouterr().out.startswith("worldmodel ")
    assert main([]) == 0 and "--version" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["robust", "--help"], ["train", "--help"]])
@pytest.mark.parametrize("columns", [60, 110])
def test_help_fits_the_terminal(arguments, columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if len(line.split()) > 1) <= columns


def test_the_help_of_an_empty_list_shows_how_to_write_one(capsys):
    assert main(["train", "--help"]) == 0
    assert "  choose=[]\n" in capsys.readouterr().out


def test_help_names_every_planner_and_every_policy():
    planners, policies = field_docs(PlanConfig)["planner"], field_docs(CollectConfig)["policy"]
    assert [name for name in PLANNERS if not re.search(rf"\b{name}\b", planners)] == []
    assert [name for name in POLICIES if not re.search(rf"\b{name}\b", policies)] == []
    named = set(re.findall(r"planner\.([a-z_]+)", planners))
    assert named <= PLANNERS["cem"].__dataclass_fields__.keys() and len(named) == 3


def test_a_world_of_ones_own_gives_its_data_and_run_the_name_of_its_file():
    assert recipe("worlds/arm.py:factory").run_name == "arm" == recipe("worlds/arm.py:factory").env.label
    assert recipe("../arm.py:heavy").run_name == "arm-heavy"
    assert recipe("../arm.py:factory", "rounds").run_name == "arm-rounds"
    assert recipe("gym:ogbench/cube-single-v0").run_name == "cube-single-v0"


@pytest.mark.parametrize(
    ("planner", "said"),
    [
        ("hierarchical", "write subgoals=true in place of planner=hierarchical, or choose from cem, icem"),
        ("CEM", "unknown planner 'CEM'; did you mean 'cem'?"),
    ],
)
@pytest.mark.parametrize(
    "verb", ["train env=puck", "control run=zoo/reacher", "view run=zoo/reacher serve=false steps=1 save=a.html"]
)
def test_a_planner_that_there_is_not_is_refused_at_once(verb, planner, said, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*verb.split(), f"planner={planner}"]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not (tmp_path / "data").exists()


@pytest.mark.parametrize("choice", ["[]", "[lag]"])
def test_a_world_that_is_missing_leaves_no_folder(choice, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "env=missing.py:factory", f"choose={choice}"]) == 1
    assert "there is no file missing.py" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


STILL = """
from worldmodel import envs

def factory():
    seen = '<camera name="front" pos="0 -1 0" xyaxes="1 0 0 0 0 1"/><geom size=".1"/>'
    return envs.MjcfScene(f"<mujoco><worldbody>{seen}</worldbody></mujoco>", name="still", control_dt_s=0.02)
"""


def test_frames_in_which_nothing_moves_are_not_learned_from(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "still.py").write_text(STILL)
    small = ["episodes=10", "episode_steps=40", "env.image_size=32", "workers=1", "choose=[]"]
    assert main(["train", "env=still.py:factory", *small]) == 1
    said = capsys.readouterr().err
    assert "nothing moves in the frames of data/still at 32 x 32 pixels" in said
    assert not list(tmp_path.glob("runs/still/*.safetensors"))


def test_other_settings_are_refused_before_anything_is_recorded(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    settings = recipe("reacher").stage_settings()
    content = {"stages_done": ["encoder"], "stage": "", "step": 0, "model": {}, "module": {}, "optimizer": {}}
    (tmp_path / "runs/reacher").mkdir(parents=True)
    write_checkpoint(
        tmp_path / "runs/reacher/trainer.pt", {"settings": settings, "generator": torch.zeros(1), **content}
    )
    assert main(["train", "env=reacher", "episodes=12"]) == 1
    assert "holds a run with other settings (collection.episodes was 400, is 12)" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_run_that_is_not_there_is_answered_with_one_of_a_similar_name(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("reacher-s0", "puck"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "summary.json").write_text("{}")
    (tmp_path / "runs/half").mkdir()
    (tmp_path / "runs/half/config.yaml").write_text("")
    for asked, said in {
        "puck": "did you mean run=runs/puck?",
        "runs/reacher-s1": "did you mean run=runs/reacher-s0?",
        "runs/other": "(no summary.json); train it first: worldmodel train env=NAME",
        "runs/half": "its training was interrupted; give its worldmodel train command again",
    }.items():
        assert main(["report", f"run={asked}"]) == 1
        assert said in capsys.readouterr().err


def test_an_unfinished_run_is_listed_and_can_be_removed(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with RunDirectory(tmp_path / "runs/half").locked():
        write_run_config(tmp_path / "runs/half", recipe("puck"))
    (tmp_path / "runs/project").mkdir()
    (tmp_path / "runs/project/config.yaml").write_text("not: a run")
    assert main(["runs"]) == 0
    listed = capsys.readouterr().out
    assert "project" not in listed and "runs/half" in listed and "puck" in listed and "not finished" in listed
    assert main(["runs", "verify", "run=runs/half"]) == 1 and "no finished run at runs/half" in capsys.readouterr().err
    assert main(["runs", "remove", "run=runs/*"]) == 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["project"]


def test_of_the_paths_of_a_world_only_those_that_act_have_a_row():
    paths = (
        FactorView("body.arm.mass", 1.0, "kg", "physical", "", 0.5),
        *(FactorView(f"geom.wall_{k}.friction", 1.0, "1", "physical", "", 0.0) for k in range(40)),
        FactorView("light.lamp.diffuse", 1.0, "1", "visual", "", None),
    )
    summary = WorldSummary("arm", "goals", None, 1, 2, tuple(f"f{k}" for k in range(9)))
    view = WorldView(summary, ("arm",), {}, 0.05, 10.0, "front", ("front",), False, (), paths)
    told = worlds_lines(WorldsResult((summary,), (), (), view, None))
    table, _, idle = told.partition("no effect seen")
    assert "body.arm.mass" in table and "lamp" not in table and "wall_0" not in table
    idle, _, unmeasured = idle.partition("not measured")
    assert idle.count("geom.wall_") == 40 and "light.lamp.diffuse" in unmeasured
    assert max(map(len, told.splitlines())) < 140
    listed = worlds_lines(WorldsResult((summary,), (), (), None, None))
    assert "f0, f1, f2 and 6 more" in listed
