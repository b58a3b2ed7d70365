"""Atomic writes: a reader sees the old file or the new one, never half of either."""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from worldmodel.system.errors import UserError

SPARE_BYTES = 32 * 2**20
MAX_JSON_BYTES = 32 * 2**20


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to the disk, then rename it over `path`."""
    with _temporary(path, write) as temporary:
        os.replace(temporary, path)


def write_new(path: Path, write: Callable[[Path], object]) -> None:
    """As `write_atomically`, but FileExistsError where `path` stands: of several processes, one succeeds."""
    with _temporary(path, write) as temporary:
        os.link(temporary, path)


@contextmanager
def _temporary(path: Path, write: Callable[[Path], object]) -> Iterator[Path]:
    """A filled file beside `path`, whose name no other process on any machine uses; it is gone afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    require_space(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def leftovers(path: Path) -> list[Path]:
    """What kills left of attempts to write `path`."""
    return list(path.parent.glob(f".{path.name}.*.tmp"))


def require_space(directory: Path, num_bytes: int = 0) -> None:
    """UserError unless the disk takes `num_bytes` and some to spare: HDF5 crashes on a write that the disk refuses."""
    if shutil.disk_usage(directory).free < num_bytes + SPARE_BYTES:
        raise UserError(
            f"no space left on the disk of {directory}; what is finished is kept: free some space and run again"
        )


def write_json(path: Path, content: dict[str, Any], writer: Callable[..., None] = write_atomically) -> None:
    """Write `content` as indented JSON, by `write_atomically` or `write_new`."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    writer(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file that anybody may have written.

    Raises ValueError, in one line, where it is none: not JSON, not an object, larger than `MAX_JSON_BYTES`, or nested
    so deep that it can only be meant to exhaust the reader.
    """
    size = path.stat().st_size
    if size > MAX_JSON_BYTES:
        raise ValueError(f"{size} bytes, at most {MAX_JSON_BYTES} are read")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(content, dict):
        raise ValueError(f"a JSON object was expected, not {type(content).__name__}")
    return content
