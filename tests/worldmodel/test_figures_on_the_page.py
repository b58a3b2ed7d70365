"""Tiny real runs, through every verb: the page and the terminal hold each figure that `summary.json` holds."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from worldmodel import figures
from worldmodel.cli.terminal import control_lines, identify_lines, probe_lines, surprise_lines, train_lines
from worldmodel.evaluation.control import control
from worldmodel.evaluation.imagination import imagine
from worldmodel.evaluation.probing import probe
from worldmodel.evaluation.robustness import robust
from worldmodel.evaluation.surprise import surprise
from worldmodel.identifying import alarms, calibration, identification, identify, rounds
from worldmodel.learning.train import train
from worldmodel.reporting import report
from worldmodel.reporting.verdicts import identify_next, identify_verdict
from worldmodel.runs import ControlResult, Run, read_record
from worldmodel.settings import (
    ChangeConfig,
    ControlConfig,
    IdentifyConfig,
    ImagineConfig,
    PlanConfig,
    ProbeConfig,
    ReportConfig,
    RobustConfig,
    SurpriseConfig,
    TrainConfig,
)
from worldmodel.settings.arguments import configure

SMALL = {
    "episodes": 20,
    "episode_steps": 30,
    "workers": 1,
    "env.image_size": 16,
    "env.supersample": 1,
    "encoder.input_size": 16,
    "encoder.hidden": 16,
    "method.optim.steps": 6,
    "method.optim.batch_size": 16,
    "method.num_slices": 4,
    "predictor.horizon": 3,
    "predictor.history": [0, 1],
    "predictor.hidden": 16,
    "predictor_training.steps": 6,
    "predictor_training.batch_size": 16,
    "decoder_training.steps": 2,
    "distillation.optim.steps": 2,
}
CONSTANTS = {
    "env": "puck",
    "atlas.episodes": 60,
    "atlas.env.image_size": 16,
    "atlas.env.supersample": 1,
    "context.window": 10,
    "context.hidden": 16,
    "context_training.optim.steps": 6,
    "context_training.optim.batch_size": 16,
}
PLAN = PlanConfig({"name": "cem", "horizon": 3, "num_samples": 8, "num_iterations": 2, "num_elites": 2})
# figures that are shown as words, or as pictures
NOT_SHOWN = {"schema"}


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("worldmodel.measures.regression.MLP_STEPS", 50)
        yield folder


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple[Any, ...]]:
    """Variable -> with what its scatter of the puck was drawn."""
    return {}


@pytest.fixture(scope="module")
def puck(home: Path, drawn: dict[str, tuple[Any, ...]]) -> Run:
    """Constants that vary: an atlas, a context, every shift, the bound."""
    run = train(configure(TrainConfig, {**CONSTANTS, **SMALL})).run
    draw = figures.probe_scatter

    def draw_and_keep(path: Path, name: str, *rest: Any) -> Path:
        drawn[name] = rest
        return draw(path, name, *rest)

    config = ProbeConfig(
        run=run,
        bootstrap=20,
        max_frames=200,
        bound_trajectories=2,
        shifts=["held", "constants", "nuisances", "excitation"],
        shift_episodes=3,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "probe_scatter", draw_and_keep)
        probe(config)
    surprise(SurpriseConfig(run=run, trajectories=6, episode_steps=22, event_step=11))
    return Run(run)


@pytest.fixture(scope="module")
def reacher(home: Path) -> Run:
    """A world with a reward, and angles."""
    run = train(configure(TrainConfig, {"env": "reacher", **SMALL, "name": "reacher-s0"})).run
    probe(ProbeConfig(run=run, bootstrap=20, max_frames=200))
    robust(RobustConfig(run=run, looks={"patch": [9.5]}, tasks=2, instances=2, frames=20, budget_steps=3))
    imagine(ImagineConfig(run=run, windows=20, bootstrap=20, tasks=0))
    return Run(run)


@pytest.fixture(scope="module")
def arm(home: Path) -> Run:
    """A kinematic world: exact pairs, no actions."""
    run = train(configure(TrainConfig, {"env": "reacher_ou", **SMALL, "episode_steps": 1, "episodes": 200})).run
    probe(ProbeConfig(run=run, bootstrap=20, max_frames=200))
    return Run(run)


def figures_of(content: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """(place, number) of every number in nested JSON."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key not in NOT_SHOWN:
                yield from figures_of(value, f"{place}.{key}")
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from figures_of(value, f"{place}.{index}")
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield place, content


