"""The sections of a page about evaluations: control, probes, surprise."""

from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import zip_longest
from pathlib import Path

from worldmodel.measures.wording import DASH, with_interval
from worldmodel.reporting.elements import (
    Cell,
    Section,
    Table,
    facts,
    interval,
    number,
    percent,
    percent_interval,
    plain,
    scientific,
    short,
    without_empty_columns,
)
from worldmodel.reporting.reported_run import ReportedRun
from worldmodel.reporting.sections import command, doubt_facts, success_cells
from worldmodel.reporting.verdicts import control_verdict, probe_verdict, surprise_verdict
from worldmodel.runs.probe_result import ContextCorrelations, ProbedVariable, ProbeResult
from worldmodel.runs.results import (
    CONTROLLER_LABELS,
    ChangeResult,
    ControllerName,
    ControllerResult,
    ControlResult,
    EventResult,
    Regret,
)
from worldmodel.system.printable import file_name

# ---------------------------------------------------------------------------------------------------------------------
# control


def control_section(run: ReportedRun, figures: list[Path]) -> Section:
    """What planning achieved."""
    found = run.summary.control
    outcome: list[Path | Table] = [file for file in figures if file.stem.startswith("success")]
    planning: list[Path | Table] = [file for file in figures if not file.stem.startswith("success")]
    rewarded = bool(found and found.protocol.rewarded)
    if found:
        outcome.append(_returns_table(found) if rewarded else _success_table(found))
        earlier = run.summary.earlier_control
        outcome += [_earlier_table(run)] if earlier else []
        planning += _details(found)
        for protocol, of in earlier.items():
            tables = [_returns_table(of) if of.protocol.rewarded else _success_table(of), *_details(of)]
            planning += [replace(one, caption=f"{protocol}: {one.caption}", folded=True) for one in tables]
    films = run.videos["control"]
    beside = " at the left and the goal image at the right" if not (found and found.protocol.by_head) else ""
    told = f" Each video shows the robot's view{beside}." if films else ""
    turns_green = "The frame turns green when the goal is reached. " if films and not rewarded else ""
    return Section(
        "control",
        "The world's own reward, planned for from pixels" if rewarded else "Driving towards goal images",
        f"Model predictive control in the latent space, on tasks from episodes that no training saw.{told}",
        f"{turns_green}Random actions show how easy the tasks are, the true simulator what a perfect model would add.",
        command(run, "control"),
        outcome + planning,
        (control_verdict(found) or "") if found else "",
        films,
    )


def _success_table(found: ControlResult) -> Table:
    headers = ("Controller", "Tasks", "Runs", "Reached", "95 % interval", "By run", "Median steps to the goal")
    rows = [
        [*_counts(CONTROLLER_LABELS[name], of), *success_cells(of.success)]
        for name, of in found.controllers.items()
        if of.success
    ]
    if found.regret:
        rows.append(_regret_row(found.regret, len(headers), percent, percent_interval))
    return without_empty_columns(Table("Goals reached", headers, rows))


def _details(found: ControlResult) -> list[Table]:
    """Tables beside the outcome: the robot that changes, doubts, how tasks were drawn, how it planned."""
    changed = [_change_table(found.change)] if found.change else []
    return [*changed, *([doubt_facts(found.doubt)] if found.doubt else []), _task_facts(found), _planner_facts(found)]


def _change_table(found: ChangeResult) -> Table:
    """Goals reached where the robot changes in the middle of a task."""
    reached = {
        "as it is": found.unchanged,
        found.change.in_words: found.fixed,
        "the same, mean constants": found.mean_context,
        "the same, with adaptation": found.adapting,
    }
    rows = [[Cell(label), *success_cells(of)] for label, of in reached.items() if of is not None]
    won_back = number(found.won_back, 2), interval(found.won_back_interval, 2)
    rows.append([Cell("share of the lost success won back"), *won_back, Cell(DASH), Cell(DASH)])
    per_decision = number(found.cpu_ms_per_decision, 2)
    rows.append([Cell("CPU milliseconds of one decision, adapting"), per_decision, *[Cell(DASH)] * 3])
    headers = ("The robot", "Reached", "95 % interval", "By run", "Median steps to the goal")
    return without_empty_columns(Table("When the robot changes", headers, rows))


def _earlier_table(run: ReportedRun) -> Table:
    """What was achieved under protocols other than the last one."""
    names: tuple[ControllerName, ...] = ("latent", "random", "oracle")
    rows = [
        [
            Cell(protocol),
            *(_achieved(found.controllers.get(name)) for name in names),
            Cell(run.summary.commands.get(f"control {protocol}") or DASH),
        ]
        for protocol, found in run.summary.earlier_control.items()
    ]
    labels = (CONTROLLER_LABELS[name] for name in names)
    return Table("Under other protocols, before: goals reached, or return", ("Protocol", *labels, "Command"), rows)


def _achieved(of: ControllerResult | None) -> Cell:
    if of and of.success:
        return Cell(with_interval(of.success.rate, of.success.interval, ".0%"), True)
    if of and of.returns:
        return Cell(with_interval(of.returns.mean, of.returns.interval, ".0f"), True)
    return Cell(DASH, True)


