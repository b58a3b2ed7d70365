"""Every method on one world: `worldmodel compare`, its table, its sweeps, and the article's claims."""

from collections.abc import Mapping, Sequence

from benchmarks.results.markdown import digits, grid, mean_interval
from benchmarks.results.sources import records
from worldmodel.comparing import CompareResult, Grade, Measured, MethodRow, Verdict
from worldmodel.runs import Record

_AGREES = {True: "agrees", False: "**disagrees**", None: "undecided"}
_MEMORY, _PLANNING = "MB kept, 1024 pairs", "goals reached"
# options that no figure depends on
_PLACES = ("data=", "runs=", "workers=", "threads=", "out=", "--traceback")


def details() -> str:
    """One section for each world."""
    return "".join(_comparison(record) for record in records("compare-*.json", CompareResult))


def _comparison(record: Record[CompareResult]) -> str:
    found = record.result
    columns = _method_columns(found.methods)
    blocks = [
        f"## Methods on {found.env}",
        _introduction(record),
        grid(columns, {name: _method_row(row, columns) for name, row in found.methods.items()}),
        *_looks(found.methods),
        *_constants(found),
        *_sweeps(found.methods),
    ]
    if graded := {claim.claim: claim.graded for claim in found.claims if claim.graded}:
        blocks += ["The article's table, measured (its word in brackets; what the words mean stands below):"]
        blocks += [_article_table(graded)]
    head = ["claim", "the article says", "agrees if", "measured", "verdict"]
    claims = {
        claim.claim: [claim.article_says, claim.rule, _behind(claim), _AGREES[claim.agrees]] for claim in found.claims
    }
    blocks += [grid(head, claims)]
    return "\n" + "\n\n".join(blocks) + "\n"


def _introduction(record: Record[CompareResult]) -> str:
    found, setup, beside = record.result, record.result.setup, record.result.baselines
    command = " ".join(word for word in (record.command or "").split() if not word.startswith(_PLACES))
    length = "trained as long as the recipe says" if setup.scale == "recipe" else f"{setup.scale} scale"
    return (
        f"`{command}`: {length}, {setup.encoder}, {setup.steps} steps of {setup.batch_size} pairs, "
        f"{setup.num_seeds} seeds; {found.tuning}. Mean [95 % interval by Student's t over seeds], test episodes. R2 "
        f"ceiling {found.r2_ceiling:.4f}; untrained encoder {digits(beside.random_encoder.r2_h_to_z)}, raw pixels by "
        f"ridge {digits(beside.raw_pixels.r2_h_to_z)}."
    )


def _looks(methods: Mapping[str, MethodRow]) -> list[str]:
    """Goals reached where the world looks different: a row for each look."""
    seen = {name: row.looks for name, row in methods.items() if row.looks}
    if not seen:
        return []
    labels = list(next(iter(seen.values())))
    rows = {label: [digits(of[label].mean, ".0%") for of in seen.values()] for label in labels}
    rows["mean without clean"] = [digits(methods[name].success_under_looks, ".0%") for name in seen]
    return [
        "Goals reached by the same world models where the world looks different; no method was trained on these looks:",
        grid(["look", *seen], rows),
    ]


def _constants(found: CompareResult) -> list[str]:
    """R2 of physical constants, by how frames and contexts are read; raw pixels beside."""
    read = {(name, way): of.r2 for name, row in found.methods.items() for way, of in row.constants.items()}
    if not read:
        return []
    names = list(next(iter(read.values())))
    rows = {f"{frames} | {way}": [mean_interval(of[name]) for name in names] for (frames, way), of in read.items()}
    pixels = found.baselines.raw_pixels.constants
    rows["mean and spread of every pixel | ridge"] = [digits(pixels.get(name)) for name in names]
    return [
        "R2 of physical constants from one window, test episodes; contexts tuned over four settings as well:",
        grid(["frames by", "contexts by", *names], rows),
    ]


def _sweeps(methods: Mapping[str, MethodRow]) -> list[str]:
    """R2 by batch size and by data size, where methods were swept."""
    blocks = []
    if swept := {name: row.batch for name, row in methods.items() if row.batch}:
        sizes = sorted(next(iter(swept.values())))
        rows = {name: [mean_interval(found[size]) for size in sizes] for name, found in swept.items()}
        columns = ["method", *map(str, sizes)]
        blocks += ["R2 by pairs in a batch, equally many pairs in all:", grid(columns, rows)]
    if grown := {name: row for name, row in methods.items() if row.data}:
        blocks += ["R2 by training frames, then RMSE in sd on test sets out of the training distribution:"]
        blocks += [_data_grid(grown)]
    return blocks


def _article_table(graded: Mapping[str, Mapping[str, Grade]]) -> str:
    """Recovery, memory and planning of the article's three families: figure, its word, the article's."""
    names = list(next(iter(graded.values())))
    rows = {name: [_graded(grades[name]) if name in grades else "–" for grades in graded.values()] for name in names}
    return grid(["method", *(claim.removeprefix("S7 ") for claim in graded)], rows)


def _graded(grade: Grade) -> str:
    return f"{grade.value:.2f}: {grade.word} ({grade.article})"


def _behind(claim: Verdict) -> str:
    """What a claim's verdict rests on, in a line: numbers, or groups of them, each after its name."""
    if claim.graded:
        return "; ".join(f"{name} {grade.value:.3g}" for name, grade in claim.graded.items())
    grouped = any(isinstance(value, dict) for value in claim.measured.values())
    return ("; " if grouped else ", ").join(_leaf(name, value) for name, value in claim.measured.items())


def _leaf(name: str, value: Measured) -> str:
    if isinstance(value, dict):
        return f"{name}: {', '.join(_leaf(of, number) for of, number in value.items())}"
    return f"{name} {digits(value, '.3g')}"


def _method_columns(methods: Mapping[str, MethodRow]) -> list[str]:
    columns = [
        "method",
        "R2 h→z",
        "R2 z→h",
        "rank correlation",
        "effective rank",
        "latent std",
        "collapsed",
        "steps to 95 %",
        "CPU s",
    ]
    columns += [_MEMORY] * any(row.memory for row in methods.values())
    return columns + [_PLANNING] * any(row.planning for row in methods.values())


def _method_row(row: MethodRow, columns: Sequence[str]) -> list[str]:
    reached = row.convergence.steps_to_threshold
    values = [mean_interval(row.r2_h_to_z), mean_interval(row.r2_z_to_h)]
    values += [digits(row.rank_correlation.mean), digits(row.effective_rank.mean, ".2f")]
    values += [digits(row.latent_std.mean, ".2g"), f"{row.collapsed_share:.0%}"]
    values += [f"{reached:.0f}" if reached else "never", digits(row.cpu_s.mean, ".1f")]
    if _MEMORY in columns:
        values.append(f"{row.memory.kept[1024].total / 2**20:.1f}" if row.memory else "–")
    if _PLANNING in columns:
        values.append(mean_interval(row.planning.success_rate, ".1%") if row.planning else "–")
    return values


def _data_grid(grown: Mapping[str, MethodRow]) -> str:
    sizes = sorted(next(iter(grown.values())).data)
    shifts = list(next(iter(grown.values())).data[sizes[0]].shifts)
    columns = ["method", "frames", "R2", *shifts]
    rows = {}
    for name, row in grown.items():
        for size in sizes:
            found = row.data[size]
            errors = [digits(found.shifts[shift].rmse_sd.mean, ".2f") for shift in shifts]
            rows[f"{name} | {size}"] = [mean_interval(found.test), *errors]
    return grid(columns, rows)
