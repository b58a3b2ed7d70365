"""Verbs that are killed at random instants: how each is run in a folder of its own, and what it leaves is compared."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.trust.comparing import same_files, same_training
from benchmarks.trust.subjects import ShortShards, Subjects, collecting, training
from worldmodel.comparing import CompareResult, compare
from worldmodel.data import collect, convert, merge, record, recording_of
from worldmodel.designing import DesignResult, design
from worldmodel.evaluation import PositionsResult, control, imagine, positions, probe, robust, surprise
from worldmodel.identifying import identify
from worldmodel.improving import train as train_in_rounds
from worldmodel.learning import train
from worldmodel.reporting import report
from worldmodel.runs import Run, read_record
from worldmodel.settings import (
    CompareConfig,
    ControlConfig,
    DesignConfig,
    IdentifyConfig,
    ImagineConfig,
    PlanConfig,
    PositionsConfig,
    ProbeConfig,
    ReportConfig,
    RobustConfig,
    SurpriseConfig,
    TrainConfig,
    recipe,
)

KilledVerb = tuple[Callable[[Path], None], Callable[[Path, Path], list[str]]]
"""What runs a verb in a folder of its own, and what compares two such folders."""


def killed_verbs(subjects: Subjects) -> dict[str, KilledVerb]:
    """Name of a verb -> how it is run, and compared."""
    evaluations = {
        "control": _control,
        "probe": _probe,
        "imagine": _imagine,
        "surprise": _surprise,
        "robust": _robust,
    }
    return {
        "collect": (_collect, same_files),
        "train": (_train, same_training),
        "rounds": (_rounds, same_training),
        "merge": (partial(_merge, subjects.data), same_files),
        "convert": (partial(_convert, subjects.data), same_files),
        **{name: (partial(_evaluate, subjects, verb), _same_results) for name, verb in evaluations.items()},
        "identify": (_identify, _same_results),
        "design": (_design, partial(_same_record, "*-design/design.json", DesignResult)),
        "positions": (_positions, partial(_same_record, "*-positions/positions.json", PositionsResult)),
        "compare": (partial(_compare, subjects.data), partial(_same_record, "compare-*/compare.json", CompareResult)),
        "report": (partial(_report, subjects.run), same_files),
    }


def _collect(directory: Path) -> None:
    config = collecting(directory / "data")
    record(config.directory, ShortShards(**vars(recording_of(config))), config.episodes, config.workers)


def _train(directory: Path) -> None:
    """A training of all stages, on a data set that is collected first."""
    train(training(directory.parent, directory.name), checkpoint_every_s=0.02)


def _rounds(directory: Path) -> None:
    """A training and a round, in which the model drives and its training goes on."""
    config = training(directory.parent, directory.name, num_steps=4)
    env = replace(config.env, randomize=[])  # rounds need constants that stay
    still = replace(config.collection, env=env, drift_rho=None, episodes=10, episode_steps=24, data=f"{directory}-data")
    plan = PlanConfig(planner={"name": "cem", "num_samples": 8, "num_elites": 2, "horizon": 4})
    train_in_rounds(replace(config, collection=still, context=None, robust=False, rounds=1, plan=plan))


def _merge(data: Path, directory: Path) -> None:
    copies = [data.with_name(f"{data.name}-{number}") for number in range(6)]
    for copy in copies:
        if not copy.exists():
            shutil.copytree(data, copy.with_suffix(".partial"), dirs_exist_ok=True)
            copy.with_suffix(".partial").rename(copy)
    merge(copies, directory / "whole")


def _convert(data: Path, directory: Path) -> None:
    """To another toolkit's file, and back."""
    convert(data, directory / "foreign.h5")
    convert(directory / "foreign.h5", directory / "back")


def _evaluate(subjects: Subjects, verb: Callable[[Subjects, str], object], directory: Path) -> None:
    """A verb in a copy of the run."""
    if not (directory / "run").exists():
        shutil.copytree(subjects.run, directory / "copying", dirs_exist_ok=True)
        (directory / "copying").rename(directory / "run")
    verb(subjects, str(directory / "run"))