def _returns_table(found: ControlResult) -> Table:
    headers = ("Controller", "Episodes", "Runs", "Return", "95 % interval")
    flagged = any(of.own_success for of in found.controllers.values())
    if flagged:
        headers += ("Success by its own flag", "95 % interval", "By run", "Median steps")
    rows = []
    for name, of in found.controllers.items():
        if of.returns:
            row = [*_counts(CONTROLLER_LABELS[name], of), number(of.returns.mean, 1), interval(of.returns.interval, 1)]
            flag = success_cells(of.own_success) if of.own_success else [Cell("")] * 4
            rows.append(row + (flag if flagged else []))
    if found.regret:
        rows.append(
            _regret_row(found.regret, len(headers), lambda value: number(value, 1), lambda ends: interval(ends, 1))
        )
    return without_empty_columns(Table("Return: sum of rewards over an episode", headers, rows))


def _counts(label: str, of: ControllerResult) -> list[Cell]:
    return [Cell(label), number(of.num_tasks, 0), number(of.num_runs, 0)]


def _regret_row(
    regret: Regret, width: int, value: Callable[[float], Cell], ends: Callable[[tuple[float, float] | None], Cell]
) -> list[Cell]:
    row = [Cell("Regret: the true simulator less latent MPC, on its tasks"), Cell(""), Cell("")]
    row += [value(regret.value), ends(regret.interval)]
    return row + [Cell("")] * (width - len(row))


def _task_facts(found: ControlResult) -> Table:
    of = found.protocol
    within = [f"{plain(name)} {value:g}" for name, value in of.goal_tolerance.items()]
    values: dict[str, object] = {
        "world": found.world,
        "protocol": of.name,
        "runs": [Path(run).name for run in found.runs],
        "control steps from start to goal": of.goal_steps,
        "control steps to get there": of.budget_steps,
        "counts as reached within (rad or m)": within or None,
        "control steps for which it must be held": of.hold_steps,
        "angles are compared on the circle": of.wrap,
        "tasks solved at the start are left out": of.drop_solved,
        "share of tasks solved at the start": found.solved_at_start,
        "rule of the protocol": of.rule,
        "the world's own reward counts": of.rewarded,
        "planned by the reward head": of.by_head,
        "constants redrawn with correlation": found.drift_rho,
        "task seeds": found.split,
        "seed": found.seed,
    }
    return replace(facts("How tasks were drawn and judged", values), folded=True)


def _planner_facts(found: ControlResult) -> Table:
    plan = asdict(found.plan)
    planner = plan.pop("planner")
    values: dict[str, object] = {"planner": planner.pop("name"), **planner, **plan, "context": found.context}
    values |= {"dtype": found.dtype, "device": found.device}
    values["CPU time per decision (ms)"] = found.cpu_ms_per_decision
    return replace(facts("How it planned", values), folded=True)


# ---------------------------------------------------------------------------------------------------------------------
# probes


def probe_section(run: ReportedRun, figures: list[Path]) -> Section:
    """What can be read from latents and contexts."""
    found = run.summary.probe
    return Section(
        "probes",
        "Constants and state, read out linearly",
        "How well a linear probe and a small MLP read each variable on episodes they never saw, beside baselines. "
        "R² of a constant is of the coordinate its prior is Gaussian in: the logarithm of a mass.",
        "A finding is a linear bar close to the MLP's and far from the random encoder, raw pixels and shuffled labels. "
        "The true state, where it is given, is about the best that can be hoped for; no estimator from such windows "
        "exceeds the bound.",
        command(run, "probe"),
        [*_in_order(figures, found), *(_probe_tables(found) if found else [])],
        probe_verdict(found) if found else "",
    )


def _in_order(figures: list[Path], found: ProbeResult | None) -> list[Path]:
    """Scatter plots in the order of the variables, where the others leave them."""
    place = {f"probe_{file_name(name)}": k for k, name in enumerate(found.variables if found else ())}
    return sorted(figures, key=lambda figure: (figure.stem in place, place.get(figure.stem, 0)))


def _probe_tables(found: ProbeResult) -> list[Table]:
    tables = [_variables_table(found.variables), *_controls_table(found.variables)]
    if found.correlations:
        tables.append(_correlations_table(found.correlations))
    if found.window_lengths:
        lengths = found.window_lengths
        headers = ("Constant", *(f"{steps} steps" for steps in lengths.steps))
        rows = [[Cell(plain(name)), *(number(r2, 3) for r2 in values)] for name, values in lengths.r2.items()]
        tables.append(Table("Linear R² from shorter windows", headers, rows))
    if found.shifts:
        tables.append(_shifts_table(found))
    if found.context_errors:
        errors = asdict(found.context_errors)
        rows = [
            [number(step, 0), *(short(values[step - 1]) for values in errors.values())]
            for step in range(1, len(found.context_errors.true) + 1)
        ]
        headers = ("Steps ahead", "Learned context", "From true constants", "Mean context")
        tables.append(Table("Prediction error (latent RMSE) by context", headers, rows))
    if found.position_errors:
        noise = found.position_errors
        values: dict[str, object] = {**noise.rmse, "mean, metres": noise.noise_m, "mean, radians": noise.noise_rad}
        tables.append(facts("Positions from one frame: RMS error, the noise behind the bound", values))
    return tables


