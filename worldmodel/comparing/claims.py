"""The article's claims, each with the rule by which the measurements agree with it or not.

S1 to S9 are the numbers of the claims in `docs/LOG.md`. A claim for which nothing was measured has no verdict.
"""

from collections.abc import Mapping

import numpy as np

from worldmodel.comparing.compare_result import CompareResult, Grade, MethodRow, Verdict

Rows = Mapping[str, MethodRow]

HIGH, MODERATE = 0.9, 0.5
"""Shares of the best possible value from which a figure counts as high, and as moderate."""
RECOVERED = 0.95
"""Share of the ceiling at which variables count as recovered."""
TURN = 0.2
"""Orthogonality error of a map that still counts as a rotation."""
SLOWER = 1.25
"""Largest ratio to the fastest method's steps that does not count as slower."""
DROP = 0.05
"""Fall of R2 above which small batches count as unstable."""
LEAN, HEAVY = 1.25, 2.0
"""Ratios to the leanest method's bytes: memory is low under the first and high from the second."""


def verdicts(result: CompareResult) -> list[Verdict]:
    """The verdict on every claim for which something was measured; none without a row of lejepa."""
    rows = result.methods
    if "lejepa" not in rows:
        return []
    judges = (_s1, _s2, _s3, _s4, _s5, _s6, _s7_recovery, _s7_memory, _s7_planning, _s9)
    return [verdict for judge in judges if (verdict := judge(result, rows))]


def _r2(row: MethodRow) -> float:
    """R2 of the true variables from latents; 0 where latents are not finite numbers."""
    return row.r2_h_to_z.mean or 0.0


def _family(rows: Rows, family: str) -> list[str]:
    return [name for name, row in rows.items() if row.family == family]


def _s1(result: CompareResult, rows: Rows) -> Verdict:
    row, ceiling = rows["lejepa"], result.r2_ceiling
    turn = row.orthogonality_error.mean if row.orthogonality_error else None
    both = min(_r2(row), row.r2_z_to_h.mean or 0.0)
    agrees = both >= RECOVERED * ceiling and (turn is None or turn <= TURN)
    return Verdict(
        "S1", "LeJEPA recovers the true degrees of freedom up to a linear, orthogonal map",
        f"R2 both ways >= {RECOVERED} of the ceiling, and orthogonality error <= {TURN} where dimensions allow one",
        {"lower_r2": both, "r2_ceiling": ceiling, "orthogonality_error": turn}, agrees,
    )  # fmt: skip


def _s2(result: CompareResult, rows: Rows) -> Verdict:
    found, pixels = _r2(rows["lejepa"]), result.baselines.raw_pixels.r2_h_to_z
    return Verdict(
        "S2", "recovery holds from nonlinear observations, pixels included",
        f"R2 >= {RECOVERED} of the ceiling, and above a linear map of the pixels",
        {"lejepa": found, "raw_pixels_by_ridge": pixels},
        found >= RECOVERED * result.r2_ceiling and (pixels is None or found > pixels),
    )  # fmt: skip


def _s3(result: CompareResult, rows: Rows) -> Verdict | None:
    others = _family(rows, "standard JEPA") + _family(rows, "contrastive")
    if not others or result.convergence_threshold is None:
        return None
    steps = {name: rows[name].convergence.steps_to_threshold for name in ("lejepa", *others)}
    reached = [value for name, value in steps.items() if name != "lejepa" and value is not None]
    ours, best = steps["lejepa"], max(_r2(rows[name]) for name in others)
    in_time = ours is not None and (not reached or ours <= SLOWER * min(reached))
    return Verdict(
        "S3", "the constraint neither slows convergence nor costs expressive power",
        f"LeJEPA reaches R2 {result.convergence_threshold:.3f} within {SLOWER} times the steps of the fastest of "
        "standard JEPA and contrastive, and ends within .02 of the best of them",
        {"steps_to_threshold": steps, "final_r2": {name: _r2(rows[name]) for name in steps}},
        in_time and _r2(rows["lejepa"]) >= best - 0.02,
    )  # fmt: skip


def _s4(result: CompareResult, rows: Rows) -> Verdict | None:
    others = [name for name in ("jepa_ema", "autoencoder") if name in rows]
    if "light" not in result.variables or not others:
        return None
    read = {name: [found.mean for found in rows[name].per_variable.values()] for name in ("lejepa", *others)}
    worst = {name: min((value for value in values if value is not None), default=0.0) for name, values in read.items()}
    return Verdict(
        "S4", "ordinary nets tangle the ball's motion with the light, LeJEPA tells them apart",
        "LeJEPA's worst-read factor is read better than that of standard JEPA and of the autoencoder, and by R2 >= "
        f"{HIGH}", {**worst}, worst["lejepa"] >= HIGH and all(worst["lejepa"] > worst[name] for name in others),
    )  # fmt: skip


