"""Several trainings on one world: how far their imagined states lie apart, and whether that predicts their errors."""

import numpy as np
from scipy import stats

from worldmodel.runs import Disagreement
from worldmodel.system.errors import UserError

_FEWEST_WINDOWS = 10
"""Fewest windows for a rank correlation."""


def disagreement(errors: list[dict[str, np.ndarray]]) -> dict[str, Disagreement]:
    """State variable -> how runs disagree.

    errors: of each run, state variable -> imagined minus true value (n, h), of the same n windows at h steps.
    """
    return {name: _of_variable(np.stack([of[name] for of in errors])) for name in errors[0]}


def _of_variable(errors: np.ndarray) -> Disagreement:
    """errors: (runs, n, h)."""
    of_mean, spread = np.abs(errors.mean(0)), errors.std(0, ddof=1)
    foretells = None
    if errors.shape[1] >= _FEWEST_WINDOWS and np.ptp(spread[:, -1]) > 0 and np.ptp(of_mean[:, -1]) > 0:
        foretells = float(stats.spearmanr(spread[:, -1], of_mean[:, -1]).statistic)
    return Disagreement(of_mean.mean(0).tolist(), spread.mean(0).tolist(), foretells)


def check_alike(windows: dict[str, tuple[object, ...]]) -> None:
    """UserError unless all runs imagine the same windows. windows: run -> its data, frames seen, steps."""
    first, *others = windows
    for other in others:
        if windows[other] != windows[first]:
            raise UserError(
                f"{first} and {other} cannot be compared window by window: data, frames seen and steps are "
                f"{windows[first]} and {windows[other]}; name runs that differ in their seed alone"
            )
