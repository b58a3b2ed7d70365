"""Errors of the imagined state, by how far a model looks ahead, and the band in which the truth is to be expected."""

import numpy as np
from torch import Tensor

from worldmodel.learning.state_units import UnitReader
from worldmodel.measures.statistics import central_95, conformal_bound, resampled_means
from worldmodel.runs import StateErrors
from worldmodel.runs.results import as_interval


def state_errors(
    reader: UnitReader,
    imagined: Tensor,
    seen: Tensor,
    truth: dict[str, np.ndarray],
    episode: np.ndarray,
    resamples: int,
    rng: np.random.Generator,
    bounds: dict[str, np.ndarray] | None = None,
) -> dict[str, StateErrors]:
    """Mean absolute error of every state variable at each of h steps, over n windows.

    Args:
        reader: reads the state from latents.
        imagined: latents that the model imagines at these steps, (n, h, D).
        seen: latents of the frame before the first step, and of the true frames at these steps, (n, 1 + h, D).
        truth: state variable -> its true values at these steps, (n, h).
        episode: the episode of each window, int (n,).
        resamples: of episodes, behind each interval.
        rng: draws them.
        bounds: state variable -> `error_bounds` (h,) of other episodes; None where there are none.
    """
    of_imagined, of_seen = reader.read(imagined), reader.read(seen)
    found = {}
    for name, unit in reader.units.items():
        columns = [
            np.abs(reader.errors(name, of_imagined[name], truth[name])),
            np.abs(reader.errors(name, of_seen[name][:, :1], truth[name])),
            np.abs(reader.errors(name, of_seen[name][:, 1:], truth[name])),
        ]
        ahead, still, read = (values.mean(0) for values in columns)
        means = resampled_means(np.concatenate([columns[0], columns[2][:, -1:]], 1), episode, resamples, rng)
        several = len(np.unique(episode)) > 1
        ends = [as_interval(central_95(values)) if several else None for values in means[:, :-1].T]
        ratio = float(ahead[-1] / read[-1]) if read[-1] > 0 else None
        ratio_ends = as_interval(central_95(means[:, -2] / means[:, -1])) if several and ratio is not None else None
        found[name] = StateErrors(
            unit,
            ahead.tolist(),
            ends,
            still.tolist(),
            read.tolist(),
            ratio,
            ratio_ends,
            bounds[name].tolist() if bounds else [],
            (columns[0] <= bounds[name]).mean(0).tolist() if bounds else [],
        )
    return found


def error_bounds(reader: UnitReader, imagined: Tensor, truth: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """State variable -> what its error at each of h steps stays below in 95 % of windows, (h,).

    By split conformal prediction, step by step. Windows of one episode are alike, so that how often it holds is to be
    measured on other episodes.

    Args:
        reader: reads the state from latents.
        imagined: latents that the model imagines at these steps of calibration windows, (n, h, D).
        truth: state variable -> its true values at these steps, (n, h).
    """
    read = reader.read(imagined)
    return {name: conformal_bound(np.abs(reader.errors(name, read[name], truth[name]))) for name in reader.units}
