"""Looks of colours and lights."""

from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np

from worldmodel.envs.looks.look import FrameLook, ModelLook, Painter, Writer


@dataclass(frozen=True)
class RobotColour(FrameLook):
    """Everything that moves in another colour, as bright as before."""

    unit: ClassVar[str] = "the share of the other colour"
    highest: ClassVar[float] = 1.0
    needs_robot: ClassVar[bool] = True

    def painter(self, rng: np.random.Generator, size: int) -> Painter:
        colour = rng.uniform(0.1, 1, 3).astype(np.float32)
        to_colour = np.tile(colour / colour.sum(), (3, 1))  # the sum of the three channels stays

        def paint(frame: np.ndarray, robot: np.ndarray, step: int) -> np.ndarray:
            return frame + self.strength * robot * (frame @ to_colour - frame)

        return paint


@dataclass(frozen=True)
class Light(ModelLook):
    """All lights dimmer or brighter by one factor."""

    unit: ClassVar[str] = "s: all lights times 1 - s, or divided by it, with equal chance"
    highest: ClassVar[float] = 0.9
    fields: ClassVar[tuple[str, ...]] = (
        "light_diffuse",
        "light_ambient",
        "light_specular",
        "vis.headlight.diffuse",
        "vis.headlight.ambient",
        "vis.headlight.specular",
    )

    def writer(self, rng: np.random.Generator) -> Writer:
        gain = 1 - self.strength if rng.random() < 0.5 else 1 / (1 - self.strength)

        def write(model: mujoco.MjModel, step: int) -> None:
            headlight = model.vis.headlight
            for lamp in (model.light_diffuse, model.light_ambient, model.light_specular):
                lamp *= gain
            for lamp in (headlight.diffuse, headlight.ambient, headlight.specular):
                lamp *= gain

        return write


@dataclass(frozen=True)
class LightDirection(ModelLook):
    """Every light shines from elsewhere: its direction turned about a random axis."""

    unit: ClassVar[str] = "the angle in degrees"
    highest: ClassVar[float] = 80.0
    fields: ClassVar[tuple[str, ...]] = ("light_dir", "light_dir0")

    def writer(self, rng: np.random.Generator) -> Writer:
        turn = rotation_about(rng.standard_normal(3), np.deg2rad(self.strength))

        def write(model: mujoco.MjModel, step: int) -> None:
            for directions in (model.light_dir, model.light_dir0):
                directions[:] = directions @ turn.T

        return write


def rotation_about(axis: np.ndarray, angle: float) -> np.ndarray:
    """The rotation matrix (3, 3) by an angle in radians about an axis (3,) of any length."""
    quaternion, matrix = np.empty(4), np.empty(9)
    mujoco.mju_axisAngle2Quat(quaternion, axis / np.linalg.norm(axis), angle)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)
