"""Settings that training chooses without labels: `python -m benchmarks.recipes`."""

from typing import Any

from benchmarks.results.markdown import Row, digits, grid, with_interval
from benchmarks.results.sources import read

_OUTCOMES = {"success": "goals reached", "state_r2": "state R²"}
_CRITERIA = {
    "steps_off": "steps off in time, 15 steps ahead",
    "ratio_15": "error over persistence, 15 steps ahead",
    "ratio_5": "the same 5 steps ahead",
    "ratio_1": "the same 1 step ahead",
    "alignment": "alignment",
    "effective_rank": "effective rank",
}


def rows() -> list[Row]:
    """Whether the best criterion orders candidates, and in how many worlds the chosen settings are better."""
    rows: list[Row] = []
    if found := read("recipes-criteria.json"):
        for outcome, label in _OUTCOMES.items():
            of = found["correlations"]["steps_off"][outcome]
            what = f"rank correlation of steps off in time with {label}, within {of['worlds']} worlds"
            value = with_interval(of["within"]["mean"], of["within"]["interval"], ".2f")
            rows.append((what, value, "–", "`python -m benchmarks.recipes what=criteria`"))
    if found := read("recipes-comparison.json"):
        num = len(found["cells"])
        for outcome, label in _OUTCOMES.items():
            of = found["totals"][outcome]
            what = f"the automatic recipe beside the settings before it: {label} in {num} worlds and seeds"
            value = f"{of['better']} better, {of['same']} the same, {of['worse']} worse"
            rows.append((what, value, "10 of 12 better", "`python -m benchmarks.recipes what=comparison tasks=100`"))
    return rows


def details() -> str:
    """Every criterion, what choosing by it gives, and every world side by side."""
    criteria, comparison = read("recipes-criteria.json"), read("recipes-comparison.json")
    parts = [_criteria(criteria)] if criteria else []
    parts += [_comparison(comparison)] if comparison else []
    if not parts:
        return ""
    return "\n".join(["", "## Settings chosen without labels", "", *parts]) + "\n"


def _criteria(found: dict[str, Any]) -> str:
    """A line for each criterion."""
    head = (
        f"{found['num_trainings']} short training runs, five candidates in each world. Rank correlation of each "
        "criterion with what counts, so that 1 is\nright: mean over worlds, and pooled ranks, with 95 % intervals over "
        "worlds; pairs of candidates that are ordered rightly;\nand the mean outcome of the candidate that the "
        "criterion picks.\n"
    )
    columns = ["criterion"]
    columns += [f"{label}: {what}" for label in _OUTCOMES.values() for what in ("within", "pooled", "pairs", "picked")]
    body = {
        label: [text for outcome in _OUTCOMES for text in _line(found, name, outcome)]
        for name, label in _CRITERIA.items()
    }
    for name, label in {"as it stands": "settings as they stand", "best": "best candidate"}.items():
        picked = [digits(found["choices"][outcome][name]) for outcome in _OUTCOMES]
        body[label] = ["–", "–", "–", picked[0], "–", "–", "–", picked[1]]
    return f"{head}\n{grid(columns, body)}\n"


def _line(found: dict[str, Any], criterion: str, outcome: str) -> list[str]:
    of = found["correlations"][criterion][outcome]
    right, pairs = of["pairs_ordered_rightly"]
    return [
        with_interval(of["within"]["mean"], of["within"]["interval"], ".2f"),
        with_interval(of["pooled"], of["pooled_interval"], ".2f"),
        f"{right} of {pairs}",
        digits(found["choices"][outcome][criterion]),
    ]


def _comparison(found: dict[str, Any]) -> str:
    """A line for each world and seed."""
    columns = ["world", "goals reached: earlier", "automatic", "random", "state R²: earlier", "automatic", "chosen"]
    body = {}
    for world, of in found["cells"].items():
        before, after = of["earlier"], of["automatic"]
        options = {name: value for name, value in after.items() if "." in name}
        body[world] = [
            *(
                digits(cell[name], ".2f")
                for cell, name in ((before, "success"), (after, "success"), (before, "random"))
            ),
            *(digits(cell["state_r2"], ".2f") for cell in (before, after)),
            ", ".join(f"{name.rsplit('.', 1)[-1]} {value:g}" for name, value in options.items()) or "as they stand",
        ]
    refused = [f"{world} was left out: {why}." for world, why in found["refused"].items()]
    head = (
        "Whole trainings by the automatic recipe: `configs/default.yaml` and what training chose from there. Earlier: "
        "16 latents,\nalignment of all change, whole frames, a predictor with weights of its own for every step, and "
        "nothing chosen.\n"
    )
    return "\n".join([head, grid(columns, body), *([""] if refused else []), *refused]) + "\n"
