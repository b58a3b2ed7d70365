"""How far a cube is turned from another, where its 24 rotations look alike."""

import itertools

import numpy as np


def _rotations() -> np.ndarray:
    """The rotations that map a cube onto itself, as unit quaternions (w, x, y, z), (24, 4); of q and -q, one."""
    units = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=4)))
    # one component: half a turn about a face, and none. Two: about an edge, and quarters. Four: thirds about a corner.
    units = units[np.isin(np.abs(units).sum(1), (1, 2, 4))]
    first = units[np.arange(len(units)), (units != 0).argmax(1)]
    return units[first > 0] / np.linalg.norm(units[first > 0], axis=1, keepdims=True)


CUBE_ROTATIONS = _rotations()


def cube_turn(one: np.ndarray, other: np.ndarray) -> float:
    """The angle of the smallest rotation that makes one cube look like another, in radians, at most 62.8 degrees.

    Args:
        one, other: quaternions (w, x, y, z) of two cubes, (4,), of any length.
    """
    one, other = one / np.linalg.norm(one), other / np.linalg.norm(other)
    # q and -q are one rotation; looking alike is turning within the cube's own frame, so that g stands on the right
    nearest = np.abs(_products(other, CUBE_ROTATIONS) @ one).max()
    return 2 * float(np.arccos(min(1.0, nearest)))


def _products(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Quaternion products one * other, (4,) and (n, 4) -> (n, 4)."""
    (w, x, y, z), (a, b, c, d) = one, others.T
    return np.stack(
        [w * a - x * b - y * c - z * d, w * b + x * a + y * d - z * c, w * c - x * d + y * a + z * b,
         w * d + x * c - y * b + z * a], 1
    )  # fmt: skip
