"""Modules made without allocating memory, for the shapes of their tensors alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_SHAPES: dict[Callable[..., Any], Callable[..., Tensor]] = {
    Tensor.normal_: lambda tensor, *_, **__: tensor,
    Tensor.mul: lambda tensor, _: tensor,
    torch.randn: lambda *size, **_: torch.empty(*size),
    torch.eye: lambda size, **_: torch.empty(size, size),
    torch.triu_indices: lambda rows, columns, **_: torch.empty(2, rows * (columns + 1) // 2),
}
"""Function that initialises a tensor -> one that only gives its shape: for `mul` by a number, for `triu_indices` of a
square matrix."""


class _NoNumbers(TorchFunctionMode):
    """Leaves out the functions of `_SHAPES`: to find their shapes, torch's device without memory would import torch's
    compiler, which takes three seconds."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _SHAPES.get(func, func)(*args, **(kwargs or {}))


@contextmanager
def without_memory() -> Iterator[None]:
    """Modules that are made in this context have tensors with shapes and without numbers."""
    with torch.device("meta"), _NoNumbers():
        yield
