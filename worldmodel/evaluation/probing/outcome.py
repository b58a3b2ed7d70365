"""What a probe found, as pictures and as JSON."""

from typing import Any

import numpy as np

from worldmodel.data.truth import Variables
from worldmodel.figures import figures
from worldmodel.measures.regression import Score
from worldmodel.runs.run_directory import RunDirectory


def pair(score: Score, k: int) -> tuple[float, float]:
    return float(score.interval[k, 0]), float(score.interval[k, 1])


def scatter(run: RunDirectory, name: str, unit: str, truth: np.ndarray, score: Score, k: int) -> None:
    shown = slice(0, 3000)
    figures.probe_scatter(
        run.figures / f"probe_{name.replace(' ', '_')}.png",
        name, unit, truth[shown], score.prediction[shown, k], float(score.r2[k]), pair(score, k),
    )  # fmt: skip


def results(
    variables: Variables, kind: str, linear: Score, nonlinear: Score, controls: dict[str, np.ndarray]
) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "r2_linear": float(linear.r2[k]),
            "r2_linear_interval": list(pair(linear, k)),
            "r2_mlp": float(nonlinear.r2[k]),
            "r2_mlp_interval": list(pair(nonlinear, k)),
            "unit": variables.units[k],
            "kind": kind,
            "controls": {control: float(values[k]) for control, values in controls.items()},
        }
        for k, name in enumerate(variables.names)
    }
