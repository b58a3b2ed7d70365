"""The sections of a page about training: what the latents are, how far the model predicts, how it was made."""

import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from worldmodel.figures import logged_curves, running_median, spans_decades, style
from worldmodel.measures.wording import DASH
from worldmodel.reporting.elements import (
    Cell,
    Chart,
    Line,
    Section,
    Table,
    duration,
    facts,
    interval,
    number,
    percent,
    percent_interval,
    plain,
    without_empty_columns,
)
from worldmodel.reporting.reported_run import ReportedRun
from worldmodel.reporting.verdicts import prediction_verdict, reward_verdict, state_verdict
from worldmodel.runs.doubt_result import DoubtResult
from worldmodel.runs.results import Success, TrainResult
from worldmodel.system import printable

_MEASURES = (
    (
        "r2_h_to_z",
        "R², true state from latents",
        4,
        "1",
        "share of the state's variance that the latents explain linearly",
    ),
    (
        "r2_z_to_h",
        "R², latents from true state",
        4,
        "1",
        "share of the latents' variance that the state explains linearly; below 1 where there are more latents than "
        "variables",
    ),
    ("r2_ceiling", "R² ceiling", 4, "1", "the most that any linear readout could reach on these data"),
    ("procrustes_mse", "Procrustes error", 4, "0", "mean squared distance to the state after the best rotation"),
    ("theorem_bound", "Theorem's bound", 4, "0", "the largest Procrustes error that the gaps below allow"),
    ("alignment_gap", "Alignment gap", 4, "0", "how far neighbouring latents are from the best alignment possible"),
    ("covariance_gap", "Covariance gap", 4, "0", "how far the latents' covariance is from the identity"),
    ("orthogonality_error", "Orthogonality error", 4, "0", "how far the fitted linear map is from a rotation"),
    ("condition_number", "Condition number", 3, "1", "largest over smallest stretch of the fitted linear map"),
)


def identifiability_section(run: ReportedRun, figures: list[Path]) -> Section:
    """What the latents show of the true state."""
    measured = run.summary.train.identifiability
    tables = []
    if measured:
        values = asdict(measured)
        rows = [
            [Cell(label), number(values[key], digits), Cell(ideal, True), Cell(meaning)]
            for key, label, digits, ideal, meaning in _MEASURES
            if values[key] is not None  # most are of kinematic worlds alone
        ]
        caption = f"Identifiability, on {number(measured.num_frames, 0).text} held-out frames"
        tables.append(Table(caption, ("Measure", "Value", "Ideal", "What it is"), rows))
        by_variable = [[Cell(plain(name)), number(r2, 3, bar=True)] for name, r2 in measured.per_variable.items()]
        tables.append(Table("Variable by variable", ("Variable", "R²"), by_variable))
    return Section(
        "identifiability",
        "What the latents are",
        "The true state of the world, read linearly from the latents of frames that were not trained on.",
        _how_to_read(figures),
        command(run, "train"),
        [*figures, *tables],
        state_verdict(run.summary.train),
    )


def _how_to_read(figures: list[Path]) -> str:
    """What the figures of the latents mean; of a run without them, what the share of variance does."""
    if not figures:
        return "An R² of 1 means that nothing is lost, 0 that a linear map knows no more than the mean."
    return (
        "Dots on the diagonal mean that nothing is lost. Where a grid is drawn, it is a regular grid of true values "
        "after a rotation alone: square cells mean that the latents are the world's own variables."
    )


