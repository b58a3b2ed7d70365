"""The content of the page about a run: its headline numbers, and its sections in their order."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from worldmodel.figures import logged_curves
from worldmodel.measures.wording import DASH
from worldmodel.reporting.choice_section import choice_section
from worldmodel.reporting.elements import Cell, Missing, Section, Table, Tile, duration, number, percent, plain
from worldmodel.reporting.evaluation_sections import control_section, probe_section, surprise_section
from worldmodel.reporting.identify_section import identify_section
from worldmodel.reporting.imagination_sections import decoder_section, imagination_section
from worldmodel.reporting.reported_run import ReportedRun
from worldmodel.reporting.robust_section import robust_section
from worldmodel.reporting.sections import (
    command,
    identifiability_section,
    more_section,
    prediction_section,
    provenance_section,
    reward_section,
    rounds_section,
    training_section,
)
from worldmodel.runs.imagine_result import ImagineResult
from worldmodel.runs.probe_result import ProbedVariable, ProbeResult
from worldmodel.runs.results import ControlResult
from worldmodel.settings import differing

FIGURE_SECTIONS: dict[str, tuple[str, ...]] = {
    "hero": ("hero",),
    "imagination": ("imagination",),
    "identifiability": ("latents", "identifiability"),
    "predictor": ("predictor", "prediction"),
    "decoder": ("decoded",),
    "reward": ("reward",),
    "rounds": ("rounds",),
    "control": ("success", "planner", "control"),
    "probes": ("probes", "probe", "canonical"),
    "surprise": ("surprise",),
    "identify": ("identify",),
    "robust": ("robust", "looks"),
    "training": ("training",),
    "choice": ("choice",),
}
"""Section -> beginnings of the names of its figures, in the order in which they are shown."""


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


def run_content(run: ReportedRun, index: int, figures: Sequence[Path]) -> RunContent:
    """Arrange a run and its figures (its own and the drawn ones) into sections; `index` makes its anchors unique."""
    by_section = _figures_by_section(figures)
    builders: dict[str, Callable[[ReportedRun, list[Path]], Section]] = {
        "imagination": imagination_section,
        "identifiability": identifiability_section,
        "predictor": prediction_section,
        "decoder": decoder_section,
        "reward": reward_section,
        "rounds": rounds_section,
        "control": control_section,
        "probes": probe_section,
        "surprise": surprise_section,
        "identify": identify_section,
        "robust": robust_section,
        "training": training_section,
        "choice": choice_section,
    }
    summary = run.summary
    found = {
        "imagination": summary.imagine or run.videos["imagination"],
        "identifiability": summary.train.identifiability,
        "predictor": summary.train.prediction,
        "decoder": summary.train.decoding,
        "reward": summary.train.reward,
        "rounds": summary.train.rounds,
        "control": summary.control,
        "probes": summary.probe,
        "surprise": summary.surprise,
        "identify": summary.identify,
        "robust": summary.robust or summary.train.robust,
        "training": logged_curves(run.metrics),
        "choice": summary.train.choice,
    }
    shown = [key for key in builders if found.get(key) or by_section[key]]
    sections = [builders[key](run, by_section[key]) for key in shown]
    if by_section["more"]:
        sections.append(more_section(run, by_section["more"]))
    sections.append(provenance_section(run))
    name, hero = summary.name, by_section["hero"]
    return RunContent(f"run{index}", name, _subtitle(run), _tiles(run), hero, sections, _missing(run), run.notes)


def overview(runs: Sequence[ReportedRun]) -> Table:
    """One row a run: what was trained and the headline numbers, as far as any run has them."""
    headers = (
        "Run",
        "World",
        "Method",
        "Latents",
        "True state from latents, R²",
        "Decoded, dB",
        "Protocol",
        "Goals reached",
        "Return",
        "Best constant, R²",
        "Training time",
    )
    rows, driven = [], _alike(runs)
    for index, (run, control) in enumerate(zip(runs, driven, strict=True)):
        train, best = run.summary.train, _best_constant(run.summary.probe)
        identifiability = train.identifiability
        success, returns = (control.latent.success, control.latent.returns) if control else (None, None)
        rows.append(
            [
                Cell(run.summary.name, link=f"#run{index}"),
                Cell(train.env),
                Cell(train.method),
                number(train.model.latent_dim, 0),
                number(identifiability.r2_h_to_z if identifiability else None, 3, bar=True),
                number(train.decoding.decoded.psnr_db if train.decoding else None, 1),
                Cell(control.protocol.name if control else DASH),
                percent(success.rate if success else None),
                number(returns.mean if returns else None, 0),
                _named(best),
                Cell(duration(_total_seconds(run)), True),
            ]
        )
    known = [index for index in range(len(headers)) if any(row[index].text != DASH for row in rows)]
    shown = [[row[index] for index in known] for row in rows]
    return Table("All runs", tuple(headers[index] for index in known), shown)


def _alike(runs: Sequence[ReportedRun]) -> list[ControlResult | None]:
    """The result of `control` for each run, under the protocol that most of them share."""
    of_runs = [(run.summary.control, *run.summary.earlier_control.values()) for run in runs]
    names = Counter(found.protocol.name for of_run in of_runs for found in of_run if found)
    common = names.most_common(1)[0][0] if names else None
    return [next((of for of in of_run if of and of.protocol.name == common), of_run[0]) for of_run in of_runs]


def settings_table(runs: Sequence[ReportedRun]) -> Table | None:
    """In which settings runs differ, side by side; None where they do not, or some cannot be read."""
    settings = [run.settings for run in runs if run.settings]
    found = differing(settings) if len(settings) == len(runs) else {}
    rows = [[Cell(name), *(Cell(value) for value in values)] for name, values in found.items()]
    names = (run.summary.name for run in runs)
    return Table("Settings that differ", ("Setting", *names), rows) if rows else None


def headline(runs: Sequence[ReportedRun]) -> str:
    """The page's second line: how many runs, on what machine, in what time."""
    count = "One run" if len(runs) == 1 else f"{len(runs)} runs"
    total = sum(_total_seconds(run) or 0.0 for run in runs)
    machines = dict.fromkeys(filter(None, (_machine(run) for run in runs)))
    on = f" on {'; '.join(machines)}" if machines else ""
    return f"{count}{on}{f', {duration(total)} of training' if total else ''}."


