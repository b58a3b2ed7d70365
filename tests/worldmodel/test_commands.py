"""What a user does: the verbs from end to end on tiny data, and bad input."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from worldmodel.cli.main import main
from worldmodel.cli.settings_of import settings_of
from worldmodel.cli.verbs import VERBS
from worldmodel.data.store import DataSet
from worldmodel.data.truth import Variables, state_variables
from worldmodel.envs.excitation import make_policy
from worldmodel.runs import ControlResult, Run, read_record
from worldmodel.settings import HeadsConfig, TrainConfig, read_run_config
from worldmodel.settings.base import settings_class
from worldmodel.settings.convert import option_paths

ROOT = Path(__file__).parents[2]
SMALL = [
    "episodes=20",
    "episode_steps=24",
    "workers=1",
    "predictor.horizon=5",
    "predictor.history=[0,1,2]",
    "predictor.hidden=16",
    "encoder.hidden=16",
    "method.optim.steps=6",
    "method.optim.batch_size=16",
    "method.num_slices=4",
    "predictor_training.steps=6",
    "predictor_training.batch_size=16",
    "decoder_training.steps=2",
    "distillation.optim.steps=2",
]

LEAN = [*SMALL, "decoder=false", "robust=false"]
"""Where neither frames from latents nor other looks matter."""


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch: pytest.MonkeyPatch):
    """Goal heads of a few units, and few steps of the networks that probe."""
    monkeypatch.setattr("worldmodel.measures.regression.MLP_STEPS", 50)
    module = sys.modules["worldmodel.learning.train"]  # the package's attribute of that name is the function
    monkeypatch.setattr(module, "HEADS", HeadsConfig(reach=5, hidden=16))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    """A folder with a tiny reacher run at runs/demo/control, and a tiny puck run."""
    folder = tmp_path_factory.mktemp("home")
    before = Path.cwd()
    os.chdir(folder)
    assert main(["train", "env=reacher", "runs=runs/demo", "name=control", *SMALL]) == 0
    yield folder
    os.chdir(before)


def error_of(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """The one line on which a command fails."""
    capsys.readouterr()
    assert main(arguments) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line and "%|" not in line]
    assert len(lines) == 1 and lines[0].startswith("error: "), lines
    return lines[0]


def test_control_probe_and_report(home: Path, capsys: pytest.CaptureFixture[str]):
    run = "run=runs/demo/control"
    small = ["tasks=3", "goal_steps=6", "budget_steps=4", "videos=2", "oracle_tasks=2", "planner.horizon=5"]
    assert main(["control", run, *small]) == 0
    assert main(["probe", run, "bootstrap=20", "max_frames=200"]) == 0
    assert main(["report", run]) == 0
    assert "report.html" in capsys.readouterr().out
    found = Run("runs/demo/control").summary
    assert found.control and found.probe and {"train", "control", "probe"} <= set(found.commands)
    assert found.control.controllers["oracle"].num_tasks == 2
    assert found.train.peak_memory_mb and 50 < found.train.peak_memory_mb < 8000
    assert {"cos shoulder", "sin wrist", "wrist_vel"} <= set(found.probe.variables)
    assert set(found.probe.variables["cos shoulder"].controls) == {
        "random_encoder", "raw_pixels", "shuffled_labels", "true_state",
    }  # fmt: skip
    page = Path("runs/demo/control/report.html").read_text()
    assert page.count("data:video/mp4") == 3 and page.count("data:image/png") >= 6
    again = Path("runs/demo/control/model.safetensors").read_bytes()
    assert main(["train", "env=reacher", "runs=runs/demo", "name=control", *SMALL]) == 0
    assert Path("runs/demo/control/model.safetensors").read_bytes() == again


def test_what_stands_still_is_named_and_the_rest_is_reported(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """One variable moves in training episodes alone, one in the first of two test episodes."""

    def with_still_ones(data: DataSet) -> Variables:
        found, moves = state_variables(data), np.zeros((data.num_rows, 2))
        for column, episodes in enumerate((range(8), range(10))):
            for episode in episodes:
                rows = slice(data.offset[episode], data.offset[episode] + data.length[episode])
                moves[rows, column] = np.sin(np.arange(data.length[episode]))
        return Variables([*found.names, "still", "rare"], [*found.units, "m", "m"], np.hstack([found.values, moves]))

    monkeypatch.setattr("worldmodel.evaluation.probing.state_probes.state_variables", with_still_ones)
    run = "run=runs/demo/control"
    assert main(["probe", run, "bootstrap=50", "max_frames=200"]) == 0
    printed = capsys.readouterr().out
    found = Run("runs/demo/control").probe
    assert found and re.search(r"^ +still +–, MLP –$", printed, re.M)
    still, rare, velocity = (found.variables[name] for name in ("still", "rare", "wrist_vel"))
    assert still.r2_linear is None and rare.r2_linear is not None
    assert rare.r2_linear_interval is None and velocity.r2_linear_interval is not None
    assert main(["report", run]) == 0
    page = Path("runs/demo/control/report.html").read_text()
    assert "still (m)" in page and not re.search(r">[^<]*\b(nan|None)\b", page)


def test_a_single_test_pair_has_no_bound(home: Path):
    assert main(["train", "env=reacher_ou", "name=few", *LEAN, "episodes=10", "method.optim.steps=3"]) == 0
    found = Run("runs/few").train.identifiability
    assert found and found.theorem_bound is found.alignment_gap is None and found.r2_h_to_z is not None


HEADS = ["goal_heads=true", "episode_steps=40"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("lewm", ["env=reacher", "method=lewm"]),
        ("heads", ["env=reacher", "data=data/heads", *HEADS]),
        ("cnn", ["env=lit_ball_ou", "encoder.kind=cnn", "encoder.input_size=32", "encoder.channels=[4,4]"]),
        ("cartpole", ["env=cartpole-swingup"]),
        ("own", [f"env.world={ROOT}/examples/own_world.py:factory", "env.name=own"]),
    ],
)
def test_other_methods_encoders_and_worlds(
    home: Path, name: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main(["train", f"name={name}", *(SMALL if name == "heads" else LEAN), *arguments]) == 0
    assert ("control run=runs/own trust_world=true\n" in capsys.readouterr().out) == (name == "own"), "the next command"
    found = Run(Path("runs") / name).train
    assert found.identifiability and (found.prediction is not None) == (name != "cnn")


def test_goal_heads_given_later_are_those_given_at_once(home: Path):
    later = ["train", "env=reacher", "name=later", *SMALL, "data=data/heads", "episode_steps=40"]
    assert main(later) == 0 and main([*later, "goal_heads=true"]) == 0
    once, twice = (Path("runs", name, "model.safetensors").read_bytes() for name in ("heads", "later"))
    assert once == twice


def test_goals_of_heads_lie_no_further_ahead_than_episodes_last(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules["worldmodel.learning.train"], "HEADS", HeadsConfig(reach=25, hidden=16))
    short = ["name=short", *LEAN, "data=data/short", "episode_steps=12", "goal_heads=true"]
    assert main(["train", "env=reacher", *short]) == 0
    heads = Run("runs/short").model().heads
    assert heads and heads.config.reach == 13 - 3, "frames of an episode, and those of the history"


def test_what_plans_by_heads_learns_them(home: Path, capsys: pytest.CaptureFixture[str]):
    told = error_of(capsys, ["train", "env=cartpole-swingup", "name=headless", *SMALL, "goal_heads=false"])
    assert told.endswith("plan.metric=learned needs goal heads: leave goal_heads=true, or set plan.metric=l2")
    assert not Path("runs/headless").exists()


def test_control_with_learned_heads(home: Path, capsys: pytest.CaptureFixture[str]):
    small = ["tasks=2", "goal_steps=6", "budget_steps=4", "videos=0", "oracle=false", "planner.horizon=5"]
    assert "goal_heads=true" in error_of(capsys, ["control", "run=runs/demo/control", "proposal=true", *small])
    follow = ["proposal=true", "planner=follow", "metric=staged", "protocol=strict"]
    search = ["proposal=true", "metric=learned", "out=pooled.json"]
    assert main(["control", "run=runs/heads", *follow, *small]) == 0
    assert main(["control", "run=runs/heads", *search, *small]) == 0
    pooled = read_record(Path("pooled.json"), ControlResult).result
    assert pooled.plan.metric == "learned" and pooled.world == "reacher" and pooled.latent.num_runs == 1


def test_a_world_in_a_file_needs_trust(home: Path, capsys: pytest.CaptureFixture[str]):
    assert "trust_world=true" in error_of(capsys, ["control", "run=runs/own", "tasks=1", "goal_steps=6"])
    small = ["tasks=1", "goal_steps=6", "budget_steps=2", "videos=0", "oracle_tasks=1", "planner.horizon=5"]
    assert main(["control", "run=runs/own", "trust_world=true", *small]) == 0


def test_a_sweep_makes_one_run_each(home: Path):
    assert main(["train", "-m", "env=reacher", "name=swept", "seed=1,2", *LEAN]) == 0
    assert {path.parent.name for path in Path("runs").glob("swept-*/summary.json")} == {"swept-s1", "swept-s2"}
    assert main(["report", "run=runs/swept-s1"]) == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["fly"], "fly"),
        (["train", "env=moon"], "moon"),
        (["train", "method=magic"], "magic"),
        (["train", "policy=lazy"], "lazy"),
        (["control", "run=runs/demo/control", "planner=oracle"], "oracle"),
        (["train", "env.world=moon", "name=a"], "moon"),
        (["train", "env.randomize=[wings]", "name=a"], "wings"),
        (["train", "wings=2"], "wings"),
        (["collect", "method.lag=2"], "method"),
        (["train", "method.rho=high"], "method.rho"),
        (["train", "method.rho=2"], "method.rho"),
        (["train", "method.num_slices=0"], "num_slices"),
        (["train", "method.optim.batch_size=1"], "batch_size"),
        (["train", "episodes=0"], "episodes"),
        (["collect", "warp_worlds=0"], "warp_worlds"),
        (["train", "env.image_size=20", "data=odd"], "20 x 20"),
        (["train", "method.lag=50", "name=a", *SMALL], "episodes of at most 24"),
        (["train", "method.lag=3", "runs=runs/demo", "name=control", *SMALL], "other settings"),
        (["train", "data_seed=9", *SMALL], "seed"),
        (["train", "name=a", "encoder.latent_dim=500", *SMALL], "more than the data supports"),
        (["train", "nonsense"], "nonsense"),
        (["control"], "run="),
        (["control", "run=nowhere"], "nowhere"),
        (["control", "run=runs/demo/control", "protocol=loose"], "lewm, strict, reward"),
        (["control", "run=runs/demo/control", "task_policy=lazy"], "lazy"),
        (["control", "run=runs/demo/control", "planner.horizon=0"], "horizon"),
        (["control", "run=runs/demo/control", "planner.num_elites=500"], "num_elites"),
        (["control", "run=runs/demo/control", "supervised=nowhere"], "nowhere"),
        (["report", "run=nowhere"], "nowhere"),
        (["data", "polish", "path=data/reacher"], "polish"),
        (["data", "info"], "path="),
        (["data", "verify", "path=nowhere"], "nowhere"),
        (["data", "convert", "path=.", "out=data/new"], "LeRobot"),
        (["train", "name=../elsewhere"], "one folder's name"),
        (["train", "name=/tmp/elsewhere"], "one folder's name"),
        (["collect", "env.name=../../elsewhere"], "one folder's name"),
        (["train", "devices=0"], "devices"),
        (["train", "-m", "devices=2", "seed=1,2"], "one process a job"),
    ],
)
def test_bad_input_is_one_line(home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], named: str):
    assert named in error_of(capsys, arguments)


def test_pairs_that_a_world_has_not_are_refused_before_anything_is_collected(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = ["train", "method.pairs=ou", "data=never", *SMALL]
    assert "method.pairs=ou needs a kinematic world, reacher is not one" in error_of(capsys, arguments)
    assert not Path("never").exists()


def test_frames_that_do_not_fit_are_refused_before_anything_is_collected(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    assert "63 x 63" in error_of(capsys, ["train", "env.image_size=63", "data=never", *SMALL])
    assert not Path("never").exists()


def test_windows_that_do_not_fit_are_refused_before_anything_is_trained(home: Path, capsys: pytest.CaptureFixture[str]):
    assert "episodes of at most 24 steps" in error_of(capsys, ["train", "name=b", *SMALL, "predictor.horizon=40"])
    assert not Path("runs/b/metrics.jsonl").exists()


def test_a_world_that_names_no_tolerance_is_judged_by_its_own_motion(home: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["train", "env=walker-walk", *LEAN]) == 0
    assert "worldmodel control run=runs/walker-walk\n" in capsys.readouterr().out
    few = ["run=runs/walker-walk", "tasks=2", "budget_steps=3", "oracle=false", "videos=1"]
    assert main(["control", *few]) == 0
    said = capsys.readouterr().out
    assert "counts as reached within" in said and "left_hip" in said and "rootx" not in said
    assert "goal_tolerance names knee" in error_of(capsys, ["control", *few, "goal_tolerance={knee: 1}"])
    assert main(["control", *few, "protocol=reward"]) == 0
    assert "return, planned by the reward head" in capsys.readouterr().out


ENDS_EARLY = """from worldmodel import envs
from worldmodel.envs.factors import PhysicsFactor
from worldmodel.envs.writers import body_mass
MJCF = '''<mujoco><size nuserdata="1"/><option timestep="0.01"/><worldbody><light pos="0 -1 2"/>
<camera name="c" pos="0 -2 0" xyaxes="1 0 0 0 0 1"/><body name="b"><joint name="h" type="hinge" axis="0 1 0"/>
<geom type="capsule" size=".05" fromto="0 0 0 0 0 -.5"/></body></worldbody>
<actuator><motor joint="h" ctrlrange="-1 1"/></actuator></mujoco>'''
MASS = PhysicsFactor(
    name="m", unit="kg", nominal=4.0, bounds=(2, 8), prior_scale=0.25, transform="log", write=body_mass("b")
)
def start(model, data, rng):
    data.qpos[0], data.userdata[0] = rng.uniform(-1, 1), rng.uniform() < 0.2
