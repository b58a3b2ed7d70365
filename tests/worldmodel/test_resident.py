"""Memory of this process: its peak is seen after what took it is gone, and can be forgotten."""

import sys

import numpy as np
import pytest

from worldmodel.system import forget_peak, peak_resident_bytes, resident_bytes

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
