"""`worldmodel demo`: the main job from end to end, small enough for a laptop's CPU, and one page about it."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from worldmodel.cli.terminal import aligned, success, told, with_interval
from worldmodel.data.frames import load_frames
from worldmodel.data.store import DataSet
from worldmodel.data.truth import latent_variables
from worldmodel.evaluation.control import control
from worldmodel.evaluation.probing import probe
from worldmodel.figures import figures
from worldmodel.learning.dynamics import encode_rows
from worldmodel.learning.train import train
from worldmodel.models import WorldModel
from worldmodel.report import write_page
from worldmodel.runs.run_directory import RunDirectory
from worldmodel.settings import ControlConfig, DemoConfig, ProbeConfig, TrainConfig, read_run_config, recipe

T = TypeVar("T")

INTRODUCTION = {
    "identify": "1/3 identify: an encoder finds the reacher's joint angles in pixels, up to a rotation",
    "control": "2/3 control: a world model of dynamic rollouts drives the reacher to goal images",
    "constants": "3/3 constants: mass and friction of a sliding puck, read from pixels without labels",
}


def demo(config: DemoConfig) -> str:
    """Train, control, probe and report; returns a table of results and the path of the page."""
    root = Path(config.runs) / "demo"
    clock = _Clock()
    for name in INTRODUCTION:
        print(INTRODUCTION[name], flush=True)
        run = str(clock.time(f"{name}.train", lambda name=name: train(_training(config, name, root))))
        if name == "control":
            driving = ControlConfig(run=run, tasks=config.tasks, seed=config.seed)
            clock.time("control.control", lambda driving=driving: control(driving))
        if name != "identify":
            reading = ProbeConfig(run=run, seed=config.seed, max_frames=3000, bound_trajectories=0)
            clock.time(f"{name}.probe", lambda reading=reading: probe(reading))
    runs = [RunDirectory(root / name) for name in INTRODUCTION]
    clock.time("hero", lambda: _draw_hero(root))
    page = clock.time("report", lambda: write_page([run.path for run in runs], root / "report.html", "worldmodel demo"))
    summary = _merge({name: run.read_summary() for name, run in zip(INTRODUCTION, runs, strict=True)})
    RunDirectory(root).update_summary("demo", seconds=clock.seconds(), name="demo", **summary)
    return f"{_table(summary, clock.seconds())}\n\nnumbers: {root / 'summary.json'}\npage:    {page.resolve()}"


class _Clock:
    """Wall seconds of named stages."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def time(self, name: str, work: Callable[[], T]) -> T:
        start = time.monotonic()
        result = work()
        self._seconds[name] = round(time.monotonic() - start, 2)
        return result

    def seconds(self) -> dict[str, float]:
        return {**self._seconds, "total": round(sum(self._seconds.values()), 2)}


def _training(config: DemoConfig, name: str, root: Path) -> TrainConfig:
    """The recipe of a part of the demo, with its own folders and seed."""
    env, episodes, encoder_steps, predictor_steps = {
        "identify": ("reacher_ou", 12_000, 1500, None),
        "control": ("reacher", None, None, None),
        "constants": ("puck", None, None, 1500),
    }[name]
    found = recipe(env, "small" if env in ("reacher", "puck") else None)
    found = found.at(config.data, str(root), config.workers)
    collection = replace(found.collection, episodes=episodes or found.collection.episodes, data_seed=config.seed)
    optim = found.method.optim
    predictor = found.predictor_training
    return replace(
        found,
        collection=collection,
        method=replace(found.method, optim=replace(optim, steps=encoder_steps or optim.steps)),
        predictor_training=replace(predictor, steps=predictor_steps or predictor.steps),
        name=name,
        seed=config.seed,
    )


def _merge(summaries: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One summary of the three runs: each figure from the run that is about it."""
    return {
        "identifiability": summaries["identify"]["identifiability"],
        "predictor": summaries["control"]["predictor"],
        "control": {key: value for key, value in summaries["control"]["control"].items() if key != "videos"},
        "probes": summaries["control"]["probes"] | summaries["constants"]["probes"],
        "canonical_correlations": summaries["constants"]["canonical_correlations"],
        "stage_seconds": {name: summary["seconds"] for name, summary in summaries.items()},
    }


def _draw_hero(root: Path) -> None:
    """The picture that tells the story: what it sees, what it learned, what it does."""
    run = RunDirectory(root / "identify")
    settings = read_run_config(run.path)
    data = DataSet(settings.collection.directory)
    rows = torch.from_numpy(data.split("test").rows()[:4000])
    model = WorldModel.load(run.path)
    frames = load_frames(data, model.config.encoder.input_size, model.device)
    variables = latent_variables(data)
    control_section = RunDirectory(root / "control").read_summary()["control"]
    names = {"success": "latent MPC", "random_success": "random policy", "oracle_success": "true simulator"}
    figures.hero(
        run.figures / "hero.png",
        data.frames(slice(0, 16)),
        variables.values[rows.numpy()],
        encode_rows(model.encoder, frames, rows).numpy(),
        variables.names,
        {name: (control_section[f"{key}_rate"], *control_section[f"{key}_interval"]) for key, name in names.items()},
    )


def _table(summary: dict[str, Any], seconds: dict[str, float]) -> str:
    found, driven, probes = summary["identifiability"], summary["control"], summary["probes"]
    ratio = summary["predictor"]["error_ratio_to_persistence"]
    last = max(ratio, key=int)
    rows = [
        ("joint angles from latents, linear R2, held out", told(found["r2_h_to_z"], ".4f")),
        ("latents from joint angles, linear R2, held out", told(found["r2_z_to_h"], ".4f")),
        ("distance of the map from a rotation", told(found["orthogonality_error"])),
        (f"prediction error after {last} steps / standing still", told(ratio[last])),
        (f"goals reached from pixels, {driven['num_tasks']} tasks", success(driven)),
        ("  by a random policy", success(driven, "random_")),
        ("  by the same planner on the true simulator", success(driven, "oracle_")),
        ("CPU time of one decision, batched", f"{driven['cpu_ms_per_decision']:.1f} ms"),
    ]
    for name in ("mass", "friction"):
        linear = with_interval(probes[name]["r2_linear"], probes[name]["r2_linear_interval"])
        rows.append((f"puck's {name} from pixels, linear R2", linear))
    rows.append(("total time", f"{seconds['total']:.0f} s"))
    return "\n" + aligned(rows)
