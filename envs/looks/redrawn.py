"""Another look in every frame, for data sets that show one robot under many looks: `randomize=["looks"]`."""

from __future__ import annotations  # without OpenGL there is no renderer to name

import zlib
from collections.abc import Sequence

import mujoco
import numpy as np

from worldmodel.envs.looks.appearance import Appearance
from worldmodel.envs.looks.backgrounds import Cloud, Stripes, Texture, Tint, Video
from worldmodel.envs.looks.camera import CameraRoll, CameraShift, CameraTilt, CameraZoom
from worldmodel.envs.looks.colours import Light, RobotColour
from worldmodel.envs.looks.image_faults import Blur, Compression, Noise, Speckle
from worldmodel.envs.looks.look import Look
from worldmodel.envs.looks.occluders import Bar, Distractor, Patch
from worldmodel.envs.rendering import Camera, FrameRenderer

LOOKS = "looks"
"""Their name among the factors of `randomize`."""
_NUM = 96  # number of appearances, of which every frame shows one
_SEED = 9_001
_DRAWN: tuple[tuple[float, tuple[tuple[type[Look], float], ...]], ...] = (
    (0.6, ((Texture, 0.8), (Cloud, 0.8), (Stripes, 0.6), (Video, 0.6))),
    (0.4, ((Tint, 0.7),)),
    (0.3, ((RobotColour, 1.0),)),
    (0.3, ((Light, 0.4),)),
    (0.4, ((CameraTilt, 2.5), (CameraShift, 3.0), (CameraRoll, 5.0), (CameraZoom, 5.0))),
    (0.4, ((Patch, 12.0), (Distractor, 6.0), (Bar, 8.0))),
    (0.3, ((Noise, 25.0), (Blur, 2.0), (Speckle, 0.05), (Compression, 80.0))),
)
"""Chance of a group -> its looks, of which one is drawn, each with its highest strength."""


class RedrawnLooks:
    """Shows every frame under other looks, which depend on positions and the control step alone.

    So the same arguments record the same frames, snapshots continue exactly, and other random draws are unaffected.
    """

    def __init__(self) -> None:
        self._appearances: dict[int, Appearance] = {}

    def photograph(
        self, renderer: FrameRenderer, data: mujoco.MjData, camera: Camera, step: int, moving: bool = True
    ) -> np.ndarray:
        """The frame at a control step, uint8 (S, S, 3); moving: as in `FrameRenderer.render`."""
        number = zlib.crc32(data.qpos.tobytes(), step) % _NUM
        if number not in self._appearances:
            self._appearances[number] = _draw(number)
        return self._appearances[number].photograph(renderer, data, camera, step, moving)


def _draw(number: int) -> Appearance:
    rng = np.random.default_rng((_SEED, number))
    looks = []
    for chance, kinds in _DRAWN:
        if rng.random() < chance:
            kind, highest = kinds[int(rng.integers(len(kinds)))]
            looks.append(kind(float(rng.uniform(0, highest))))
    return Appearance(looks, number)


def factors_in(randomize: Sequence[str]) -> Sequence[str]:
    """The factors among what is randomised; a string, which is no list of names, stays one and is refused later."""
    return randomize if isinstance(randomize, str) else [name for name in randomize if name != LOOKS]


def redrawn_looks(randomize: Sequence[str]) -> RedrawnLooks | None:
    """Looks that are redrawn at every frame, where `randomize` asks for them."""
    return RedrawnLooks() if LOOKS in randomize else None
