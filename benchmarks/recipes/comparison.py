"""Worlds without a recipe: their settings as they stand, beside those that training chooses."""

from collections.abc import Callable
from typing import Any

from benchmarks.recipes.options import Figures, RecipesBench, cell
from worldmodel.settings import recipe


def measure(bench: RecipesBench, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Both trainings in every world with every seed; `keep` sees the figures after each world."""
    cells: dict[str, dict[str, Figures]] = {}
    refused: dict[str, str] = {}
    found: dict[str, Any] = {}
    for seed in bench.seeds:
        for world in bench.all_worlds:
            try:
                cells[f"{world} s{seed}"] = _both(bench, world, seed)
            except ValueError as error:  # a package that is not installed, or does not run with this MuJoCo
                refused[world] = str(error)
            found = judged(cells, refused)
            keep(found)
    return found


def _both(bench: RecipesBench, world: str, seed: int) -> dict[str, Figures]:
    """What the settings as they stand give, and what the chosen ones give: the same where nothing was changed."""
    as_it_stands = cell(bench, bench.base(world, "stands", seed, {}))
    leaves_open = bench.base(world, "chosen", seed, {"choose": list(recipe(world).choose)})
    chosen = cell(bench, leaves_open, as_it_stands)
    return {"as it stands": as_it_stands, "chosen": chosen}


def judged(cells: dict[str, dict[str, Figures]], refused: dict[str, str]) -> dict[str, Any]:
    """In how many worlds the chosen settings are better and worse, by success and by state R2."""
    totals = {outcome: _counts(cells, outcome) for outcome in ("success", "state_r2")}
    return {"what": "recipes-comparison", "totals": totals, "cells": cells, "refused": refused}


def _counts(cells: dict[str, dict[str, Figures]], outcome: str) -> dict[str, float]:
    both = [(of["as it stands"][outcome], of["chosen"][outcome]) for of in cells.values()]
    known = [(before, after) for before, after in both if before is not None and after is not None]
    return {
        "better": sum(after > before for before, after in known),
        "same": sum(after == before for before, after in known),
        "worse": sum(after < before for before, after in known),
        "mean_as_it_stands": sum(before for before, _ in known) / max(1, len(known)),
        "mean_chosen": sum(after for _, after in known) / max(1, len(known)),
    }


def lines(found: dict[str, Any]) -> str:
    """The worlds side by side, in a few lines."""
    rows = [
        f"{world}: success {of['as it stands']['success']:.2f} -> {of['chosen']['success']:.2f} "
        f"(random {of['chosen']['random']:.2f}), state R2 {of['as it stands']['state_r2']:.2f} -> "
        f"{of['chosen']['state_r2']:.2f}"
        for world, of in found["cells"].items()
    ]
    rows += [f"{world}: refused: {why}" for world, why in found["refused"].items()]
    counts = [
        f"{outcome}: {of['better']} better, {of['same']} the same, {of['worse']} worse"
        for outcome, of in found["totals"].items()
    ]
    return "\n".join([*rows, *counts])
