"""Looks of the camera: its place, its angle and its field of view."""

from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np

from worldmodel.envs.looks.colours import rotation_about
from worldmodel.envs.looks.look import Aimer, CameraLook, ModelLook, Writer


@dataclass(frozen=True)
class CameraShift(CameraLook):
    """The camera is moved sideways and looks the same way."""

    unit: ClassVar[str] = "per cent of its distance from the scene"
    highest: ClassVar[float] = 50.0

    def aimer(self, rng: np.random.Generator) -> Aimer:
        angle = rng.uniform(0, 2 * np.pi)
        sideways = self.strength / 100 * np.array([np.cos(angle), np.sin(angle), 0])
        return lambda view, step: (view.position + view.distance * view.rotation @ sideways, view.rotation)


@dataclass(frozen=True)
class CameraTilt(CameraLook):
    """The camera is turned upwards or downwards, to the left or to the right."""

    unit: ClassVar[str] = "the angle in degrees"
    highest: ClassVar[float] = 45.0

    def aimer(self, rng: np.random.Generator) -> Aimer:
        angle = rng.uniform(0, 2 * np.pi)
        turn = rotation_about(np.array([np.cos(angle), np.sin(angle), 0]), np.deg2rad(self.strength))
        return lambda view, step: (view.position, view.rotation @ turn)


@dataclass(frozen=True)
class CameraRoll(CameraLook):
    """The camera is turned about the direction in which it looks."""

    unit: ClassVar[str] = "the angle in degrees"
    highest: ClassVar[float] = 180.0

    def aimer(self, rng: np.random.Generator) -> Aimer:
        turn = rotation_about(np.array([0.0, 0, 1]), np.deg2rad(self.strength) * rng.choice([-1, 1]))
        return lambda view, step: (view.position, view.rotation @ turn)


@dataclass(frozen=True)
class CameraZoom(CameraLook):
    """The camera is nearer or farther."""

    unit: ClassVar[str] = "per cent of its distance from the scene"
    highest: ClassVar[float] = 60.0

    def aimer(self, rng: np.random.Generator) -> Aimer:
        way = self.strength / 100 * rng.choice([-1, 1])
        return lambda view, step: (view.position + way * view.distance * view.rotation[:, 2], view.rotation)


@dataclass(frozen=True)
class FieldOfView(ModelLook):
    """The camera sees a wider or a narrower angle."""

    unit: ClassVar[str] = "per cent of the angle"
    highest: ClassVar[float] = 60.0
    fields: ClassVar[tuple[str, ...]] = ("cam_fovy",)

    def writer(self, rng: np.random.Generator) -> Writer:
        gain = 1 + self.strength / 100 * rng.choice([-1, 1])

        def write(model: mujoco.MjModel, step: int) -> None:
            model.cam_fovy *= gain
            model.vis.global_.fovy *= gain

        return write
