"""A calibration kept in the run, so that the next recording of the same length costs no rendering.

The file is a table of arrays named after the fields of `Calibration`, `errors.field.white` and the like, and the digest
of what it was made for.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.provenance import model_digest
from worldmodel.identifying.array_files import read_arrays, write_arrays
from worldmodel.identifying.calibration import Calibration, calibrate
from worldmodel.identifying.rendered import Simulator
from worldmodel.models import WorldModel
from worldmodel.models.weights import WEIGHTS
from worldmodel.runs import Run, versions
from worldmodel.settings import IdentifyConfig
from worldmodel.system.digest import digest, digest_of_file
from worldmodel.system.files import inner_folder

FOLDER = "identify"
"""Folder of the files, inside the run's."""
_MOST_BYTES = 256 * 2**20
_DIGEST = "made_for"
_WAY = 3
"""Version of the calibration; to be raised where the package calibrates in another way."""
_MATTERS = ("factors", "poses", "calibration_recordings", "seed")
"""Settings that a calibration depends on besides the simulator."""


def kept_calibration(
    run: Run, simulator: Simulator, model: WorldModel, config: IdentifyConfig, num_steps: int
) -> Calibration:
    """The calibration that the run keeps, where it was made for this simulator, settings and length; else a new one,
    kept there."""
    path = inner_folder(run.path / FOLDER) / "calibration.npz"
    wanted = _made_for(run, simulator, config, num_steps)
    if (found := _read(path, wanted)) is not None:
        return found
    made = calibrate(simulator, model, config, num_steps)
    arrays = {**_flat(made), _DIGEST: np.array(wanted)}
    write_arrays(path, arrays)
    return made


def _made_for(run: Run, simulator: Simulator, config: IdentifyConfig, num_steps: int) -> str:
    world = simulator.world
    factors = [(f.name, f.nominal, f.bounds, f.prior_scale, f.transform) for f in world.factors.values()]
    parts = [
        digest_of_file(run.path / WEIGHTS),
        model_digest(simulator.replay.world.scene.model),
        repr(run.config.collection),
        [simulator.constants, world.randomize, factors],
        [repr(getattr(config, name)) for name in _MATTERS],
        [_WAY, num_steps],
        versions(),
    ]
    return digest(parts)


def _read(path: Path, wanted: str) -> Calibration | None:
    """The calibration in the file; None where there is none, it is damaged, or was made for something else."""
    try:
        arrays = read_arrays(path, _MOST_BYTES)
        return _built(Calibration, arrays) if str(arrays[_DIGEST]) == wanted else None
    except (OSError, ValueError, KeyError):
        return None


def _flat(value: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """The arrays and numbers in nested data classes, by the names of their fields; None is left out."""
    found: dict[str, np.ndarray] = {}
    for item in dataclasses.fields(value):
        inner, name = getattr(value, item.name), prefix + item.name
        if dataclasses.is_dataclass(inner):
            found |= _flat(inner, f"{name}.")
        elif inner is not None:
            found[name] = np.asarray(inner)
    return found


def _built(kind: type[Any], arrays: Mapping[str, np.ndarray], prefix: str = "") -> Any:
    """The data class `kind` from what `_flat` made of it."""
    values = {}
    for name, hint in typing.get_type_hints(kind).items():
        if isinstance(hint, types.UnionType):  # a data class or None
            (hint,) = (part for part in typing.get_args(hint) if part is not types.NoneType)
            if not any(key.startswith(f"{prefix}{name}.") for key in arrays):
                values[name] = None
                continue
        if dataclasses.is_dataclass(hint):
            values[name] = _built(typing.cast(type[Any], hint), arrays, f"{prefix}{name}.")
        else:
            array = arrays[prefix + name]
            values[name] = array if hint is np.ndarray else hint(array.item())
    return kind(**values)