def missing_on_page(run: Run) -> list[tuple[str, float]]:
    """Figures of the summary that stand on the page neither in a cell nor, with every digit, in a cell's title."""
    page = report(ReportConfig(run=str(run.path))).read_text(encoding="utf-8")
    shown = html.unescape(re.sub(r"base64,[^\"]*", "", page))
    cells = re.findall(r'title="([^"]*)"', shown) + re.findall(r">([^<>]*)<", shown)
    tokens = {token for cell in cells for token in re.split(r"[\s,\[\]]+", cell.replace("\u202f", ""))}
    found = list(figures_of(json.loads((run.path / "summary.json").read_text())))
    assert len(found) > 20
    return [(place, value) for place, value in found if not {repr(value), f"{value:g}"} & tokens]


def test_the_page_holds_every_figure_of_constants_goals_and_events(puck: Run):
    config = ControlConfig(
        run=str(puck.path), plan=PLAN, tasks=3, goal_steps=6, budget_steps=8, oracle_tasks=2, videos=1
    )
    found = control(config)
    assert found == puck.control and set(found.controllers) == {"latent", "random", "oracle"}
    assert missing_on_page(puck) == []
    page = (puck.path / "report.html").read_text(encoding="utf-8")
    assert f"{found.cpu_ms_per_decision:.2f} ms" in page and page.count("data:video/mp4") == 2
    summary = puck.summary
    assert summary.probe and summary.probe.position_errors and len(summary.probe.shifts) == 4
    assert (
        summary.probe.correlations
        and summary.surprise
        and summary.surprise.events.keys() == {"teleport", "colour", "mass"}
    )


def test_the_page_holds_every_figure_of_identified_constants(puck: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calibration, "LEAST_READ", -1.0)  # six steps of training show no positions
    monkeypatch.setattr(alarms, "LEAST_MOTION", 0.0)
    config = IdentifyConfig(
        run=str(puck.path),
        recording=["data/puck:0", "data/puck:1"],
        constants=["mass", "friction", "force_gain"],
        own=["friction"],
        free=["camera"],
        poses=200,
        calibration_recordings=8,
    )
    found = identify(config)
    assert found == puck.identify and found.check and found.check.compared_with == "true positions"
    assert [(item.name, item.recording) for item in found.constants] == [
        ("mass", None), ("friction", "data/puck:0"), ("force_gain", None), ("friction", "data/puck:1")
    ]  # fmt: skip
    assert set(found.check.rms["x"]) == {"calibrated", "written", "nominal", "true", "learned"}
    assert missing_on_page(puck) == []
    said = identify_lines(found)
    assert all(f"{item.value:.4g}" in said for item in found.constants)
    assert identify_verdict(found) and "worldmodel report" in identify_next(found, puck.path)
    files = (*found.mjcf, *found.readings, found.factors)
    assert all((puck.path / file).exists() for file in files) and len(found.mjcf) == len(found.readings) == 2
    with np.load(puck.path / found.readings[0]) as read:
        assert read["positions"].shape == (16, 2) and read["controls"].shape == (16, 2) and read["start"].shape == (6,)
        np.testing.assert_allclose(read["times"][-1], 1.5)


def test_further_recordings_are_designed_simulated_and_on_the_page(puck: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calibration, "LEAST_READ", -1.0)  # six steps of training show no positions
    monkeypatch.setattr(alarms, "LEAST_MOTION", 0.0)
    for module in (identification, rounds):
        monkeypatch.setattr(module, "alarms_of", lambda explained, model: ([], 1.0))
    common = {"run": str(puck.path), "recording": "data/puck:0", "poses": 200, "calibration_recordings": 8}
    first = identify(IdentifyConfig(**common, check_steps=0))
    kept = (puck.path / "identify" / "calibration.npz").stat()
    found = identify(IdentifyConfig(**common, check_steps=0, rounds=1, search=2))
    assert (puck.path / "identify" / "calibration.npz").stat().st_mtime_ns == kept.st_mtime_ns  # not made again
    assert [used.name for used in found.recordings] == ["data/puck:0", "round 1"] and not first.rounds
    (told,) = found.rounds
    for old, new in zip(first.constants, found.constants, strict=True):
        assert old.true == new.true and new.interval == told.intervals[new.name]
        assert told.shrunk_to[new.name] == told.since_first[new.name] <= 1 and 0 < told.expected[new.name] <= 1
    assert missing_on_page(puck) == [] and f"round 1, {told.policy}" in identify_lines(found)


