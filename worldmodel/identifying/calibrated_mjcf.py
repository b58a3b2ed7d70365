"""A model file with other constants: where a compiled model differs from its source, the source is changed."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from worldmodel.system.errors import UserError
from worldmodel.system.files import write_text

_SAME, _WRITTEN = 1e-12, 1e-5
"""Relative tolerances: between compiled models, and between a model and the file that it was written to."""

# compiled field -> kind of element of the source that holds it, and the attribute
_DIRECT: dict[str, tuple[str, str]] = {
    "body_pos": ("bodies", "pos"),
    "body_quat": ("bodies", "quat"),
    "geom_pos": ("geoms", "pos"),
    "geom_size": ("geoms", "size"),
    "geom_friction": ("geoms", "friction"),
    "pair_friction": ("pairs", "friction"),
    "dof_damping": ("joints", "damping"),
    "dof_armature": ("joints", "armature"),
    "dof_frictionloss": ("joints", "frictionloss"),
    "jnt_stiffness": ("joints", "stiffness"),
    "tendon_range": ("tendons", "range"),
    "tendon_stiffness": ("tendons", "stiffness"),
    "tendon_damping": ("tendons", "damping"),
    "actuator_gainprm": ("actuators", "gainprm"),
    "actuator_biasprm": ("actuators", "biasprm"),
    "actuator_gear": ("actuators", "gear"),
    "cam_fovy": ("cameras", "fovy"),
    "cam_pos": ("cameras", "pos"),
}
_INERTIAL = ("body_mass", "body_inertia", "body_ipos", "body_iquat")


def write_calibrated(path: Path, spec: mujoco.MjSpec, model: mujoco.MjModel) -> Path:
    """Write `spec` with the constants of `model`, which was compiled from it and then changed; MuJoCo opens the file.

    The file is read again and compared before it takes its place.

    Raises:
        UserError: a constant has no place in a model file.
    """
    _use_absolute_folders(spec)
    transfer(spec, model)
    spec.compile()
    with _all_digits():
        text = spec.to_xml()
    reread = mujoco.MjModel.from_xml_string(text)
    fields = {name: (getattr(reread, name), getattr(model, name)) for name in (*_DIRECT, *_INERTIAL)}
    fields["opt.gravity"] = reread.opt.gravity, model.opt.gravity
    if wrong := [name for name, (new, old) in fields.items() if not _equal(new, old, _WRITTEN)]:
        raise UserError(f"{', '.join(wrong)} cannot be written into a model file; identify other constants")
    write_text(path, text)
    return path


@contextmanager
def _all_digits() -> Iterator[None]:
    """Have MuJoCo write numbers with all digits; with six where its library does not offer the setting."""
    try:
        (path,) = Path(mujoco.__file__).parent.glob("libmujoco.*")
        library = ctypes.CDLL(str(path))
        before, choose = library._mjPRIVATE__get_xml_precision(), library._mjPRIVATE__set_xml_precision
    except (OSError, ValueError, AttributeError):
        yield
        return
    choose(17)
    try:
        yield
    finally:
        choose(before)


def _use_absolute_folders(spec: mujoco.MjSpec) -> None:
    """Have meshes and textures found from wherever the file is put."""
    folder = Path(spec.modelfiledir or ".")
    for name in ("meshdir", "texturedir"):
        if spec.meshes or spec.textures or spec.hfields:
            setattr(spec, name, str((folder / (getattr(spec, name) or ".")).resolve()))


def transfer(spec: mujoco.MjSpec, model: mujoco.MjModel) -> None:
    """Write into a source everything that moves its model otherwise than it would compile now."""
    compiled = spec.compile()
    for field, (kind, attribute) in _DIRECT.items():
        for element, index in _elements(spec, compiled, kind, field):
            old, new = getattr(compiled, field)[index], getattr(model, field)[index]
            if not _equal(new, old):
                _assign(element, attribute, new)
    for element, index in _elements(spec, compiled, "bodies", "body_mass"):
        if not all(_equal(getattr(model, name)[index], getattr(compiled, name)[index]) for name in _INERTIAL):
            element.explicitinertial = True
            element.mass, element.inertia = model.body_mass[index], model.body_inertia[index]
            element.ipos, element.iquat = model.body_ipos[index], model.body_iquat[index]
    if not np.array_equal(model.opt.gravity, compiled.opt.gravity):
        spec.option.gravity = model.opt.gravity


def _elements(spec: mujoco.MjSpec, model: mujoco.MjModel, kind: str, field: str) -> Iterator[tuple[Any, int]]:
    """(element of the source, its row in a compiled field)."""
    for element in getattr(spec, kind):
        yield element, int(model.jnt_dofadr[element.id] if field.startswith("dof_") else element.id)


def _assign(element: Any, attribute: str, value: np.ndarray | float) -> None:
    """Set an attribute of a source's element, whose first numbers the compiled model has."""
    held = np.atleast_1d(getattr(element, attribute)).astype(np.float64)
    new = np.atleast_1d(np.asarray(value, np.float64))
    if held.size == 1:
        setattr(element, attribute, float(new[0]))
    else:
        held[: new.size] = new
        setattr(element, attribute, held)


def _equal(new: np.ndarray | float, old: np.ndarray | float, tolerance: float = _SAME) -> bool:
    return bool(np.allclose(new, old, rtol=tolerance, atol=tolerance * 1e-3))
