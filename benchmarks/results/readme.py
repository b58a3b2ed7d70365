"""The README's one table: this toolkit beside LeWM, stable-worldmodel and what else is published.

Our figures are read from docs/results/*.json. The published ones stand here, each with its source. A figure below the
published one is marked as a miss.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.results.sources import read, read_control, read_runs
from worldmodel.runs import ControllerResult, Success

README = Path("README.md")
BEGIN, END = "<!-- comparison: begin -->", "<!-- comparison: end -->"
LEWM = {"reacher": (0.86, 0.10), "two_room": (0.87, 0.0), "push_t": (0.96, 0.02)}
"""World -> share of goal images that LeWM reaches, and that random actions reach (arXiv:2603.19312, planning)."""
DINO_WM_TWO_ROOM = 1.0
"""DINO-WM on Two-Room, from the same results."""
OU_R2 = 0.95
"""Mean R2 of the reacher's joint angles, angles of 1 rad, rho .9 (arXiv:2605.26379, Section 5, OU pairs)."""
ROLLOUT_R2 = (0.80, 0.78)
"""R2 of shoulder and wrist from recorded trajectories of random motion, best stride (arXiv:2605.26379, Section 5)."""
THEOREM = "[2605.26379](https://arxiv.org/abs/2605.26379)"


@dataclass(frozen=True)
class Row:
    """One line of the table, in words."""

    what: str
    """What was measured."""
    ours: str
    """This toolkit's figure."""
    published: str
    """The figure that it is compared with, and whose it is."""
    verdict: str
    """Above it, or a miss, and by how much."""


def table() -> str:
    """The table in Markdown; rows that were not measured are left out."""
    rows = [*_goal_rows(), *_lewm_size_row(), *_plan_row(), *_angle_rows(), *_constants_row()]
    lines = ["| | this toolkit | published | verdict |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {row.what} | {row.ours} | {row.published} | {row.verdict} |" for row in rows)])


def write() -> None:
    """Put the table between its markers in README.md; run from the repository's root."""
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")


def _goal_rows() -> list[Row]:
    """Share of goal images reached, by LeWM's rules."""
    rows = []
    for world, file, what, others in (
        ("reacher", "reacher-lewm", "Reacher, a two-joint arm: goal images reached", ""),
        ("two_room", "two_room", "Two-Room, a dot that must find a door", f", DINO-WM {DINO_WM_TWO_ROOM:.0%}"),
        ("push_t", "push_t", "Push-T, a T-shaped block to be pushed", ""),
    ):
        if found := read_control(file):
            theirs, by_chance = LEWM[world]
            latent, random = found.latent, found.controllers["random"].success
            assert latent.success and random
            ours, verdict = f"{_success(latent)}; random {random.rate:.0%}", _verdict(latent.success, theirs)
            rows.append(Row(what, ours, f"LeWM {theirs:.0%}{others}; random {by_chance:.0%}", verdict))
    return rows


def _lewm_size_row() -> list[Row]:
    """LeWM's own network and planner."""
    found = read_control("reacher-lewm_size")
    if not found:
        return []
    latent, (theirs, _) = found.latent, LEWM["reacher"]
    assert latent.success
    what = "Reacher, a model of LeWM's size (64-pixel frames) with LeWM's loss and planner"
    return [Row(what, _success(latent), f"LeWM {theirs:.0%}", _verdict(latent.success, theirs))]


def _plan_row() -> list[Row]:
    """The time of LeWM's plan on LeWM's network, measured side by side."""
    found = read("bench-peer-cpu-bfloat16.json")
    if not found:
        return []
    ours, peer = found["ours_on_peer_plan_s"], found["peer_plan_s"]
    what = "One plan on LeWM's network, CPU-seconds"
    theirs = f"stable-worldmodel {peer:.1f} (float32, measured here)"
    faster = f"{peer / ours:.1f} times as fast"
    if same := read("bench-peer-cpu-float32.json"):
        faster += f"; {same['peer_plan_s'] / same['ours_on_peer_plan_s']:.1f} times where both use float32"
    return [Row(what, f"{ours:.1f} ({found['dtype']})", theirs, faster)]


def _angle_rows() -> list[Row]:
    """Joint angles of the reacher from pixels, without labels."""
    rows = []
    if found := _reproduced("reacher_ou", "s=1-rho=0.9-longer"):
        r2 = found["r2_h_to_z"]["mean"]
        what = "Reacher's joint angles, images of exactly Gaussian motion: R²"
        rows.append(Row(what, f"{r2:.3f}", f"{OU_R2} ({THEOREM})", _r2_verdict([r2], [OU_R2])))
    if found := _reproduced("reacher_trajectories", "uniform-stride=8"):
        ours = [found[f"gaussian_r2_{joint}"]["mean"] for joint in ("shoulder", "wrist")]
        what = "The same in the article's setting of random motion: R² of shoulder, wrist"
        published = f"{_listed(ROLLOUT_R2, '.2f')} ({THEOREM})"
        rows.append(Row(what, _listed(ours, ".2f"), published, _r2_verdict(ours, ROLLOUT_R2)))
    return rows


def _constants_row() -> list[Row]:
    """Mass and friction of the puck from pixels, without labels."""
    probed = [run.probe for run in read_runs("puck-base") if run.probe]
    if not probed:
        return []
    read_of = {name: [found.variables[name].r2_linear for found in probed] for name in ("mass", "friction")}
    medians = [statistics.median(r2 for r2 in values if r2 is not None) for values in read_of.values()]
    what = "Log mass, log friction of a sliding puck from images (`env=puck size=base`): R²"
    return [Row(what, _listed(medians, ".3f"), "none found", "–")]


def _reproduced(table_name: str, key: str) -> dict[str, Any] | None:
    """The measures of one row of a published table that was measured again."""
    content = read(f"reproduce-{table_name}.json")
    rows = content["rows"] if content else []
    return next((row["measures"] for row in rows if row["key"] == key), None)


def _success(found: ControllerResult) -> str:
    assert found.success
    low, high = found.success.interval
    runs = f"{found.num_runs} x " if found.num_runs > 1 else ""
    return f"**{found.success.rate:.1%}** [{low:.1%}, {high:.1%}] of {runs}{found.num_tasks:,}"


def _verdict(ours: Success, published: float) -> str:
    """Above or below a published share, and how many points below; neither where it lies in our interval."""
    low, high = ours.interval
    if low <= published <= high:
        return "not distinguishable from LeWM"
    points = round(100 * (published - ours.rate))
    if points <= 0:
        return "above LeWM"
    return f"**miss** by {points} point{'s' * (points != 1)}"


def _r2_verdict(ours: Sequence[float], published: Sequence[float]) -> str:
    """The same of several R2, which are a miss where one is."""
    gaps = [theirs - own for own, theirs in zip(ours, published, strict=True)]
    return "above" if max(gaps) <= 0 else f"**miss** by {_listed(gaps, '.3f' if max(gaps) < 0.01 else '.2f')}"


def _listed(values: Sequence[float], form: str) -> str:
    return ", ".join(format(value, form) for value in values)
