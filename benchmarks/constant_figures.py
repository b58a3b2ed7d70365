"""How near estimates of known constants come: R2, relative error, bias, width and coverage of their intervals."""

from typing import Any

import numpy as np

from worldmodel.identifying import Simulator
from worldmodel.measures import r2


def of_constant(
    simulator: Simulator, name: str, true: np.ndarray, found: np.ndarray, width: np.ndarray, trusted: np.ndarray
) -> dict[str, Any]:
    """Figures over all recordings; coverage over those without an alarm, which alone have intervals."""
    factor = simulator.world.factors[name]
    values = np.array([[factor.value(t) for t in pair] for pair in zip(true, found, strict=True)])
    covered = (np.abs(found - true) <= width)[trusted]
    thirds = np.array_split(trusted[np.argsort(true[trusted])], 3)
    return {
        "r2": float(r2(true[:, None], found[:, None])[0]),
        "r2_trusted": float(r2(true[trusted, None], found[trusted, None])[0]) if len(trusted) > 2 else None,
        "median_relative_error": float(np.median(np.abs(values[:, 1] / values[:, 0] - 1)))
        if factor.transform == "log"
        else None,
        "bias_sd": float((found - true).mean()),
        "median_width_sd": float(np.median(width)),
        "covered": int(covered.sum()),
        "trusted": len(covered),
        "coverage_by_third": [float((np.abs(found - true) <= width)[third].mean()) for third in thirds if len(third)],
    }


def all_trusted(simulator: Simulator, true: np.ndarray, found: np.ndarray, width: np.ndarray) -> dict[str, Any]:
    """Figures of every constant by a reader that gives each recording an interval; all (W, P)."""
    everything = np.arange(len(found))
    return {
        name: of_constant(simulator, name, true[:, k], found[:, k], width[:, k], everything)
        for k, name in enumerate(simulator.constants)
    }
