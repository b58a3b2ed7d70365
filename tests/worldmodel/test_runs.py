"""Results come back as they were written, foreign files are refused in one line, and runs of version 0.1 still open."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from worldmodel.data import collect
from worldmodel.evaluation import control, probe
from worldmodel.models.weights import write_weights
from worldmodel.reporting import report
from worldmodel.reporting.verdicts import outdated_verdict
from worldmodel.runs import (
    ControllerResult,
    ControlResult,
    DataUsed,
    DemoResult,
    ModelSize,
    PredictionErrors,
    Run,
    RunDirectory,
    Success,
    SurpriseResult,
    TrainResult,
    find_runs,
    read_record,
    read_summary,
    write_record,
)
from worldmodel.settings import ControlConfig, ProbeConfig, ReportConfig
from worldmodel.system.errors import CheckpointError, ResultError, UserError

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests" / "fixtures"
TRAIN = TrainResult(
    run="runs/a",
    env="reacher",
    method="lejepa",
    seed=1,
    data=DataUsed(1, 2, 3, 4),
    model=ModelSize(5, "mlp 16x16", 6),
    prediction=PredictionErrors(5, {1: 0.1 + 0.2, 5: None}),
    seconds={"encoder": 1e-17},
)


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs that version 0.1 wrote, in a folder of their own that is the working directory."""
    shutil.copytree(OLD, tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("worldmodel.measures.regression.MLP_STEPS", 50)
    return Path("runs")


@pytest.fixture
def controlled(old: Path) -> ControlResult:
    found = Run(old / "run-v0.1").control
    assert found
    return found


def written(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


# ---------------------------------------------------------------------------------------------------------------------
# reading and writing


def test_results_come_back_to_the_bit(tmp_path: Path, controlled: ControlResult):
    run = RunDirectory(tmp_path / "new")
    with run.locked():
        run.record(TRAIN)
        run.record(controlled)
    summary = run.read_summary()
    assert (summary.name, summary.train, summary.control) == ("new", TRAIN, controlled)
    assert summary.probe is None and set(summary.commands) == {"train", "control"} and summary.versions["torch"]
    assert (written(run.summary_file)["schema"], written(run.summary_file)["kind"]) == (2, "run")
    again = replace(TRAIN, seed=2)
    with run.locked():
        run.record(again)
    assert run.read_summary().train == again and run.read_summary().control == controlled, "other results stay"
    write_record(tmp_path / "out.json", controlled)
    assert read_record(tmp_path / "out.json", ControlResult).result == controlled


def test_results_of_other_protocols_are_kept(tmp_path: Path, controlled: ControlResult):
    strict = replace(controlled, protocol=replace(controlled.protocol, name="strict"), videos=["videos/a.mp4"])
    run = RunDirectory(tmp_path / "new")
    with run.locked():
        for result in (TRAIN, strict, controlled):
            run.record(result)
        first = run.read_summary()
        assert first.control == controlled and first.earlier_control == {"strict": replace(strict, videos=[])}
        assert first.commands["control strict"] == first.commands["control"]
        run.record(strict)
    then = run.read_summary()
    assert then.control == strict and then.earlier_control.keys() == {controlled.protocol.name}


def test_results_of_earlier_weights_are_reported_as_outdated(tmp_path: Path, controlled: ControlResult):
    strict = replace(controlled, protocol=replace(controlled.protocol, name="strict"))
    run = RunDirectory(tmp_path / "new")

    def trained(number: float) -> None:
        write_weights(run.path / "model.safetensors", {"w": torch.tensor(number)})
        run.record(TRAIN)

    with run.locked():
        trained(1.0)
        run.record(strict)
        run.record(controlled)
        trained(1.0)  # the same again
        assert not run.read_summary().outdated and not outdated_verdict(run.read_summary())
        trained(2.0)
        assert set(run.read_summary().outdated) == {"control", "control strict"}
        run.record(controlled)
    assert run.read_summary().outdated == ["control strict"]
    (told,) = outdated_verdict(run.read_summary())
    assert told.startswith("found with the weights before the last training: control strict;")


def test_results_are_recorded_under_the_lock(tmp_path: Path):
    with pytest.raises(AssertionError, match="locked"):
        RunDirectory(tmp_path).record(TRAIN)


def paths(content: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every object and number in nested JSON."""
    if isinstance(content, dict):
        yield place
        for key, value in content.items():
            yield from paths(value, (*place, key))
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield place


def changed(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    return {**content, place[0]: changed(content[place[0]], place[1:], value)}


def test_one_line_names_whatever_is_foreign_in_a_summary(tmp_path: Path):
    """An unknown entry in any object and text in place of any number, in a summary with every kind of result."""
    run = RunDirectory(tmp_path / "run")
    shutil.copytree(OLD / "run-v0.1", run.path)
    with run.locked():
        run.record(TRAIN)
    good = written(run.summary_file)
    del good["sha256"]  # it would refuse every change
    by_name = ("seconds", "commands", "versions", "planner", "ratio_to_persistence", "controls", "r2", "rmse")
    by_name += ("goal_tolerance", "goal_apart", "weights")
    num_refused = 0
    for place in paths(good):
        if "planner" in place[:-1]:  # planners check their own parameters
            continue
        inside = good
        for key in place:
            inside = inside[key]
        if not isinstance(inside, dict):
            foreign = changed(good, place, "many")
        elif place[-1:] == () or place[-1] not in by_name:
            foreign = changed(good, place, {**inside, "novelty": 1})
        else:
            continue
        run.summary_file.write_text(json.dumps(foreign))
        with pytest.raises(ResultError) as caught:
            run.read_summary()
        message = str(caught.value)
        assert message.startswith(f"{run.summary_file}") and "\n" not in message and message.endswith("train again")
        assert any(str(name) in message for name in ("novelty", *place[-2:])), (place, message)
        num_refused += 1
    assert num_refused > 100


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"schema": 2', "is not JSON"),
        ("[1]", "is not JSON .*object was expected, not list"),
        ('{"schema": 3}', "has schema 3, this version reads 1 and 2"),
        ('{"schema": 2, "kind": "surprise"}', "holds a result of kind 'surprise', expected 'control'"),
        ('{"schema": 2, "kind": "control"}', "result is missing"),
        ('{"schema": 2, "kind": "control", "result": 3}', "result must be an object, got a whole number"),
        ("{}", "no result of kind 'control'"),
        ('{"what": "render"}', "no result of kind 'control', which holds 'world'"),
    ],
)
def test_a_foreign_file_is_refused_in_one_line(tmp_path: Path, content: str, expected: str):
    path = tmp_path / "out.json"
    path.write_text(content)
    with pytest.raises(ResultError, match=expected) as caught:
        read_record(path, ControlResult)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("number", "named"), [("NaN", "NaN"), ("1e999", "larger than any number")])
def test_what_is_not_a_finite_number_is_neither_read_nor_written(
    tmp_path: Path, controlled: ControlResult, number: str, named: str
):
    path = tmp_path / "out.json"
    write_record(path, replace(controlled, cpu_ms_per_decision=0.123456))
    path.write_text(path.read_text().replace("0.123456", number))
    with pytest.raises(ResultError, match=named):
        read_record(path, ControlResult)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_record(path, replace(controlled, cpu_ms_per_decision=float("nan")))


def test_a_controller_has_successes_or_returns():
    with pytest.raises(ValueError, match="either"):
        ControllerResult(1, 1)
    assert ControllerResult(1, 1, Success(1.0, (0.2, 1.0), [1.0], 3.0)).returns is None


# ---------------------------------------------------------------------------------------------------------------------
# runs


def test_a_run_is_opened_by_its_path_by_a_pattern_or_from_the_package(old: Path, monkeypatch: pytest.MonkeyPatch):
    run = Run(old / "run-v0.1")
    assert run.config.env.world == "puck" and run.model().latent_dim == run.train.model.latent_dim
    assert run.metrics[0]["stage"] == "encoder"
    assert [found.path.name for found in find_runs("runs/run-*")] == ["run-v0.1", "run-v0.1-reward"]
    assert Run("zoo/reacher").path == Path("runs/zoo/reacher")
    assert Run("zoo/reacher").train.prediction
    with pytest.raises(UserError, match="which run"):
        Run("")
    with pytest.raises(CheckpointError, match="not a finished run"):
        Run("runs/none")


def test_an_unreadable_summary_is_refused_before_any_work(old: Path):
    summary = old / "run-v0.1" / "summary.json"
    summary.write_text(json.dumps({**written(summary), "schema": 7}))
    with pytest.raises(ResultError, match="schema 7"):
        control(ControlConfig(run=str(old / "run-v0.1"), tasks=1))
    with pytest.raises(ResultError, match="schema 7"), RunDirectory(old / "run-v0.1").locked():
        pass


# ---------------------------------------------------------------------------------------------------------------------
# version 0.1


def test_a_summary_of_version_0_1_is_read_with_all_its_figures(old: Path):
    before, summary = written(old / "run-v0.1" / "summary.json"), Run(old / "run-v0.1").summary
    train, probed, driven = summary.train, summary.probe, summary.control
    assert train.identifiability and train.prediction and probed and driven and driven.regret and summary.surprise
    assert train.seconds == before["seconds"] and train.env == "puck" and train.data.episodes == 40
    assert train.identifiability.per_variable == {
        name: of["r2"] for name, of in before["identifiability"]["per_variable"].items()
    }
    assert train.prediction.ratio_to_persistence == {
        int(step): of for step, of in before["predictor"]["error_ratio_to_persistence"].items()
    }
    oracle = driven.controllers["oracle"]
    assert oracle.success and oracle.success.rate == before["control"]["oracle_success_rate"] and oracle.num_tasks == 5
    assert driven.plan.planner == before["control"]["planner"] and driven.regret.value == before["control"]["regret"]
    mass = probed.variables["mass"]
    assert mass.r2_bound == before["bound"]["r2_bound"]["mass"]
    assert list(mass.r2_bound_interval or ()) == before["bound"]["r2_bound_interval"]["mass"]
    assert probed.correlations and probed.window_lengths and probed.position_errors
    assert probed.correlations.count.num_constants == before["canonical_correlations"]["num_constants"]
    assert probed.window_lengths.r2["friction"] == before["window_length"]["friction"]
    assert probed.shifts["constants"]["mass"].rmse_sd == before["shifts"]["constants"]["mass"]["rmse_sd"]
    assert summary.surprise.events["teleport"].auroc == before["surprise"]["events"]["teleport"]["auroc"]
    rewarded = Run(old / "run-v0.1-reward").control
    assert rewarded and rewarded.latent.returns and rewarded.controllers["oracle"].num_tasks == 3
    assert rewarded.latent.returns.mean == written(old / "run-v0.1-reward" / "summary.json")["control"]["return"]


def test_what_version_0_1_did_not_write_is_named(old: Path):
    path = old / "run-v0.1" / "summary.json"
    path.write_text(json.dumps({**written(path), "novelty": 1}))
    with pytest.raises(ResultError, match="novelty is unknown"):
        read_summary(path)
    content = written(OLD / "run-v0.1" / "summary.json")
    path.write_text(json.dumps({**content, "control": {**content["control"], "novelty": 1}}))
    with pytest.raises(ResultError, match=r"control\.novelty is unknown"):
        read_summary(path)


def test_a_run_of_version_0_1_is_controlled_and_reported(old: Path):
    """Its other results stay, and the summary is of this version afterwards."""
    run = Run(old / "run-v0.1-reward")
    before = run.summary
    assert "Return: sum of rewards" in report(ReportConfig(run=str(run.path))).read_text()
    config = ControlConfig(run=str(run.path), tasks=2, goal_steps=5, budget_steps=4, videos=1, oracle_tasks=1)
    found = control(config)
    assert found.latent.num_tasks == 2 and found == run.control and len(found.videos) == 1
    assert (run.train, run.probe, run.surprise) == (before.train, before.probe, before.surprise)
    assert written(run.path / "summary.json")["schema"] == 2
    assert "Goals reached" in report(ReportConfig(run=str(run.path))).read_text()


def test_a_run_of_version_0_1_is_probed_on_the_data_of_its_settings(old: Path):
    run = Run(old / "run-v0.1-reward")
    before, collection = run.summary, replace(run.config.collection, workers=1)
    assert collect(collection).episodes == before.train.data.episodes == 30
    found = probe(ProbeConfig(run=str(run.path), bootstrap=50, max_frames=500))
    assert found == run.probe and run.control == before.control and before.probe
    for name, of in before.probe.variables.items():  # what version 0.1 measured with the same options
        assert found.variables[name].r2_linear == pytest.approx(of.r2_linear, abs=1e-3), name


def test_every_committed_result_is_read():
    folder = ROOT / "docs" / "results"
    kinds = {"control-*": ControlResult, "surprise-*": SurpriseResult, "demo-seed*": DemoResult}
    num_read = 0
    for pattern, cls in kinds.items():
        for path in folder.glob(f"{pattern}.json"):
            read_record(path, cls)
            num_read += 1
    for pattern in ("puck*-seed*", "reacher_full-seed*", "lewm_size-seed*"):
        for path in folder.glob(f"{pattern}.json"):
            read_summary(path)
            num_read += 1
    assert num_read > 40
