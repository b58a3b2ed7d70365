"""How far two computations of the same numbers may lie apart: as far as rounding takes them.

Kernels differ between CPUs and between batch sizes in the order of their sums and in what they fuse. So equal numbers
are equal up to rounding only, and by how much follows from what is summed; a fixed tolerance holds where it was tried.
"""

import math

import torch
from torch import Tensor

# over the length of a random walk, which is what roundings make: those seen with AVX-512, AVX2 and SSE stay under a
# quarter of the tolerance, most under a twentieth
_MARGIN = 2.0


def rounding(dtype: torch.dtype, terms: int, depth: int = 1, size: float = 1.0) -> float:
    """Absolute tolerance for numbers up to `size`.

    terms: length of the longest sum behind a number; n roundings add up to about sqrt(n) of them. depth: how many such
    sums follow one another, each with roundings of its own: layers, times steps of a recurrence.
    """
    return _MARGIN * torch.finfo(dtype).eps * math.sqrt(terms) * depth * size


def assert_same_up_to_rounding(
    actual: Tensor, expected: Tensor, *, terms: int, depth: int = 1, size: float | None = None
) -> None:
    """Two computations of the same numbers; see `rounding`.

    size: of the largest number that is summed, where it is not among the results, as in a sum that is to be 0.
    """
    largest = float(expected.detach().abs().max()) if size is None else size
    tolerance = rounding(actual.dtype, terms, depth, largest)
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)