def _missing(run: ReportedRun) -> list[Missing]:
    """Commands not run yet, in the order in which one would run them; a world without actions is not driven."""
    summary, driven = run.summary, run.summary.train.prediction is not None
    wanted = (
        ("imagine", "What it imagines, in degrees and millimetres", summary.imagine is None and driven),
        ("control", "Driving towards goal images", summary.control is None and driven),
        ("probe", "Constants and state, read out linearly", summary.probe is None),
        ("surprise", "What it is surprised by", summary.surprise is None and driven),
        ("robust", "Where the world looks different", summary.robust is None and driven),
    )
    return [Missing(title, command(run, verb)) for verb, title, is_missing in wanted if is_missing]


def _tiles(run: ReportedRun) -> list[Tile]:
    """The few numbers worth knowing first."""
    tiles = []
    measured = run.summary.train.identifiability
    if measured and measured.r2_h_to_z is not None:
        ceiling = measured.r2_ceiling
        detail = f"ceiling {ceiling:.4f}" if ceiling is not None else "held-out frames, linear readout"
        tiles.append(Tile("True state from latents, R²", number(measured.r2_h_to_z, 3).text, detail))
    if run.summary.imagine:
        tiles += _imagined_tile(run.summary.imagine)
    if run.summary.control:
        tiles += _control_tiles(run.summary.control)
    if best := _best_constant(run.summary.probe):
        name, of = best
        ends = of.r2_linear_interval
        detail = f"95 % interval [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else "held-out episodes"
        tiles.append(Tile(f"{plain(name).capitalize()}, linear R²", number(of.r2_linear, 2).text, detail))
    if _total_seconds(run):
        tiles.append(Tile("Time of training", duration(_total_seconds(run)), _machine(run)))
    return tiles


