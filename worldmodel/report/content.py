"""What the page says: a checked run in, plain sections of sentences, tables and pictures out; no HTML here."""

import math
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worldmodel.report.run_files import RunFiles

DASH = "–"

# A figure belongs to the first section one of whose words starts its file name, and stands there in the words' order.
FIGURE_SECTIONS: dict[str, tuple[str, ...]] = {
    "hero": ("hero",),
    "identifiability": ("latents", "identifiability", "canonical"),
    "training": ("training",),
    "predictor": ("predictor", "prediction"),
    "control": ("success", "planner", "control"),
    "probes": ("probes", "probe"),
}


@dataclass(frozen=True)
class Cell:
    """One table cell: its text, whether it is a number (set right), and a share in [0, 1] drawn as a bar behind it."""

    text: str
    numeric: bool = False
    share: float | None = None
    link: str | None = None


@dataclass(frozen=True)
class Table:
    """A table with one caption; every row has as many cells as there are headers."""

    caption: str
    headers: tuple[str, ...]
    rows: list[list[Cell]]


@dataclass(frozen=True)
class Tile:
    """One headline number with what it is and what it stands beside."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True)
class Section:
    """One finding: what one sees, how to read it, and the command that makes it again."""

    key: str
    title: str
    sees: str
    reads: str
    command: str
    evidence: list[Path | Table] = field(default_factory=list)
    videos: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Missing:
    """Something that has not been run, and the command that would."""

    title: str
    command: str


@dataclass(frozen=True)
class RunContent:
    """Everything that the page shows of one run."""

    anchor: str
    name: str
    subtitle: str
    tiles: list[Tile]
    hero: list[Path]
    sections: list[Section]
    missing: list[Missing]
    notes: list[str]


def run_content(run: RunFiles, index: int, figures: Sequence[Path]) -> RunContent:
    """Arrange a run and its figures (its own and the drawn ones) into sections; `index` makes its anchors unique."""
    anchor = f"run{index}"
    by_section = _figures_by_section(figures)
    builders: dict[str, Callable[[RunFiles, list[Path]], Section]] = {
        "identifiability": _identifiability,
        "predictor": _predictor,
        "control": _control,
        "probes": _probes,
        "training": _training,
    }
    shown = {key for key in builders if run.section(key) or by_section[key]}
    sections = [build(run, by_section[key]) for key, build in builders.items() if key in shown]
    if by_section["more"]:
        sections.append(_more(run, by_section["more"]))
    sections.append(_provenance(run))
    return RunContent(
        anchor,
        run_name(run),
        _subtitle(run),
        _tiles(run),
        by_section["hero"],
        sections,
        _missing(run, shown),
        run.notes,
    )


def overview(runs: Sequence[RunFiles]) -> Table:
    """One row a run: what was trained and the headline numbers."""
    headers = (
        "Run",
        "World",
        "Method",
        "Latents",
        "World from latents, R²",
        "Goals reached",
        "Best constant, R²",
        "Time",
    )
    rows = []
    for index, run in enumerate(runs):
        identifiability, control = run.section("identifiability"), run.section("control")
        r2, best = identifiability.get("r2_h_to_z"), _best_constant(run)
        rows.append(
            [
                Cell(run_name(run), link=f"#run{index}"),
                Cell(str(run.summary.get("env") or DASH)),
                Cell(str(run.summary.get("method") or DASH)),
                number(run.section("model").get("latent_dim"), 0),
                number(r2, 3, bar=True),
                Cell(percent(control.get("success_rate")), True, _share(control.get("success_rate"))),
                Cell(f"{best[0]} {best[1]:.2f}", True, _share(best[1])) if best else Cell(DASH, True),
                Cell(duration(_total_seconds(run)), True),
            ]
        )
    return Table("All runs", headers, rows)


def run_name(run: RunFiles) -> str:
    """The run's name, or its directory's."""
    return str(run.summary.get("name") or run.path.resolve().name)


def headline(runs: Sequence[RunFiles]) -> str:
    """The page's second line: how many runs, on what machine, in what time."""
    count = "One run" if len(runs) == 1 else f"{len(runs)} runs"
    total = sum(_total_seconds(run) or 0.0 for run in runs)
    machines = dict.fromkeys(filter(None, (_machine(run) for run in runs)))
    on = f" on {'; '.join(machines)}" if machines else ""
    return f"{count}{on}{f', {duration(total)} of computing' if total else ''}."


def number(value: float | None, digits: int, bar: bool = False) -> Cell:
    """A right-aligned cell of fixed digits; a dash for nothing; thousands apart by thin spaces."""
    if value is None or not math.isfinite(value):
        return Cell(DASH, True)
    text = f"{value:,.{digits}f}".replace(",", "\u202f").replace("-", "\u2212")
    return Cell(text, True, _share(value) if bar else None)


