"""The section of a page about the settings that training chose by itself."""

from pathlib import Path

from worldmodel.reporting.elements import Cell, Section, Table, duration, facts, number, percent, plain
from worldmodel.reporting.reported_run import ReportedRun
from worldmodel.reporting.sections import command
from worldmodel.runs.choice_result import ShortTraining, shown

_HEADERS = (
    "Setting",
    "Value",
    "Steps off",
    "Better by",
    "Standard error",
    "Error over that of persistence",
    "Taken",
    "Of the training's cost",
    "Time",
)


def choice_section(run: ReportedRun, figures: list[Path]) -> Section:
    """Every short training, and what was chosen by it."""
    found = run.summary.train.choice
    tables: list[Path | Table] = [*figures]
    if found:
        tables.append(Table("Short training runs, in their order", _HEADERS, [_row(of) for of in found.trainings]))
        if found.left_out:
            rows = [[Cell(plain(what)), Cell(why)] for what, why in found.left_out.items()]
            tables.append(Table("Not tried", ("Setting", "Why"), rows))
        before = {option: "default" if value is None else value for option, value in found.before.items()}
        tables.append(facts("Settings as they were", dict(before)))
        of = {"learned from": found.episodes, "judged by": found.judged_episodes, "steps ahead": found.steps_ahead}
        tables.append(facts("Episodes, and how far ahead", dict(of)))
    return Section(
        "choice",
        "What it chose by itself",
        "Short training runs with a few values of each setting, judged on episodes that they did not learn from: by "
        "how many control steps their predictions are off in time, which needs no labels.",
        "A value is taken where it is better than the best one before it, episode by episode, by more than the "
        "standard error. A setting that is given on the command line is never changed, and choose=[] chooses nothing.",
        command(run, "train"),
        tables,
        "; ".join(found.sentences()) if found else "",
    )


def _row(of: ShortTraining) -> list[Cell]:
    steps_off = number(of.steps_off, 2)
    every = ", ".join(map(repr, of.by_episode))
    return [
        Cell(plain(of.what) if of.what else "as they were"),
        Cell(shown(of.options), exact=", ".join(map(repr, of.options.values()))),
        Cell(steps_off.text, True, exact=f"{of.steps_off!r} (of each episode: {every} )"),
        number(of.better_by, 2),
        number(of.standard_error, 2),
        number(of.ratio_to_persistence, 3),
        Cell("yes" if of.taken else ""),
        percent(of.share),
        Cell(duration(of.seconds), True, exact=f"{of.seconds!r} s"),
    ]
