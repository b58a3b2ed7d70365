"""Archives of tensors and arrays with one change."""

import functools
import io
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import numpy as np
import torch

from benchmarks.trust.fuzzing.texts import INTEGERS, nest, raw


def as_safetensors(rng: Random, content: bytes) -> bytes:
    """Change the header of a safetensors file, whose numbers say where tensors are."""
    num = int.from_bytes(content[:8], "little")
    header, body = json.loads(content[8 : 8 + num]), content[8 + num :]
    header.pop("__metadata__", None)
    text = json.dumps(nest(rng, header)).encode()
    promised = len(text) if rng.random() < 0.95 else rng.choice(INTEGERS)
    return promised.to_bytes(8, "little") + text + body


@functools.lru_cache(maxsize=2)  # the valid content, and that after a first change
def _saved(content: bytes) -> dict[str, Any]:
    return torch.load(io.BytesIO(content), weights_only=True)


def as_checkpoint(rng: Random, content: bytes) -> bytes:
    """Change a file that torch saved: its values, or the entries of its archive."""
    if rng.random() < 0.4:
        return as_zip(rng, content)
    saved = {key: value for key, value in _saved(content).items() if key != "sha256"}
    changed, file = nest(rng, saved), io.BytesIO()
    if isinstance(changed, dict) and rng.random() < 0.4:
        changed[rng.choice(list(changed) or ["x"])] = rng.choice(_TENSORS)()
    torch.save(changed, file)
    return file.getvalue()


_TENSORS: list[Callable[[], torch.Tensor]] = [
    lambda: torch.zeros(0), lambda: torch.zeros(1).expand(10**11), lambda: torch.full((3, 5), float("nan")),
    lambda: torch.zeros(3, dtype=torch.complex64), lambda: torch.zeros(2, 2).to_sparse(), lambda: torch.ones(7).bool(),
    lambda: torch.zeros(3, device="meta"), lambda: torch.arange(12.0).reshape(3, 4)[:, ::2], lambda: torch.zeros(()),
    lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), lambda: torch.ones(3, dtype=torch.bfloat16),
]  # fmt: skip


def as_zip(rng: Random, content: bytes) -> bytes:
    """Change, rename, repeat or leave out one entry of an archive; its own checksums are right again."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    index = rng.randrange(len(entries))
    name, inside = entries[index]
    change = rng.randrange(6)
    if change == 0:
        del entries[index]
    elif change == 1:
        entries[index] = (rng.choice(["../x", "/x", "", "x" * 300, entries[0][0], "\u202e"]), inside)
    else:
        entries[index] = (name, raw(rng, inside))
    file, packed = io.BytesIO(), rng.choice([zipfile.ZIP_STORED] * 4 + [zipfile.ZIP_DEFLATED])
    with suppress(UserWarning), zipfile.ZipFile(file, "w", packed) as archive:
        for entry in entries:
            archive.writestr(*entry)
    return file.getvalue()


def as_arrays(rng: Random, content: bytes) -> bytes:
    """Change an npz file: its arrays, or the entries of its archive."""
    if rng.random() < 0.5:
        return as_zip(rng, content)
    with np.load(io.BytesIO(content)) as arrays:
        named = {name: arrays[name] for name in arrays.files}
    name, file = rng.choice(list(named)), io.BytesIO()
    named[name] = array(rng, named[name])
    rng.choice([np.savez, np.savez_compressed])(file, **named)
    return file.getvalue()


def array(rng: Random, values: np.ndarray) -> np.ndarray:
    """The array with another type or shape, or with values that are no measurement."""
    change = rng.randrange(4)
    if change == 0:
        with np.errstate(all="ignore"):
            return values.astype(rng.choice(["f2", "f8", "u1", "i1", "i8", "u8", "?", "S3", "c8", ">f4"]))
    if change == 1:
        return rng.choice([values[:0], values[:1], values.T, values[None], values.reshape(-1), values[::-1]])
    if change == 2:
        return np.repeat(values, rng.choice([2, 50]), rng.randrange(values.ndim)) if values.ndim else values
    changed = values.copy().reshape(-1)
    if changed.size:
        with np.errstate(all="ignore"):
            strange = [np.nan, np.inf, -1e30, 0.0] if values.dtype.kind in "fc" else [0, 1, 127]
            if values.dtype.kind == "i":
                strange += [-1, 2**62]
            changed[rng.randrange(changed.size)] = np.asarray(rng.choice(strange)).astype(changed.dtype)
    return changed.reshape(values.shape)
