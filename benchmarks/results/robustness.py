"""Goals reached where the world looks different: `worldmodel robust`."""

from typing import Any

from benchmarks.results.markdown import Row, digits, with_interval
from benchmarks.results.sources import read_all, read_robusts
from worldmodel.runs import DoubtResult, LookResult, RobustResult
from worldmodel.settings import recipe


def rows() -> list[Row]:
    """The look under which the fewest goals are reached, by each encoder, of evaluations of several training seeds."""
    rows: list[Row] = []
    for name, found in read_robusts():
        if levels := _level_rows(name, found):
            rows += levels
            continue
        worst = {
            encoder: min((of for of in looks if of.success), key=lambda of: of.success.rate if of.success else 1.0)
            for encoder, looks in found.encoders.items()
        }
        if len(found.runs) < 2:
            continue
        told = [
            f"{with_interval(of.success.rate, of.success.interval, '.1%')} by {encoder} ({of.label})"
            for encoder, of in worst.items()
            if of.success
        ]
        looks = len(next(iter(found.encoders.values()))) - 1
        label = f"{found.world}: goals reached under the worst of {looks} looks, {len(found.runs)} seeds"
        as_in = f"`worldmodel robust` as in docs/results/robust-{name}.json"
        asked = "" if recipe(found.world).robust else " robust=true"
        command = f"`worldmodel train env={found.world}{asked}`, {as_in}"
        rows.append((label, ", ".join(told), "95 %", command))
    return rows + [row for found in read_all("left_out-*.json") for row in _left_out_rows(found)]


def _level_rows(name: str, found: RobustResult) -> list[Row]:
    """Share of clean success kept at the Distracting Control Suite's levels, all its axes together."""
    looks, rows = next(iter(found.encoders.values())), list[Row]()
    all_axes = [(of.suite, of) for of in looks if of.suite and of.suite.axis == "all"]
    for motion in dict.fromkeys(setting.motion for setting, _ in all_axes):
        told = [
            f"{setting.level} {with_interval(of.kept, of.kept_interval, '.2f')}"
            for setting, of in all_axes
            if setting.motion == motion
        ]
        label = f"{found.world}: share of clean success kept on the Distracting Control Suite, {motion}"
        as_in = f"`worldmodel robust` as in docs/results/robust-{name}.json"
        rows.append((f"{label}, {len(found.runs)} seed(s)", ", ".join(told), ".95, .90, .75", as_in))
    return rows


def _left_out_rows(found: dict[str, Any]) -> list[Row]:
    """Looks of a kind that the robust encoder never saw, the worst of each kind."""
    rows: list[Row] = []
    run = f"runs/{found['world']}-s0" if found["num_seeds"] == 1 else f'"runs/{found["world"]}-s?"'
    for what, looks in found["without"].items():
        worst = min(looks, key=lambda of: of["success"])
        label = f"{found['world']}, trained without {what}: goals reached under {worst['look']} {worst['strength']:g}"
        value = with_interval(worst["success"], worst["interval"], ".1%")
        rows.append((label, value, "85 %", f"`python -m benchmarks.left_out_looks run={run}`"))
    return rows


def details() -> str:
    """Every evaluation of `worldmodel robust out=docs/results/robust-*.json`."""
    tables = [_table(name, found) for name, found in read_robusts()]
    if not tables:
        return ""
    head = [
        "",
        "## Under other looks",
        "",
        "`worldmodel robust run=… out=docs/results/robust-NAME.json`: share of goals reached with its 95 % interval,",
        "share of the clean success that is kept, and R² of the positions by the linear map fitted on clean frames;",
        "where a run knows of constants, also R² of these from one window, by the linear map fitted on clean windows.",
        "Novel: share of tasks whose start or goal the decoder cannot draw from its latent. Doubted: its latent is",
        "none of training. Both are known before the first step, and beyond 99 % of clean frames.",
        "The kinds of look and the units of their strengths are in [LOOKS.md](LOOKS.md).",
    ]
    return "\n".join([*head, *tables]) + "\n"


def _table(name: str, found: RobustResult) -> str:
    encoders, clean = list(found.encoders), next(iter(found.encoders.values()))[0]
    constants = "".join(f"R² of {name} | " for name in clean.constants)
    lines = [
        "",
        f"`{name}`: {found.world}, {len(found.runs)} run(s) x {clean.num_tasks} tasks, protocol {found.protocol.name}, "
        f"{found.instances} instances of each look.",
        "",
        "| look |" + "".join(f" {encoder}: goals reached | kept | R² | {constants}novel |" for encoder in encoders),
        "|---|" + "---|" * (4 + len(clean.constants)) * len(encoders),
    ]
    for looks in zip(*found.encoders.values(), strict=True):
        cells = [cell for of in looks for cell in _cells(of)]
        lines.append(f"| {' | '.join([looks[0].label, *cells])} |")
    for encoder, doubt in found.doubt.items():
        lines += ["", f"{encoder}: {_doubted(doubt)}"]
    return "\n".join(lines)


def _cells(of: LookResult) -> list[str]:
    reached = with_interval(of.success.rate, of.success.interval, ".2f") if of.success else digits(None)
    shares = [of.kept, of.r2, *of.constants.values(), of.novel]
    return [reached, *(digits(share, ".2f") for share in shares)]


def _doubted(found: DoubtResult) -> str:
    area = with_interval(found.auroc, found.auroc_interval)
    return (
        f"{found.doubted:.0%} of all tasks are doubted before they begin, of which "
        f"{digits(found.success_doubted, '.0%')} succeed, and {digits(found.success_trusted, '.0%')} of the others; "
        f"AUROC of doubt for failure {area}."
    )
