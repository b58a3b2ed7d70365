"""Statistics of arrays: identifiability, intervals, canonical correlations, regression probes."""

from worldmodel.measures.canonical import CanonicalReadout, fit_canonical, fit_canonical_pairs, fit_sequential
from worldmodel.measures.identifiability import (
    Identifiability,
    affine_apply,
    affine_fit,
    aligned_angle_r2,
    measure,
    r2,
    unwrapped_mean,
)
from worldmodel.measures.statistics import OverSeeds, best_known, mean_known, over_seeds, wilson_interval
from worldmodel.measures.wording import digits, with_interval

__all__ = [
    "CanonicalReadout",
    "Identifiability",
    "OverSeeds",
    "affine_apply",
    "affine_fit",
    "aligned_angle_r2",
    "best_known",
    "digits",
    "fit_canonical",
    "fit_canonical_pairs",
    "fit_sequential",
    "mean_known",
    "measure",
    "over_seeds",
    "r2",
    "unwrapped_mean",
    "wilson_interval",
    "with_interval",
]
