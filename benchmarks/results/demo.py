"""The toolkit's two commands: `make demo` and `make longer`."""

import statistics
from collections.abc import Callable, Sequence

from benchmarks.results.markdown import Row, digits, spread
from benchmarks.results.sources import read_demos, read_runs
from worldmodel.runs import ControllerName, DemoResult

_CONTROLS = ("random_encoder", "raw_pixels", "shuffled_labels", "true_state")


def rows() -> list[Row]:
    """What the two commands reach."""
    return [*_demo_rows(read_demos()), *_longer_rows()]


def details() -> str:
    """The baselines beside every probe, and prediction error by horizon."""
    demos = read_demos()
    if not demos:
        return ""
    return "\n".join([*_probe_lines(demos), "", *_error_lines(demos)]) + "\n"


def _demo_rows(demos: Sequence[DemoResult]) -> list[Row]:
    if not demos:
        return []
    command = f"`make demo` (seed{'s' * (len(demos) > 1)} {', '.join(str(index) for index in range(len(demos)))})"
    measures: list[tuple[str, Callable[[DemoResult], float | None], str, str]] = [
        (
            "reacher joint angles from OU pixels, linear R2, latents to truth",
            lambda demo: demo.identifiability.r2_h_to_z,
            ".4f",
            ".98",
        ),
        ("the same, truth to latents", lambda demo: demo.identifiability.r2_z_to_h, ".4f", ".98"),
        ("distance of that map from a rotation", lambda demo: demo.identifiability.orthogonality_error, ".3f", ""),
        ("goal images reached, reacher from pixels", lambda demo: _rate(demo, "latent"), ".1%", "95 %"),
        ("… by a random policy", lambda demo: _rate(demo, "random"), ".1%", ""),
        ("… by the same planner on the true simulator", lambda demo: _rate(demo, "oracle"), ".1%", ""),
        ("CPU ms per decision, batched", lambda demo: demo.control.cpu_ms_per_decision, ".1f", ""),
        (
            "puck's log mass from pixels, linear R2, single window",
            lambda demo: demo.variables["mass"].r2_linear,
            ".3f",
            "",
        ),
        (
            "puck's log friction from pixels, linear R2, single window",
            lambda demo: demo.variables["friction"].r2_linear,
            ".3f",
            "",
        ),
        ("the whole demo, seconds on two CPU cores", lambda demo: demo.seconds["total"], ".0f", "300"),
    ]
    return [(label, spread([get(demo) for demo in demos], form), goal, command) for label, get, form, goal in measures]


def _rate(demo: DemoResult, name: ControllerName) -> float | None:
    success = demo.control.controllers[name].success
    return success.rate if success else None


def _longer_rows() -> list[Row]:
    controlled = [run.control.latent for run in read_runs("reacher-base") if run.control]
    if not controlled:
        return []
    rates = [latent.success.rate for latent in controlled if latent.success]
    label = f"goal images reached, longer training, {controlled[0].num_tasks} tasks"
    return [(label, spread(rates, ".1%"), "", "`make longer`")]


def _probe_lines(demos: Sequence[DemoResult]) -> list[str]:
    lines = [
        "## Probes of the demo, linear R2 (median over seeds)",
        "",
        "| variable | linear | MLP | random encoder | raw pixels | shuffled labels | true state |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in demos[0].variables:
        found = [demo.variables[name] for demo in demos if name in demo.variables]
        values = [_median([of.r2_linear for of in found]), _median([of.r2_mlp for of in found])]
        values += [_median([of.controls[control] for of in found]) for control in _CONTROLS]
        lines.append(f"| {name} | {' | '.join(values)} |")
    return lines


def _error_lines(demos: Sequence[DemoResult]) -> list[str]:
    lines = [
        "## Prediction error over persistence (median over seeds)",
        "",
        "| steps ahead | ratio |",
        "|---|---|",
    ]
    for step in demos[0].prediction.ratio_to_persistence:
        ratio = _median([demo.prediction.ratio_to_persistence[step] for demo in demos])
        lines.append(f"| {step} | {ratio} |")
    return lines


def _median(values: Sequence[float | None]) -> str:
    """Over the seeds that tell; a dash where none does."""
    known = [value for value in values if value is not None]
    return digits(statistics.median(known) if known else None)
