"""Looks of the camera: its place, its angle and its field of view."""

from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np

from worldmodel.envs.looks.colours import rotation_about
from worldmodel.envs.looks.look import CameraLook, ModelLook


@dataclass(frozen=True)
class CameraShift(CameraLook):
    """The camera is moved sideways and looks the same way."""

    unit: ClassVar[str] = "per cent of its distance from the scene"
    highest: ClassVar[float] = 50.0

    def aim(
        self, position: np.ndarray, rotation: np.ndarray, distance: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        angle = rng.uniform(0, 2 * np.pi)
        sideways = rotation @ [np.cos(angle), np.sin(angle), 0]
        return position + self.strength / 100 * distance * sideways, rotation


@dataclass(frozen=True)
class CameraTilt(CameraLook):
    """The camera is turned upwards or downwards, to the left or to the right."""

    unit: ClassVar[str] = "the angle in degrees"
    highest: ClassVar[float] = 45.0

    def aim(
        self, position: np.ndarray, rotation: np.ndarray, distance: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        angle = rng.uniform(0, 2 * np.pi)
        axis = rotation @ [np.cos(angle), np.sin(angle), 0]
        return position, rotation_about(axis, np.deg2rad(self.strength)) @ rotation


@dataclass(frozen=True)
class CameraRoll(CameraLook):
    """The camera is turned about the direction in which it looks."""

    unit: ClassVar[str] = "the angle in degrees"
    highest: ClassVar[float] = 180.0

    def aim(
        self, position: np.ndarray, rotation: np.ndarray, distance: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        angle = np.deg2rad(self.strength) * rng.choice([-1, 1])
        return position, rotation_about(rotation[:, 2], angle) @ rotation


@dataclass(frozen=True)
class CameraZoom(CameraLook):
    """The camera is nearer or farther."""

    unit: ClassVar[str] = "per cent of its distance from the scene"
    highest: ClassVar[float] = 60.0

    def aim(
        self, position: np.ndarray, rotation: np.ndarray, distance: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        way = self.strength / 100 * distance * rng.choice([-1, 1])
        return position + way * rotation[:, 2], rotation


@dataclass(frozen=True)
class FieldOfView(ModelLook):
    """The camera sees a wider or a narrower angle."""

    unit: ClassVar[str] = "per cent of the angle"
    highest: ClassVar[float] = 60.0
    fields: ClassVar[tuple[str, ...]] = ("cam_fovy",)

    def write(self, model: mujoco.MjModel, rng: np.random.Generator) -> None:
        model.cam_fovy *= 1 + self.strength / 100 * rng.choice([-1, 1])
