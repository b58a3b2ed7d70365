"""Which criterion without labels orders the candidates of a world as success and state R2 do."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.recipes.options import EARLIER, Figures, RecipesBench, cell
from worldmodel.measures import best_known, digits, mean_known, over_seeds
from worldmodel.settings import TrainConfig

CANDIDATES: dict[str, dict[str, int | float]] = {
    "as it stands": {},
    "lag 2": {"method.lag": 2},
    "lag 15": {"method.lag": 15},
    "sigreg low": {"method.sigreg_start": 0.002, "method.sigreg_end": 0.0005},
    "input 16": {"encoder.input_size": 16},
}
"""Candidates, each a change of the earlier settings."""
CRITERIA = {"steps_off": -1, "ratio_15": -1, "ratio_5": -1, "ratio_1": -1, "alignment": -1, "effective_rank": 1}
"""Criterion -> whether a higher value is better (1) or worse (-1)."""
_SHORT: dict[str, int | float] = {
    "method.optim.steps": 700,
    "method.optim.batch_size": 128,
    "predictor_training.steps": 800,
    "predictor_training.batch_size": 256,
}
OUTCOMES = ("success", "state_r2")
_RESAMPLES = 2000

Cells = dict[str, dict[str, Figures]]
"""World and seed -> candidate -> what was measured."""


def measure(bench: RecipesBench, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Every candidate of every world with every seed; `keep` sees the figures after each world."""
    cells: Cells = {}
    found: dict[str, Any] = {}
    for seed in bench.seeds:
        for world in bench.all_worlds:
            cells[f"{world} s{seed}"] = {name: cell(bench, _config(bench, world, seed, name)) for name in CANDIDATES}
            found = judged(cells)
            keep(found)
    return found


def _config(bench: RecipesBench, world: str, seed: int, candidate: str) -> TrainConfig:
    return bench.base(world, candidate.replace(" ", "_"), seed, {**EARLIER, **_SHORT, **CANDIDATES[candidate]})


def judged(cells: Cells) -> dict[str, Any]:
    """Rank correlations of every criterion with each outcome, and the outcomes of choosing by it."""
    correlations = {
        criterion: {outcome: _correlation(cells, criterion, outcome) for outcome in OUTCOMES} for criterion in CRITERIA
    }
    return {
        "what": "recipes-criteria",
        "num_trainings": sum(map(len, cells.values())),
        "correlations": correlations,
        "choices": {outcome: _choices(cells, outcome) for outcome in OUTCOMES},
        "cells": cells,
    }


def _correlation(cells: Cells, criterion: str, outcome: str) -> dict[str, Any]:
    """Spearman's correlation within each world, its mean over worlds with a 95 % interval; and that of ranks within
    worlds, pooled, with a bootstrap interval over worlds. A criterion that is better where the outcome is better has a
    positive one."""
    ranks = [of for of in (_ranks(of, criterion, outcome) for of in cells.values()) if of is not None]
    within = over_seeds([float(np.corrcoef(*of)[0, 1]) for of in ranks])
    rng = np.random.default_rng(0)
    ends = None
    if len(ranks) > 1:
        drawn = rng.integers(len(ranks), size=(_RESAMPLES, len(ranks)))
        ends = np.percentile([_pooled([ranks[world] for world in worlds]) for worlds in drawn], [2.5, 97.5]).tolist()
    return {
        "worlds": len(ranks),
        "within": asdict(within),
        "pooled": _pooled(ranks) if ranks else None,
        "pooled_interval": ends,
        "pairs_ordered_rightly": list(map(sum, zip(*_pairs(cells, criterion, outcome), strict=True))),
    }


def _known(candidates: dict[str, Figures], criterion: str, outcome: str) -> np.ndarray:
    """(2, n): how good by the criterion, and the outcome, of candidates that have both."""
    both = [(of[criterion], of[outcome]) for of in candidates.values()]
    known = [(CRITERIA[criterion] * one, other) for one, other in both if one is not None and other is not None]
    return np.array(known, float).reshape(-1, 2).T


def _ranks(candidates: dict[str, Figures], criterion: str, outcome: str) -> np.ndarray | None:
    """Centred ranks (2, n) within a world; None where all candidates have the same value."""
    values = _known(candidates, criterion, outcome)
    if values.shape[1] < 3 or (values.max(1) == values.min(1)).any():
        return None
    ranks = np.stack([stats.rankdata(row) for row in values])
    return ranks - ranks.mean(1, keepdims=True)


def _pooled(ranks: list[np.ndarray]) -> float:
    return float(np.corrcoef(np.concatenate(ranks, 1))[0, 1])


def _pairs(cells: Cells, criterion: str, outcome: str) -> Iterator[tuple[int, int]]:
    """(pairs that the criterion orders rightly, pairs that differ in outcome) of every world."""
    for candidates in cells.values():
        good, outcomes = _known(candidates, criterion, outcome)
        first, second = np.triu_indices(len(good), 1)
        differ = outcomes[first] != outcomes[second]
        rightly = np.sign(good[first] - good[second]) == np.sign(outcomes[first] - outcomes[second])
        yield int((rightly & differ).sum()), int(differ.sum())


def _choices(cells: Cells, outcome: str) -> dict[str, float | None]:
    """Mean outcome over worlds: with the settings as they stand, with the candidate that each criterion picks, and with
    the best candidate."""
    default = [candidates["as it stands"][outcome] for candidates in cells.values()]
    best = [of[best_known({name: one[outcome] for name, one in of.items()})][outcome] for of in cells.values()]
    picked = {criterion: [_picked(of, criterion, outcome) for of in cells.values()] for criterion in CRITERIA}
    random = [candidates["as it stands"]["random"] for candidates in cells.values()]
    means = {"as it stands": default, **picked, "best": best}
    beside = {"random": mean_known(random)} if outcome == "success" else {}
    return {**{name: mean_known(values) for name, values in means.items()}, **beside}


def _picked(candidates: dict[str, Figures], criterion: str, outcome: str) -> float | None:
    """The outcome of the candidate that is best by a criterion."""
    sign = CRITERIA[criterion]
    good = {name: None if (value := of[criterion]) is None else sign * value for name, of in candidates.items()}
    return candidates[best_known(good)][outcome]


def lines(found: dict[str, Any]) -> str:
    """The correlations, in a few lines."""
    rows = []
    for criterion, of in found["correlations"].items():
        told = []
        for outcome in OUTCOMES:
            right, pairs = of[outcome]["pairs_ordered_rightly"]
            told.append(f"{outcome} {digits(of[outcome]['within']['mean'], '+.2f')} ({right}/{pairs} pairs)")
        rows.append(f"{criterion:15} {', '.join(told)}")
    picks = [
        f"{outcome} by choosing: {', '.join(f'{name} {digits(value)}' for name, value in of.items())}"
        for outcome, of in found["choices"].items()
    ]
    return "\n".join([f"{found['num_trainings']} trainings", *rows, *picks])
