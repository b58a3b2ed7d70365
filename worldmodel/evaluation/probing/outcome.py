"""What a probe found, as pictures and as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from worldmodel.data.truth import Variables
from worldmodel.figures import figures
from worldmodel.measures.regression import Score
from worldmodel.runs.run_directory import RunDirectory


def scatter(run: RunDirectory, name: str, unit: str, truth: np.ndarray, score: Score, k: int) -> None:
    shown = slice(0, 3000)
    figures.probe_scatter(
        run.figures / f"probe_{name.replace(' ', '_')}.png",
        name, unit, truth[shown], score.prediction[shown, k], score.r2[k], score.interval[k],
    )  # fmt: skip


def results(
    variables: Variables, kind: str, linear: Score, nonlinear: Score, controls: Mapping[str, Sequence[float | None]]
) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "r2_linear": linear.r2[k],
            "r2_linear_interval": linear.interval[k],
            "r2_mlp": nonlinear.r2[k],
            "r2_mlp_interval": nonlinear.interval[k],
            "unit": variables.units[k],
            "kind": kind,
            "controls": {control: values[k] for control, values in controls.items()},
        }
        for k, name in enumerate(variables.names)
    }
