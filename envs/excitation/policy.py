"""The protocol of policies, and their common parts."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from worldmodel.envs.world import MujocoWorld

Actor = Callable[[np.ndarray], np.ndarray]
"""Maps a state, float64 (X,), to an action, float32 (A,) in [-1, 1]."""


class Policy(Protocol):
    """Anything that can begin an episode."""

    def begin(self, world: MujocoWorld, rng: np.random.Generator) -> Actor:
        """Start for one episode of a world that has just been restarted; `rng` is the only source of randomness.

        Raises:
            ValueError: the policy cannot drive this world.
        """
        ...


def driven_joints(world: MujocoWorld) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether each action drives one joint, and that joint's position and velocity indices (0 if not), all (A,)."""
    pairs = np.array([pair or (-1, -1) for pair in world.actuated], int).reshape(-1, 2)
    return pairs[:, 0] >= 0, np.maximum(pairs[:, 0], 0), np.maximum(pairs[:, 1], 0)


def clip(action: np.ndarray) -> np.ndarray:
    """An action as it is executed: float32 in [-1, 1]."""
    return np.clip(action, -1, 1).astype(np.float32)


def require(name: str, value: object, holds: bool, expected: str) -> None:
    """Raises ValueError unless a parameter is as expected."""
    if not holds:
        raise ValueError(f"{name} must be {expected}, got {value}; set policy.{name}")


def require_process(std: float, time_constant_s: float) -> None:
    """Raises ValueError unless these are the parameters of a stationary process."""
    require("std", std, std >= 0, ">= 0")
    require("time_constant_s", time_constant_s, time_constant_s > 0, "> 0")
