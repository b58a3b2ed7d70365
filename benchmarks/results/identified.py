"""Constants of recordings by replay: `python -m benchmarks.identify`, `identify_rounds` and `identify_control`; several
files of one setting are pooled."""

import json
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
    ("puck", "damping"): (".97", ""),
    **{("varied_pendulum", name): (".99", "") for name in ("mass", "damping", "gravity")},
    **{("varied_cartpole", name): (".95", "") for name in ("cart_damping", "pole_damping", "cart_mass", "pole_1_mass")},
}

_UNKNOWN = 1.96 * 0.5**0.5
"""Half width, in the prior's standard deviations, from which a constant is called unknown."""


@dataclass(frozen=True)
class _Pooled:
    """Figures of one constant over all files of a setting."""

    r2: float
    bound: float | None
    """R2 that no unbiased estimator from the same readings exceeds."""
    error: float | None
    covered: int
    trusted: int
    thirds: list[float]
    bias: float
    width: float
    """Half of an interval, in prior standard deviations."""

    @property
    def target(self) -> str:
        """What is asked of the R2 of a constant that has no number of its own: nearly its bound, or, where `identify`
        calls it unknown, an interval as wide as the prior's."""
        if self.width > _UNKNOWN:
            return f"none: called unknown, half width {self.width:.2f} of the prior's sd"
        return "" if self.bound is None else f".9 x the bound of {self.bound:.3f}"

    @property
    def coverage(self) -> str:
        """`0.952 [0.930, 0.968]`; a dash where no fit was trusted."""
        if not self.trusted:
            return "–"
        low, high = wilson_interval(self.covered, self.trusted)
        return f"{self.covered / self.trusted:.3f} [{low:.3f}, {high:.3f}]"


@dataclass(frozen=True)
class _Measured:
    """The recordings of one file that have one thing wrong with them."""

    command: str
    """What measured it."""
    readers: dict[str, dict[str, Any]]
    """replay, learned where the run has a context, sysid where it was asked for -> constant -> figures."""
    fits: dict[str, Any]
    foreseen: dict[str, dict[str, list[float]]] | None


_Setting = tuple[str, int, str, str]
"""World, steps, what is wrong, what is free."""


def _command(file: dict[str, Any], module: str = "identify") -> str:
    """The command of a file, with the sizes, constants and factors that it was given."""
    given, sizes = file["settings"], ("tasks", "recordings", "steps", "search", "calibration_recordings")
    options = [f"{name}={given[name]}" for name in sizes if name in given]
    if given.get("constants"):
        options.append(f'"constants=[{",".join(given["constants"])}]"')
    if given.get("factors"):
        options.append(f'"factors={json.dumps(given["factors"]).replace(chr(34), "")}"')
    return f"`python -m benchmarks.{module} run={_run(file['run'])} {' '.join(options)}`"


def _settings() -> dict[_Setting, list[_Measured]]:
    """What was measured in each setting, in the order of the files' names."""
    grouped: dict[_Setting, list[_Measured]] = {}
    for file in read_all("identify-*.json"):
        given = file["settings"]
        for of in file["cells"]:
            beside = {name: of[name]["constants"] for name in ("learned", "sysid") if of.get(name)}
            readers = {"replay": of["constants"], **beside}
            key = file["world"], given["steps"], of["disturbance"], ", ".join(of["free"])
            grouped.setdefault(key, []).append(_Measured(_command(file), readers, of["fits"], of["foreseen_rms"]))
    return grouped


def _pooled(files: Sequence[_Measured], name: str, reader: str = "replay") -> _Pooled:
    files = [file for file in files if reader in file.readers]
    parts = [file.readers[reader][name] for file in files]
    weights = [file.fits["recordings"] for file in files]

    def mean(figure: str) -> float | None:
        values = [part.get(figure) for part in parts]
        return None if None in values else float(np.average(np.array(values, float), weights=weights))

    r2, bias, width = mean("r2"), mean("bias_sd"), mean("median_width_sd")
    assert r2 is not None and bias is not None and width is not None
    thirds = [part["coverage_by_third"] for part in parts if part["trusted"]] or [[np.nan]]
    return _Pooled(
        r2,
        mean("bound_r2"),
        mean("median_relative_error"),
        sum(part["covered"] for part in parts),
        sum(part["trusted"] for part in parts),
        np.average(thirds, 0).tolist(),
        bias,
        width,
    )


def rows() -> list[Row]:
    """The figures that have a target."""
    found: list[Row] = []
    for (world, steps, disturbance, free), files in _settings().items():
        if disturbance != "none" or free:
            continue
        number = sum(file.fits["recordings"] for file in files)
        command = files[0].command
        for name in files[0].readers["replay"]:
            of = _pooled(files, name)
            r2, error = _TARGETS.get((world, name), (of.target, ""))
            label = f"{world}: {name} of a recording of {steps} steps by replay, from pixels"
            found.append((f"{label}, R2", f"{of.r2:.4f}", r2, command))
            found.append((f"… median relative error, {number} recordings", digits(of.error, ".2%"), error, "the same"))
            found.append(("… coverage of 95 % intervals", of.coverage, ".93 to .97", "the same"))
        seconds = np.mean([file.fits["cpu_seconds"] for file in files])
        target = ".5" if world == "puck" else ""
        found.append((f"… CPU-seconds of a fit, {world}", f"{seconds:.2f}", target, "the same"))
        found += _wrong_rows([file.fits for file in files], world)
    return [*found, *_rounds(list(read_all("rounds-*.json"))), *_control(list(read_all("calibrated-*.json")))]


