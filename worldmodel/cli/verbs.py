"""The verbs: from settings to the text that is printed. Each imports what it needs when it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from worldmodel.settings import (
    CollectConfig,
    CompareConfig,
    ControlConfig,
    DataConfig,
    DemoConfig,
    DesignConfig,
    IdentifyConfig,
    ImagineConfig,
    PositionsConfig,
    ProbeConfig,
    ReportConfig,
    RobustConfig,
    RunsConfig,
    SurpriseConfig,
    TrainConfig,
    ViewConfig,
    WorldsConfig,
    ZooConfig,
)
from worldmodel.system.printable import command


@dataclass(frozen=True)
class Verb:
    """A subcommand: what it does in one line, and the function that does it and says where the result is."""

    summary: str
    settings: type[Any]
    run: Callable[[Any], str]
    common: tuple[str, ...] = ()
    """Options that `--help` shows first."""
    continues: bool | tuple[str, ...] = False
    """Whether an interrupted command continues where it stopped when it is given again, or with which values of `what`;
    the others start over."""


def _collect(config: CollectConfig) -> str:
    from worldmodel.data.collecting import collect

    found = collect(config)
    text = f"data set: {found.directory} ({found.episodes} episodes, {found.frames:,} frames)"
    return f"{text}\nnext: worldmodel train with the same options, or {command('data info', path=found.directory)}"


def _train(config: TrainConfig) -> str:
    from worldmodel.cli.terminal import train_lines
    from worldmodel.improving import train
    from worldmodel.reporting.verdicts import next_commands, outdated_verdict, train_verdict
    from worldmodel.runs import Run

    found = train(config)
    before = outdated_verdict(Run(found.run).summary)
    lines = [train_lines(found), *train_verdict(found), *before, f"trained: {found.run}"]
    return "\n".join([*lines, "next: " + "\n      ".join(next_commands(found, config))])


def _compare(config: CompareConfig) -> str:
    from worldmodel.cli.study_verdicts import compare_next, compare_verdict
    from worldmodel.cli.terminal_studies import study_lines
    from worldmodel.comparing import CompareResult, compare, study_folder

    found, folder = compare(config), study_folder(config)
    verdict = compare_verdict(found) if isinstance(found, CompareResult) else []
    lines = [study_lines(found), "", *verdict, f"results: {folder}/compare.json, figures: {folder}/figures"]
    return "\n".join([*lines, f"next: {compare_next(found, config)}"])


def _control(config: ControlConfig) -> str:
    from worldmodel.cli.terminal import control_lines
    from worldmodel.evaluation.control import control
    from worldmodel.reporting.verdicts import control_verdict
    from worldmodel.runs import Run

    found = control(config)
    of_runs = {run: result for run in found.runs if (result := Run(run).control)}
    videos = {run: f", videos: {run}/videos" if config.videos else "" for run in of_runs}
    results = "\n".join(f"results: {run}/summary.json{videos[run]}" for run in of_runs)
    pooled = f"all runs together: {config.out}\n" if config.out else ""
    verdict = control_verdict(found)
    text = control_lines(found, of_runs) + (f"\n{verdict}" if verdict else "")
    return f"{text}\n{results}\n{pooled}next: {command('report', run=found.runs[0])}"


def _design(config: DesignConfig) -> str:
    from worldmodel.cli.study_verdicts import design_next, design_verdict
    from worldmodel.cli.terminal_studies import design_lines
    from worldmodel.designing import design, result_file

    found, folder = design(config), config.run_directory
    results = f"results: {result_file(config)}, figure: {folder}/figures/design.png"
    return "\n".join([design_lines(found), design_verdict(found), results, f"next: {design_next(found, config)}"])


def _imagine(config: ImagineConfig) -> str:
    from worldmodel.cli.terminal import imagine_lines
    from worldmodel.evaluation.imagination import imagine
    from worldmodel.reporting.verdicts import imagine_verdict
    from worldmodel.runs import find_runs

    found, run = imagine(config), find_runs(config.run)[0].path
    videos = ", ".join([*(f"{run}/{video}" for video in found.videos), *([config.out] if config.out else [])])
    told = [imagine_lines(found), imagine_verdict(found), f"videos: {videos}", f"next: {command('report', run=run)}"]
    return "\n".join(line for line in told if line)


def _positions(config: PositionsConfig) -> str:
    from worldmodel.cli.study_verdicts import positions_verdict
    from worldmodel.cli.terminal_studies import positions_lines
    from worldmodel.evaluation.positions import positions, result_file

    found, world = positions(config), config.training.env.label
    results = f"results: {result_file(config)}\nnext: worldmodel train env={world}, which reads them from pixels"
    return "\n".join([positions_lines(found), positions_verdict(found), results])


def _probe(config: ProbeConfig) -> str:
    from worldmodel.cli.terminal import probe_lines
    from worldmodel.evaluation.probing import probe
    from worldmodel.reporting.verdicts import probe_verdict
    from worldmodel.runs import Run

    found, run = probe(config), Run(config.run).path
    files = f"results: {run}/summary.json, figures: {run}/figures"
    return "\n".join([probe_lines(found), probe_verdict(found), files, f"next: {command('report', run=run)}"])


def _identify(config: IdentifyConfig) -> str:
    from worldmodel.cli.terminal import identify_lines
    from worldmodel.identifying import identify
    from worldmodel.reporting.verdicts import identify_next, identify_verdict
    from worldmodel.runs import Run

    found, run = identify(config), Run(config.run).path
    models = ", ".join(str(run / file) for file in found.mjcf) or f"none ({found.mjcf_problem})"
    files = f"model file: {models}\nconstants: {run / found.factors}, figures: {run}/figures"
    return "\n".join([identify_lines(found), *identify_verdict(found), files, f"next: {identify_next(found, run)}"])


def _surprise(config: SurpriseConfig) -> str:
    from worldmodel.cli.terminal import surprise_lines
    from worldmodel.evaluation.surprise import surprise
    from worldmodel.reporting.verdicts import surprise_verdict
    from worldmodel.runs import Run

    found, run = surprise(config), Run(config.run).path
    files = f"results: {run}/summary.json, figure: {run}/figures/surprise.png"
    return "\n".join([surprise_lines(found), surprise_verdict(found), files, f"next: {command('report', run=run)}"])


def _robust(config: RobustConfig) -> str:
    from worldmodel.cli.terminal import robust_lines
    from worldmodel.evaluation.robustness import robust
    from worldmodel.reporting.verdicts import robust_verdict

    found = robust(config)
    results = [f"results: {run}/summary.json, figures: {run}/figures" for run in found.runs]
    pooled = [f"all runs together: {config.out}"] if config.out else []
    lines = [robust_lines(found), robust_verdict(found), *results, *pooled]
    return "\n".join([*lines, f"next: {command('report', run=found.runs[0])}"])


def _view(config: ViewConfig) -> str:
    from worldmodel.cli.terminal import view_lines
    from worldmodel.reporting.verdicts import view_verdict
    from worldmodel.viewing import view

    found = view(config)
    return f"{view_lines(found)}\n{view_verdict(found, config)}"


def _report(config: ReportConfig) -> str:
    from worldmodel.reporting import report

    return f"page: {report(config).resolve()}\nopen it in a browser; it is one file and needs no network"


def _data(config: DataConfig) -> str:
    from worldmodel.data.curation import manage

    return manage(config)


def _runs(config: RunsConfig) -> str:
    from worldmodel.cli.runs_table import runs

    return runs(config)


def _worlds(config: WorldsConfig) -> str:
    from worldmodel.cli.worlds_table import worlds_lines
    from worldmodel.designing import worlds

    return worlds_lines(worlds(config))


def _zoo(config: ZooConfig) -> str:
    from worldmodel.cli.zoo_table import zoo_text

    return zoo_text(config)


def _demo(config: DemoConfig) -> str:
    from worldmodel.cli.demo import demo

    return demo(config)


_TRAINING = ("episodes", "seed", "name", "device", "workers")

VERBS = {
    "collect": Verb(
        "record pixel rollouts of a world into data/NAME",
        CollectConfig,
        _collect,
        ("world", "policy", "episodes", "episode_steps", "image_size", "randomize", "data_seed", "workers"),
        continues=True,
    ),
    "train": Verb(
        "train encoder, predictor and context encoder; records data first",
        TrainConfig,
        _train,
        _TRAINING,
        continues=True,
    ),
    "compare": Verb(
        "train every method on one world, and test the claims of arXiv:2605.26379",
        CompareConfig,
        _compare,
        ("study", "scale", "methods", "parts", "num_seeds", "out"),
        continues=True,
    ),
    "control": Verb(
        "drive the robot to goal images by MPC in the latent space of a run",
        ControlConfig,
        _control,
        ("run", "protocol", "tasks", "planner", "goal_steps", "videos", "oracle", "out"),
    ),
    "imagine": Verb(
        "show imagined futures beside what happened, as videos, and measure the error of the imagined state",
        ImagineConfig,
        _imagine,
        ("run", "steps", "windows", "shown", "tasks", "out"),
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
        "read constants from true positions instead of images; methods beside the bound",
        PositionsConfig,
        _positions,
        ("methods", "num_seeds", "noise_m", "noise_rad", "episodes", "out"),
        continues=True,
    ),
    "identify": Verb(
        "the physical constants of a recording with 95 % intervals, and a model file that has them",
        IdentifyConfig,
        _identify,
        ("run", "recording", "constants", "free", "mjcf"),
    ),
    "surprise": Verb(
        "score whether impossible events surprise a run: teleports, changes of colour and mass",
        SurpriseConfig,
        _surprise,
        ("run", "trajectories", "out"),
    ),
    "robust": Verb(
        "judge a run where the world looks different: textures, videos, cameras, occluders, noise",
        RobustConfig,
        _robust,
        ("run", "looks", "levels", "pictures", "tasks", "instances", "protocol", "out"),
    ),
    "view": Verb(
        "watch a run drive its world live in the browser, and change the world; or play a data set",
        ViewConfig,
        _view,
        ("run", "data", "port", "steps", "save", "planner"),
    ),
    "report": Verb("write one self-contained HTML page about a run, or about several", ReportConfig, _report, ("run",)),
    "worlds": Verb(
        "list the worlds, or show one world's cameras, state, actions, goals and factors",
        WorldsConfig,
        _worlds,
        ("env", "out"),
    ),
    "runs": Verb("look after runs: list, compare, verify, remove", RunsConfig, _runs, ("what", "run")),
    "zoo": Verb("list the trained models that come with the package", ZooConfig, _zoo, ("name",)),
    "data": Verb(
        "look after data sets: info, verify, merge, convert",
        DataConfig,
        _data,
        ("what", "path", "out"),
        continues=("merge", "convert"),
    ),
    "demo": Verb(
        "the whole pipeline in small: minutes on a CPU", DemoConfig, _demo, ("runs", "data", "seed", "tasks"), True
    ),
}
