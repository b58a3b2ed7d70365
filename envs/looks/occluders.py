"""Looks that put something in front of the scene."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from worldmodel.envs.looks.look import FrameLook, Painter


@dataclass(frozen=True)
class Patch(FrameLook):
    """A square of one colour that stands still in front of the scene."""

    unit: ClassVar[str] = "its side in pixels of a frame of 64"
    highest: ClassVar[float] = 48.0

    def painter(self, rng: np.random.Generator, size: int) -> Painter:
        side = round(self.strength * size / 64)
        row, column = rng.integers(0, size - side + 1, 2)
        colour = rng.uniform(0, 255, 3)

        def paint(frame: np.ndarray, robot: np.ndarray, step: int) -> np.ndarray:
            frame[row : row + side, column : column + side] = colour
            return frame

        return paint


@dataclass(frozen=True)
class Distractor(FrameLook):
    """A disc of one colour that crosses the picture on straight lines and is reflected at its edges."""

    unit: ClassVar[str] = "its radius in pixels of a frame of 64"
    highest: ClassVar[float] = 24.0

    def painter(self, rng: np.random.Generator, size: int) -> Painter:
        colour = rng.uniform(0, 255, 3)
        track, radius = _Track(rng, size), self.strength * size / 64
        rows, columns = np.indices((size, size))

        def paint(frame: np.ndarray, robot: np.ndarray, step: int) -> np.ndarray:
            row, column = track.at(step)
            frame[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = colour
            return frame

        return paint


@dataclass(frozen=True)
class Bar(FrameLook):
    """A bar in the robot's own colour that crosses the picture and turns."""

    unit: ClassVar[str] = "half its length in pixels of a frame of 64"
    highest: ClassVar[float] = 32.0
    needs_robot: ClassVar[bool] = True

    def painter(self, rng: np.random.Generator, size: int) -> Painter:
        track, angle, turn = _Track(rng, size), rng.uniform(0, np.pi), rng.normal(0, 0.1)
        length, thickness = self.strength * size / 64, 1.2 * size / 64
        rows, columns = np.indices((size, size))

        def paint(frame: np.ndarray, robot: np.ndarray, step: int) -> np.ndarray:
            row, column = track.at(step)
            sine, cosine = np.sin(angle + turn * step), np.cos(angle + turn * step)
            along = (columns - column) * cosine + (rows - row) * sine
            across = (rows - row) * cosine - (columns - column) * sine
            weight = float(robot.sum())
            colour = (frame * robot).sum((0, 1)) / weight if weight else np.full(3, 128.0)
            frame[(np.abs(along) <= length) & (np.abs(across) <= thickness)] = colour
            return frame

        return paint


class _Track:
    """A point that moves at one speed and is reflected at the edges."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self._start, self._size = rng.uniform(0, size, 2), size
        angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(1, 3) * size / 64
        self._velocity = speed * np.array([np.sin(angle), np.cos(angle)])

    def at(self, step: int) -> np.ndarray:
        """Row and column at a control step."""
        unfolded = (self._start + step * self._velocity) % (2 * self._size)
        return np.where(unfolded < self._size, unfolded, 2 * self._size - unfolded)
