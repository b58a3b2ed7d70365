"""The command line: what it says when there is nothing to do, and one line for bad input (more in test_commands.py)."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from worldmodel_fakes import fake_episode, write_fake_data

from worldmodel import __version__
from worldmodel.cli.main import main
from worldmodel.cli.verbs import VERBS
from worldmodel.data.index import read_index, write_index

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "episodes=20", "episode_steps=16", "workers=1", "env.image_size=16", "encoder.input_size=16", "encoder.hidden=16",
    "method.num_slices=4", "method.optim.steps=4", "method.optim.batch_size=16", "predictor.horizon=3",
    "predictor.history=[0,1]", "predictor.hidden=16", "predictor_training.steps=4",
    "predictor_training.batch_size=16", "decoder_training.steps=2", "distillation.optim.steps=2",
]  # fmt: skip
TASKS = ["tasks=2", "goal_steps=4", "budget_steps=2", "planner.horizon=3", "videos=0", "oracle=false"]
RUN = "run=runs/reacher"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny run of a dynamic world and one of a kinematic world."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "env=reacher", *SMALL]) == 0
        assert main(["train", "env=reacher_ou", *SMALL, "episode_steps=1", "episodes=40", "decoder=false"]) == 0
    return folder


@pytest.fixture
def home(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that a test may damage, as the working directory."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("worldmodel.measures.regression.MLP_STEPS", 50)
    return tmp_path


@pytest.fixture
def error_of(capsys: pytest.CaptureFixture[str]):
    def run(arguments: list[str]) -> str:
        capsys.readouterr()
        assert main(arguments) == 1
        printed = capsys.readouterr()
        lines = printed.err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: ") and not printed.out, printed
        assert "Error:" not in lines[0], lines[0]  # the name of an exception is nobody's remedy
        return lines[0]

    return run


def start(arguments: list[str], folder: Path, code: str = "", **environment: str) -> "subprocess.Popen[str]":
    """The command in a process of its own; `code` runs before the package is imported."""
    script = f"{code}\nimport sys\nfrom worldmodel.cli.main import main\nif __name__ == '__main__': sys.exit(main())"
    (folder / "command.py").write_text(script)
    inherited = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        [sys.executable, "command.py", *arguments],
        cwd=folder, env=inherited, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_without_a_verb_the_verbs_are_listed(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: worldmodel COMMAND")
    unwrapped = " ".join(text.split())  # the lines are as wide as the terminal
    assert all(f"\n  {name} " in text and verb.summary in unwrapped for name, verb in VERBS.items())


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"worldmodel {__version__}\n"


def test_help_leaves_nothing_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for verb in VERBS:
        assert main([verb, "--help"]) == 0
    assert not list(tmp_path.iterdir())


def test_the_help_of_control_shows_how_the_run_plans(capsys: pytest.CaptureFixture[str]):
    assert main(["control", "--help"]) == 0 and "plan.reduction=sum" in capsys.readouterr().out
    assert main(["control", "run=zoo/ball_in_cup", "--help"]) == 0 and "plan.reduction=min" in capsys.readouterr().out
    assert main(["train", "--help"]) == 0 and "  plan: planner, reduction" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["train", "nodes=2"], "torchrun or srun"),
        (["train", "env=reachr"], "did you mean reacher?"),
        (["train", "experiment=moon"], "size=base"),
        (["train", "size=moon"], "size=moon"),
        (["train", "steps=3"], "predictor_training.steps or context_training.optim.steps or decoder_training.steps"),
        (["train", "seed=1,2"], "add -m"),
        (["train", "episods=3"], "did you mean collection.episodes?"),
        (["train", "encoder=cnn"], "encoder.NAME=VALUE"),
        (["trian"], "did you mean train?"),
        (["train", "env="], "unknown env ''"),
        (["collect", "data=/dev/null"], "/dev/null"),
        (["control", RUN, "device.image_size=8"], "'device.image_size'"),
        (["train", "env.world=missing.py:factory"], "missing.py"),
        (["train", "env.factor_rho={light: 0.5}"], "add it to randomize"),
        (["train", "env=lit_ball", "env.factor_rho={light: 2}"], "factor_rho must be"),
        (["train", "env.randomize=[light]", "env.factor_rho.light=2"], "factor_rho must be"),
        (["collect", "drift_rho=2"], "drift_rho"),
        (["train", "method.optim.stepz=3"], "'method.optim.stepz'"),
        (["train", "+wings=2"], "'wings'"),
        (["train", "+method.wings=2"], "'method.wings'"),
        (["train", "a.b.c=1"], "'a.b.c'"),
        (["train", "a.b.c"], "'a.b.c'"),
        (["train", "episodes=1=2"], "'episodes=1=2'"),
        (["train", "seed=[1"], "'seed=[1'"),
        (["train", "--wings"], "'--wings'"),
        (["train", "episodes="], "episodes"),
        (["train", "device=tpu"], "'tpu'"),
        (["control", RUN, *TASKS, "device=tpu"], "'tpu'"),
        (["train", "env=puck", "context.window=40", "episode_steps=60"], "do not fit into episodes of 60 steps"),
        (["train", "options=nowhere.yaml"], "options=nowhere.yaml cannot be read"),
        (["train", "env.image_size=0"], "image_size"),
        (["train", "env.image_size=large"], "image_size"),
        (["train", "encoder.kind=cnn", "encoder.input_size=24"], "input_size=24"),
        (["train", "predictor.history=[1,2]"], "history"),
        (["collect", "policy=ou", "policy.std=-1"], "std"),
        (["collect", "policy=ou", "policy.std=wide"], "policy.std"),
        (["collect", "policy=ou", "+policy.wings=2"], "wings"),
        (["control", RUN, "planner.num_samples=many"], "planner.num_samples"),
        (["control", RUN, "planner.num_samples=2.5"], "planner.num_samples"),
        (["control", RUN, *TASKS, "+planner.wings=2"], "wings"),
        (["control", RUN, "planner.wings=2"], "'wings'"),
        (["control", RUN, "oracle_tasks=0"], "oracle_tasks"),
        (["control", RUN, "videos=-1"], "videos"),
        (["control", RUN, "split=train"], "'train'"),
        (["control", RUN, "reduction=max"], "'max'"),
        (["control", "run=runs/reacher_ou", *TASKS], "no dynamics predictor"),
        (["probe"], "run="),
        (["probe", "run=nowhere"], "nowhere"),
        (["probe", RUN, "windows=0"], "windows"),
        (["report"], "run="),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(trained: Path, monkeypatch, error_of, arguments: list[str], named: str):
    monkeypatch.chdir(trained)
    if arguments[0] in ("train", "collect") and not arguments[-1].startswith("--"):
        fresh = ["data=new", *(["name=new"] if arguments[0] == "train" else [])]  # or the run that is there is refused
        arguments = [arguments[0], *fresh, *arguments[1:]]
    assert named in error_of(arguments)
    assert not Path("new").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("arguments", [["train"], ["control", RUN, *TASKS], ["probe", RUN]])
def test_a_missing_gpu_is_named(trained: Path, monkeypatch, error_of, arguments: list[str]):
    monkeypatch.chdir(trained)
    assert "device=cuda" in error_of([*arguments, "device=cuda"])


def test_too_few_episodes_are_named(trained: Path, monkeypatch, tmp_path: Path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *SMALL, "episodes=5"]) == 1
    assert "episodes=10" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("command", [["probe", RUN]])
def test_an_empty_data_set_is_named(home: Path, error_of, command: list[str]):
    index = home / "data/reacher/dataset.json"
    write_index(index.parent, dataclasses.replace(read_index(index.parent), num_episodes=0))
    assert "no episode" in error_of(command)
    shutil.rmtree(index.parent)
    assert "data/reacher" in error_of(command)
    index.parent.mkdir()
    index.write_text("not JSON")
    assert "dataset.json" in error_of(command)


@pytest.mark.parametrize("damage", [b"", b"not HDF5 at all", None])
def test_a_corrupt_shard_is_named_and_mended(home: Path, error_of, damage: bytes | None):
    shard = home / "data/reacher/shard-00000.h5"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:3000] if damage is None else damage)
    assert "shard-00000.h5" in error_of(["probe", RUN, "bootstrap=5"])
    assert main(["collect", "env=reacher", *[a for a in SMALL if a.startswith(("ep", "env", "workers"))]]) == 0
    assert main(["probe", RUN, "bootstrap=5"]) == 0


def test_a_foreign_checkpoint_is_named(home: Path, error_of):
    command = ["control", RUN, *TASKS]
    path = home / "runs/reacher/model.json"
    content = json.loads(path.read_text())
    del content["sha256"]  # it would refuse every change

    def changed(part: str, **values: object) -> str:
        return json.dumps({**content, "model": {**content["model"], part: {**content["model"][part], **values}}})

    path.write_text(json.dumps({**content, "schema": 99}))
    assert "schema 99" in error_of(command)
    path.write_text(changed("encoder", hidden=24))
    assert "model.safetensors" in error_of(command) and "architecture" in error_of(command)
    path.write_text(changed("encoder", kind="magic"))
    assert "'magic'" in error_of(command)
    path.write_text(changed("predictor", wings=2))
    assert "wings" in error_of(command)
    path.write_text("not JSON")
    assert "model.json" in error_of(command)
    path.write_text(json.dumps(content))
    (path.parent / "model.safetensors").write_bytes(b"\0" * 64)
    assert "model.safetensors" in error_of(command)
    (path.parent / "config.yaml").write_text("wings: 2")
    assert "config.yaml" in error_of(command)


def test_a_damaged_trainer_state_is_named(home: Path, capsys: pytest.CaptureFixture[str]):
    (home / "runs/reacher/trainer.pt").write_bytes(b"nonsense")
    assert main(["train", "env=reacher", *SMALL]) == 1
    assert "trainer.pt" in capsys.readouterr().err.splitlines()[-1]


def test_a_traceback_is_shown_only_when_asked_for(capsys: pytest.CaptureFixture[str]):
    assert main(["fly"]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert main(["fly", "--traceback"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_bad_value_in_a_sweep_is_one_line(tmp_path: Path):
    process = start(["train", "-m", "seed=x,y"], tmp_path)
    _, errors = process.communicate()
    (line,) = errors.splitlines()
    assert process.returncode == 1 and line.startswith("error: seed must be a whole number") and "'x'" in line


def test_a_sweep_runs_on_after_an_error_and_names_every_job_that_failed(tmp_path: Path):
    write_fake_data(tmp_path / "whole", [fake_episode(0)])
    process = start(["data", "verify", "-m", "path=none,whole,no=ne"], tmp_path)
    output, errors = process.communicate()
    *_, heading, first, second, last = errors.splitlines()
    assert process.returncode == 1 and "whole is whole" in output and heading == "jobs that failed:"
    assert first.startswith("  path='none': no data set at none") and second.startswith("  path='no=ne': no data set")
    assert last.startswith("error: 2 jobs of the sweep failed;") and "Traceback" not in errors


NO_LIBRARY = """
import ctypes
real = ctypes.CDLL
def without_gl(name, *args, **kwargs):
    if name in ("libEGL.so.1", "libOSMesa.so.8"): raise OSError
    return real(name, *args, **kwargs)
