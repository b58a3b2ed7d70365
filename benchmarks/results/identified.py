"""Constants of recordings by replay: `python -m benchmarks.identify`; several files of one setting are pooled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.results.markdown import Row, digits
from benchmarks.results.sources import read_all
from worldmodel.measures import wilson_interval

_TARGETS = {  # world, constant -> R2, median relative error, as asked for
    ("puck", "mass"): (".998", "1.5%"),
    ("puck", "friction"): (".997", "2%"),
}


@dataclass(frozen=True)
class _Pooled:
    """Figures of one constant over all files of a setting."""

    r2: float
    error: float | None
    covered: int
    trusted: int
    thirds: list[float]
    bias: float

    @property
    def coverage(self) -> str:
        """`0.952 [0.930, 0.968]`; a dash where no fit was trusted."""
        if not self.trusted:
            return "–"
        low, high = wilson_interval(self.covered, self.trusted)
        return f"{self.covered / self.trusted:.3f} [{low:.3f}, {high:.3f}]"


def _settings() -> dict[tuple[str, int, str, str], list[dict[str, Any]]]:
    """(world, steps, what is wrong, what is free) -> files, in the order of their names."""
    grouped: dict[tuple[str, int, str, str], list[dict[str, Any]]] = {}
    for found in read_all("identify-*.json"):
        given = found["settings"]
        key = found["world"], given["steps"], given["disturbance"], ", ".join(given["free"])
        grouped.setdefault(key, []).append(found)
    return grouped


def _pooled(files: Sequence[dict[str, Any]], name: str, learned: bool = False) -> _Pooled:
    parts = [(file["learned"] if learned else file)["constants"][name] for file in files]
    weights = [file["fits"]["recordings"] for file in files]
    errors = [part["median_relative_error"] for part in parts]
    return _Pooled(
        float(np.average([part["r2"] for part in parts], weights=weights)),
        None if None in errors else float(np.average(errors, weights=weights)),
        sum(part["covered"] for part in parts),
        sum(part["trusted"] for part in parts),
        np.average([part["coverage_by_third"] for part in parts if part["trusted"]] or [[np.nan]], 0).tolist(),
        float(np.average([part["bias_sd"] for part in parts], weights=weights)),
    )


def rows() -> list[Row]:
    """The figures that have a target."""
    found: list[Row] = []
    for (world, steps, disturbance, free), files in _settings().items():
        if disturbance != "none" or free:
            continue
        number = sum(file["fits"]["recordings"] for file in files)
        command = f"`python -m benchmarks.identify run={_run(files[0]['run'])}`"
        for name in files[0]["constants"]:
            of, (r2, error) = _pooled(files, name), _TARGETS.get((world, name), ("", ""))
            label = f"{world}: {name} of a recording of {steps} steps by replay, from pixels"
            found.append((f"{label}, R2", f"{of.r2:.4f}", r2, command))
            found.append((f"… median relative error, {number} recordings", digits(of.error, ".2%"), error, "the same"))
            found.append(("… coverage of 95 % intervals", of.coverage, ".93 to .97", "the same"))
        seconds = np.mean([file["fits"]["cpu_seconds"] for file in files])
        found.append(
            (f"… CPU-seconds of a fit, {world}", f"{seconds:.2f}", ".5" if world == "puck" else "", "the same")
        )
    return found


def _run(name: str) -> str:
    """What `run=` takes."""
    return name.replace("pretrained-", "zoo/") if name.startswith("pretrained-") else f"runs/{name}"


def details() -> str:
    """Every setting and constant, beside the learned context; what is foreseen; what is wrong and told."""
    settings = _settings()
    if not settings:
        return ""
    lines = [
        "",
        "## Constants of a recording, by replay in the simulator",
        "",
        "`python -m benchmarks.identify`: simulated recordings in light and colours drawn anew, each explained on its",
        "own (`worldmodel identify`). Coverage over fits without an alarm, which alone have intervals; by third of the",
        "constant, lowest first. learned: a linear readout of the run's context, intervals of one width.",
        "",
        "| world | steps | wrong with the recording | free | reader | constant | R2 | bias, prior sd | median error "
        "| coverage | by third | told / recordings |",
        "|---" * 12 + "|",
    ]
    for key, files in settings.items():
        head = [str(part) or "–" for part in key]
        told_of = f"{sum(f['fits']['told'] for f in files)} / {sum(f['fits']['recordings'] for f in files)}"
        for name in files[0]["constants"]:
            lines.append(f"| {' | '.join([*head, 'replay', name, *_cells(_pooled(files, name)), told_of])} |")
        if files[0]["learned"]:
            for name in files[0]["learned"]["constants"]:
                cells = _cells(_pooled(files, name, learned=True))
                lines.append(f"| {' | '.join([*head, 'learned', name, *cells, '–'])} |")
    return "\n".join([*lines, *_foreseen(settings)]) + "\n"


def _cells(of: _Pooled) -> list[str]:
    thirds = ", ".join(digits(None if np.isnan(share) else share, ".2f") for share in of.thirds)
    return [f"{of.r2:.4f}", f"{of.bias:+.3f}", digits(of.error, ".2%"), of.coverage, thirds]


def _foreseen(settings: dict[tuple[str, int, str, str], list[dict[str, Any]]]) -> list[str]:
    """RMS errors of simulators on held-out motion, by joint."""
    lines = [
        "",
        "Held-out motion after the recording, RMS error in metres or radians by steps ahead (compared with the truth):",
        "",
        "| world | joint | simulator | 1 | 5 | 10 | 15 |",
        "|---" * 7 + "|",
    ]
    start = len(lines)
    for (world, _, disturbance, free), files in settings.items():
        if disturbance != "none" or free or not files[0]["foreseen_rms"]:
            continue
        for joint, by_simulator in files[0]["foreseen_rms"].items():
            for name in by_simulator:
                errors = np.sqrt(np.mean([np.square(file["foreseen_rms"][joint][name]) for file in files], 0))
                cells = [f"{errors[k - 1]:.4f}" if k <= len(errors) else "–" for k in (1, 5, 10, 15)]
                lines.append(f"| {world} | {joint} | {name} | {' | '.join(cells)} |")
    return lines if len(lines) > start else []
