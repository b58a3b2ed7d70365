"""Worlds without a recipe: the automatic recipe, beside the settings that they had before."""

from collections.abc import Callable
from typing import Any

from benchmarks.recipes.options import EARLIER, Figures, RecipesBench, cell
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
    """What the earlier settings give, and what the recipe gives, with all that training chooses by itself."""
    earlier = cell(bench, bench.base(world, "earlier", seed, EARLIER))
    automatic = cell(bench, bench.base(world, "automatic", seed, {"choose": list(recipe(world).choose)}))
    return {"earlier": earlier, "automatic": automatic}


def judged(cells: dict[str, dict[str, Figures]], refused: dict[str, str]) -> dict[str, Any]:
    """In how many worlds the automatic recipe is better and worse, by success and by state R2."""
    totals = {outcome: _counts(cells, outcome) for outcome in ("success", "state_r2")}
    return {"what": "recipes-comparison", "totals": totals, "cells": cells, "refused": refused}


def _counts(cells: dict[str, dict[str, Figures]], outcome: str) -> dict[str, float]:
    both = [(of["earlier"][outcome], of["automatic"][outcome]) for of in cells.values()]
    known = [(before, after) for before, after in both if before is not None and after is not None]
    return {
        "better": sum(after > before for before, after in known),
        "same": sum(after == before for before, after in known),
        "worse": sum(after < before for before, after in known),
        "mean_earlier": sum(before for before, _ in known) / max(1, len(known)),
        "mean_automatic": sum(after for _, after in known) / max(1, len(known)),
    }


def lines(found: dict[str, Any]) -> str:
    """The worlds side by side, in a few lines."""
    rows = [
        f"{world}: success {of['earlier']['success']:.2f} -> {of['automatic']['success']:.2f} "
        f"(random {of['automatic']['random']:.2f}), state R2 {of['earlier']['state_r2']:.2f} -> "
        f"{of['automatic']['state_r2']:.2f}"
        for world, of in found["cells"].items()
    ]
    rows += [f"{world}: refused: {why}" for world, why in found["refused"].items()]
    counts = [
        f"{outcome}: {of['better']} better, {of['same']} the same, {of['worse']} worse"
        for outcome, of in found["totals"].items()
    ]
    return "\n".join([*rows, *counts])
