"""Memory of this process: its peak is seen after what took it is gone, and can be forgotten."""

import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from worldmodel.cli.error_lines import one_line
from worldmodel.system import UserError, forget_peak, peak_resident_bytes, resident_bytes
from worldmodel.system.resident import require_memory

TAKEN = 64 * 2**20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone tells")
def test_a_peak_outlives_what_took_it_until_it_is_forgotten():
    forget_peak()
    before = resident_bytes()
    taken = np.ones(TAKEN, np.uint8)
    assert resident_bytes() - before > 0.9 * TAKEN
    del taken
    assert peak_resident_bytes() - before > 0.9 * TAKEN
    forget_peak()
    assert peak_resident_bytes() - before < 0.5 * TAKEN


def test_more_memory_than_is_free_is_refused_in_one_line():
    require_memory(10**6, "a plan", "lower it")
    with pytest.raises(UserError, match=r"^a plan would take 1e\+03 TB of memory, and .*B are free; lower it$"):
        require_memory(10**15, "a plan", "lower it")


@pytest.mark.parametrize("take", [lambda: np.ones(10**15), lambda: torch.ones(10**15)], ids=["numpy", "torch"])
def test_what_libraries_say_of_memory_gets_a_remedy(take: Callable[[], object]):
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        take()
    line = one_line(caught.value)
    assert line.startswith("there is not enough memory (") and "ask for less at once" in line and "\n" not in line
