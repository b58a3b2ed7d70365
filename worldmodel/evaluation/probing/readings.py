"""Results of probing several variables: scores, and the predictions behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from worldmodel.data.truth import Variables
from worldmodel.measures.regression import Score
from worldmodel.runs.probe_result import ProbedVariable
from worldmodel.runs.results import as_interval


@dataclass(frozen=True)
class Reading:
    """Predictions of a linear probe of one variable on n test examples, for its scatter plot."""

    name: str
    """The variable."""
    truth: np.ndarray
    """True values in the variable's unit, (n,)."""
    prediction: np.ndarray
    """The probe's predictions, (n,)."""
    log: bool = False
    """Whether the probe reads the logarithm."""


def scored(
    variables: Variables,
    kind: Literal["state", "physical"],
    linear: Score,
    nonlinear: Score,
    controls: Mapping[str, Sequence[float | None]],
) -> dict[str, ProbedVariable]:
    """Variable -> how well it is read; `controls`: R2 of each control, one a variable."""
    return {
        name: ProbedVariable(
            kind=kind,
            unit=variables.units[k],
            r2_linear=linear.r2[k],
            r2_linear_interval=as_interval(linear.interval[k]),
            r2_mlp=nonlinear.r2[k],
            r2_mlp_interval=as_interval(nonlinear.interval[k]),
            controls={control: values[k] for control, values in controls.items()},
        )
        for k, name in enumerate(variables.names)
    }
