"""How a world is shown: one instance of some looks, put into or over its frames."""

from __future__ import annotations  # without OpenGL there is no renderer to name

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter

import mujoco
import numpy as np

from worldmodel.envs.looks.look import CameraLook, FrameLook, Look, ModelLook, Painter
from worldmodel.envs.rendering import Camera, FrameRenderer

_FAINT, _CLEAR = 4.0, 20.0  # difference in grey levels from the empty scene at which the robot begins and is all there
_NOWHERE = np.zeros((1, 1, 1), np.float32)
_SHOWN_BY = ("geom_pos", "geom_quat", "geom_size", "geom_rgba", "geom_matid", "mat_rgba", "light_diffuse")
_SHOWN_BY += ("light_ambient", "vis.headlight.diffuse", "vis.headlight.ambient", "cam_fovy", "hfield_data")
_PLACED_BY = ("cam_xpos", "cam_xmat", "light_xpos", "light_xdir")


class Appearance:
    """One instance of some looks, for the frames of one world.

    Every frame of it, a goal's too, shows the same instance. What can move is told from what stands still by the
    difference to a frame without it, which is rendered once for as long as camera, lights and colours stay: a frame
    then costs one rendering.
    """

    def __init__(self, looks: Sequence[Look], seed: int = 0) -> None:
        """seed: draws the instance."""
        self.looks, self._seed = tuple(looks), seed
        self._painters: list[Painter] = []
        self._needs_robot = any(isinstance(look, FrameLook) and look.needs_robot for look in looks)
        self._empty: tuple[bytes, np.ndarray] | None = None

    def photograph(self, renderer: FrameRenderer, data: mujoco.MjData, camera: Camera, step: int) -> np.ndarray:
        """The frame at a control step, uint8 (S, S, 3); the model is left as it was."""
        with self._changed_model(renderer.model):
            seen = renderer.render(data, camera, self._aim).astype(np.float32)
            robot = _NOWHERE
            if self._needs_robot:
                robot = robot_mask(seen, self._empty_scene(renderer, data, camera))
        return self._painted(seen, robot, step)

    def _painted(self, frame: np.ndarray, robot: np.ndarray, step: int) -> np.ndarray:
        if not self._painters:
            frame_looks = [(i, look) for i, look in enumerate(self.looks) if isinstance(look, FrameLook)]
            self._painters = [look.painter(self._rng(i), len(frame)) for i, look in frame_looks]
        for paint in self._painters:
            frame = paint(frame, robot, step)
        return (np.clip(frame, 0, 255) + 0.5).astype(np.uint8)

    @contextmanager
    def _changed_model(self, model: mujoco.MjModel) -> Iterator[None]:
        """The model with this instance of colours and lights; restored afterwards."""
        writers = [(i, look) for i, look in enumerate(self.looks) if isinstance(look, ModelLook)]
        arrays = [attrgetter(field)(model) for _, look in writers for field in look.fields]
        kept = [array.copy() for array in arrays]
        try:
            for i, look in writers:
                look.write(model, self._rng(i))
            yield
        finally:
            for array, before in zip(arrays, kept, strict=True):
                array[:] = before

    def _aim(self, model: mujoco.MjModel, data: mujoco.MjData, camera: int) -> None:
        """Move the camera of the frame that is about to be drawn."""
        position, rotation = data.cam_xpos[camera].copy(), data.cam_xmat[camera].reshape(3, 3).copy()
        distance = float(np.linalg.norm(position - model.stat.center))
        for i, look in enumerate(self.looks):
            if isinstance(look, CameraLook):
                position, rotation = look.aim(position, rotation, distance, self._rng(i))
        data.cam_xpos[camera], data.cam_xmat[camera] = position, rotation.reshape(9)

    def _empty_scene(self, renderer: FrameRenderer, data: mujoco.MjData, camera: Camera) -> np.ndarray:
        model = renderer.model
        shown = [np.ascontiguousarray(attrgetter(field)(model)).tobytes() for field in _SHOWN_BY]
        key = b"".join([*shown, *(getattr(data, field).tobytes() for field in _PLACED_BY)])
        if self._empty is None or self._empty[0] != key:
            empty = renderer.render(data, camera, self._aim, moving=False)
            self._empty = (key, empty.astype(np.float32))
        return self._empty[1]

    def _rng(self, index: int) -> np.random.Generator:
        """The stream of the look with this number, from its start."""
        return np.random.default_rng((self._seed, index))


def robot_mask(frame: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Where a frame shows what the empty scene does not, float32 (S, S, 1), from frames (S, S, 3) in grey levels."""
    red, green, blue = np.moveaxis(np.abs(frame - empty), -1, 0)  # much faster than a maximum over the last axis
    difference = np.maximum(np.maximum(red, green), blue)[..., None]
    return np.clip((difference - _FAINT) / (_CLEAR - _FAINT), 0, 1)