ctypes.CDLL = without_gl
"""


def test_without_opengl_one_line_says_what_to_install(tmp_path: Path):
    code = "import os\nos.environ.pop('MUJOCO_GL', None)\nos.environ.pop('PYOPENGL_PLATFORM', None)" + NO_LIBRARY
    process = start(["collect", "env=reacher", "episodes=10", "workers=1"], tmp_path, code)
    _, errors = process.communicate()
    assert process.returncode == 1
    (line,) = errors.splitlines()
    assert line.startswith("error: ") and "apt-get install libegl1" in line
    assert not (tmp_path / "data").exists()


def test_an_unknown_opengl_backend_is_named(tmp_path: Path):
    process = start(
        ["collect", "env=reacher", "episodes=10"], tmp_path, "import os\nos.environ['MUJOCO_GL'] = 'abacus'"
    )
    _, errors = process.communicate()
    (line,) = errors.splitlines()
    assert process.returncode == 1 and line.startswith("error: MUJOCO_GL='abacus'") and "egl" in line


def test_an_interrupted_training_completes(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Interrupted in its second stage; the first is kept, and the same command ends in a finished run."""
    options = [*SMALL, "decoder=false", "robust=false", "predictor_training.steps=600", f"data={trained}/data"]
    command = ["train", "env=reacher", *options]
    process = start(command, tmp_path)
    metrics = tmp_path / "runs/reacher/metrics.jsonl"
    while not (metrics.exists() and '"predictor"' in metrics.read_text()):
        time.sleep(0.02)
        assert process.poll() is None, process.communicate()[1]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130 and "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("interrupted; ")
    encoder = [line for line in metrics.read_text().splitlines() if '"encoder"' in line]
    monkeypatch.chdir(tmp_path)
    assert main(command) == 0
    lines = metrics.read_text().splitlines()
    assert [line for line in lines if '"encoder"' in line] == encoder
    steps = [json.loads(line)["step"] for line in lines if '"predictor"' in line]
    assert steps == sorted(set(steps)) and steps[-1] == 599
    assert (tmp_path / "runs/reacher/summary.json").exists()