def _variables_table(variables: dict[str, ProbedVariable]) -> Table:
    bounded = any(of.r2_bound is not None for of in variables.values())
    bound_headers = ("Bound", "95 % interval") if bounded else ()
    headers = ("Variable", "Kind", "Linear R²", "95 % interval", "MLP R²", "95 % interval", *bound_headers)
    rows = []
    for name, of in variables.items():
        row = [Cell(plain(name) + (f" ({of.unit})" if of.unit else "")), Cell(of.kind)]
        row += [number(of.r2_linear, 3, bar=True), interval(of.r2_linear_interval, 3)]
        row += [number(of.r2_mlp, 3), interval(of.r2_mlp_interval, 3)]
        rows.append([*row, *([number(of.r2_bound, 3), interval(of.r2_bound_interval, 3)] if bounded else [])])
    return Table("Probes, held out by episode", headers, rows)


def _controls_table(variables: dict[str, ProbedVariable]) -> list[Table]:
    """R2 of every control; no table where none was run."""
    controls = list(dict.fromkeys(name for of in variables.values() for name in of.controls))
    rows = [
        [Cell(plain(name)), *(number(of.controls.get(control), 3) for control in controls)]
        for name, of in variables.items()
    ]
    headers = ("Variable", *(plain(control) for control in controls))
    return [Table("Baselines: linear R² from other inputs", headers, rows)] if controls else []


def _correlations_table(found: ContextCorrelations) -> Table:
    """Directions of the contexts, and how many of them are constants."""
    count = found.count
    directions = zip_longest(found.values, count.values, count.interval, count.shuffled)
    rows = [
        [number(index, 0), number(canonical, 3), number(value, 3), interval(ends, 3), number(shuffled, 3)]
        for index, (canonical, value, ends, shuffled) in enumerate(directions, 1)
    ]
    reason = f": {count.reason}" if count.reason else ""
    number_text = "cannot be determined" if count.num_constants is None else str(count.num_constants)
    drift = "" if found.drift_rho is None else f", which drift by ρ = {found.drift_rho:g} between the halves"
    caption = f"Constants found without labels: {number_text}{reason}. Correlations of contexts of both halves{drift}"
    headers = ("Direction", "Canonical", "One after another", "95 % interval", "Shuffled pairs, 99 %")
    return Table(caption, headers, rows)


def _shifts_table(found: ProbeResult) -> Table:
    rows = [
        [
            Cell(plain(shift)),
            Cell(plain(name)),
            number(of.r2, 3),
            number(of.r2_averaged, 3),
            number(of.rmse_sd, 3),
        ]
        for shift, constants in found.shifts.items()
        for name, of in constants.items()
    ]
    headers = ("Shift", "Constant", "R², one window", "R², averaged over an episode", "RMSE (prior sd)")
    return Table("Constants under a shift, by the same linear probe", headers, rows)


# ---------------------------------------------------------------------------------------------------------------------
# surprise


def surprise_section(run: ReportedRun, figures: list[Path]) -> Section:
    """Which events the model notices."""
    found = run.summary.surprise
    tables = []
    if found:
        pairs = f"{found.num_trajectories} pairs of trajectories"
        tables = [_events_table(f"Highest surprise around step {found.event_step}, {pairs}", found.events)]
        if found.contexts:
            sides = f"{found.context_steps} steps before and after step {found.event_step}"
            tables.append(_events_table(f"Change of the constants that are read from {sides}", found.contexts))
        values: dict[str, object] = {"world": found.world, "steps predicted": found.horizon, "seed": found.seed}
        tables.append(facts("Trajectories", values))
    return Section(
        "surprise",
        "What it is surprised by",
        "The same actions from the same start, with an event and without it. Surprise is the squared prediction error, "
        "whitened by the errors without events, so that 1 is usual. Where constants vary, the change of those read "
        "from the steps before and after the event counts as well.",
        "An event is noticed where surprise is higher with it at p < .05. AUROC is the chance that a trajectory with "
        "the event surprises more than one without: at .5 the two cannot be distinguished.",
        command(run, "surprise"),
        [*figures, *tables],
        surprise_verdict(found) if found else "",
    )


def _events_table(caption: str, events: dict[str, EventResult]) -> Table:
    headers = ("Event", "Median without", "Median with", "Mean gain", "95 % interval", "More surprised")
    headers = (*headers, "p (Wilcoxon)", "AUROC", "Noticed")
    rows = [
        [
            Cell(plain(event)),
            number(of.median_without, 2),
            number(of.median_with, 2),
            number(of.mean_gain, 2),
            interval(of.mean_gain_interval, 2),
            percent(of.more_surprised),
            scientific(of.p_wilcoxon),
            number(of.auroc, 3),
            Cell("yes" if of.noticed else "no"),
        ]
        for event, of in events.items()
    ]
    return Table(caption, headers, rows)