def prediction_section(run: ReportedRun, figures: list[Path]) -> Section:
    """Error of the latent dynamics by the steps ahead."""
    found = run.summary.train.prediction
    evidence: list[Path | Table | Chart] = []
    if found:
        steps, ratios = zip(*sorted(found.ratio_to_persistence.items()), strict=True)
        lines = [Line("persistence", steps, [1.0] * len(steps), "quiet"), Line("latent predictor", steps, ratios)]
        evidence.append(Chart("Error over that of persistence", "steps ahead", lines))
        rows = [[number(step, 0), number(ratio, 3)] for step, ratio in zip(steps, ratios, strict=True)]
        caption = f"Error over persistence, up to {found.horizon} steps ahead"
        evidence.append(Table(caption, ("Steps ahead", "Ratio"), rows))
        if off := found.steps_off:
            caption = f"Steps off in time, {number(off.steps_ahead, 0).text} steps ahead"
            evidence.append(
                Table(caption, ("Predictions", "By chance"), [[number(off.mean, 2), number(off.chance, 2)]])
            )
    return Section(
        "predictor",
        "How far it predicts",
        "The error of the latent predictor by how far it looks ahead, over that of persistence: the forecast that "
        "nothing changes.",
        "A ratio of 1 is no better than assuming a still world, 0 is a perfect forecast. Steps off in time say which "
        "moment a prediction is nearest to; they need no labels, and can be compared between training runs.",
        command(run, "train"),
        evidence or figures,
        prediction_verdict(found),
    )


def reward_section(run: ReportedRun, figures: list[Path]) -> Section:
    """What the reward head knows."""
    found = run.summary.train.reward
    rows = []
    if found:
        rows = [
            [Cell("R² of rewards, from the frames that are seen"), number(found.r2, 3, bar=True)],
            [Cell(f"R² of rewards {found.horizon} steps ahead, imagined"), number(found.r2_ahead, 3, bar=True)],
            [Cell("mean reward of a control step"), number(found.mean, 4)],
            [Cell("lowest"), number(found.lowest, 4)],
            [Cell("highest"), number(found.highest, 4)],
            [Cell("rewards"), number(found.num_steps, 0)],
        ]
    return Section(
        "reward",
        "What it knows of the reward",
        "The world's own reward, read from latents of episodes that were not trained on: from frames that are seen, "
        "and from latents that the predictor imagines.",
        "With protocol=reward the planner adds up such rewards over its horizon, and the value of where a plan ends.",
        command(run, "train"),
        [Table("Rewards of held-out episodes", ("", "Value"), rows), *figures],
        reward_verdict(found),
    )


def rounds_section(run: ReportedRun, figures: list[Path]) -> Section:
    """What each round added."""
    rounds = run.summary.train.rounds
    headers = ("Round", "Driven by", "Episodes", "Control steps", "Return of an episode")
    rows = [
        [number(of.number, 0), Cell(of.policy), number(of.episodes, 0), number(of.steps, 0), number(of.mean_return, 1)]
        for of in rounds
    ]
    chart = []
    if len(rounds) > 1:
        line = Line("return", [of.number for of in rounds], [of.mean_return for of in rounds])
        chart = [Chart("Return of an episode", "round", [line])]
    return Section(
        "rounds",
        "What it earned, round by round",
        "Round 0 is the recording before the first training. In each round the model then drove its world, with noise "
        "on its actions, and learned from what it saw.",
        "Returns are those of the episodes that were added, noise included; `worldmodel control` measures without it.",
        command(run, "train"),
        [*chart, Table("Rounds", headers, rows), *figures],
    )


def training_section(run: ReportedRun, figures: list[Path]) -> Section:
    """The curves."""
    return Section(
        "training",
        "How training went",
        "Every logged quantity against the optimiser's step, stage by stage.",
        "The effective rank is the number of latent dimensions in use: a fall towards one is a collapse. Faint lines "
        "are single values, strong ones a running median.",
        command(run, "train"),
        [_training_chart(stage, name, *of) for (stage, name), of in logged_curves(run.metrics).items()] or figures,
        _training_verdict(run),
    )


def _training_verdict(run: ReportedRun) -> str:
    """Whether latents collapsed, as far as the encoder's training logged it."""
    logged = [line for line in run.metrics if line["stage"].startswith("encoder") and "effective_rank" in line]
    if not logged:
        return ""
    if logged[-1].get("collapsed"):
        return "the latents have collapsed: all frames get nearly the same one"
    rank, most = logged[-1]["effective_rank"], run.summary.train.model.latent_dim
    return f"no collapse: at its end the encoder uses {rank:.1f} of {most} latent dimensions"


