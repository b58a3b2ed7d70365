"""The tolerance for rounding is wide enough for other orders of summation, and too narrow for anything else."""

import os
import platform

import pytest
import torch
from rounding import assert_same_up_to_rounding, rounding

pytestmark = pytest.mark.numerics


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("terms", [2, 30, 1000])
def test_layers_summed_in_another_order_are_the_same(dtype: torch.dtype, terms: int):
    generator, depth = torch.Generator().manual_seed(terms), 5
    weights = [torch.randn(terms, terms, generator=generator).to(dtype) / terms**0.5 for _ in range(depth)]
    order = torch.randperm(terms, generator=generator)
    x = y = torch.randn(8, terms, generator=generator).to(dtype)
    for weight in weights:
        x, y = x @ weight, y[:, order] @ weight[order]
    assert_same_up_to_rounding(y, x, terms=terms, depth=depth)


def test_what_is_more_than_rounding_is_found():
    x = torch.randn(8, 30, generator=torch.Generator().manual_seed(0))
    with pytest.raises(AssertionError, match="not close"):
        assert_same_up_to_rounding(x, x * (1 + 1e-5), terms=30)
    with pytest.raises(AssertionError, match="not close"):
        assert_same_up_to_rounding(torch.full((3,), 1e-5), torch.zeros(3), terms=3, size=1.0)
    assert rounding(torch.float32, 100, 3, 2.0) == pytest.approx(2 * 2**-23 * 10 * 3 * 2)


def test_the_instructions_that_were_asked_for_are_used():
    """`make numerics` would otherwise run the same kernels three times."""
    asked = os.environ.get("ATEN_CPU_CAPABILITY")
    if asked and platform.machine() == "x86_64":
        assert torch.backends.cpu.get_cpu_capability() == asked.upper()
