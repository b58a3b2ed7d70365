"""The toolkit's two commands: `make demo` and `make longer`."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.results.markdown import Row, spread, told
from benchmarks.results.sources import read_all


def rows() -> list[Row]:
    """What the two commands reach."""
    return [*_demo_rows(_demos()), *_longer_rows()]


def details() -> str:
    """The controls beside every probe, and prediction error by horizon."""
    demos = _demos()
    if not demos:
        return ""
    return "\n".join([*_probe_lines(demos), "", *_error_lines(demos)]) + "\n"


def _demos() -> list[dict[str, Any]]:
    return read_all("demo-seed*.json")


def _demo_rows(demos: Sequence[dict[str, Any]]) -> list[Row]:
    if not demos:
        return []
    command = f"`make demo` (seed{'s' * (len(demos) > 1)} {', '.join(str(index) for index in range(len(demos)))})"
    measures: list[tuple[str, Callable[[dict[str, Any]], float | None], str, str]] = [
        (
            "reacher joint angles from OU pixels, linear R2, latents to truth",
            _path("identifiability.r2_h_to_z"),
            ".4f",
            ".98",
        ),
        ("the same, truth to latents", _path("identifiability.r2_z_to_h"), ".4f", ".98"),
        ("distance of that map from a rotation", _path("identifiability.orthogonality_error"), ".3f", ""),
        ("goal images reached, reacher from pixels", _path("control.success_rate"), ".1%", "95 %"),
        ("… by a random policy", _path("control.random_success_rate"), ".1%", ""),
        ("… by the same planner on the true simulator", _path("control.oracle_success_rate"), ".1%", ""),
        ("CPU ms per decision, batched", _path("control.cpu_ms_per_decision"), ".1f", ""),
        ("puck's log mass from pixels, linear R2, single window", _path("probes.mass.r2_linear"), ".3f", ""),
        ("puck's log friction from pixels, linear R2, single window", _path("probes.friction.r2_linear"), ".3f", ""),
        ("the whole demo, seconds on two CPU cores", _path("seconds.total"), ".0f", "480"),
    ]
    return [(label, spread([get(demo) for demo in demos], form), goal, command) for label, get, form, goal in measures]


def _longer_rows() -> list[Row]:
    runs = read_all("reacher_full-seed*.json")
    if not runs:
        return []
    rates = [run["control"]["success_rate"] for run in runs]
    return [
        (
            f"goal images reached, longer training, {runs[0]['control']['num_tasks']} tasks",
            spread(rates, ".1%"),
            "",
            "`make longer`",
        )
    ]


def _path(keys: str) -> Callable[[dict[str, Any]], float | None]:
    def get(content: dict[str, Any]) -> float | None:
        value: Any = content
        for key in keys.split("."):
            value = value[key]
        return value

    return get


def _probe_lines(demos: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "## Probes of the demo, linear R2 (median over seeds)",
        "",
        "| variable | linear | MLP | random encoder | raw pixels | shuffled labels | true state |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in demos[0]["probes"]:
        probes = [demo["probes"][name] for demo in demos if name in demo["probes"]]
        values = [_median([probe[key] for probe in probes]) for key in ("r2_linear", "r2_mlp")]
        controls = ("random_encoder", "raw_pixels", "shuffled_labels", "true_state")
        values += [_median([probe["controls"][control] for probe in probes]) for control in controls]
        lines.append(f"| {name} | {' | '.join(values)} |")
    return lines


def _error_lines(demos: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "## Prediction error over persistence (median over seeds)",
        "",
        "| steps ahead | ratio |",
        "|---|---|",
    ]
    for horizon in demos[0]["predictor"]["error_ratio_to_persistence"]:
        ratio = _median([demo["predictor"]["error_ratio_to_persistence"][horizon] for demo in demos])
        lines.append(f"| {horizon} | {ratio} |")
    return lines


def _median(values: Sequence[float | None]) -> str:
    """Over the seeds that tell; a dash where none does."""
    known = [value for value in values if value is not None]
    return told(statistics.median(known) if known else None)
