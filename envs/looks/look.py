"""The interface of a look: one change of how a world is seen, at a strength; physics are unchanged.

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

Writer = Callable[[mujoco.MjModel, int], None]
"""(model, step): writes an instance into the model, as it is at a control step."""


@dataclass(frozen=True)
class View:
    """The camera's pose without looks."""

    position: np.ndarray
    """Position of the camera in the world, (3,), in metres."""
    rotation: np.ndarray
    """Its axes as columns, (3, 3); it looks along minus its third."""
    distance: float
    """From the camera to the middle of the scene, in metres."""
    agent: np.ndarray
    """Centre of mass of the first body and all that hangs on it, (3,): as it is, for a camera that follows; in the
    model's reference pose, for one that stands still."""
    follows: bool
    """Whether the camera moves along with the agent."""


Pose = tuple[np.ndarray, np.ndarray]
"""Position (3,) and rotation (3, 3) of a camera, as in `View`."""

Aimer = Callable[[View, int], Pose]
"""(view, step) -> another pose of the camera."""


@dataclass(frozen=True)
class Look(ABC):
    """One change of how a world is seen."""

    strength: float
    """How strong, in `unit`; 0 changes nothing."""

    unit: ClassVar[str]
    """Unit of the strength, in words."""

    highest: ClassVar[float]
    """The largest strength that is accepted."""

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
    def writer(self, rng: np.random.Generator) -> Writer:
        """Draw an instance."""


class CameraLook(Look):
    """A look that moves the camera, whatever it is attached to."""

    @abstractmethod
    def aimer(self, rng: np.random.Generator) -> Aimer:
        """Draw an instance."""
