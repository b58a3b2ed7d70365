"""Every method on one world: `worldmodel compare`, its table, its sweeps, and the seed's claims."""

from collections.abc import Sequence
from typing import Any

from benchmarks.results.markdown import grid, mean_interval, told
from benchmarks.results.sources import read_all

_AGREES = {True: "agrees", False: "**disagrees**", None: "undecided"}


def details() -> str:
    """One section for each world."""
    return "".join(_comparison(content) for content in read_all("compare-*.json"))


def _comparison(content: dict[str, Any]) -> str:
    table = content["methods"]
    columns = _method_columns(table)
    blocks = [
        f"## Methods on {content['env']}",
        f"`{content['command']}`: {content['scale']} scale, {content['encoder']}, {content['steps']} steps of "
        f"{content['batch_size']} pairs, {content['num_seeds']} seeds; {content['tuning']}. Mean [95 % interval by "
        f"Student's t over seeds], test episodes. R2 ceiling {content['r2_ceiling']:.4f}; untrained encoder "
        f"{told(content['baselines']['random_encoder']['r2_h_to_z'])}, raw pixels by ridge "
        f"{told(content['baselines']['raw_pixels']['r2_h_to_z'])}.",
        grid(columns, {name: _method_row(row, columns) for name, row in table.items()}),
    ]
    swept = {name: row["batch"] for name, row in table.items() if row.get("batch")}
    if swept:
        sizes = sorted(next(iter(swept.values())), key=int)
        rows = {name: [mean_interval(found[size]) for size in sizes] for name, found in swept.items()}
        blocks += ["R2 by pairs in a batch, equally many pairs in all:", grid(["method", *sizes], rows)]
    grown = {name: row["data"] for name, row in table.items() if row.get("data")}
    if grown:
        blocks += ["R2 by training frames, then RMSE in sd on test sets out of the training distribution:"]
        blocks += [_data_grid(grown)]
    if graded := {claim["claim"]: claim["measured"] for claim in content["claims"] if claim["claim"].startswith("S7 ")}:
        blocks += ["The seed's table, measured (the seed's word in brackets; what the words mean stands below):"]
        blocks += [_seed_table(graded)]
    head = ["claim", "the seed says", "agrees if", "measured", "verdict"]
    claims = {
        claim["claim"]: [claim["seed_says"], claim["rule"], _leaves(claim["measured"]), _AGREES[claim["agrees"]]]
        for claim in content["claims"]
    }
    blocks += [grid(head, claims)]
    return "\n" + "\n\n".join(blocks) + "\n"


def _seed_table(graded: dict[str, dict[str, Any]]) -> str:
    """Recovery, memory and planning of the seed's three families: figure, its word, the seed's."""
    names = list(next(iter(graded.values())))
    rows = {
        name: [
            f"{of[name]['value']:.2f}: {of[name]['measured']} ({of[name]['seed']})" if name in of else "–"
            for of in graded.values()
        ]
        for name in names
    }
    return grid(["method", *(claim.removeprefix("S7 ") for claim in graded)], rows)


def _leaves(measured: dict[str, Any]) -> str:
    """What a claim's verdict rests on, in a line: numbers, or groups of them, each after its name."""
    shown = []
    for name, value in measured.items():
        if not isinstance(value, dict):
            shown.append(f"{name} {told(value, '.3g')}")
        elif "value" in value:
            shown.append(f"{name} {value['value']:.3g}")
        else:
            shown.append(f"{name}: {_leaves(value)}")
    return ("; " if any(isinstance(value, dict) for value in measured.values()) else ", ").join(shown)


def _method_columns(table: dict[str, Any]) -> list[str]:
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
    measured = {part for row in table.values() for part in row if row[part]}
    return columns + ["MB kept, 1024 pairs"] * ("memory" in measured) + ["goals reached"] * ("planning" in measured)


def _method_row(row: dict[str, Any], columns: Sequence[str]) -> list[str]:
    reached = row["convergence"]["steps_to_threshold"]
    values = [mean_interval(row[key]) for key in ("r2_h_to_z", "r2_z_to_h")]
    values += [told(row["rank_correlation"]["mean"]), f"{row['effective_rank']['mean']:.2f}"]
    values += [f"{row['latent_std']['mean']:.2g}", f"{row['collapsed_share']:.0%}"]
    values += [f"{reached:.0f}" if reached else "never", f"{row['cpu_s']['mean']:.1f}"]
    if "MB kept, 1024 pairs" in columns:
        kept = row.get("memory")
        values.append(f"{sum(kept['kept']['1024'].values()) / 2**20:.1f}" if kept else "–")
    if "goals reached" in columns:
        reached_goals = row.get("planning")
        values.append(mean_interval(reached_goals["success_rate"], ".1%") if reached_goals else "–")
    return values


def _data_grid(grown: dict[str, Any]) -> str:
    sizes = sorted(next(iter(grown.values())), key=int)
    shifts = list(next(iter(grown.values()))[sizes[0]]["shifts"])
    columns = ["method", "frames", "R2", *shifts]
    rows = {}
    for name, found in grown.items():
        for size in sizes:
            errors = [f"{found[size]['shifts'][shift]['rmse_sd']['mean']:.2f}" for shift in shifts]
            rows[f"{name} | {size}"] = [mean_interval(found[size]["test"]), *errors]
    return grid(columns, rows)
