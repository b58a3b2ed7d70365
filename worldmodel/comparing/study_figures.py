"""The figures of a study: turns its result into the arrays that `figures.comparison` draws."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from worldmodel.comparing.compare_result import BallReading, CompareResult, DataSizeReading, LitBallResult, MethodRow
from worldmodel.figures import comparison
from worldmodel.measures.statistics import OverSeeds


def draw_methods(path: Path, result: CompareResult) -> Path:
    """Recovery, convergence and sweeps of all methods."""
    return comparison.methods(path, {name: _method(row) for name, row in result.methods.items()})


def _method(row: MethodRow) -> comparison.MethodFigures:
    return comparison.MethodFigures(
        r2=_drawn(row.r2_h_to_z),
        interval=row.r2_h_to_z.interval,
        curve=[(point.cpu_s, point.r2) for point in row.curve],
        by_batch={size: _drawn(found) for size, found in row.batch.items()},
        by_frames={num: _drawn(found.test) for num, found in row.data.items()},
        shifted_rmse=_shifted(row.data),
    )


def _shifted(data: Mapping[int, DataSizeReading]) -> dict[int, float]:
    """Training frames -> error, mean over shifted test sets; nothing where the world has none."""
    return {
        num: float(np.mean([_drawn(shift.rmse_sd) for shift in found.shifts.values()]))
        for num, found in data.items()
        if found.shifts
    }


def draw_lit_ball(path: Path, result: LitBallResult) -> Path:
    """Ball and light under every condition."""
    conditions = {
        name: {method: _separation(row) for method, row in condition.methods.items()}
        for name, condition in result.conditions.items()
    }
    return comparison.separation(path, conditions)


def _separation(row: BallReading) -> comparison.SeparationFigures:
    errors = {name: _drawn(shift.rmse_sd) for name, shift in row.x_under_shift.items()}
    return comparison.SeparationFigures(_drawn(row.x), _drawn(row.light), errors)


def _drawn(found: OverSeeds) -> float:
    """The mean; 0 where it cannot be determined."""
    return found.mean or 0.0
