"""The state that latents show, in units that people think in: degrees and millimetres."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from worldmodel.data.store import DataSet
from worldmodel.data.truth import latent_variables
from worldmodel.measures.identifiability import affine_apply, affine_fit

_SHOWN = {"rad": ("deg", 180 / np.pi), "m": ("mm", 1000.0), "": ("", 1.0)}
"""Unit of a state variable -> the unit in which errors are told, and how many of it there are in one."""
FITTED_ROWS = 10_000
"""Training frames behind a reader."""


@dataclass(frozen=True)
class UnitReader:
    """Reads state variables from latents by a linear map that was fitted on training frames."""

    units: dict[str, str]
    """State variable -> the unit of its errors."""
    _weights: np.ndarray
    _columns: dict[str, list[int]]
    """State variable -> what is read of it: itself, or its cosine and sine."""
    _factors: dict[str, float]

    def read(self, latents: Tensor) -> dict[str, np.ndarray]:
        """State variable -> its values (…), of latents (…, D); angles in radians."""
        found = affine_apply(self._weights, latents.flatten(0, -2).cpu().numpy()).reshape(*latents.shape[:-1], -1)
        return {
            name: np.arctan2(found[..., at[1]], found[..., at[0]]) if len(at) == 2 else found[..., at[0]]
            for name, at in self._columns.items()
        }

    def errors(self, name: str, read: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Values of a variable minus the truth, in `units`; of angles, the shorter way around."""
        error = read - truth
        if len(self._columns[name]) == 2:
            error = (error + np.pi) % (2 * np.pi) - np.pi
        return self._factors[name] * error

    def path(self, name: str, truth: np.ndarray) -> np.ndarray:
        """True values of a variable (h,) one after the other, in `units`; angles do not jump."""
        return self._factors[name] * (np.unwrap(truth) if len(self._columns[name]) == 2 else truth)


def fit_reader(latents: Tensor, rows: Tensor, data: DataSet, units: Mapping[str, str]) -> UnitReader:
    """The reader of latents (n, D) that are of rows int64 (n,) of a data set.

    units: state variable -> "rad", "m", or nothing where it is not known.
    """
    variables = latent_variables(data)
    weights = affine_fit(latents.cpu().numpy(), variables.values[rows.numpy()])
    columns: dict[str, list[int]] = {}
    for column, label in enumerate(variables.names):
        columns.setdefault(label.removeprefix("cos ").removeprefix("sin "), []).append(column)
    shown = {name: _SHOWN["rad" if len(at) == 2 else units.get(name, "")] for name, at in columns.items()}
    return UnitReader(
        {name: unit for name, (unit, _) in shown.items()},
        weights,
        columns,
        {name: factor for name, (_, factor) in shown.items()},
    )