def _wrong_rows(fits: Sequence[dict[str, Any]], world: str) -> list[Row]:
    """Fits that went wrong, and alarms without need."""
    wrong, told, number = (sum(of[name] for of in fits) for name in ("wrong", "wrong_and_told", "recordings"))
    false = sum(of["told"] for of in fits) - told
    return [
        (f"… fits more than 3 half widths off that were told, {world}", f"{told} of {wrong}", "all", "the same"),
        ("… alarms of other fits", f"{false} of {number} ({false / number:.1%})", "2%", "the same"),
    ]


def _rounds(files: Sequence[dict[str, Any]]) -> list[Row]:
    found: list[Row] = []
    for world in dict.fromkeys(file["world"] for file in files):
        of = [file for file in files if file["world"] == world]
        number = sum(file["used"] for file in of)
        command = _command(of[0], "identify_rounds")
        for name in of[0]["constants"]:
            widths = [file["constants"][name]["width_over_that_before"] for file in of]
            designed, repeated = (np.mean([width[kind][1] for width in widths]) for kind in ("designed", "repeated"))
            covered = sum(file["constants"][name]["covered"] for file in of)
            text = f"{designed:.2f} (repeated {repeated:.2f}); {covered} of {number} intervals cover"
            what = f"{world}: width of the interval of {name} after a recording designed at the estimate, over before"
            found.append((what, text, ".5", command))
    return found


def _control(files: Sequence[dict[str, Any]]) -> list[Row]:
    found: list[Row] = []
    for world in dict.fromkeys(file["world"] for file in files):
        of = [file for file in files if file["world"] == world]
        number = sum(file["settings"]["tasks"] for file in of)
        command = _command(of[0], "identify_control")
        for name in of[0]["solved"]:
            solved = sum(file["solved"][name] for file in of)
            low, high = wilson_interval(solved, number)
            label = name if name.startswith("learned") else f"simulator, {name} constants"
            what = f"goals held, {world} of unknown constants, planning in: {label}"
            target = "at least as the conditioned model" if name.startswith("calibrated") else ""
            found.append((what, f"{solved / number:.1%} [{low:.1%}, {high:.1%}] of {number}", target, command))
    return found


def _run(name: str) -> str:
    """What `run=` takes."""
    for prefix in ("pretrained-", "zoo-"):
        if name.startswith(prefix):
            return name.replace(prefix, "zoo/")
    return f"runs/{name}"


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
        "own (`worldmodel identify`). Bound: of the R2 of any unbiased estimator from the same readings (Cramér-Rao,",
        "with the prior and the readout's errors). Coverage over fits without an alarm, which alone have intervals; by",
        "third of the constant, lowest first. learned: a linear readout of the run's context, intervals of one width.",
        "sysid: MuJoCo's own toolbox on the same readings, with white errors and no prior.",
        "",
        "| world | steps | wrong with the recording | free | estimator | constant | R2 | bound | bias, prior sd "
        "| median error | half width, prior sd | coverage | by third | told / recordings |",
        "|---" * 14 + "|",
    ]
    for key, files in settings.items():
        head = [str(part) or "–" for part in key]
        told = f"{sum(f.fits['told'] for f in files)} / {sum(f.fits['recordings'] for f in files)}"
        readers = {reader: names for file in files for reader, names in file.readers.items()}
        for reader, names in readers.items():
            for name in names:
                cells = [reader, name, *_cells(_pooled(files, name, reader)), told if reader == "replay" else "–"]
                lines.append(f"| {' | '.join([*head, *cells])} |")
    return "\n".join([*lines, *_foreseen(settings)]) + "\n"


def _cells(of: _Pooled) -> list[str]:
    thirds = ", ".join(digits(None if np.isnan(share) else share, ".2f") for share in of.thirds)
    bound, error = digits(of.bound, ".4f"), digits(of.error, ".2%")
    return [f"{of.r2:.4f}", bound, f"{of.bias:+.3f}", error, f"{of.width:.3f}", of.coverage, thirds]


def _foreseen(settings: dict[_Setting, list[_Measured]]) -> list[str]:
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
        known = [file.foreseen for file in files if file.foreseen]
        if disturbance != "none" or free or not known:
            continue
        for joint, by_simulator in known[0].items():
            for name in (name for name in by_simulator if all(name in of[joint] for of in known)):
                errors = np.sqrt(np.mean([np.square(of[joint][name]) for of in known], 0))
                cells = [f"{errors[k - 1]:.4f}" if k <= len(errors) else "–" for k in (1, 5, 10, 15)]
                lines.append(f"| {world} | {joint} | {name} | {' | '.join(cells)} |")
    return lines if len(lines) > start else []
