"""How a world is shown: one instance of some looks, put into or over its frames."""

from __future__ import annotations  # without OpenGL there is no renderer to name

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from operator import attrgetter

import mujoco
import numpy as np

from worldmodel.envs.looks.look import CameraLook, FrameLook, Look, ModelLook, Painter, Pose, View
from worldmodel.envs.rendering import Aim, Camera, FrameRenderer

_FAINT, _CLEAR = 4.0, 20.0  # differences from the empty scene, in grey levels, at which the robot's mask is 0 and 1
_NOWHERE = np.zeros((1, 1, 1), np.float32)
_SHOWN_BY = ("geom_pos", "geom_quat", "geom_size", "geom_rgba", "geom_matid", "mat_rgba", "light_diffuse")
_SHOWN_BY += ("light_ambient", "vis.headlight.diffuse", "vis.headlight.ambient", "cam_fovy", "hfield_data")
_SHOWN_BY += ("vis.global_.fovy",)
_FOLLOWING = (mujoco.mjtCamLight.mjCAMLIGHT_TRACK, mujoco.mjtCamLight.mjCAMLIGHT_TRACKCOM)
_PLACED_BY = ("cam_xpos", "cam_xmat", "light_xpos", "light_xdir")


class Appearance:
    """One instance of some looks, for the frames of one world.

    Every frame, goal images included, shows the same instance. Moving parts are found by the difference to a frame
    without them. That frame is rendered once for as long as camera, lights and colours stay: a frame then costs one
    rendering, and two where these move.
    """

    def __init__(self, looks: Sequence[Look], seed: int = 0) -> None:
        """seed: draws the instance."""
        self.looks, self._seed = tuple(looks), seed
        self._writers = [(look, look.writer(rng)) for look, rng in self._drawn() if isinstance(look, ModelLook)]
        self._aimers = [look.aimer(rng) for look, rng in self._drawn() if isinstance(look, CameraLook)]
        self._painters: list[Painter] = []
        self._needs_robot = any(isinstance(look, FrameLook) and look.needs_robot for look in looks)
        self._empty: tuple[bytes, np.ndarray] | None = None
        self._agent: np.ndarray | None = None
        self._seen_from = b""

    def photograph(
        self, renderer: FrameRenderer, data: mujoco.MjData, camera: Camera, step: int, moving: bool = True
    ) -> np.ndarray:
        """The frame at a control step, uint8 (S, S, 3); the model is left as it was.

        moving: as in `FrameRenderer.render`.
        """
        aim = partial(self._aim, renderer.model, data, step) if self._aimers else None
        with self._changed_model(renderer.model, step):
            seen = renderer.render(data, camera, aim, moving).astype(np.float32)
            robot = _NOWHERE
            if self._needs_robot and moving:
                robot = robot_mask(seen, self._empty_scene(renderer, data, camera, aim))
        return self._painted(seen, robot, step)

    def _painted(self, frame: np.ndarray, robot: np.ndarray, step: int) -> np.ndarray:
        if not self._painters:
            frame_looks = [(look, rng) for look, rng in self._drawn() if isinstance(look, FrameLook)]
            self._painters = [look.painter(rng, len(frame)) for look, rng in frame_looks]
        for paint in self._painters:
            frame = paint(frame, robot, step)
        return (np.clip(frame, 0, 255) + 0.5).astype(np.uint8)

    @contextmanager
    def _changed_model(self, model: mujoco.MjModel, step: int) -> Iterator[None]:
        """The model with this instance of colours and lights; restored afterwards."""
        arrays = [attrgetter(field)(model) for look, _ in self._writers for field in look.fields]
        kept, view = [array.copy() for array in arrays], model.vis.global_
        angle = view.fovy  # of a free camera
        try:
            for _, write in self._writers:
                write(model, step)
            yield
        finally:
            for array, before in zip(arrays, kept, strict=True):
                array[:] = before
            view.fovy = angle

    def _aim(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        step: int,
        position: np.ndarray,
        rotation: np.ndarray,
        camera: int | None,
    ) -> Pose:
        """Where the camera of the frame that is about to be drawn stands."""
        follows = camera is not None and model.cam_mode[camera] in _FOLLOWING
        if self._agent is None:
            self._agent = _agent_at_rest(model)
        agent = data.subtree_com[min(1, model.nbody - 1)].copy() if follows else self._agent
        for aim in self._aimers:
            distance = float(np.linalg.norm(position - model.stat.center))
            position, rotation = aim(View(position, rotation, distance, agent, follows), step)
        self._seen_from = position.tobytes() + rotation.tobytes()
        return position, rotation

    def _empty_scene(self, renderer: FrameRenderer, data: mujoco.MjData, camera: Camera, aim: Aim | None) -> np.ndarray:
        model = renderer.model
        shown = [np.ascontiguousarray(attrgetter(field)(model)).tobytes() for field in _SHOWN_BY]
        key = b"".join([*shown, *(getattr(data, field).tobytes() for field in _PLACED_BY), self._seen_from])
        if self._empty is None or self._empty[0] != key:
            empty = renderer.render(data, camera, aim, moving=False)
            self._empty = (key, empty.astype(np.float32))
        return self._empty[1]

    def _drawn(self) -> Iterator[tuple[Look, np.random.Generator]]:
        """Each look with the stream that draws it, from its start."""
        for number, look in enumerate(self.looks):
            yield look, np.random.default_rng((self._seed, number))


def _agent_at_rest(model: mujoco.MjModel) -> np.ndarray:
    """Centre of mass of the first body and all that hangs on it in the model's reference pose, (3,)."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    return data.subtree_com[min(1, model.nbody - 1)].copy()


def robot_mask(frame: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Where a frame shows what the empty scene does not, float32 (S, S, 1), from frames (S, S, 3) in grey levels."""
    red, green, blue = np.moveaxis(np.abs(frame - empty), -1, 0)  # much faster than a maximum over the last axis
    difference = np.maximum(np.maximum(red, green), blue)[..., None]
    return np.clip((difference - _FAINT) / (_CLEAR - _FAINT), 0, 1)
