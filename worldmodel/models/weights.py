"""Named tensors in safetensors files, with a checksum of them all."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from worldmodel.system.digest import CHECKSUM, digest
from worldmodel.system.errors import CheckpointError
from worldmodel.system.files import check_regular, write_atomically

WEIGHTS = "model.safetensors"
"""The file of a run with the weights of its model."""


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A safetensors file, open for reading; CheckpointError where it cannot be read."""
    try:
        check_regular(path)
        with safe_open(path, "pt") as file:
            yield file
    except Exception as error:  # safetensors raises its own, undocumented family
        raise CheckpointError(f"cannot read the weights {path} ({error}); train the run again") from error


def tensor_shapes(path: Path) -> dict[str, list[int]]:
    """Name -> shape of the tensors in a file, from its header; CheckpointError where it has none."""
    with _opened(path) as file:
        return {name: list(file.get_slice(name).get_shape()) for name in file.keys()}


def weights_checksum(path: Path) -> str | None:
    """The checksum of all tensors that was written with a file, from its header; None in those of older versions."""
    with _opened(path) as file:
        return (file.metadata() or {}).get(CHECKSUM)


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write named tensors to a file, with their checksum."""
    content = {name: weights[name].detach().cpu().contiguous() for name in sorted(weights)}
    write_atomically(path, lambda temporary: save_file(content, temporary, {CHECKSUM: digest(content)}))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Named tensors; CheckpointError where they cannot be read, or are not those that were written."""
    return checked_weights(path)[0]


def checked_weights(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Named tensors, and whether the file carries a checksum of them; raises as `read_weights`."""
    with _opened(path) as file:
        weights = {name: file.get_tensor(name) for name in sorted(file.keys())}
        written = (file.metadata() or {}).get(CHECKSUM)
    if written not in (None, digest(weights)):
        raise CheckpointError(
            f"the weights {path} are damaged: their checksum differs from the one written with them; train again"
        )
    return weights, written is not None
