"""The seed's claims, each with the rule by which the measurements agree with it or not."""

from collections.abc import Mapping
from typing import Any

Table = Mapping[str, Any]

HIGH, MODERATE = 0.9, 0.5  # of the best that is possible
RECOVERED = 0.95  # of the ceiling
TURN = 0.2  # orthogonality error of a map that still counts as a rotation
SLOWER = 1.25  # times the steps of the fastest
DROP = 0.05  # of R2
LEAN, HEAVY = 1.25, 2.0  # times the bytes of the leanest


def verdicts(content: Table) -> list[dict[str, Any]]:
    """Every claim that the measurements speak about: claim, seed_says, rule, measured, agrees (True, False, None)."""
    table = content["methods"]
    if "lejepa" not in table:
        return []
    judged = (_s1, _s2, _s3, _s4, _s5, _s6, *_S7, _s9)
    return [verdict for judge in judged if (verdict := judge(content, table))]


def _verdict(claim: str, seed_says: str, rule: str, measured: Any, agrees: bool | None) -> dict[str, Any]:
    return {"claim": claim, "seed_says": seed_says, "rule": rule, "measured": measured, "agrees": agrees}


def _r2(table: Table, name: str) -> float:
    return table[name]["r2_h_to_z"]["mean"]


def _family(table: Table, family: str) -> list[str]:
    return [name for name, row in table.items() if row["family"] == family]


def _s1(content: Table, table: Table) -> dict[str, Any]:
    row, ceiling = table["lejepa"], content["r2_ceiling"]
    turn = row["orthogonality_error"]
    both = min(row["r2_h_to_z"]["mean"], row["r2_z_to_h"]["mean"])
    agrees = both >= RECOVERED * ceiling and (turn is None or turn["mean"] <= TURN)
    measured = {"lower_r2": both, "r2_ceiling": ceiling, "orthogonality_error": turn and turn["mean"]}
    return _verdict(
        "S1", "LeJEPA recovers the true degrees of freedom up to a linear, orthogonal map",
        f"R2 both ways >= {RECOVERED} of the ceiling, and orthogonality error <= {TURN} where dimensions allow one",
        measured, agrees,
    )  # fmt: skip


def _s2(content: Table, table: Table) -> dict[str, Any]:
    pixels = content["baselines"]["raw_pixels"]["r2_h_to_z"]
    measured = {"lejepa": _r2(table, "lejepa"), "raw_pixels_by_ridge": pixels}
    agrees = _r2(table, "lejepa") >= RECOVERED * content["r2_ceiling"] and _r2(table, "lejepa") > pixels
    return _verdict(
        "S2", "recovery holds from nonlinear observations, pixels included",
        f"R2 >= {RECOVERED} of the ceiling, and above a linear map of the pixels", measured, agrees,
    )  # fmt: skip


def _s3(content: Table, table: Table) -> dict[str, Any] | None:
    others = _family(table, "standard JEPA") + _family(table, "contrastive")
    if not others:
        return None
    steps = {name: table[name]["convergence"]["steps_to_threshold"] for name in ("lejepa", *others)}
    reached = [value for name, value in steps.items() if name != "lejepa" and value is not None]
    best = max(_r2(table, name) for name in others)
    in_time = steps["lejepa"] is not None and (not reached or steps["lejepa"] <= SLOWER * min(reached))
    measured = {"steps_to_threshold": steps, "final_r2": {name: _r2(table, name) for name in steps}}
    return _verdict(
        "S3", "the constraint neither slows convergence nor costs expressive power",
        f"LeJEPA reaches R2 {content['convergence_threshold']:.3f} within {SLOWER} times the steps of the fastest of "
        "standard JEPA and contrastive, and ends within .02 of the best of them",
        measured, bool(in_time and _r2(table, "lejepa") >= best - 0.02),
    )  # fmt: skip


def _s4(content: Table, table: Table) -> dict[str, Any] | None:
    others = [name for name in ("jepa_ema", "autoencoder") if name in table]
    if "light" not in content["variables"] or not others:
        return None
    read = {name: [v["mean"] for v in table[name]["per_variable"].values()] for name in ("lejepa", *others)}
    worst = {name: min(value for value in values if value is not None) for name, values in read.items()}
    return _verdict(
        "S4", "ordinary nets tangle the ball's motion with the light, LeJEPA tells them apart",
        "LeJEPA's worst-read factor is read better than that of standard JEPA and of the autoencoder, and by R2 >= "
        f"{HIGH}", worst, worst["lejepa"] >= HIGH and all(worst["lejepa"] > worst[name] for name in others),
    )  # fmt: skip


