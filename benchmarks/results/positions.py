"""Constants from true positions, without labels, beside the bound on any estimator: `worldmodel positions`."""

from benchmarks.results.commands import training
from benchmarks.results.markdown import Row, digits, lowest_first, mean_interval
from benchmarks.results.sources import paths, records
from worldmodel.evaluation import PositionsResult
from worldmodel.evaluation.positions import ConstantReading, MethodReading

_TARGETS = {"puck": ".97", "puck-damping": ".9", "varied_pendulum": ".9 x bound", "varied_cartpole": ".9 x bound"}


def rows() -> list[Row]:
    """The figures that have a target."""
    return [*_worst_rows(), *_methods_rows()]


def _studies() -> dict[str, PositionsResult]:
    """Name of a study -> what it found."""
    names = [path.stem.removeprefix("state-") for path in paths("state-*.json")]
    return dict(zip(names, [record.result for record in records("state-*.json", PositionsResult)], strict=True))


def _worst(reading: MethodReading) -> str:
    """The constant that is read worst."""
    return min(reading.constants, key=lambda name: lowest_first(reading.constants[name].r2_linear.mean))


def _worst_rows() -> list[Row]:
    """The worst constant of each study, and how near the bound it comes."""
    rows: list[Row] = []
    studies = _studies()
    for name, target in _TARGETS.items():
        if study := studies.get(name):
            reading = study.methods["lejepa"]
            worst = _worst(reading)
            found = reading.constants[worst].r2_linear
            label = f"{name} from true positions, no labels: {worst}, the worst of {len(study.constants)} constants"
            value = f"{mean_interval(found)}, {_share(found.mean, study.r2_bound[worst])} x bound"
            rows.append((f"{label}, linear R2", value, target, f"`{_command(study)}`"))
    return rows


def _methods_rows() -> list[Row]:
    """The puck's constant read worse, by method."""
    study = _studies().get("puck-methods")
    if study is None:
        return []
    worst = {method: reading.constants[_worst(reading)].r2_linear.mean for method, reading in study.methods.items()}
    others = ", ".join(f"{method} {digits(value)}" for method, value in worst.items() if method != "lejepa")
    label = f"puck from true positions, {len(worst)} methods equally tuned: linear R2 of the constant read worse"
    return [(label, f"lejepa {digits(worst['lejepa'])} ({others})", "", f"`{_command(study)}`")]


def _command(study: PositionsResult) -> str:
    """The command of a study; docs/LOG.md has its other options."""
    trained, noise = training(study.env.replace("_full", "-base")), study.noise  # as version 0.1 called it
    size = "" if trained.is_default else f" size={trained.size}"
    return f"worldmodel positions env={trained.world}{size} noise_m={noise.m:g} noise_rad={noise.rad:g}"


def _share(value: float | None, bound: float | None) -> str:
    """What an estimator reaches of its bound; a dash where there is none."""
    return digits(value / bound if value is not None and bound else None, ".2f")


def details() -> str:
    """Every study, method and constant, beside the bound."""
    studies = _studies()
    if not studies:
        return ""
    lines = [
        "",
        "## Constants from true positions, beside the bound",
        "",
        "`worldmodel positions`: positions with the noise stated in place of frame latents; linear R2 of one window on "
        "test episodes, mean [95 % interval by Student's t over seeds]; the bound holds for any reader.",
        "",
        "| study | noise m / rad | method | constant | linear | MLP | 2 to 3 sd out | bound | linear / bound |",
        "|---" * 9 + "|",
    ]
    for name, study in studies.items():
        for method, reading in study.methods.items():
            for constant, found in reading.constants.items():
                cells = [name, f"{study.noise.m:g} / {study.noise.rad:g}", method, constant]
                lines.append(f"| {' | '.join([*cells, *_values(found, study.r2_bound.get(constant))])} |")
    return "\n".join(lines) + "\n"


def _values(found: ConstantReading, bound: float | None) -> list[str]:
    far = found.r2_out_of_range
    return [
        mean_interval(found.r2_linear),
        digits(found.r2_mlp.mean),
        mean_interval(far) if far else "–",
        digits(bound),
        _share(found.r2_linear.mean, bound),
    ]