def fell(model, data):
    return data.userdata[0] > 0 and data.time > 0.02
def factory():
    parts = dict(reset=start, terminated=fell, factors=(MASS,), goal_tolerance={"h": 0.2})
    return envs.MjcfScene(MJCF, name="pole", control_dt_s=0.02, **parts)
"""


def test_episodes_that_end_early_are_left_out_and_an_edited_world_is_named(
    home: Path, capsys: pytest.CaptureFixture[str]
):
    Path("early.py").write_text(ENDS_EARLY)
    constants = ["env.randomize=[physical]", "drift_rho=0.9", "context.window=8", "context_training.optim.steps=3"]
    small = ["env.name=early", *LEAN, "episodes=40", "context.strides=[1,2]", *constants]
    assert main(["train", "env.world=early.py:factory", *small]) == 0
    told = re.search(r"left out: (\d+) of 40 episodes", capsys.readouterr().out)
    assert told and 0 < int(told[1]) < 20
    quick = ["bootstrap=20", "max_frames=200", "controls=false", "bound_trajectories=0"]
    assert main(["probe", "run=runs/early", *quick]) == 0
    Path("early.py").write_text(ENDS_EARLY.replace("-.5", "-.4"))
    capsys.readouterr()
    tasks = ["tasks=2", "goal_steps=6", "budget_steps=2", "videos=0", "oracle=false", "planner.horizon=5"]
    assert main(["control", "run=runs/early", "trust_world=true", *tasks]) == 0
    assert "another world than early is now (its Python file, its compiled model changed)" in capsys.readouterr().out


def test_damaged_files_are_named(home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    shutil.copytree("data", tmp_path / "data")
    run = tmp_path / "run"
    shutil.copytree("runs/demo/control", run)
    command = ["probe", f"run={run}", f"data={tmp_path}/data"]
    shard = tmp_path / "data/reacher/shard-00000.h5"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    assert "shard-00000.h5" in error_of(capsys, command)
    with h5py.File(shard, "w") as file:
        file["something"] = 3
    assert "shard-00000.h5" in error_of(capsys, command)
    shard.unlink()
    assert "shard-00000.h5" in error_of(capsys, command)
    (tmp_path / "data/reacher/dataset.json").write_text("{}")
    assert "dataset.json" in error_of(capsys, command)
    description = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps({**description, "schema": 0}))
    assert "schema 0" in error_of(capsys, command)


def test_a_traceback_is_shown_when_asked_for(capsys: pytest.CaptureFixture[str]):
    assert main(["report", "run=nowhere", "--traceback"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [*VERBS])
def test_help_lists_every_option(verb: str, capsys: pytest.CaptureFixture[str]):
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    cls = VERBS[verb].settings
    assert all(
        f"  {path}=" in text for path, hint, _ in option_paths(cls) if settings_class(hint) is None and "." not in path
    )


def test_help_shows_the_values_of_the_recipe(capsys: pytest.CaptureFixture[str]):
    assert main(["train", "env=puck", "size=base", "episodes=7", "--help"]) == 0
    text = capsys.readouterr().out
    assert "collection.episodes=7\n" in text and "atlas.episodes=40000\n" in text and "context.window=64\n" in text
    assert "size=small | base | wide" in text


@pytest.mark.parametrize(
    ("number", "status", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_an_interrupted_training_goes_on(home: Path, tmp_path: Path, number: int, status: int, said: str):
    options = [*SMALL, "method.optim.steps=100000", f"data={home}/data"]
    command = [sys.executable, "-m", "worldmodel.cli", "train", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "runs/reacher/metrics.jsonl"
    while not log.exists() or log.stat().st_size == 0:  # a step was taken: before it there is nothing to save
        time.sleep(0.1)
        assert process.poll() is None
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == status and said in errors and "Traceback" not in errors
    assert torch.load(tmp_path / "runs/reacher/trainer.pt", weights_only=True)["step"] > 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("collect", "continues from there"),
        ("robust run=zoo/reacher", "begins anew"),
        ("data convert path=mine out=data/mine", "continues from there"),
        ("data what=merge path=data/a out=data/b", "continues from there"),
        ("data verify path=data/a", "begins anew"),
    ],
)
def test_after_an_interrupt_it_is_said_what_the_same_command_does(
    line: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def interrupted(config: object) -> str:
        raise KeyboardInterrupt

    verb, *options = line.split()
    monkeypatch.setitem(VERBS, verb, replace(VERBS[verb], run=interrupted))
    assert main([verb, *options]) == 130
    assert capsys.readouterr().err.strip().endswith(said)


def test_another_policy_than_the_recipe_s_own_brings_its_own_parameters():
    own = settings_of(TrainConfig, ["env=puck"]).collection.policy
    other = settings_of(TrainConfig, ["env=puck", "policy=ou"]).collection.policy
    assert own["name"] != "ou" and other == {"name": "ou"}
    asked = settings_of(TrainConfig, ["env=puck", "policy.stiffness=1", "policy=ou"]).collection.policy
    with pytest.raises(
        ValueError, match="unknown parameter of policy ou 'stiffness'"
    ):  # what was asked for is not dropped
        make_policy(**asked)


def test_a_run_s_settings_come_back(home: Path):
    settings = settings_of(TrainConfig, ["env=reacher", "runs=runs/demo", "name=control", *SMALL])
    assert read_run_config(Path("runs/demo/control")) == settings


def test_a_changed_later_stage_keeps_the_earlier_ones(home: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copytree("runs/demo/control", "runs/changed")
    again = ["train", "env=reacher", "name=changed", *SMALL]
    before = Path("runs/changed/model.safetensors").read_bytes()
    assert main([*again, "predictor.hidden=8"]) == 0
    said = capsys.readouterr().out
    assert "keeps encoder; trains predictor again (predictor.hidden was 16, is 8)" in said
    assert main(["train", "env=reacher", "name=fresh", *SMALL, "predictor.hidden=8"]) == 0
    assert Path("runs/changed/model.safetensors").read_bytes() == Path("runs/fresh/model.safetensors").read_bytes()
    assert Path("runs/changed/model.safetensors").read_bytes() != before
    assert "encoder.hidden was 16, is 8" in error_of(capsys, [*again, "encoder.hidden=8"])


def test_a_run_of_the_zoo_works_at_once_and_its_files_are_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["tasks=8", "oracle=false", "videos=1", "out=pooled.json"]
    assert main(["control", "run=zoo/reacher", *arguments]) == 0
    success = read_record(Path("pooled.json"), ControlResult).result.latent.success
    assert success and success.rate >= 7 / 8
    assert list(Path("runs/zoo/reacher/videos").glob("*.mp4"))
    packaged = ROOT / "worldmodel" / "runs" / "zoo" / "reacher"
    assert not (packaged / "videos").exists(), "nothing is written into the package"
    for path in (packaged / "config.yaml", packaged / "summary.json", packaged / "model.json"):
        assert not re.search(r"[\s\"']/\w", path.read_text()), "no path of the machine it was trained on"


def test_an_unknown_run_of_the_zoo_names_those_there_are(capsys: pytest.CaptureFixture[str]):
    assert "there is ball_in_cup, cartpole" in error_of(capsys, ["control", "run=zoo/walker"])
    assert main(["surprise", "run=zoo/reacher", "event_step=3"]) == 1
    assert "event_step must lie in" in capsys.readouterr().err


def test_a_library_that_is_missing_is_named_before_anything_is_collected(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "timm", None)  # as if it were not installed
    monkeypatch.chdir(tmp_path)
    assert "install it with: pip install 'worldmodel[vit]'" in error_of(capsys, ["train", "size=lewm"])
    assert not list(tmp_path.rglob("*.h5"))
