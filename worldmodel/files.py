"""Atomic writes: a reader sees the old file or the new one, never half of either."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from worldmodel.errors import UserError

SPARE_BYTES = 32 * 2**20


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to the disk, then rename it over `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    require_space(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def require_space(directory: Path, num_bytes: int = 0) -> None:
    """UserError unless the disk takes `num_bytes` and some to spare: HDF5 crashes on a write that the disk refuses."""
    if shutil.disk_usage(directory).free < num_bytes + SPARE_BYTES:
        raise UserError(
            f"no space left on the disk of {directory}; what is finished is kept: free some space and run again"
        )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` as indented JSON, atomically."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