def _control(subjects: Subjects, run: str) -> None:
    plan = PlanConfig(planner={"name": "cem", "num_samples": 16, "num_elites": 4, "horizon": 4})
    control(ControlConfig(run, plan=plan, tasks=2, goal_steps=4, budget_steps=4, oracle=False, videos=2))


def _probe(subjects: Subjects, run: str) -> None:
    data = str(subjects.data.parent)
    probe(ProbeConfig(run, data=data, bootstrap=5, max_frames=100, controls=False, bound_trajectories=0))


def _imagine(subjects: Subjects, run: str) -> None:
    imagine(ImagineConfig(run, data=str(subjects.data.parent), windows=8, shown=1, tasks=1, bootstrap=10))


def _surprise(subjects: Subjects, run: str) -> None:
    surprise(SurpriseConfig(run, trajectories=6, episode_steps=12, event_step=6, horizon=3))


def _robust(subjects: Subjects, run: str) -> None:
    looks = {"noise": [25.0]}
    robust(RobustConfig(run, looks, instances=1, tasks=2, frames=20, goal_steps=4, budget_steps=4))


def _identify(directory: Path) -> None:
    """With the model of the puck that comes with the package: a training of a few steps shows no positions."""
    collection = replace(recipe("puck").collection, data=str(directory.parent), episodes=1, episode_steps=30, workers=1)
    collect(collection)
    if not (directory / "run").exists():
        shutil.copytree(Run("zoo/puck").path, directory / "copying", dirs_exist_ok=True)
        (directory / "copying").rename(directory / "run")
    recording = f"{collection.directory}:0"
    identify(IdentifyConfig(str(directory / "run"), recording, poses=200, calibration_recordings=8, device="cpu"))


def _study(directory: Path) -> TrainConfig:
    return training(directory, num_steps=4)


def _design(directory: Path) -> None:
    design(DesignConfig(_study(directory), num_trajectories=2, search=0))


def _positions(directory: Path) -> None:
    study = PositionsConfig(_study(directory), methods=["lejepa"], tune=False, num_seeds=1)
    positions(replace(study, shift_episodes=0, bound_trajectories=0))


def _compare(data: Path, directory: Path) -> None:
    config = _study(directory)
    config = replace(config, collection=replace(config.collection, data=str(data.parent)))
    compare(CompareConfig(config, methods=["lejepa"], parts=[], num_seeds=1))


def _report(run: Path, directory: Path) -> None:
    report(ReportConfig(str(run), out=str(directory / "page.html")))


def _same_results(reference: Path, victim: Path) -> list[str]:
    """What differs between two runs that were evaluated: figures but for times; files that are missing or left over."""
    one, other = (_figures(path / "run") for path in (reference, victim))
    differing = [verb for verb in {**one, **other} if one.get(verb) != other.get(verb)]
    return differing + _other_names(reference, victim)


def _same_record(pattern: str, kind: type[Any], reference: Path, victim: Path) -> list[str]:
    """What differs between two studies, as between runs."""
    one, other = (_untimed(asdict(read_record(next(of.glob(pattern)), kind))) for of in (reference, victim))
    return [pattern] * (one != other) + _other_names(reference, victim)


def _other_names(reference: Path, victim: Path) -> list[str]:
    """Names of files that only one of two folders has."""
    names = [
        # TensorBoard names its files after the time and the process
        {str(path.relative_to(of)) for path in of.rglob("*") if not path.name.startswith("events.out.tfevents")}
        for of in (reference, victim)
    ]
    return sorted(names[0] ^ names[1])


def _figures(run: Path) -> dict[str, Any]:
    """Verb -> what it found, without its times and its place."""
    return {verb: _untimed(asdict(result)) for verb, result in Run(run).summary.results.items()}


_TIMES = ("cpu_ms_per_decision", "runs", "seconds", "cpu_seconds", "peak_memory_mb", "curve")
"""Names of what differs from one run to the next; the curve of a study is R2 by seconds of training."""


def _untimed(value: Any) -> Any:
    """A result's plain values without times and places."""
    if isinstance(value, dict):
        return {key: _untimed(inner) for key, inner in value.items() if key not in _TIMES}
    return [_untimed(inner) for inner in value] if isinstance(value, list) else value