@pytest.mark.parametrize(("context", "drift_rho"), [("known", None), ("mean", None), ("online", 0.5)])
def test_the_page_holds_every_figure_whatever_the_planner_knows(puck: Run, context: str, drift_rho: float | None):
    common = {"run": str(puck.path), "plan": PLAN, "tasks": 2, "goal_steps": 6, "videos": 0, "oracle": False}
    common["change"] = ChangeConfig({"body.puck.mass": 2.75}, delay=1, at=3)
    found = control(ControlConfig(**common, budget_steps=8, context=context, drift_rho=drift_rho))  # type: ignore[arg-type]
    assert (found.context, found.drift_rho, found.regret) == (context, drift_rho, None)
    assert found.change and (found.change.mean_context is None) == (context == "mean")
    assert missing_on_page(puck) == []


@pytest.mark.parametrize("protocol", ["strict", "reward"])
def test_the_page_holds_every_figure_of_each_protocol(reacher: Run, protocol: str):
    common = {"run": str(reacher.path), "plan": PLAN, "tasks": 3, "videos": 0, "oracle_tasks": 2}
    found = control(ControlConfig(**common, protocol=protocol, goal_steps=6, budget_steps=8))  # type: ignore[arg-type]
    assert (found.regret is not None) and (found.latent.returns is not None) == (protocol == "reward")
    assert missing_on_page(reacher) == []


def test_the_page_holds_every_figure_of_a_kinematic_world(arm: Run):
    measured = arm.train.identifiability
    assert measured and measured.theorem_bound is not None and arm.train.prediction is None
    assert missing_on_page(arm) == []


def test_the_terminal_says_the_figures_of_the_summary(reacher: Run):
    found = control(
        ControlConfig(run=str(reacher.path), plan=PLAN, tasks=2, goal_steps=6, budget_steps=4, oracle=False)
    )
    said = control_lines(found, {"runs/reacher": found})
    assert found.latent.success and f"{found.latent.success.rate:.1%}" in said and "same planner" not in said
    result, trained = reacher.probe, reacher.train
    assert result and trained.identifiability
    assert all(f"{of.r2_linear:.3f}" in probe_lines(result) for of in result.variables.values())
    assert f"{trained.identifiability.r2_h_to_z:.3f}" in train_lines(trained)


def test_runs_of_several_seeds_are_judged_together_and_each_alone(reacher: Run):
    other = train(configure(TrainConfig, {"env": "reacher", **SMALL, "seed": 1, "name": "reacher-s1"})).run
    config = ControlConfig(
        "runs/reacher-s?", plan=PLAN, tasks=4, goal_steps=6, budget_steps=8, oracle_tasks=2, out="all.json"
    )
    together = control(config)
    alone = [Run(path).control for path in together.runs]
    assert together.runs == [str(reacher.path), other] and together.latent.num_runs == 2 and not together.videos
    success = [of.latent.success for of in alone if of]
    assert together.latent.success and [of.rate for of in success if of] == together.latent.success.by_run
    assert together.controllers["random"].num_runs == 1 and together.regret
    assert read_record(Path("all.json"), ControlResult).result == together


def test_figure_and_table_of_a_probed_variable_show_one_r2(puck: Run, drawn: dict[str, tuple[Any, ...]]):
    """What is drawn of a constant is the coordinate that its R2 is of: on logarithmic axes where its prior is so."""
    assert puck.probe and drawn.keys() == puck.probe.variables.keys()
    for name, of in puck.probe.variables.items():
        unit, truth, prediction, r2, interval, log = drawn[name]
        assert (unit, r2, interval) == (of.unit, of.r2_linear, of.r2_linear_interval)
        if log:
            truth, prediction = np.log(truth), np.log(prediction)
        assert r2 == pytest.approx(1 - ((truth - prediction) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())
    assert drawn["mass"][-1] and not drawn["x"][-1]


def test_surprise_lines_name_every_event(puck: Run):
    found = puck.surprise
    assert found and all(event in surprise_lines(found) for event in found.events)
    assert found.contexts.keys() == found.events.keys() and found.context_steps == 10, "the context encoder's window"
