"""Angles on a circle."""

import math
from typing import TypeVar

import numpy as np

AngleT = TypeVar("AngleT", float, np.ndarray)


def shorter_way(difference: AngleT, turn: float = 2 * math.pi) -> AngleT:
    """A difference of angles, rad, the shorter way around a circle that closes after `turn`."""
    return (difference + turn / 2) % turn - turn / 2