def _s5(content: Table, table: Table) -> dict[str, Any] | None:
    names = _family(table, "standard JEPA")
    if not names:
        return None
    measured = {name: {"collapsed_share": table[name]["collapsed_share"], "r2": _r2(table, name)} for name in names}
    recovery = max(_r2(table, name) for name in names) < MODERATE * content["r2_ceiling"]
    collapse = any(table[name]["collapsed_share"] > 0 for name in names)
    return _verdict(
        "S5", "standard JEPA risks collapse and recovers latents poorly",
        f"some variant collapses, and the best variant's R2 stays under {MODERATE} of the ceiling",
        measured, collapse and recovery,
    )  # fmt: skip


def _s6(content: Table, table: Table) -> dict[str, Any] | None:
    if not all(table.get(name, {}).get("batch") for name in ("lejepa", "infonce")):
        return None
    usual = content["batch_size"]
    drops = {}
    for name in ("lejepa", "infonce"):
        sizes = table[name]["batch"]
        drops[name] = sizes[str(usual)]["mean"] - min(row["mean"] for size, row in sizes.items() if int(size) < usual)
    return _verdict(
        "S6", "contrastive learning is unstable below a batch of 256",
        f"from a batch of {usual} to the worst smaller one InfoNCE's R2 falls by over {DROP}, and more than LeJEPA's",
        {"drop_of_r2": drops}, drops["infonce"] > DROP and drops["infonce"] > drops["lejepa"],
    )  # fmt: skip


_SEED_TABLE = {
    "recovery": {"jepa_ema": "low", "lejepa": "high", "infonce": "moderate"},
    "memory": {"jepa_ema": "low", "lejepa": "moderate", "infonce": "high"},
    "planning": {"jepa_ema": "poor", "lejepa": "excellent", "infonce": "moderate"},
}


def _graded(column: str, values: Mapping[str, float], words: tuple[str, str, str], rule: str) -> dict[str, Any]:
    """A column of the seed's table: a word for each value, by two limits, beside the seed's word."""
    limits = (LEAN, HEAVY) if column == "memory" else (MODERATE, HIGH)
    graded = {
        name: {"value": value, "measured": words[sum(value >= limit for limit in limits)], "seed": said}
        for name, said in _SEED_TABLE[column].items()
        if (value := values.get(name)) is not None
    }
    agrees = all(row["measured"] == row["seed"] for row in graded.values())
    return _verdict(f"S7 {column}", _says(column), rule, graded, agrees)


def _says(column: str) -> str:
    """What the seed's table says in a column."""
    return ", ".join(f"{name} {word}" for name, word in _SEED_TABLE[column].items())


def _s7_recovery(content: Table, table: Table) -> dict[str, Any]:
    shares = {name: _r2(table, name) / content["r2_ceiling"] for name in table}
    rule = f"R2 over the ceiling: low under {MODERATE}, high from {HIGH}"
    return _graded("recovery", shares, ("low", "moderate", "high"), rule)


def _s7_memory(content: Table, table: Table) -> dict[str, Any] | None:
    totals = {name: sum(row["memory"]["kept"]["1024"].values()) for name, row in table.items() if row.get("memory")}
    if not totals:
        return None
    least = min(totals.values())
    rule = f"bytes of a step with 1024 pairs over the leanest method's: low under {LEAN}, high from {HEAVY}"
    return _graded("memory", {n: v / least for n, v in totals.items()}, ("low", "moderate", "high"), rule)


def _s7_planning(content: Table, table: Table) -> dict[str, Any] | None:
    rates = {n: row["planning"]["success_rate"]["mean"] for n, row in table.items() if row.get("planning")}
    if not rates:
        return None
    best = max(rates.values())
    rule = f"closed-loop success over the best method's: poor under {MODERATE}, excellent from {HIGH}"
    if not best:  # shares of nothing
        return _verdict("S7 planning", _says("planning"), rule, {"success_rate": rates}, None)
    return _graded("planning", {n: v / best for n, v in rates.items()}, ("poor", "moderate", "excellent"), rule)


_S7 = (_s7_recovery, _s7_memory, _s7_planning)


def _s9(content: Table, table: Table) -> dict[str, Any] | None:
    """The smallest data size, the mean over all shifted test sets, RMSE: R2 would flatter sets of wide spread."""
    errors = {}
    for name, row in table.items():
        if row.get("data") and row["family"] != "supervised":
            shifts = row["data"][min(row["data"], key=int)]["shifts"].values()
            if shifts:  # a world without looks to change, and without circles, has none
                errors[name] = sum(shift["rmse_sd"]["mean"] for shift in shifts) / len(shifts)
    if "lejepa" not in errors or len(errors) < 2:
        return None
    return _verdict(
        "S9", "with little data LeJEPA generalises better out of distribution",
        "at the smallest data size LeJEPA's RMSE, averaged over the shifted test sets, is the lowest of all "
        "self-supervised methods", {"rmse_sd": errors}, errors["lejepa"] == min(errors.values()),
    )  # fmt: skip