def _s5(result: CompareResult, rows: Rows) -> Verdict | None:
    names = _family(rows, "standard JEPA")
    if not names:
        return None
    recovery = max(_r2(rows[name]) for name in names) < MODERATE * result.r2_ceiling
    collapse = any(rows[name].collapsed_share > 0 for name in names)
    return Verdict(
        "S5", "standard JEPA risks collapse and recovers latents poorly",
        f"some variant collapses, and the best variant's R2 stays under {MODERATE} of the ceiling",
        {name: {"collapsed_share": rows[name].collapsed_share, "r2": _r2(rows[name])} for name in names},
        collapse and recovery,
    )  # fmt: skip


def _s6(result: CompareResult, rows: Rows) -> Verdict | None:
    compared = ("lejepa", "infonce")
    if not all(name in rows and rows[name].batch for name in compared):
        return None
    usual = result.setup.batch_size
    if not all(min(rows[name].batch) < usual for name in compared):  # the usual batch is as small as any that was tried
        return None
    drops = {name: _drop(rows[name], usual) for name in compared}
    return Verdict(
        "S6", "contrastive learning is unstable below a batch of 256",
        f"from a batch of {usual} to the worst smaller one InfoNCE's R2 falls by over {DROP}, and more than LeJEPA's",
        {"drop_of_r2": {**drops}}, drops["infonce"] > DROP and drops["infonce"] > drops["lejepa"],
    )  # fmt: skip


def _drop(row: MethodRow, usual: int) -> float:
    """Fall of R2 from the usual batch to the worst smaller one."""
    found = {size: of_size.mean or 0.0 for size, of_size in row.batch.items()}
    return found[usual] - min(value for size, value in found.items() if size < usual)


# ---------------------------------------------------------------------------------------------------------------------
# the article's table: a word for each method in three columns

_ARTICLE_TABLE = {
    "recovery": {"jepa_ema": "low", "lejepa": "high", "infonce": "moderate"},
    "memory": {"jepa_ema": "low", "lejepa": "moderate", "infonce": "high"},
    "planning": {"jepa_ema": "poor", "lejepa": "excellent", "infonce": "moderate"},
}


def _graded(column: str, values: Mapping[str, float], words: tuple[str, str, str], rule: str) -> Verdict:
    """A column of the article's table: a word for each value, by two limits, beside the article's word."""
    limits = (LEAN, HEAVY) if column == "memory" else (MODERATE, HIGH)
    graded = {
        name: Grade(value, words[sum(value >= limit for limit in limits)], said)
        for name, said in _ARTICLE_TABLE[column].items()
        if (value := values.get(name)) is not None
    }
    agrees = all(grade.word == grade.article for grade in graded.values())
    return Verdict(f"S7 {column}", _article_says(column), rule, {}, agrees, graded)


def _article_says(column: str) -> str:
    return ", ".join(f"{name} {word}" for name, word in _ARTICLE_TABLE[column].items())


def _s7_recovery(result: CompareResult, rows: Rows) -> Verdict:
    shares = {name: _r2(row) / result.r2_ceiling for name, row in rows.items()}
    rule = f"R2 over the ceiling: low under {MODERATE}, high from {HIGH}"
    return _graded("recovery", shares, ("low", "moderate", "high"), rule)


def _s7_memory(result: CompareResult, rows: Rows) -> Verdict | None:
    totals = {name: row.memory.kept[1024].total for name, row in rows.items() if row.memory}
    if not totals:
        return None
    least = min(totals.values())
    rule = f"bytes of a step with 1024 pairs over the leanest method's: low under {LEAN}, high from {HEAVY}"
    return _graded("memory", {n: v / least for n, v in totals.items()}, ("low", "moderate", "high"), rule)


def _s7_planning(result: CompareResult, rows: Rows) -> Verdict | None:
    rates = {name: row.planning.success_rate.mean or 0.0 for name, row in rows.items() if row.planning}
    if not rates:
        return None
    best = max(rates.values())
    rule = f"closed-loop success over the best method's: poor under {MODERATE}, excellent from {HIGH}"
    if not best:  # no method solved a task
        return Verdict("S7 planning", _article_says("planning"), rule, {"success_rate": {**rates}}, None)
    return _graded("planning", {n: v / best for n, v in rates.items()}, ("poor", "moderate", "excellent"), rule)


def _s9(result: CompareResult, rows: Rows) -> Verdict | None:
    """The smallest data size, the mean over all shifted test sets, RMSE: R2 would flatter sets of wide spread."""
    errors: dict[str, float] = {}
    for name, row in rows.items():
        if row.data and row.family != "supervised":
            shifts = row.data[min(row.data)].shifts.values()
            if shifts:  # a world without looks to change, and without circles, has none
                # by numpy: from Python 3.12 on, sum() rounds otherwise
                errors[name] = float(np.mean([shift.rmse_sd.mean or 0.0 for shift in shifts]))
    if "lejepa" not in errors or len(errors) < 2:
        return None
    return Verdict(
        "S9", "with little data LeJEPA generalises better out of distribution",
        "at the smallest data size LeJEPA's RMSE, averaged over the shifted test sets, is the lowest of all "
        "self-supervised methods", {"rmse_sd": {**errors}}, errors["lejepa"] == min(errors.values()),
    )  # fmt: skip
