"""The axes of the Distracting Control Suite (Stone et al. 2021, arXiv:2101.02722), in its static setting.

The suite gives its three axes one scale beta: `LEVELS` are its easy, medium and hard. What is drawn stays for the
episode, as in its static setting. Two things differ. Its backgrounds are pictures from 4, 8 or 60 films of DAVIS 2017;
here they are given pictures, or computed ones where none are given. And they replace all that stands still, of which
the suite keeps the ground of walker and cheetah, and three tenths of the ground of cartpole, finger and ball_in_cup.
"""

from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np

from worldmodel.envs.looks.backgrounds import Cloud, GivenPictures
from worldmodel.envs.looks.colours import rotation_about
from worldmodel.envs.looks.look import CameraLook, Look, ModelLook

LEVELS = {"easy": 0.1, "medium": 0.2, "hard": 0.3}
"""Level -> beta, of cameras and colours; backgrounds are replaced wholly at every level."""
_OVERHEAD = 0.1  # radians from the vertical within which a camera looks straight down


@dataclass(frozen=True)
class SuiteCamera(CameraLook):
    """The suite's cameras: a place on a sphere around what the camera looks at, and a roll.

    Both angles of the sphere and the roll differ by up to 90 beta degrees, the distance by -50 beta to +150 beta per
    cent; cameras that do not look straight down stay above the ground and in front of the scene.
    """

    unit: ClassVar[str] = "the suite's scale beta"
    highest: ClassVar[float] = 1.0

    def aim(
        self, position: np.ndarray, rotation: np.ndarray, distance: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        target = position - distance * rotation[:, 2]
        x, y, z = position - target
        azimuth, polar = np.arctan2(y, x), np.arctan2(np.hypot(x, y), z)
        most = self.strength * np.pi / 2
        overhead = polar < _OVERHEAD
        azimuth += rng.uniform(-most, most)
        polar += rng.uniform(-most, most)
        if not overhead:
            polar, azimuth = np.clip(polar, 0, np.pi / 2), np.clip(azimuth, -np.pi, 0)
        distance *= rng.uniform(1 - 0.5 * self.strength, 1 + 1.5 * self.strength)
        roll = rng.uniform(-most, most)
        towards = np.array([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)])
        turned = rotation_between(rotation[:, 2], towards) @ rotation
        return target + distance * towards, rotation_about(towards, roll) @ turned


@dataclass(frozen=True)
class SuiteColours(ModelLook):
    """The suite's colours: each channel of each material and geom differs by up to beta (of 1)."""

    unit: ClassVar[str] = "the suite's scale beta"
    highest: ClassVar[float] = 1.0
    fields: ClassVar[tuple[str, ...]] = ("mat_rgba", "geom_rgba")

    def write(self, model: mujoco.MjModel, rng: np.random.Generator) -> None:
        for colours in (model.mat_rgba, model.geom_rgba):
            low, high = (np.clip(colours[:, :3] + sign * self.strength, 0, 1) for sign in (-1, 1))
            colours[:, :3] = rng.uniform(low, high)


def suite_level(level: str, pictures: np.ndarray | None = None) -> dict[str, list[Look]]:
    """Axis of the suite, and all of them together -> its looks at a level of `LEVELS`.

    pictures: backgrounds, uint8 (n, S, S, 3); None computes them.
    """
    beta = LEVELS[level]
    backgrounds: list[Look] = [Cloud(1.0) if pictures is None else GivenPictures(1.0, pictures)]
    cameras: list[Look] = [SuiteCamera(beta)]
    colours: list[Look] = [SuiteColours(beta)]
    together = [*colours, *cameras, *backgrounds]
    return {"backgrounds": backgrounds, "cameras": cameras, "colours": colours, "all": together}


def rotation_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The smallest rotation (3, 3) that turns one unit vector (3,) into another."""
    axis = np.cross(first, second)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:
        return np.eye(3)
    return rotation_about(axis, float(np.arctan2(sine, first @ second)))
