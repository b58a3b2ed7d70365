"""Checksums of what a checkpoint holds: torch's files load with bits flipped, and say nothing."""

import hashlib
from typing import Any

import torch

CHECKSUM = "sha256"


def digest(content: Any) -> str:
    """SHA-256, in hexadecimal, of a nest of dicts, lists, tensors and plain values."""
    found = hashlib.sha256()
    _feed(found, content)
    return found.hexdigest()


def _feed(found: Any, content: Any) -> None:
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
