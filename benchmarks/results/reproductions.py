"""Published tables measured again: `python -m benchmarks.reproduce`, theirs beside ours, and what has a target."""

from benchmarks.reproduce.result import MeasuredFigure, RowResult, TableResult, read_table
from benchmarks.reproduce.scaling import REFERENCE_STEPS, TIMED_STEPS, WARM_UP_STEPS
from benchmarks.reproduce.tables import TABLES
from benchmarks.results.markdown import Row, lowest_first, mean_interval
from benchmarks.results.sources import FOLDER, paths

_COMMAND = "python -m benchmarks.reproduce"


def rows() -> list[Row]:
    """What the tables reach, each figure beside its target."""
    return [*_lowest_rows(), *_wrapped_rows(), *_scaling_rows(), *_time_rows()]


def _read(name: str) -> TableResult | None:
    """A table, or None where it was not measured."""
    path = FOLDER / f"reproduce-{name}.json"
    return read_table(path) if path.exists() else None


def _lowest_rows() -> list[Row]:
    """The lowest of each table's conditions that the target is about."""
    rows: list[Row] = []
    for name, keys, measure, label, target in (
        ("reacher_trajectories", ("designed",), "r2_h_to_z", "reacher angles from *dynamic* rollouts, designed "
         "excitation, R2", ".97"),
        ("reacher_ou", ("s=0.7-rho=0.7", "s=0.7-rho=0.8", "s=0.7-rho=0.9"), "r2_h_to_z_polished", "reacher angles from "
         "OU pixels, s = .7 rad, lowest of rho .7 to .99, R2, canonical readout", ".99"),
        ("reacher_ou", ("s=0.7-rho=0.5",), "r2_h_to_z_polished", "… at rho .5", ".95"),
        ("mixings", ("",), "r2_h_to_z_polished", "four 2-D mixings, lowest, R2, canonical readout", ".99"),
    ):  # fmt: skip
        if table := _read(name):
            reached = (row.measures[measure] for row in table.rows if row.key.startswith(keys))
            lowest = min(reached, key=lambda figure: lowest_first(figure.mean))
            rows.append((label, mean_interval(lowest.over_seeds, ".4f"), target, f"`{_COMMAND} table={name}`"))
    return rows


def _full_or_quick(name: str, quick_rows: str) -> tuple[TableResult | None, str]:
    """What was measured at the larger scale at hand, and the command; quick_rows: those measured at the quick scale."""
    full = _read(f"{name}-full")
    options = "scale=full" if full else f"'rows={quick_rows}'"
    return full or _read(name), f"`{_COMMAND} table={name} {options}`"


def _wrapped_rows() -> list[Row]:
    """Reacher's angles where they wrap, from pairs one step apart, from several lags, and trained longer."""
    table, command = _full_or_quick("reacher_ou", '["*"]')
    rows: list[Row] = []
    kinds = {
        "s = 1 rad": "of rho .7 to .99",
        "s = 1 rad, several lags": "with further lags",
        "s = 1 rad, longer": "of rho .7 to .99 after six times the steps",
    }
    for series, words in kinds.items():
        of = [row for row in table.rows if row.series == series and (row.x or 0) >= 0.7] if table else []
        if of:
            name = "share_r2_h_to_z"
            lowest = min(of, key=lambda row: lowest_first(row.measures[name].mean)).measures
            found = lowest.get(f"{name}_polished", lowest[name])
            label = f"reacher angles from OU pixels, s = 1 rad (they wrap), share of the ceiling, lowest {words}"
            rows.append((label, mean_interval(found.over_seeds, ".4f"), ".99", command))
    return rows


def _scaling_rows() -> list[Row]:
    """The most latents of each series, and what the published recipe would take for as many."""
    table, command = _full_or_quick(
        "scaling", '["N=2-*","N=8-*","N=64-*","N=1024-lejepa-views","N=1024-published-recipe"]'
    )
    if table is None:
        return []
    recipe_s = {row.settings["dim"]: _training_s(row, table.scale) for row in table.rows if not row.series}
    return [
        _scaling_row(max(of, key=lambda row: row.x or 0), table.scale, recipe_s, command)
        for series in ("lejepa", "lejepa, eight views")
        if (of := [row for row in table.rows if row.series == series])
    ]


def _scaling_row(row: RowResult, scale: str, recipe_s: dict[int, float], command: str) -> Row:
    found, dim, settings = row.measures["r2_h_to_z"], int(row.x or 0), row.settings
    unit = "s" if scale == "full" else "CPU s"
    views = f", {settings['num_views']} views" if "num_views" in settings else ""
    label = f"{dim:,} latents through coupling layers, R2 ({scale} scale: {settings['steps']:,} steps{views}, "
    label += f"{_training_s(row, scale):,.0f} {unit}; published in {REFERENCE_STEPS:,}: {found.published})"
    value = mean_interval(found.over_seeds, ".6f")
    if dim in recipe_s:
        value += f"; the published recipe {recipe_s[dim]:,.0f} {unit}, extrapolated"
    return label, value, ".9996" if dim == 1024 else "", command


def _training_s(row: RowResult, scale: str) -> float:
    """Seconds of a training: of the clock at full scale, which is a GPU's, else of CPUs; of the published recipe, all
    its steps."""
    if scale == "full":
        return row.measures["train_s"].mean or 0.0
    return row.cpu_s * (1 if row.series else REFERENCE_STEPS / (TIMED_STEPS + WARM_UP_STEPS))


def _time_rows() -> list[Row]:
    table = _read("time_to_r2")
    if table is None:
        return []
    ours, theirs = (row.measures["cpu_s_to_mark"].mean or 0.0 for row in table.rows)
    label = "CPU s to .95 of the ceiling on reacher pixels (x: the published schedule's length, extrapolated)"
    value = f"{ours:.1f} s, {theirs / ours:,.0f} x less"
    return [(label, value, "100 x", f"`{_COMMAND} table=time_to_r2`")]


def details() -> str:
    """Published tables, theirs beside ours."""
    return "".join(_reproduction(read_table(path)) for path in paths("reproduce-*.json"))


def _reproduction(table: TableResult) -> str:
    measures = TABLES[table.table].measures
    headers = [header.replace("|", "\\|") for header in measures.values()]
    lines = [
        "",
        f"## {table.title}",
        "",
        f"`{table.command}`: {table.scale} scale, seeds {table.seeds}, mean [95 % interval]; settings "
        f"chosen on a validation split. {table.note}. Published (in brackets): {table.source}.",
        "",
        f"| | {' | '.join(headers)} | CPU s a seed |",
        "|---" * (len(measures) + 2) + "|",
    ]
    for row in table.rows:
        cells = [_measured(row.measures.get(name)) for name in measures]
        lines.append(f"| {row.key} | {' | '.join(cells)} | {row.cpu_s:.0f} |")
    return "\n".join(lines) + "\n"


def _measured(found: MeasuredFigure | None) -> str:
    if found is None:
        return ""
    digits = 6 if found.mean is not None and 0 < 1 - found.mean < 1e-3 else 4
    theirs = f" ({found.published:g})" if found.published is not None else ""
    return mean_interval(found.over_seeds, f".{digits}g") + theirs
