"""State variables read from latents, with errors in degrees and millimetres."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from worldmodel.data.store import DataSet
from worldmodel.data.truth import joined, latent_variables
from worldmodel.envs.angles import shorter_way
from worldmodel.measures.identifiability import affine_apply, affine_fit

_SHOWN = {"rad": ("deg", 180 / np.pi), "m": ("mm", 1000.0), "": ("", 1.0)}
"""Unit of a state variable -> the unit of its errors, and the factor from one to the other."""
FITTED_ROWS = 10_000
"""Training frames that a reader is fitted on."""


@dataclass(frozen=True)
class UnitReader:
    """Reads state variables from latents by a linear map that was fitted on training frames."""

    units: dict[str, str]
    """State variable -> the unit of its errors."""
    _weights: np.ndarray
    _columns: list[str]
    """Names of the outputs of the map: state variables, and cosine and sine of angles."""
    _factors: dict[str, float]

    def read(self, latents: Tensor) -> dict[str, np.ndarray]:
        """State variable -> its values (…) read from latents (…, D); angles in radians."""
        found = affine_apply(self._weights, latents.flatten(0, -2).cpu().numpy()).reshape(*latents.shape[:-1], -1)
        return joined(self._columns, found)

    def errors(self, name: str, read: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Values of a variable minus the truth, in `units`; of angles, the shorter way around."""
        error = read - truth
        return self._factors[name] * (shorter_way(error) if self._is_angle(name) else error)

    def path(self, name: str, truth: np.ndarray) -> np.ndarray:
        """True values of a variable (h,) one after the other, in `units`; angles do not jump."""
        return self._factors[name] * (np.unwrap(truth) if self._is_angle(name) else truth)

    def _is_angle(self, name: str) -> bool:
        return f"cos {name}" in self._columns


def fit_reader(latents: Tensor, rows: Tensor, data: DataSet, units: Mapping[str, str]) -> UnitReader:
    """Fit a reader on latents (n, D) of rows int64 (n,) of a data set.

    units: state variable -> "rad" or "m"; without an entry where the unit is not known.
    """
    variables = latent_variables(data)
    weights = affine_fit(latents.cpu().numpy(), variables.values[rows.numpy()])
    shown = {
        label.removeprefix("cos "): _SHOWN["rad" if label.startswith("cos ") else units.get(label, "")]
        for label in variables.names
        if not label.startswith("sin ")
    }
    return UnitReader(
        {name: unit for name, (unit, _) in shown.items()},
        weights,
        variables.names,
        {name: factor for name, (_, factor) in shown.items()},
    )
