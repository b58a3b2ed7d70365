"""Looks: changes of how a world is seen, at stated strengths; see `look`, and `Appearance`, which applies them.

world.appearance = looks.Appearance([looks.make("texture", 0.6), looks.make("camera_tilt", 2)], seed=3)
"""

import numpy as np

from worldmodel.envs.looks.appearance import Appearance, robot_mask
from worldmodel.envs.looks.backgrounds import Cloud, GivenPictures, Stripes, Texture, Tint, Video
from worldmodel.envs.looks.camera import CameraRoll, CameraShift, CameraTilt, CameraZoom, FieldOfView
from worldmodel.envs.looks.colours import Light, LightDirection, RobotColour
from worldmodel.envs.looks.distracting_suite import (
    NUM_FILMS,
    SuiteBackground,
    SuiteCamera,
    SuiteColours,
    suite_level,
)
from worldmodel.envs.looks.image_faults import Blur, Compression, Noise, Speckle
from worldmodel.envs.looks.look import CameraLook, FrameLook, Look
from worldmodel.envs.looks.occluders import Bar, Distractor, Patch

__all__ = ["KINDS", "NUM_FILMS", "Appearance", "CameraLook", "FrameLook", "Look", "make", "robot_mask", "suite_level"]

KINDS: dict[str, type[Look]] = {
    "texture": Texture,
    "cloud": Cloud,
    "stripes": Stripes,
    "video": Video,
    "pictures": GivenPictures,
    "tint": Tint,
    "robot_colour": RobotColour,
    "light": Light,
    "light_direction": LightDirection,
    "patch": Patch,
    "distractor": Distractor,
    "bar": Bar,
    "camera_tilt": CameraTilt,
    "camera_shift": CameraShift,
    "camera_roll": CameraRoll,
    "camera_zoom": CameraZoom,
    "field_of_view": FieldOfView,
    "noise": Noise,
    "speckle": Speckle,
    "blur": Blur,
    "compression": Compression,
    "suite_background": SuiteBackground,
    "suite_camera": SuiteCamera,
    "suite_colours": SuiteColours,
}
"""Kind of look -> its class."""


def make(kind: str, strength: float, pictures: np.ndarray | None = None) -> Look:
    """A look by its kind and strength; `pictures`, uint8 (n, S, S, 3), belong to kind="pictures".

    Raises:
        ValueError: an unknown kind, a strength out of its range, or pictures that are missing.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown look {kind!r}; choose among {', '.join(KINDS)}")
    if kind == "pictures":
        if pictures is None or not len(pictures):
            raise ValueError("the look pictures needs pictures, such as those of pictures=FOLDER")
        return GivenPictures(strength, pictures)
    return KINDS[kind](strength)
