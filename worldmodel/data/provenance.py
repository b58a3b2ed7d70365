"""Identity of the world that a data set was recorded in, so that one edited since is not taken for it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from worldmodel.data.index import Index, WorldArguments, WorldDigest, WorldRecord, differences
from worldmodel.envs.world import MujocoWorld
from worldmodel.system.digest import digest_of_file
from worldmodel.system.errors import StoreError

# Fields that are not part of the model: where its files were, and how its memory is laid out.
_IGNORED = {"paths", "npaths", "signature", "nbuffer", "narena"}
# Smaller numbers are rounding errors of zero.
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Provenance:
    """A world as it is now."""

    record: WorldRecord
    """Its description, as in a data set's index."""

    digest: WorldDigest
    """Its digests, which change when it is edited."""


def provenance(arguments: WorldArguments, world: MujocoWorld) -> Provenance:
    """Describe a world that was just made with these arguments: before its first reset, which may move its model."""
    path, colon, _ = arguments.name.rpartition(":")
    source = digest_of_file(Path(path)) if colon and path.endswith(".py") else None
    record = msgspec.convert(world.describe(), WorldRecord)
    return Provenance(record, WorldDigest(version("mujoco"), model_digest(world.scene.model), source))


def model_digest(model: Any) -> str:
    """SHA-256 of everything in a compiled `mujoco.MjModel` that moves or shows it.

    Numbers count as float32 does, so that machines whose arithmetic differs in a last bit agree.
    """
    found = hashlib.sha256()
    for name, value in _fields(model):
        found.update(name.encode())
        if isinstance(value, bytes):
            found.update(value)
            continue
        values = np.asarray(value)
        if values.dtype.kind == "f":
            values = np.where(np.abs(values) < _SMALLEST, 0.0, values).astype(np.float32) + np.float32(0)  # -0 is 0
        found.update(f"{values.shape}".encode() + np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


def _fields(structure: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values of a MuJoCo structure and of those within it."""
    for name in sorted(dir(structure)):
        value = None if name.startswith("_") or name in _IGNORED else getattr(structure, name)
        if isinstance(value, bool | int | float | bytes | np.ndarray):
            yield prefix + name, value
        elif value is not None and type(value).__module__.startswith("mujoco") and not callable(value):
            yield from _fields(value, f"{prefix}{name}.")


def edited_parts(before: WorldDigest, now: WorldDigest) -> list[str]:
    """What was edited of a world, in words for a message; models of different versions of the simulator count as the
    same, since they cannot be compared."""
    parts = [] if before.source == now.source else ["its Python file"]
    compiled_otherwise = before.simulator == now.simulator and before.model != now.model
    return [*parts, "its compiled model"] if compiled_otherwise else parts


def check_same_world(directory: Path, index: Index, arguments: WorldArguments, now: Provenance) -> None:
    """StoreError where a world is not, or is no longer, the one that the data set was recorded in.

    Compiled models of different versions of the simulator cannot be compared, and are taken to be the same.
    """
    changed = [f"its {key}" for key, _, _ in differences(index.world, now.record)]
    if index.digest is not None:
        changed += edited_parts(index.digest, now.digest)
    if changed:
        raise StoreError(
            f"{directory} was recorded in another world than {arguments.name} is now ({', '.join(changed)} changed); "
            f"record anew under another name (env.name=…) or folder (data=…), or delete {directory}"
        )
