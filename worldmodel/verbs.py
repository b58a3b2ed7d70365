"""The verbs: settings in, one line about where the result is out. Each imports its machinery when it runs."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worldmodel.errors import UserError
from worldmodel.settings import (
    BenchConfig,
    CollectConfig,
    ControlConfig,
    DataConfig,
    DemoConfig,
    ProbeConfig,
    ReportConfig,
    TrainConfig,
)


@dataclass(frozen=True)
class Verb:
    """A subcommand: what it does in one line, and the function that does it and says where the result is."""

    summary: str
    run: Callable[[Any], str]


def _collect(config: CollectConfig) -> str:
    from worldmodel.train import collect

    collect(config)
    return f"data set: {config.directory} ({config.episodes} episodes)"


def _train(config: TrainConfig) -> str:
    from worldmodel.train import train

    run = train(config)
    return (
        f"trained: {run}\nnext: worldmodel control run={run}, worldmodel probe run={run}, worldmodel report run={run}"
    )


def _control(config: ControlConfig) -> str:
    from worldmodel.control import control

    with _at_work_on(config.run):
        run = control(config)
    return f"results: {run}/summary.json, videos: {run}/videos\nnext: worldmodel report run={run}"


def _probe(config: ProbeConfig) -> str:
    from worldmodel.probe import probe

    with _at_work_on(config.run):
        run = probe(config)
    return f"results: {run}/summary.json, figures: {run}/figures\nnext: worldmodel report run={run}"


def _report(config: ReportConfig) -> str:
    from worldmodel.report import write_page

    _require_run(config.run)
    run = Path(config.run)
    return f"page: {write_page([run], Path(config.out) if config.out else run / 'report.html').resolve()}"


def _bench(config: BenchConfig) -> str:
    from worldmodel.bench import bench

    return bench(config)[1]


def _data(config: DataConfig) -> str:
    from worldmodel.data.manage import manage

    return manage(config)


def _demo(config: DemoConfig) -> str:
    from worldmodel.demo import demo

    return demo(config)


def _require_run(run: str) -> None:
    if not run:
        raise UserError("which run? add run=runs/NAME (worldmodel train makes one)")


def _at_work_on(run: str) -> AbstractContextManager[None]:
    """Keeps other commands out of a finished run."""
    from worldmodel.run_directory import RunDirectory

    _require_run(run)
    return RunDirectory.open(Path(run)).locked()


VERBS = {
    "collect": Verb("record pixel rollouts of a world into data/<env>/", _collect),
    "train": Verb("train encoder, dynamics and context into runs/<name>/; collects first if need be", _train),
    "control": Verb("drive the robot to goal images by MPC in the latent space of a run", _control),
    "probe": Verb("read state variables and physical constants from a run's latents", _probe),
    "report": Verb("write one self-contained HTML page about a run", _report),
    "bench": Verb("measure speed and endurance: rendering, collection, planning, loading, kills, memory", _bench),
    "data": Verb("look after data sets: info, verify, merge, convert", _data),
    "demo": Verb("all of it, small, on a CPU, in minutes", _demo),
}
