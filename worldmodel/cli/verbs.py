"""The verbs: settings in, one line about where the result is out. Each imports its machinery when it runs."""

import dataclasses
import glob
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from worldmodel.settings import (
    CollectConfig,
    CompareConfig,
    ControlConfig,
    DataConfig,
    DemoConfig,
    DesignConfig,
    PositionsConfig,
    ProbeConfig,
    ReportConfig,
    SurpriseConfig,
    TrainConfig,
)
from worldmodel.system.errors import UserError

ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True)
class Verb:
    """A subcommand: what it does in one line, and the function that does it and says where the result is."""

    summary: str
    settings: type[Any]
    run: Callable[[Any], str]
    common: tuple[str, ...] = ()
    """Options that `--help` shows first."""


def _collect(config: CollectConfig) -> str:
    from worldmodel.data.collecting import collect

    found = collect(config)
    return f"data set: {found.directory} ({found.episodes} episodes)"


def _train(config: TrainConfig) -> str:
    from worldmodel.learning.train import train

    run = train(config)
    return (
        f"trained: {run}\nnext: worldmodel control run={run}, worldmodel probe run={run}, worldmodel report run={run}"
    )


def _compare(config: CompareConfig) -> str:
    from worldmodel.compare import compare

    return compare(config)


def _control(config: ControlConfig) -> str:
    from worldmodel.cli.terminal import control_lines
    from worldmodel.evaluation.control import control
    from worldmodel.runs.run_directory import RunDirectory

    config = _with_run(config)
    with _at_work_on(config.run):
        runs = control(config)
    found = control_lines({str(run): RunDirectory(run).read_summary()["control"] for run in runs})
    results = "\n".join(
        f"results: {run}/summary.json" + (f", videos: {run}/videos" if config.videos else "") for run in runs
    )
    pooled = f"all runs together: {config.out}\n" if config.out else ""
    return f"{found}\n{results}\n{pooled}next: worldmodel report run={runs[0]}"


def _design(config: DesignConfig) -> str:
    from worldmodel.design.study import design

    return design(config)[1]


def _positions(config: PositionsConfig) -> str:
    from worldmodel.evaluation.probing.from_state import probe_from_state

    return probe_from_state(config)[1]


def _probe(config: ProbeConfig) -> str:
    from worldmodel.cli.terminal import probe_lines
    from worldmodel.evaluation.probing import probe
    from worldmodel.runs.run_directory import RunDirectory

    config = _with_run(config)
    with _at_work_on(config.run):
        run = probe(config)
    found = probe_lines(RunDirectory(run).read_summary())
    return f"{found}\nresults: {run}/summary.json, figures: {run}/figures\nnext: worldmodel report run={run}"


def _surprise(config: SurpriseConfig) -> str:
    from worldmodel.cli.terminal import surprise_lines
    from worldmodel.evaluation.surprise import surprise
    from worldmodel.runs.run_directory import RunDirectory

    run = surprise(_with_run(config))
    found = surprise_lines(RunDirectory(run).read_summary()["surprise"])
    return f"{found}\nresults: {run}/summary.json, figure: {run}/figures/surprise.png"


def _report(config: ReportConfig) -> str:
    from worldmodel.report import write_page

    config = _with_run(config)
    run = Path(config.run)
    return f"page: {write_page([run], Path(config.out) if config.out else run / 'report.html').resolve()}"


def _data(config: DataConfig) -> str:
    from worldmodel.data.curation import manage

    return manage(config)


def _demo(config: DemoConfig) -> str:
    from worldmodel.cli.demo import demo

    return demo(config)


def _with_run(config: ConfigT) -> ConfigT:
    """The settings with the run found: one that comes with the package is copied to where verbs may write."""
    from worldmodel.runs.pretrained import find_run

    run: str = config.run  # type: ignore[attr-defined]
    if not run:
        raise UserError("which run? add run=runs/NAME (worldmodel train makes one), or run=pretrained/reacher")
    return dataclasses.replace(config, run=find_run(run))  # type: ignore[type-var]


@contextmanager
def _at_work_on(pattern: str) -> Iterator[None]:
    """Keeps other commands out of a finished run, or of all that a pattern names."""
    from worldmodel.runs.run_directory import RunDirectory

    with ExitStack() as stack:
        for run in sorted(path for path in glob.glob(pattern) if Path(path).is_dir()) or [pattern]:
            stack.enter_context(RunDirectory.open(Path(run)).locked())
        yield


_TRAINING = ("episodes", "seed", "name", "device", "workers")

VERBS = {
    "collect": Verb(
        "record pixel rollouts of a world into data/NAME",
        CollectConfig,
        _collect,
        ("world", "policy", "episodes", "episode_steps", "image_size", "randomize", "data_seed", "workers"),
    ),
    "train": Verb(
        "train encoder, dynamics and context into runs/NAME; collects first if need be", TrainConfig, _train, _TRAINING
    ),
    "compare": Verb(
        "measure every method on one world, and the article's claims about them",
        CompareConfig,
        _compare,
        ("study", "scale", "methods", "parts", "num_seeds", "out"),
    ),
    "control": Verb(
        "drive the robot to goal images by MPC in the latent space of a run",
        ControlConfig,
        _control,
        ("run", "protocol", "tasks", "planner", "goal_steps", "videos", "oracle", "out"),
    ),
    "probe": Verb(
        "read state variables and physical constants from a run's latents", ProbeConfig, _probe, ("run", "shifts")
    ),
    "design": Verb(
        "before learning: which constants an excitation makes identifiable, and a better excitation",
        DesignConfig,
        _design,
        ("window", "noise_m", "noise_rad", "num_trajectories", "search", "policy", "out"),
    ),
    "positions": Verb(
        "constants from true positions instead of pixels: context methods beside the bound",
        PositionsConfig,
        _positions,
        ("methods", "num_seeds", "noise_m", "noise_rad", "episodes", "out"),
    ),
    "surprise": Verb(
        "score how well a run foresees what happens: teleport, colour and mass change",
        SurpriseConfig,
        _surprise,
        ("run", "trajectories", "out"),
    ),
    "report": Verb("write one self-contained HTML page about a run, or about several", ReportConfig, _report, ("run",)),
    "data": Verb("look after data sets: info, verify, merge, convert", DataConfig, _data, ("what", "path", "out")),
    "demo": Verb("all of it, small, on a CPU, in minutes", DemoConfig, _demo, ("runs", "data", "seed", "tasks")),
}