def _training_chart(stage: str, name: str, steps: np.ndarray, values: np.ndarray) -> Chart:
    """A logged quantity, rounded to what a chart can show."""
    median = running_median(values)
    lines = [Line("logged", steps.tolist(), _rounded(values), "accent" if median is None else "quiet")]
    if median is not None:
        lines.append(Line("running median", steps.tolist(), _rounded(median)))
    return Chart(f"{stage} · {style.readable_name(name)}", "step", lines, spans_decades(values))


def _rounded(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.4g}") for value in values]


def more_section(run: ReportedRun, figures: list[Path]) -> Section:
    """Pictures that belong to no other section."""
    sees = "Other pictures that the run left behind."
    return Section("more", "More figures", sees, "", command(run, "train"), [*figures])


def provenance_section(run: ReportedRun) -> Section:
    """Data, model, machine, versions, time."""
    summary, trained = run.summary, run.summary.train
    tables: list[Path | Table] = []
    if trained.seconds:
        longest = max(*trained.seconds.values(), 1e-9)
        rows = [
            [Cell(plain(stage)), Cell(duration(seconds), True, seconds / longest, exact=f"{seconds!r} s")]
            for stage, seconds in trained.seconds.items()
        ]
        tables.append(Table("Where the time of training went", ("Stage", "Time"), rows))
    tables.append(facts("Data", asdict(replace(trained.data, world=None))))  # digests are for programs
    tables.append(facts("Model", _model(trained)))
    if summary.hardware:
        tables.append(facts("Machine", asdict(summary.hardware)))
    if summary.versions:
        tables.append(facts("Versions", dict(summary.versions)))
    return Section(
        "provenance",
        "How it was made",
        "The data, the model, the machine, the versions and the time of every stage.",
        "The command below, with the same seed, versions and kind of machine, makes the run again.",
        command(run, "train"),
        tables,
    )


def _model(trained: TrainResult) -> dict[str, object]:
    return {
        **asdict(trained.model),
        "method": trained.method,
        "seed": trained.seed,
        "peak memory of training (MB)": trained.peak_memory_mb,
    }


def command(run: ReportedRun, verb: str) -> str:
    """The command that the run recorded for `verb`, or the one that would do it."""
    recorded = run.summary.commands.get(verb)
    if recorded:
        return recorded
    if verb == "train":
        return f"worldmodel train env={run.summary.train.env}"
    relative = os.path.relpath(run.path)
    shown = str(run.path) if relative.startswith("..") else relative
    return printable.command(verb, run=shown)


def success_cells(of: Success | None) -> list[Cell]:
    """Share of tasks solved, its interval, the share of each of several runs, and the median steps."""
    by_run = [percent(rate) for rate in of.by_run] if of and len(of.by_run) > 1 else [Cell(DASH, True)]
    return [
        percent(of.rate if of else None),
        percent_interval(of.interval if of else None),
        Cell(", ".join(cell.text for cell in by_run), True, exact=", ".join(cell.exact for cell in by_run)),
        number(of.median_steps if of else None, 0),
    ]


def doubt_facts(found: DoubtResult, of: str = "") -> Table:
    """Whether tasks are doubted before they fail."""
    rows = [
        [Cell("tasks that look so"), percent(found.doubted), Cell("")],
        [Cell("solved, of these"), percent(found.success_doubted), Cell("")],
        [Cell("solved, of the others"), percent(found.success_trusted), Cell("")],
        [Cell("AUROC, for tasks that fail"), number(found.auroc, 3), interval(found.auroc_interval, 3)],
    ]
    rows = [row for row in rows if row[1].text != DASH]
    return without_empty_columns(Table(f"Start or goal unlike training{of}", ("", "Value", "95 % interval"), rows))
