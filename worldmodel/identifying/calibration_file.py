"""A calibration kept in the run, so that the next recording of the same length costs no rendering.

The file is a table of arrays named after the fields of `Calibration`, `errors.field.white` and the like, and the digest
of what it was made for. A run may be a stranger's, and a digest is soon written: what the file holds is checked.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.provenance import model_digest
from worldmodel.identifying.calibration import Calibration, calibrate
from worldmodel.identifying.field_noise import LENGTHS
from worldmodel.identifying.readout import DEGREES, held_out
from worldmodel.identifying.rendered import Simulator
from worldmodel.models import WorldModel
from worldmodel.models.weights import WEIGHTS
from worldmodel.runs import Run, versions
from worldmodel.runs.array_files import read_arrays, write_arrays
from worldmodel.runs.identify_result import CALIBRATION, FOLDER, MAX_CALIBRATION_BYTES
from worldmodel.settings import IdentifyConfig
from worldmodel.system.digest import digest, digest_of_file
from worldmodel.system.errors import CheckpointError, UserError
from worldmodel.system.files import inner_folder

_DIGEST = "made_for"
_WAY = 3
"""Version of the calibration; to be raised where the package calibrates in another way."""
_MATTERS = ("factors", "poses", "calibration_recordings", "seed")
"""Settings that a calibration depends on besides the simulator."""
_SHAPES = {
    "readout.centre": "D",
    "readout.scale": "D",
    "readout.degree": "",
    "readout.weights": "NF",
    "readout.offset": "N",
    "readout.rmse": "N",
    "readout.rest.first": "DH",
    "readout.rest.first_offset": "H",
    "readout.rest.second": "HH",
    "readout.rest.second_offset": "H",
    "readout.rest.last": "HN",
    "readout.rest.last_offset": "N",
    "errors.simple.std": "N",
    "errors.simple.correlation": "",
    "errors.field.local.scale": "N",
    "errors.field.local.places": "nN",
    "errors.field.local.squared": "nN",
    "errors.field.variances": "NL",
    "errors.field.white": "N",
    "readout_rmse": "N",
    "looks.mean": "X",
    "looks.components": "KX",
    "looks.usual": "",
    "floor": "P",
    "stretch": "P",
    "shrinkage": "P",
    "misfit_limit": "",
    "context_reader.weights": "CP",
    "context_reader.width": "P",
}
"""Array -> its dimensions, a letter each: D latents, N numbers, F features, H units, n poses, L lengths, X pixels, K
components, P constants, C numbers of a context and a constant 1."""
_ABOVE_ZERO = (
    "readout.scale",
    "errors.simple.std",
    "errors.field.local.scale",
    "errors.field.local.squared",
    "errors.field.white",
    "looks.usual",
    "misfit_limit",
)
_LARGEST, _LEAST_WHITE = 1e9, 1e-4
"""Largest number of a calibration, and least share of an error's variance that is white: with less, a covariance has no
inverse."""


@dataclasses.dataclass(frozen=True)
class CalibrationSizes:
    """What a calibration of a run is sized by."""

    latents: int
    """D."""
    numbers: int
    """N."""
    poses: int
    """n."""
    pixels: int
    """X."""
    constants: int
    """P."""
    context: int
    """Numbers of a context; 0 where there is none."""

    @staticmethod
    def of(simulator: Simulator, model: WorldModel, config: IdentifyConfig) -> "CalibrationSizes":
        """Those of a simulator, a model and settings."""
        poses, reader = held_out(config.poses), model.context_encoder
        return CalibrationSizes(
            model.latent_dim,
            len(simulator.observation.names),
            poses.stop - poses.start,
            3 * model.config.encoder.input_size**2,
            len(simulator.constants),
            reader.config.num_values if reader else 0,
        )

    def by_letter(self, degree: int) -> dict[str, int]:
        """Letter of `_SHAPES` -> size, with a polynomial of this degree; the file may choose the other letters."""
        features = math.comb(self.latents + degree, degree) - 1
        return {
            "D": self.latents,
            "N": self.numbers,
            "F": features,
            "n": self.poses,
            "L": len(LENGTHS),
            "X": self.pixels,
            "P": self.constants,
            "C": self.context + 1,
        }


def kept_calibration(
    run: Run, simulator: Simulator, model: WorldModel, config: IdentifyConfig, num_steps: int
) -> Calibration:
    """The calibration that the run keeps, where it was made for this simulator, settings and length; else a new one,
    kept there.

    Raises:
        CheckpointError: the file is damaged, or says that it was made for this and does not fit.
    """
    path = inner_folder(run.path / FOLDER) / CALIBRATION
    wanted = _made_for(run, simulator, config, num_steps)
    if (found := read_calibration(path, wanted, CalibrationSizes.of(simulator, model, config))) is not None:
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


def read_calibration(path: Path, wanted: str, sizes: CalibrationSizes) -> Calibration | None:
    """The calibration in a file; None where there is none, or it was made for something else.

    Raises:
        UserError: it is no regular file, or too large.
        CheckpointError: it is damaged, or holds what no calibration of these sizes holds.
    """
    try:
        if str(read_arrays(path, MAX_CALIBRATION_BYTES, _DIGEST)[_DIGEST]) != wanted:
            return None
        arrays = read_arrays(path, MAX_CALIBRATION_BYTES)
        _check(arrays, sizes)
        return _built(Calibration, arrays)
    except FileNotFoundError:
        return None
    except UserError:
        raise
    except (ValueError, KeyError) as error:
        raise CheckpointError(
            f"{path} holds no calibration of this run ({error}); remove it, and identify makes it anew"
        ) from error


def _check(arrays: Mapping[str, np.ndarray], sizes: CalibrationSizes) -> None:
    """ValueError unless every array has its shape, and numbers with which one can compute."""
    degree = arrays["readout.degree"]
    if degree.shape or degree.dtype.kind != "i" or int(degree) not in DEGREES:
        raise ValueError(f"readout.degree must be one of {', '.join(map(str, DEGREES))}")
    known = sizes.by_letter(int(degree))
    for name, array in arrays.items():
        if name in ("readout.degree", _DIGEST):
            continue
        letters = _SHAPES.get(name)
        if letters is None:
            raise ValueError(f"{name[:60]} is no part of one")
        chosen = {**dict(zip(letters, array.shape, strict=False)), **known}
        wanted = tuple(chosen.get(letter, 0) for letter in letters)
        known |= dict(zip(letters, wanted, strict=True))  # of what the file chooses, the first array decides
        if array.shape != wanted or array.dtype not in (np.float32, np.float64):
            raise ValueError(f"{name} must be floats {wanted}, got {array.dtype} {array.shape}")
        if not (np.abs(array) <= _LARGEST).all():  # false for NaN too
            raise ValueError(f"{name} must be finite and at most {_LARGEST:g}")
        if name in _ABOVE_ZERO and not (array > 0).all():
            raise ValueError(f"{name} must be above 0")
    _check_noise(arrays)


def _check_noise(arrays: Mapping[str, np.ndarray]) -> None:
    """ValueError where a model of errors has no covariance that can be inverted."""
    variances, white = arrays["errors.field.variances"], arrays["errors.field.white"]
    if not (variances >= 0).all() or not (white >= _LEAST_WHITE * (white + variances.sum(1))).all():
        raise ValueError("errors.field.variances must not be negative, nor hide errors.field.white")
    if not 0 <= arrays["errors.simple.correlation"] < 1:
        raise ValueError("errors.simple.correlation must be in [0, 1)")


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
