"""What a look is: one change of how a world is seen, at a strength; the physics stay as they are.

A look says what may be drawn; an *instance* of it, made with a seed, is one picture, one colour, one camera pose.
Lengths in pixels are of a frame of 64 pixels a side, and scale with the frame.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np

Painter = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""(frame, robot, step) -> frame. Frames are float32 (S, S, 3) in grey levels; `robot` is float32 (S, S, 1), 1 where
something that can move is seen; `step` counts control steps, for what moves by itself."""


@dataclass(frozen=True)
class Look(ABC):
    """One change of how a world is seen."""

    strength: float
    """How strong, in `unit`; 0 changes nothing."""

    unit: ClassVar[str]
    """What the strength is measured in."""

    highest: ClassVar[float]
    """The strongest that makes sense."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= self.highest:
            raise ValueError(
                f"the strength of {type(self).__name__} is {self.unit}, from 0 to {self.highest:g}; got "
                f"{self.strength:g}"
            )


class FrameLook(Look):
    """A look that is painted over a finished frame."""

    needs_robot: ClassVar[bool] = False
    """Whether it asks where the robot is; it is given zeros where it does not."""

    @abstractmethod
    def painter(self, rng: np.random.Generator, size: int) -> Painter:
        """Draw an instance for frames of `size` pixels a side. The painter may overwrite the frame it is given."""


class ModelLook(Look):
    """A look that changes what is rendered: colours and lights of the model."""

    fields: ClassVar[tuple[str, ...]]
    """Paths of the arrays of the MuJoCo model that it writes; they are restored after each frame."""

    @abstractmethod
    def write(self, model: mujoco.MjModel, rng: np.random.Generator) -> None:
        """Draw an instance into the model; the same for the same state of `rng`."""


class CameraLook(Look):
    """A look that moves the camera, whatever it is attached to."""

    @abstractmethod
    def aim(
        self, position: np.ndarray, rotation: np.ndarray, distance: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Another pose of the camera.

        Args:
            position: of the camera in the world, (3,), in metres.
            rotation: its axes as columns, (3, 3); it looks along minus its third.
            distance: from the camera to the middle of the scene, in metres.
            rng: draws the instance; the same for the same state.
        """
