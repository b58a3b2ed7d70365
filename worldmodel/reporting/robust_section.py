"""The section of a page about looks: goals reached and positions read where the world looks different."""

from dataclasses import asdict, replace
from pathlib import Path

from worldmodel.reporting.elements import (
    Cell,
    Section,
    Table,
    facts,
    interval,
    number,
    percent,
    short,
    without_empty_columns,
)
from worldmodel.reporting.reported_run import ReportedRun
from worldmodel.reporting.sections import command, doubt_facts, success_cells
from worldmodel.reporting.verdicts import robust_verdict
from worldmodel.runs.robust_result import ENCODER_LABELS, EncoderName, LookResult, RobustResult


def robust_section(run: ReportedRun, figures: list[Path]) -> Section:
    """What a run still does under other looks."""
    found = run.summary.robust
    by_encoder = found.encoders if found else {}
    levels = [_levels_table(name, looks) for name, looks in by_encoder.items() if any(of.suite for of in looks)]
    tables = [*levels, *(_looks_table(name, looks) for name, looks in by_encoder.items())]
    doubts = [doubt_facts(of, f", {ENCODER_LABELS[encoder]}") for encoder, of in found.doubt.items()] if found else []
    learned = run.summary.train.robust
    about = [facts("The robust encoder, on validation frames", asdict(learned))] if learned else []
    return Section(
        "robust",
        "Where the world looks different",
        "Goals reached, and positions read by a linear map from clean frames, where the world looks different. The "
        "picture shows each look as its instances drew it, and looks that move at moments of one episode; goals are "
        "photographed in the same shifted world, as the episode begins.",
        "Kept: success as a share of that in the world as it is (clean), on the same tasks. Left out: tasks whose "
        "start or goal the look hides wholly, or of which it hides every difference. Before a task begins, its start "
        "and goal are novel if the decoder draws them worse than 99 % of usual frames, and doubted if the encoder does "
        "not read the same from that drawing. The robust encoder learned to give the encoder's latents under other "
        "looks as well.",
        command(run, "robust"),
        [*figures, *tables, *doubts, *about, *([replace(_facts(found), folded=True)] if found else [])],
        robust_verdict(found) if found else "",
    )


def _levels_table(encoder: EncoderName, looks: list[LookResult]) -> Table:
    """Share of the clean success kept by axis and level of the Distracting Control Suite."""
    found = {(of.suite.motion, of.suite.axis, of.suite.level): of for of in looks if of.suite}
    levels = list(dict.fromkeys(level for _, _, level in found))
    headers = ("Axis", *(text for level in levels for text in (f"Kept, {level}", "95 % interval")))
    rows = []
    for motion, axis in dict.fromkeys((motion, axis) for motion, axis, _ in found):
        cells = [(found[motion, axis, level].kept, found[motion, axis, level].kept_interval) for level in levels]
        row = [cell for kept, ends in cells for cell in (number(kept, 2, bar=True), interval(ends, 2))]
        rows.append([Cell(f"{axis}, {motion}"), *row])
    return Table(f"Distracting Control Suite, {ENCODER_LABELS[encoder]}", headers, rows)


def _looks_table(encoder: EncoderName, looks: list[LookResult]) -> Table:
    headers = ("Look", "Strength", "Goals reached", "95 % interval", "By run", "Median steps", "Kept", "95 % interval")
    constants = [f"R² of {name.replace('_', ' ')}" for name in looks[0].constants]
    headers = (*headers, "R² of positions", *constants, "Novel", "Doubted", "Tasks", "Left out")
    rows = []
    for of in looks:
        rows.append(
            [
                Cell(of.look.replace("_", " "), exact=of.unit),
                short(of.strength),
                *success_cells(of.success),
                number(of.kept, 2, bar=True),
                interval(of.kept_interval, 2),
                number(of.r2, 2),
                *(number(r2, 2) for r2 in of.constants.values()),
                percent(of.novel),
                percent(of.doubted),
                number(of.num_tasks, 0),
                number(of.num_hidden, 0),
            ]
        )
    return without_empty_columns(Table(f"Looks, {ENCODER_LABELS[encoder]}", headers, rows))


def _facts(found: RobustResult) -> Table:
    protocol, plan = found.protocol, found.plan
    values: dict[str, object] = {
        "world": found.world,
        "protocol": protocol.name,
        "steps to the goal": protocol.goal_steps,
        "budget steps": protocol.budget_steps,
        "steps held": protocol.hold_steps,
        **plan.planner,
        "metric": plan.metric,
        "subgoals": plan.subgoals,
        "action cost": plan.action_cost,
        "replanned every": plan.replan_every,
        "lead steps": plan.lead_steps,
        "instances of each look": found.instances,
        "frames behind R²": found.frames,
        "windows behind R² of constants": found.windows,
        "seed": found.seed,
    }
    return facts("How it was measured", values)
