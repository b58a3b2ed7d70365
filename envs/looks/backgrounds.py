"""Looks of the static background: floor and background replaced by a picture, a film or another colour."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from worldmodel.envs.looks.look import FrameLook, Painter
from worldmodel.envs.looks.patterns import Pattern, cloud, mosaic, stripes

_FILM_FRAMES = 12
_STEPS_A_FRAME = 4  # control steps from one cloud of a film to the next


def behind(frame: np.ndarray, robot: np.ndarray, picture: np.ndarray, share: float | np.ndarray) -> np.ndarray:
    """The frame with `share` of another picture in it, one or one a pixel (S, S, 1), where the robot is not."""
    hidden = share * (1 - robot)
    return frame + hidden * (picture - frame)


@dataclass(frozen=True)
class Background(FrameLook):
    """A computed picture behind the robot."""

    unit: ClassVar[str] = "the share of the picture in what is seen"
    highest: ClassVar[float] = 1.0
    needs_robot: ClassVar[bool] = True
    pattern: ClassVar[Pattern]

    def painter(self, rng: np.random.Generator, size: int) -> Painter:
        picture = type(self).pattern(rng, size)
        return lambda frame, robot, step: behind(frame, robot, picture, self.strength)


class Texture(Background):
    """A mosaic of coloured cells behind the robot."""

    pattern = staticmethod(mosaic)


class Cloud(Background):
    """Smooth noise with the spectrum of natural images behind the robot."""

    pattern = staticmethod(cloud)


class Stripes(Background):
    """Stripes behind the robot."""

    pattern = staticmethod(stripes)


@dataclass(frozen=True)
class Video(FrameLook):
    """Clouds that change all the time, behind the robot."""

    unit: ClassVar[str] = "the share of the video in what is seen"
    highest: ClassVar[float] = 1.0
    needs_robot: ClassVar[bool] = True

    def painter(self, rng: np.random.Generator, size: int) -> Painter:
        film = [cloud(rng, size) for _ in range(_FILM_FRAMES)]

        def paint(frame: np.ndarray, robot: np.ndarray, step: int) -> np.ndarray:
            now, part = divmod(step, _STEPS_A_FRAME)
            before, after = film[now % _FILM_FRAMES], film[(now + 1) % _FILM_FRAMES]
            picture = before + part / _STEPS_A_FRAME * (after - before)
            return behind(frame, robot, picture, self.strength)

        return paint


@dataclass(frozen=True)
class GivenPictures(FrameLook):
    """One of the given pictures behind the robot."""

    pictures: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1, 3), np.uint8), compare=False)
    """uint8 (n, S, S, 3), of the size of the frames."""

    unit: ClassVar[str] = "the share of the picture in what is seen"
    highest: ClassVar[float] = 1.0
    needs_robot: ClassVar[bool] = True

    def painter(self, rng: np.random.Generator, size: int) -> Painter:
        if not len(self.pictures) or self.pictures.shape[1:] != (size, size, 3):
            raise ValueError(f"pictures must be uint8 (n, {size}, {size}, 3), got shape {self.pictures.shape}")
        picture = self.pictures[int(rng.integers(len(self.pictures)))].astype(np.float32)
        return lambda frame, robot, step: behind(frame, robot, picture, self.strength)


@dataclass(frozen=True)
class Tint(FrameLook):
    """Floor and background in another colour: one channel is kept, the other two are weakened."""

    unit: ClassVar[str] = "the share by which a channel is weakened at most"
    highest: ClassVar[float] = 1.0
    needs_robot: ClassVar[bool] = True

    def painter(self, rng: np.random.Generator, size: int) -> Painter:
        gains = np.array([1, 1 - 0.8 * self.strength, 1 - self.strength], np.float32)
        gains = rng.permutation(gains)
        return lambda frame, robot, step: behind(frame, robot, frame * gains, 1.0)