def percent(rate: float | None) -> str:
    """`0.97` to `97 %`, a dash for nothing."""
    return DASH if rate is None or not math.isfinite(rate) else f"{100 * rate:.0f}\u202f%"


def duration(seconds: float | None) -> str:
    """`252.3` to `4 min 12 s`."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {round(seconds) % 60} s"


def _identifiability(run: RunFiles, figures: list[Path]) -> Section:
    values = run.section("identifiability")
    rows = []
    for key, label, digits, ideal, meaning in _IDENTIFIABILITY_ROWS:
        if values.get(key) is not None:
            rows.append([Cell(label), number(values[key], digits), Cell(ideal, True), Cell(meaning)])
    tables = (
        [Table("Identifiability, on held-out frames", ("Measure", "Value", "Ideal", "What it is"), rows)]
        if rows
        else []
    )
    per_variable = values.get("per_variable") or {}
    if per_variable:
        cells = [
            [Cell(_plain(name)), number((item or {}).get("r2"), 3, bar=True)] for name, item in per_variable.items()
        ]
        tables.append(Table("Variable by variable", ("Variable", "R²"), cells))
    frames = values.get("num_frames")
    of_frames = f" of {number(frames, 0).text} held-out frames" if frames else ""
    return Section(
        "identifiability",
        "What the latents are",
        f"The true state of the world, read linearly from the latents{of_frames}.",
        "Dots on the diagonal mean that nothing is lost; where a grid is drawn, it is a regular grid of true values "
        "after a rotation alone, and square cells mean that the latents are the world's own variables.",
        _command(run, "train"),
        [*figures, *tables],
    )


_IDENTIFIABILITY_ROWS = (
    ("r2_h_to_z", "R², world from latents", 4, "1", "share of the true variance that the latents explain linearly"),
    ("r2_z_to_h", "R², latents from world", 4, "1", "share of the latents' variance that the truth explains linearly"),
    ("r2_ceiling", "R² ceiling", 4, "1", "the best that any linear readout could reach on these data"),
    ("procrustes_mse", "Procrustes error", 4, "0", "mean squared distance to the truth after the best rotation"),
    ("theorem_bound", "Theorem's bound", 4, "0", "the most that the theorem allows it to be, given the gaps"),
    ("alignment_gap", "Alignment gap", 4, "0", "how far neighbouring latents are from the best alignment possible"),
    ("covariance_gap", "Covariance gap", 4, "0", "how far the latents' covariance is from the identity"),
    ("orthogonality_error", "Orthogonality error", 4, "0", "how far the fitted linear map is from a rotation"),
    ("condition_number", "Condition number", 3, "1", "largest over smallest stretch of the fitted linear map"),
)


def _training(run: RunFiles, figures: list[Path]) -> Section:
    return Section(
        "training",
        "How training went",
        "Every logged quantity against the optimiser's step, stage by stage.",
        "The effective rank is the number of dimensions in use: a fall towards one is a collapse; "
        "faint lines are single values, strong ones a running median.",
        _command(run, "train"),
        [*figures],
    )


def _predictor(run: RunFiles, figures: list[Path]) -> Section:
    ratios = run.section("predictor").get("error_ratio_to_persistence") or {}
    ordered = sorted(ratios.items(), key=lambda item: _as_number(item[0]))
    rows = [[Cell(str(step), True), number(ratio, 3)] for step, ratio in ordered]
    table = Table("Error, as a share of persistence", ("Horizon (steps)", "Ratio"), rows)
    return Section(
        "predictor",
        "How far it foresees",
        "The error of the latent predictor at each horizon, beside the forecast that nothing moves.",
        "A ratio of 1 is no better than assuming a still world, 0 is a perfect forecast; "
        "the planner trusts the model up to its horizon.",
        _command(run, "train"),
        [*figures, *([table] if rows else [])],
    )


def _control(run: RunFiles, figures: list[Path]) -> Section:
    values = run.section("control")
    rows = []
    for prefix, label in (
        ("", "Latent MPC"),
        ("random_", "Random actions"),
        ("supervised_", "Same planner, encoder trained on true states"),
        ("oracle_", "Same planner, true simulator"),
    ):
        rate = values.get(f"{prefix}success_rate")
        if rate is not None:
            interval = values.get(f"{prefix}success_interval")
            rows.append([Cell(label), Cell(percent(rate), True, _share(rate)), Cell(_percent_interval(interval), True)])
    outcome: list[Path | Table] = [file for file in figures if file.stem.startswith("success")]
    planning: list[Path | Table] = [file for file in figures if not file.stem.startswith("success")]
    if rows:
        outcome.append(Table("Goals reached", ("Controller", "Reached", "95 % interval"), rows))
    facts = _control_facts(values)
    if facts:
        planning.append(Table("Planner", ("Setting", "Value"), facts))
    tasks = values.get("num_tasks")
    videos = ": each video shows the robot's view at the left and the goal image at the right" if run.videos else ""
    return Section(
        "control",
        "Driving towards goal images",
        f"Model predictive control in the latent space{f' over {tasks} held-out tasks' if tasks else ''}{videos}.",
        f"{'The frame turns green when the goal is reached; the' if run.videos else 'The'} random controller shows "
        "how easy the tasks are, the true simulator how much a perfect model would add.",
        _command(run, "control"),
        outcome + planning,
        run.videos,
    )


def _control_facts(values: Mapping[str, Any]) -> list[list[Cell]]:
    """Planner settings and speed as rows of two cells."""
    rows = [[Cell(_plain(key)), Cell(_setting(value), True)] for key, value in (values.get("planner") or {}).items()]
    if values.get("median_steps_to_goal") is not None:
        rows.append([Cell("median steps to the goal"), number(values["median_steps_to_goal"], 0)])
    if values.get("ms_per_decision") is not None:
        rows.append([Cell("time per decision (ms)"), number(values["ms_per_decision"], 1)])
    return rows


def _probes(run: RunFiles, figures: list[Path]) -> Section:
    probes = run.section("probes")
    ordered = sorted(probes.items(), key=lambda item: item[1].get("kind") != "physical")
    controls = list(dict.fromkeys(name for _, probe in ordered for name in probe.get("controls") or {}))
    bounded = any("r2_bound" in probe for _, probe in ordered)
    headers = (
        "Quantity",
        "Kind",
        "Linear R²",
        "95 % interval",
        "MLP R²",
        "95 % interval",
        *(["Bound"] if bounded else []),
        *(_plain(name) for name in controls),
    )
    rows = []
    for name, probe in ordered:
        unit = f" ({probe['unit']})" if probe.get("unit") else ""
        row = [
            Cell(_plain(name) + unit),
            Cell(str(probe.get("kind") or DASH)),
            number(probe.get("r2_linear"), 3, bar=True),
        ]
        row += [
            _interval(probe.get("r2_linear_interval")),
            number(probe.get("r2_mlp"), 3),
            _interval(probe.get("r2_mlp_interval")),
        ]
        row += [number(probe.get("r2_bound"), 3)] if bounded else []
        row += [number((probe.get("controls") or {}).get(control), 2) for control in controls]
        rows.append(row)
    return Section(
        "probes",
        "Constants and state, read out linearly",
        "How well a linear probe and a small MLP read each quantity on episodes they never saw, beside the controls.",
        "A finding is a linear bar close to the MLP's and far from the random encoder, raw pixels and shuffled labels; "
        "the true state, where it is given, is about the best that can be hoped for, the bound what no reader of such "
        "windows passes.",
        _command(run, "probe"),
        [*figures, *([Table("Probes, held out by episode", headers, rows)] if rows else [])],
    )


def _more(run: RunFiles, figures: list[Path]) -> Section:
    return Section(
        "more", "More figures", "Other pictures that the run left behind.", "", _command(run, "train"), [*figures]
    )


def _provenance(run: RunFiles) -> Section:
    tables: list[Path | Table] = []
    seconds = {key: value for key, value in run.section("seconds").items() if value is not None}
    if seconds:
        longest = max(max(seconds.values()), 1e-9)
        rows = [[Cell(_plain(key)), Cell(duration(value), True, value / longest)] for key, value in seconds.items()]
        tables.append(Table("Where the time went", ("Stage", "Time"), rows))
    for title, name in (("Data", "data"), ("Model", "model"), ("Hardware", "hardware"), ("Versions", "versions")):
        facts = [
            [Cell(_plain(key)), Cell(_setting(value), True)]
            for key, value in run.section(name).items()
            if value is not None
        ]
        if name == "model" and run.summary.get("seed") is not None:
            facts.append([Cell("seed"), Cell(str(run.summary["seed"]), True)])
        if facts:
            tables.append(Table(title, ("What", "Value"), facts))
    return Section(
        "provenance",
        "How it was made",
        "The data, the model, the machine, the versions and the time of every stage.",
        "The command below, with the same seed, versions and kind of machine, makes the run again.",
        _command(run, "train"),
        tables,
    )


def _missing(run: RunFiles, shown: set[str]) -> list[Missing]:
    """What has not been run, in the order in which one would run it."""
    wanted = (
        ("identifiability", "What the latents are: identifiability", "train"),
        ("predictor", "How far it foresees: the latent predictor", "train"),
        ("control", "Driving towards goal images", "control"),
        ("probes", "Constants and state, read out linearly", "probe"),
    )
    return [Missing(title, _command(run, verb)) for key, title, verb in wanted if key not in shown]


def _tiles(run: RunFiles) -> list[Tile]:
    """The few numbers worth knowing first."""
    tiles = []
    identifiability, control = run.section("identifiability"), run.section("control")
    if identifiability.get("r2_h_to_z") is not None:
        ceiling = identifiability.get("r2_ceiling")
        detail = f"ceiling {ceiling:.4f}" if ceiling is not None else "held-out frames, linear readout"
        tiles.append(Tile("World from latents, R²", number(identifiability["r2_h_to_z"], 3).text, detail))
    if control.get("success_rate") is not None:
        interval, random = control.get("success_interval"), control.get("random_success_rate")
        detail = ", ".join(
            filter(None, [_percent_interval(interval), f"random {percent(random)}" if random is not None else ""])
        )
        tiles.append(Tile("Goals reached", percent(control["success_rate"]), detail))
    best = _best_constant(run)
    if best:
        interval = run.section("probes")[best[2]].get("r2_linear_interval")
        detail = f"95 % interval [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "held-out episodes"
        tiles.append(Tile(f"{best[0].capitalize()}, linear R²", f"{best[1]:.2f}", detail))
    if control.get("ms_per_decision") is not None:
        horizon = (control.get("planner") or {}).get("horizon")
        detail = f"horizon {horizon} steps" if horizon else "planning, per episode and step"
        tiles.append(Tile("Time per decision", f"{control['ms_per_decision']:.1f} ms", detail))
    if _total_seconds(run):
        tiles.append(Tile("Time, all stages", duration(_total_seconds(run)), _machine(run)))
    return tiles


def _subtitle(run: RunFiles) -> str:
    """`puck, lejepa, 16 latents, 80,400 frames of 64 px`, of what is known."""
    data, model = run.section("data"), run.section("model")
    parts = [str(run.summary.get(key)) for key in ("env", "method") if run.summary.get(key)]
    if model.get("latent_dim"):
        parts.append(f"{model['latent_dim']} latents")
    if data.get("frames"):
        size = f" of {data['image_size']} px" if data.get("image_size") else ""
        parts.append(f"{number(data['frames'], 0).text} frames{size}")
    return " · ".join(parts)


def _figures_by_section(figures: Sequence[Path]) -> dict[str, list[Path]]:
    """Figures under the section whose word starts their name; under "more" where none does."""
    sorted_out: dict[str, list[Path]] = {key: [] for key in (*FIGURE_SECTIONS, "more")}
    for figure in figures:
        keys = (key for key, words in FIGURE_SECTIONS.items() if figure.stem.startswith(words))
        sorted_out[next(keys, "more")].append(figure)
    for key, words in FIGURE_SECTIONS.items():
        sorted_out[key].sort(key=lambda figure: next(i for i, word in enumerate(words) if figure.stem.startswith(word)))
    return sorted_out


def _command(run: RunFiles, verb: str) -> str:
    """The command that the run recorded for `verb`, or the one that would do it."""
    recorded = run.section("commands").get(verb)
    if recorded:
        return str(recorded)
    if verb == "train":
        return f"worldmodel train env={run.summary.get('env') or run_name(run)}"
    relative = os.path.relpath(run.path)
    shown = str(run.path) if relative.startswith("..") else relative
    return f"worldmodel {verb} {shlex.quote(f'run={shown}')}"


def _best_constant(run: RunFiles) -> tuple[str, float, str] | None:
    """Readable name, linear R² and key of the physical constant that is read best."""
    physical = {
        name: probe["r2_linear"]
        for name, probe in run.section("probes").items()
        if probe.get("kind") == "physical" and probe.get("r2_linear") is not None
    }
    if not physical:
        return None
    name = max(physical, key=lambda key: physical[key])
    return _plain(name), physical[name], name


def _total_seconds(run: RunFiles) -> float | None:
    seconds = [value for value in run.section("seconds").values() if value is not None]
    return sum(seconds) if seconds else None


def _machine(run: RunFiles) -> str:
    """`2 CPU cores`, or the name of the GPU."""
    hardware = run.section("hardware")
    if hardware.get("gpu"):
        return str(hardware["gpu"])
    cores = hardware.get("cores")
    return f"{cores} CPU core{'' if cores == 1 else 's'}" if cores else ""


def _interval(pair: Sequence[float] | None) -> Cell:
    return Cell(f"[{number(pair[0], 3).text}, {number(pair[1], 3).text}]" if pair else DASH, True)


def _percent_interval(pair: Sequence[float] | None) -> str:
    return f"[{100 * pair[0]:.0f}, {100 * pair[1]:.0f}]\u202f%" if pair else ""


def _share(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else min(max(value, 0.0), 1.0)


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _setting(value: Any) -> str:
    """A setting as one reads it: integers with thousands apart, floats short, lists joined."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return number(value, 0).text if isinstance(value, int) else f"{value:.4g}"


def _as_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.inf
