"""`worldmodel demo`: the main job from end to end, small enough for a laptop's CPU, and one page about it."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch

from worldmodel import figures
from worldmodel.cli.terminal import achievement, aligned
from worldmodel.data.frames import load_frames
from worldmodel.data.store import DataSet
from worldmodel.data.truth import latent_variables
from worldmodel.evaluation.control import control
from worldmodel.evaluation.probing import probe
from worldmodel.learning.dynamics import encode_rows
from worldmodel.learning.train import train
from worldmodel.measures.wording import digits, with_interval
from worldmodel.reporting import write_page
from worldmodel.runs import DemoResult, ProbeResult, Run, TrainResult, write_record
from worldmodel.settings import ControlConfig, DemoConfig, ProbeConfig, TrainConfig, recipe

P = ParamSpec("P")
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

    def read(trained: TrainResult, name: str) -> ProbeResult:
        reading = ProbeConfig(run=trained.run, seed=config.seed, max_frames=3000, bound_trajectories=0)
        return clock.time(f"{name}.probe", probe, reading)

    print(INTRODUCTION["identify"], flush=True)
    arm = clock.time("identify.train", train, _training(config, "identify", root))
    print(INTRODUCTION["control"], flush=True)
    reacher = clock.time("control.train", train, _training(config, "control", root))
    driving = ControlConfig(run=reacher.run, tasks=config.tasks, seed=config.seed)
    driven = clock.time("control.control", control, driving)
    reacher_read = read(reacher, "control")
    print(INTRODUCTION["constants"], flush=True)
    puck = clock.time("constants.train", train, _training(config, "constants", root))
    puck_read = read(puck, "constants")
    clock.time("hero", _draw_hero, Run(arm.run), driven.labelled_rates())
    pages = [Path(trained.run) for trained in (arm, reacher, puck)]
    page = clock.time("report", write_page, pages, root / "report.html", "worldmodel demo")

    assert arm.identifiability and reacher.prediction and puck_read.correlations
    found = DemoResult(
        identifiability=arm.identifiability,
        prediction=reacher.prediction,
        control=replace(driven, videos=[]),
        variables=reacher_read.variables | puck_read.variables,
        correlations=puck_read.correlations,
        seconds=clock.seconds(),
        stage_seconds={"identify": arm.seconds, "control": reacher.seconds, "constants": puck.seconds},
    )
    write_record(root / "summary.json", found)
    return f"{_table(found)}\n\nnumbers: {root / 'summary.json'}\npage:    {page.resolve()}"


class _Clock:
    """Wall seconds of named steps."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def time(self, name: str, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """What `work` returns; its seconds are kept."""
        start = time.monotonic()
        result = work(*arguments, **named)
        self._seconds[name] = round(time.monotonic() - start, 2)
        return result

    def seconds(self) -> dict[str, float]:
        """Step -> seconds, and their total."""
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
        decoder=name == "control",  # whose imagination is shown
        robust=False,  # it takes two minutes, and the demo shows no other looks
        name=name,
        seed=config.seed,
    )


def _draw_hero(run: Run, rates: dict[str, figures.Rate]) -> None:
    """The first picture of the page: what the model sees, what it learned, what it achieves."""
    data = DataSet(run.config.collection.directory)
    rows = torch.from_numpy(data.split("test").rows()[:4000])
    model = run.model()
    frames = load_frames(data, model.config.encoder.input_size, model.device)
    variables = latent_variables(data)
    with figures.drawing("hero.png"):
        figures.hero(
            run.figures / "hero.png",
            data.frames(slice(0, 16)),
            variables.values[rows.numpy()],
            encode_rows(model.encoder, frames, rows).numpy(),
            variables.names,
            rates,
        )


def _table(found: DemoResult) -> str:
    measured, controllers = found.identifiability, found.control.controllers
    steps, ratio = found.prediction.farthest
    rows = [
        ("joint angles from latents, linear R2, held out", digits(measured.r2_h_to_z, ".4f")),
        ("latents from joint angles, linear R2, held out", digits(measured.r2_z_to_h, ".4f")),
        ("distance of the map from a rotation", digits(measured.orthogonality_error)),
        (f"prediction error after {steps} steps / persistence", digits(ratio)),
        (f"goals reached from pixels, {found.control.latent.num_tasks} tasks", achievement(found.control.latent)),
        ("  by random actions", achievement(controllers["random"])),
        ("  by the same planner on the true simulator", achievement(controllers["oracle"])),
        ("CPU time of one decision, batched", f"{found.control.cpu_ms_per_decision:.1f} ms"),
    ]
    for name in ("mass", "friction"):
        read = found.variables[name]
        linear = with_interval(read.r2_linear, read.r2_linear_interval)
        rows.append((f"puck's {name} from pixels, linear R2", linear))
    rows.append(("total time", f"{found.seconds['total']:.0f} s"))
    return "\n" + aligned(rows)
