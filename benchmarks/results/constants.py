"""Physical constants from pixels, without labels: `worldmodel probe`."""

from collections.abc import Callable

from benchmarks.results.commands import training
from benchmarks.results.markdown import Row, spread
from benchmarks.results.sources import read_runs
from worldmodel.runs import ContextErrors, ProbeResult


def rows() -> list[Row]:
    """The figures of each study that have a target."""
    return [*_pixel_rows(), *_wide_rows()]


def details() -> str:
    """Every estimator of every constant, beside the baselines and the bound."""
    return _puck()


def _pixel_rows() -> list[Row]:
    """How well the puck's constants are read, and what the predictor makes of them."""
    puck = _probed("puck-base")
    if not puck:
        return []
    trained = training("puck-base")
    rows: list[Row] = []
    for name in ("mass", "friction"):
        values = [found.variables[name].r2_linear for found in puck]
        label = f"puck's log {name} from pixels, no label in a loss, linear R2, one window"
        rows.append((label, spread(values, ".3f"), ".95", f"`{trained.command}`"))
    if errors := _context_errors(puck):
        value = spread([of.learned[-1] / of.true[-1] for of in errors], ".2f")
        label = f"… predictor's error after {len(errors[0].true)} steps, learned context over true constants"
        rows.append((label, f"{value} x", "1.2 x", f"`worldmodel probe {trained.runs()}-s0`"))
    return rows


def _probed(name: str) -> list[ProbeResult]:
    """What was probed of every seed of a training."""
    return [run.probe for run in read_runs(name) if run.probe]


def _context_errors(runs: list[ProbeResult]) -> list[ContextErrors]:
    """Of the runs whose episodes are long enough for them."""
    return [found.context_errors for found in runs if found.context_errors]


def _wide_rows() -> list[Row]:
    runs = _probed("puck-wide")
    if not runs:
        return []
    cells = [spread([found.shifts["constants"][name].r2 for found in runs], ".3f") for name in ("mass", "friction")]
    label = "… mass / friction 2 to 3 sd out, trained on a prior 1.6 times as wide"
    return [(label, " / ".join(cells), ".9", f"`{training('puck-wide').command}`")]


def _puck() -> str:
    """Mass and friction from pixels: the puck's base size over training seeds."""
    runs = _probed("puck-base")
    if not runs:
        return ""
    names = _constants(runs)
    trained = training("puck-base")
    lines = [
        "",
        "## Physical constants of the puck, from pixels under light and colour nuisances",
        "",
        f"`{trained.command} seed=N name={trained.config.run_name}-sN`, then `worldmodel probe {trained.runs()}-sN "
        '"shifts=[held,constants,nuisances,excitation]" shift_episodes=100`:',
        f"one window of 64 steps, no label in a loss, {len(runs)} training seeds on one data set. Linear R2 on test",
        "episodes, median [lowest, highest]; under shifts by the same linear probe.",
        "",
        f"| estimator | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
    ]

    def row(label: str, get: Callable[[ProbeResult, str], float | None]) -> str:
        return f"| {label} | " + " | ".join(spread([get(run, name) for run in runs], ".3f") for name in names) + " |"

    lines.append(row("**linear probe of the learned context**", lambda run, name: run.variables[name].r2_linear))
    lines.append(row("MLP probe of it", lambda run, name: run.variables[name].r2_mlp))
    for control in runs[0].variables[names[0]].controls:
        label = f"control: {control.replace('_', ' ')}"
        lines.append(row(label, lambda run, name, c=control: run.variables[name].controls[c]))
    for shift in runs[0].shifts:
        lines.append(row(f"shift: {shift}, one window", lambda run, name, s=shift: run.shifts[s][name].r2))
        averaged = f"shift: {shift}, averaged over an episode"
        lines.append(row(averaged, lambda run, name, s=shift: run.shifts[s][name].r2_averaged))
    lines += _wide()
    if errors := _context_errors(runs):
        lines += ["", "Prediction error after 15 steps, by where the context comes from (latent RMSE):", ""]
        lines += ["| learned from the window before | true constants | mean context |", "|---|---|---|"]
        by_source = ([of.learned for of in errors], [of.true for of in errors], [of.mean for of in errors])
        cells = [spread([by_horizon[-1] for by_horizon in of_source], ".3f") for of_source in by_source]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _constants(runs: list[ProbeResult]) -> list[str]:
    return [name for name, of in runs[0].variables.items() if of.kind == "physical"]


def _wide() -> list[str]:
    """The same pixels' world with a wider prior in training: the puck's size `wide`."""
    runs = _probed("puck-wide")
    if not runs:
        return []
    names = _constants(runs)
    lines = [
        "",
        f"Trained on constants from a prior 1.6 times as wide (`{training('puck-wide').command}`), probed in range "
        "(the prior's own width) and 2 to 3 of the prior's sd out, both constants at once:",
        "",
        f"| test set | {' | '.join(f'{name}, one window | {name}, averaged' for name in names)} |",
        "|---" * (2 * len(names) + 1) + "|",
    ]
    for shift, words in (("held", "in range"), ("constants", "out of range")):
        read = [[run.shifts[shift][name] for run in runs] for name in names]
        cells = [spread(values, ".3f") for of in read for values in ([r.r2 for r in of], [r.r2_averaged for r in of])]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return lines
