"""The section of a page about constants that were identified from recordings."""

from pathlib import Path

from worldmodel.reporting.elements import Cell, Section, Table, facts, interval, number, plain, scientific, short
from worldmodel.reporting.reported_run import ReportedRun
from worldmodel.reporting.sections import command
from worldmodel.reporting.verdicts import identify_verdict
from worldmodel.runs.identify_result import HeldOutCheck, IdentifyResult, RoundResult


def identify_section(run: ReportedRun, figures: list[Path]) -> Section:
    """Constants with intervals, and the predictions of the calibrated simulator."""
    found = run.summary.identify
    tables = _tables(found) if found else []
    return Section(
        "identify",
        "Constants of a recording, and a simulator that has them",
        "Positions are read from the frames of a recording; the constants are those with which the simulator "
        "reproduces them best under the same actions. Grey bars are the prior's interval, blue ones the 95 % interval.",
        "The simulator is calibrated where it predicts the end of the recording, which a first fit has not seen, as "
        "well as with true constants, and better than with nominal ones. The model file has the constants of the "
        "whole recording; `written` judges those. The video shows recording and simulators at the same moments.",
        command(run, "identify"),
        [*figures, *tables],
        "; ".join(identify_verdict(found)) if found else "",
    )


def _tables(found: IdentifyResult) -> list[Table]:
    tables = []
    if found.alarms:
        tables.append(Table("Not to be trusted", ("Why",), [[Cell(alarm)] for alarm in found.alarms]))
    tables.append(_constants_table(found))
    headers = ("Constant", *(_label(item.name, item.recording) for item in found.constants))
    rows = [
        [Cell(_label(item.name, item.recording)), *(short(value) for value in row)]
        for item, row in zip(found.constants, found.correlations, strict=True)
    ]
    tables.append(Table("Correlations of errors", headers, rows))
    if found.combinations:
        rows = [[Cell(item.text), short(item.value), _ends(item.interval)] for item in found.combinations]
        tables.append(
            Table("Products that are better known than their factors", ("Product", "Value", "95 % interval"), rows)
        )
    if found.nuisances:
        rows = [
            [Cell(_label(item.name, item.recording)), Cell(item.unit), short(item.value), _ends(item.interval)]
            for item in found.nuisances
        ]
        tables.append(Table("Camera and actuators", ("What", "Unit", "Value", "95 % interval"), rows))
    if found.check:
        tables += _check_tables(found.check)
    tables += [_round_table(which, of) for which, of in enumerate(found.rounds, 1)]
    if found.next:
        rows = [
            [Cell(plain(name)), number(share, 2), number(found.next.repeated[name], 2)]
            for name, share in found.next.shrinks_to.items()
        ]
        caption = f"What to record next: {found.next.policy}. Width of the interval afterwards, over the width now"
        tables.append(Table(caption, ("Constant", "Designed", "The run's own policy again"), rows))
    fit = found.fit
    values: dict[str, object] = {"world": found.world}
    values |= {used.name: f"{used.steps} control steps" for used in found.recordings}
    values |= {"misfit": fit.misfit, "misfit limit": fit.misfit_limit, "unfamiliar": fit.unfamiliar}
    values |= {"iterations": fit.iterations, "converged": fit.converged}
    values |= {f"readout error of {name}": error for name, error in fit.readout_rmse.items()}
    values |= {"calibration recordings": found.calibration_recordings, "seed": found.seed}
    values |= {"CPU seconds of the fit": found.cpu_seconds, "model files": found.mjcf or found.mjcf_problem}
    tables.append(facts("The fit", {**values, "constants": found.factors, "readings": found.readings}))
    return tables


def _constants_table(found: IdentifyResult) -> Table:
    headers = ("Constant", "Unit", "Estimate", "95 % interval", "Prior's interval", "Nominal", "True", "Known")
    headers = (*headers, "Learned context", "Its 95 % interval")
    rows = [
        [
            Cell(_label(item.name, item.recording)),
            Cell(item.unit),
            short(item.value),
            _ends(item.interval),
            _ends(item.prior_interval),
            short(item.nominal),
            short(item.true),
            Cell(item.known),
            short(item.learned),
            _ends(item.learned_interval),
        ]
        for item in found.constants
    ]
    return Table("Constants", headers, rows)


def _round_table(which: int, found: RoundResult) -> Table:
    """What a further, simulated recording told."""
    rows = [
        [
            Cell(plain(name)),
            number(share, 2),
            number(found.shrunk_to[name], 2),
            number(found.since_first[name], 2),
            _ends(found.intervals[name]),
        ]
        for name, share in found.expected.items()
    ]
    caption = f"Round {which}: a recording under {found.policy}. Width of the interval, over that before"
    caption += "".join(f"; not trusted: {alarm}" for alarm in found.alarms)
    return Table(caption, ("Constant", "Predicted", "Measured", "Over that of the first", "95 % interval"), rows)


def _check_tables(check: HeldOutCheck) -> list[Table]:
    """RMS errors, a table for each joint."""
    tables = []
    for joint, by_simulator in check.rms.items():
        rows = [
            [
                Cell(str(step), True),
                *(scientific(errors[k]) if k < len(errors) else Cell("") for errors in by_simulator.values()),
            ]
            for k, step in enumerate(check.steps)
        ]
        caption = (
            f"{plain(joint)}: RMS error by steps ahead, compared with {check.compared_with}; "
            f"fitted to {check.fitted_steps} steps"
        )
        tables.append(Table(caption, ("Steps ahead", *by_simulator), rows))
    tables.append(facts("Held out", {"fitted steps": check.fitted_steps, "predicted steps": len(check.steps)}))
    return tables


def _label(name: str, recording: str | None) -> str:
    return plain(name) if recording is None else f"{plain(name)} of {recording}"


def _ends(ends: tuple[float, float] | None) -> Cell:
    """An interval of four significant digits."""
    if ends is None:
        return interval(None, 0)
    low, high = (short(end).text for end in ends)
    return Cell(f"[{low}, {high}]", True, exact=f"[{ends[0]!r}, {ends[1]!r}]")
