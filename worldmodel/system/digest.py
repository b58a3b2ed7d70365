"""Checksums, since torch's files and JSON load with flipped bits without an error."""

import hashlib
import json
from pathlib import Path
from typing import Any

from worldmodel.system.files import open_regular, read_json

CHECKSUM = "sha256"
"""Name under which a file holds the checksum of its content."""


def digest(content: Any) -> str:
    """SHA-256, in hexadecimal, of a nest of dicts, lists, tensors and plain values."""
    found = hashlib.sha256()
    _feed(found, content)
    return found.hexdigest()


def _feed(found: Any, content: Any) -> None:
    import torch  # here, so that processes that record need not load it

    if isinstance(content, torch.Tensor):
        found.update(f"{content.dtype} {tuple(content.shape)}".encode())
        found.update(content.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    elif isinstance(content, dict):
        for name, value in content.items():
            found.update(repr(name).encode())
            _feed(found, value)
    elif isinstance(content, list | tuple):
        found.update(str(len(content)).encode())
        for value in content:
            _feed(found, value)
    else:
        found.update(repr(content).encode())


def with_checksum(content: dict[str, Any]) -> dict[str, Any]:
    """JSON content with its own checksum under `CHECKSUM`; the order of its keys and its layout do not count."""
    return {**content, CHECKSUM: _of_json(content)}


def without_checksum(content: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """JSON content without its checksum, and whether there was one; ValueError where it does not match the content."""
    bare = {key: value for key, value in content.items() if key != CHECKSUM}
    if CHECKSUM not in content:
        return bare, False
    if content[CHECKSUM] != _of_json(bare):
        raise ValueError("its content is not what was written: the checksum differs")
    return bare, True


def carries_checksum(path: Path) -> bool:
    """Whether a JSON file holds a checksum, as files of older versions do not; ValueError where it does not match."""
    return without_checksum(read_json(path))[1]


def _of_json(content: dict[str, Any]) -> str:
    try:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:  # dates of YAML, keys of several types
        raise ValueError(f"it holds what JSON cannot say ({error})") from error
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_file(path: Path) -> str:
    """SHA-256, in hexadecimal, of the bytes of a file."""
    with open_regular(path.resolve()) as file:  # what a user names may be a link
        return hashlib.file_digest(file, "sha256").hexdigest()