def _imagined_tile(found: ImagineResult) -> list[Tile]:
    """The imagined error that exceeds most what one frame allows."""
    known = {name: of for name, of in found.errors.items() if of.times_read is not None}
    if not known:
        return []
    name, worst = max(known.items(), key=lambda item: item[1].times_read or 0.0)
    detail = f"{worst.times_read:.1f} times the error on the true frame"
    label = f"{plain(name).capitalize()}, imagined {found.steps[-1]} steps ahead"
    return [Tile(label, f"{worst.imagined[-1]:.2g} {worst.unit}", detail)]


def _control_tiles(found: ControlResult) -> list[Tile]:
    latent, random = found.latent, found.controllers.get("random")
    tiles = []
    if latent.success:
        low, high = (100 * end for end in latent.success.interval)
        beside = f", random {percent(random.success.rate).text}" if random and random.success else ""
        detail = f"[{low:.0f}, {high:.0f}]\u202f%{beside}"
        tiles.append(Tile("Goals reached", percent(latent.success.rate).text, detail))
    if latent.returns:
        beside = f"random {number(random.returns.mean, 0).text}" if random and random.returns else ""
        tiles.append(Tile("Return of an episode", number(latent.returns.mean, 0).text, beside))
    horizon = found.plan.planner.get("horizon")
    detail = f"horizon {horizon} steps" if horizon else "planning, one task and step"
    return [*tiles, Tile("CPU time per decision", f"{found.cpu_ms_per_decision:.2f} ms", detail)]


def _subtitle(run: ReportedRun) -> str:
    """`puck · lejepa · 16 latents · 80 400 frames of 64 px`."""
    train = run.summary.train
    frames = f"{number(train.data.frames, 0).text} frames of {train.data.image_size} px"
    return " · ".join([train.env, train.method, f"{train.model.latent_dim} latents", frames])


def _figures_by_section(figures: Sequence[Path]) -> dict[str, list[Path]]:
    """Figures under the section whose word starts their name; under "more" where none does."""
    sorted_out: dict[str, list[Path]] = {key: [] for key in (*FIGURE_SECTIONS, "more")}
    for figure in figures:
        keys = (key for key, words in FIGURE_SECTIONS.items() if figure.stem.startswith(words))
        sorted_out[next(keys, "more")].append(figure)
    for key, words in FIGURE_SECTIONS.items():
        sorted_out[key].sort(key=lambda figure: next(i for i, word in enumerate(words) if figure.stem.startswith(word)))
    return sorted_out


def _best_constant(probe: ProbeResult | None) -> tuple[str, ProbedVariable] | None:
    """The physical constant that is read best."""
    variables = probe.variables.items() if probe else ()
    physical = [(name, of) for name, of in variables if of.kind == "physical" and of.r2_linear is not None]
    return max(physical, key=lambda item: item[1].r2_linear or 0.0, default=None)


def _named(best: tuple[str, ProbedVariable] | None) -> Cell:
    if best is None:
        return number(None, 2)
    name, of = best
    cell = number(of.r2_linear, 2, bar=True)
    return Cell(f"{plain(name)} {cell.text}", True, cell.share, exact=cell.exact)


def _total_seconds(run: ReportedRun) -> float | None:
    seconds = run.summary.train.seconds
    return sum(seconds.values()) if seconds else None


def _machine(run: ReportedRun) -> str:
    """`2 CPU cores`, or the name of the GPU."""
    return str(run.summary.hardware) if run.summary.hardware else ""
