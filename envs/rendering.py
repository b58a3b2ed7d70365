"""Headless rendering: choose an OpenGL library before MuJoCo is imported, and turn a simulation state into a frame.

MuJoCo reads `MUJOCO_GL` at its first import, so this module sets it first; where another module has already imported
MuJoCo, frames are rendered all the same.
"""

from __future__ import annotations  # without OpenGL there is no mujoco.GLContext to name

import atexit
import ctypes
import importlib
import importlib.util
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

# In order of preference: EGL serves GPUs and software rendering; OSMesa is software only.
_GL_LIBRARIES = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}
_NO_GL = ("disable", "disabled", "off", "false", "0")
_ANY_GL = ("", "enable", "enabled", "on", "true", "1")
"""Values of `MUJOCO_GL` that name no library, which MuJoCo takes as if it were unset."""


class GLUnavailable(RuntimeError):
    """No OpenGL context can be made on this machine."""


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _choose_gl() -> None:
    """Set `MUJOCO_GL` to the first library found ("disable" without one), unless the user has named one."""
    # Software rendering of one small frame is about twice as fast on one thread as over llvmpipe's thread pool.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    if sys.platform.startswith("linux") and _backend() in _ANY_GL:
        found = (name for name, library in _GL_LIBRARIES.items() if _loads(library))
        os.environ["MUJOCO_GL"] = next(found, "disable")
    elif _backend():
        os.environ["MUJOCO_GL"] = _backend()  # dm_control reads it to the letter


def _backend() -> str:
    """`MUJOCO_GL` as MuJoCo reads it."""
    return os.environ.get("MUJOCO_GL", "").lower().strip()


def _load_triton() -> None:
    """Load triton, which CUDA builds of PyTorch bring and import when they train, before Mesa.

    It and Mesa's software rendering each carry an LLVM; the process dies of a segmentation fault if Mesa's comes first,
    which dm_control loads as it is imported.
    """
    if sys.platform.startswith("linux") and importlib.util.find_spec("triton"):
        with suppress(ImportError):  # a broken one is PyTorch's to speak of
            importlib.import_module("triton")


_choose_gl()
_load_triton()

try:
    import mujoco
except RuntimeError as error:  # MuJoCo checks the variable as it is imported
    raise GLUnavailable(
        f"MUJOCO_GL={os.environ['MUJOCO_GL']!r} is not a backend of MuJoCo; use egl or osmesa"
    ) from error

Quality = Literal["fast", "suite"]
QUALITIES: tuple[Quality, ...] = ("fast", "suite")
MAX_SUPERSAMPLE = 16  # the sum over a 16x16 box still fits in 16 bits
MAX_SIDE = 4096
"""Pixels of a side as it is rendered: 64 MB of colours. A description from elsewhere may ask for any number."""

_MAX_GEOMS = 10_000
_SLOW_EFFECTS = (
    mujoco.mjtRndFlag.mjRND_SHADOW,
    mujoco.mjtRndFlag.mjRND_REFLECTION,
    mujoco.mjtRndFlag.mjRND_SKYBOX,
    mujoco.mjtRndFlag.mjRND_FOG,
    mujoco.mjtRndFlag.mjRND_HAZE,
)


Aim = Callable[[np.ndarray, np.ndarray, "int | None"], tuple[np.ndarray, np.ndarray]]
"""(position (3,), rotation (3, 3), number of the camera or None for a free one) -> another pose for one frame. A camera
looks along minus the third column of its rotation."""


@dataclass(frozen=True)
class FreeCamera:
    """A camera that stands in no MJCF file: it looks at a point from a distance."""

    lookat: tuple[float, ...]
    """(x, y, z) of the point, in metres."""

    distance: float
    """From the point, in metres."""

    azimuth: float
    """Of the direction in which it looks, in degrees about the vertical."""

    elevation: float
    """Of that direction above the horizontal, in degrees; negative looks down."""

    @property
    def rotation(self) -> np.ndarray:
        """Its axes as columns, (3, 3): to the right, upwards, backwards."""
        (sin_a, sin_e), (cos_a, cos_e) = (of(np.deg2rad([self.azimuth, self.elevation])) for of in (np.sin, np.cos))
        ahead = np.array([cos_e * cos_a, cos_e * sin_a, sin_e])
        upwards = np.array([-sin_e * cos_a, -sin_e * sin_a, cos_e])
        return np.stack([np.cross(ahead, upwards), upwards, -ahead], 1)

    @property
    def position(self) -> np.ndarray:
        """Where it stands, (3,), in metres."""
        return np.array(self.lookat) + self.distance * self.rotation[:, 2]


Camera = str | int | FreeCamera
"""Name or number of a camera of the model, or a free one."""

_OPEN: weakref.WeakSet[FrameRenderer] = weakref.WeakSet()


class FrameRenderer:
    """Renders square frames of one model; holds one offscreen OpenGL context.

    Args:
        model: the model whose states are rendered. Its colours, lights and terrain may change later; its textures,
            meshes and the number of its elements may not.
        size: S, the side of a frame in pixels.
        supersample: k; a frame is rendered at k*S and averaged over boxes of k x k pixels (at most 16).
        quality: "fast" leaves out multisampling, shadows, reflections, skybox, fog and haze, which is more than ten
            times faster with software rendering; "suite" is MuJoCo's full look, as dm_control renders it.

    Raises:
        GLUnavailable: no OpenGL library was found, or it made no context.
        ValueError: a bad size, supersample or quality.
    """

    def __init__(self, model: mujoco.MjModel, size: int, supersample: int = 1, quality: Quality = "fast") -> None:
        check_frame_options(size, supersample, quality)
        side = size * supersample
        self._model = model
        self._supersample = supersample
        self._context, self._gpu = _make_contexts(model, side, quality)
        self._release = _release_of(_backend())
        self._owner = threading.get_ident()
        self._viewport = mujoco.MjrRect(0, 0, side, side)
        self._buffer = np.empty((side, side, 3), np.uint8)
        self._camera = mujoco.MjvCamera()
        self._options, self._without_moving = mujoco.MjvOption(), _options_without_moving()
        self._terrain = model.hfield_data.copy()
        self._scene = mujoco.MjvScene(model, _MAX_GEOMS)
        if quality == "fast":
            for flag in _SLOW_EFFECTS:
                self._scene.flags[flag] = 0
        self._finalizer = weakref.finalize(self, _free, self._context, self._gpu)
        self._finalizer.atexit = False  # close_all serves then
        _OPEN.add(self)
        close_all_first_at_exit()
        self._let_go()

    @property
    def model(self) -> mujoco.MjModel:
        return self._model

    def render(self, data: mujoco.MjData, camera: Camera, aim: Aim | None = None, moving: bool = True) -> np.ndarray:
        """The frame of `data.qpos` as it is now, uint8 (S, S, 3), seen by a named, numbered or free camera.

        Any thread may ask for it, one at a time.

        Args:
            data: the simulation.
            camera: which camera sees it.
            aim: moves the camera for this frame.
            moving: False leaves out everything that can move: geoms of bodies that are not fixed to the world, sites
                and tendons.

        Raises:
            GLUnavailable: another thread owns the OpenGL context (only with backends other than EGL and OSMesa).
        """
        if self._release is None and self._owner != threading.get_ident():
            raise GLUnavailable(
                f"MUJOCO_GL={_backend()!r} draws a world's frames only in the thread that drew its first one; "
                "make and use each world in one thread, or set MUJOCO_GL to egl or osmesa"
            )
        # mj_step leaves poses one substep behind qpos; these two bring all that is drawn up to date.
        mujoco.mj_kinematics(self._model, data)
        mujoco.mj_camlight(self._model, data)
        self._look_through(camera)
        upwards = None if aim is None else self._move(camera, aim, data)
        with nullcontext() if moving else _hidden_moving_geoms(self._model):
            options = self._options if moving else self._without_moving
            mujoco.mjv_updateScene(
                self._model, data, options, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
            )
        if upwards is not None:
            for eye in self._scene.camera:
                eye.up[:] = upwards
        self._context.make_current()  # another world's renderer may have been
        try:
            if not np.array_equal(self._terrain, self._model.hfield_data):
                self._upload_terrain()
            mujoco.mjr_render(self._viewport, self._scene, self._gpu)
            mujoco.mjr_readPixels(self._buffer, None, self._viewport, self._gpu)
        finally:
            self._let_go()
        return box_average(self._buffer[::-1], self._supersample)  # OpenGL's first row is the lowest

    @property
    def is_open(self) -> bool:
        return self._finalizer.alive

    def close(self) -> None:
        """Free the OpenGL context; calling it twice is fine."""
        self._finalizer()

    def _look_through(self, camera: Camera) -> None:
        if isinstance(camera, FreeCamera):
            self._camera.type = mujoco.mjtCamera.mjCAMERA_FREE
            self._camera.lookat[:] = camera.lookat
            self._camera.distance, self._camera.azimuth = camera.distance, camera.azimuth
            self._camera.elevation = camera.elevation
        else:
            self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
            self._camera.fixedcamid = self._model.camera(camera).id

    def _move(self, camera: Camera, aim: Aim, data: mujoco.MjData) -> np.ndarray | None:
        """Move the camera; the direction (3,) that a free one has upwards, which MuJoCo would take as vertical."""
        if not isinstance(camera, FreeCamera):
            number = self._camera.fixedcamid
            position, rotation = aim(data.cam_xpos[number].copy(), data.cam_xmat[number].reshape(3, 3).copy(), number)
            data.cam_xpos[number], data.cam_xmat[number] = position, rotation.reshape(9)
            return None
        position, rotation = aim(camera.position, camera.rotation, None)
        ahead = -rotation[:, 2]
        self._camera.lookat[:] = position + camera.distance * ahead
        self._camera.azimuth = np.rad2deg(np.arctan2(ahead[1], ahead[0]))
        self._camera.elevation = np.rad2deg(np.arcsin(np.clip(ahead[2], -1, 1)))
        return rotation[:, 1]

    def _let_go(self) -> None:
        """Leave the OpenGL context to whatever thread draws next."""
        if self._release is not None:
            self._release()

    def _upload_terrain(self) -> None:
        """The terrain is on the graphics device; colours and lights are read from the model for each frame."""
        self._terrain[:] = self._model.hfield_data
        for index in range(self._model.nhfield):
            mujoco.mjr_uploadHField(self._model, self._gpu, index)


_HIDDEN_GROUP = 5
"""A group of geoms that MuJoCo does not draw unless it is told to."""


@contextmanager
def _hidden_moving_geoms(model: mujoco.MjModel) -> Iterator[None]:
    """Geoms that can move are in the hidden group for the length of a `with` block."""
    groups = model.geom_group.copy()
    can_move = (model.body_weldid[model.geom_bodyid] != 0) | (model.body_mocapid[model.geom_bodyid] >= 0)
    model.geom_group[can_move] = _HIDDEN_GROUP
    try:
        yield
    finally:
        model.geom_group[:] = groups


def _options_without_moving() -> mujoco.MjvOption:
    """What is drawn of a scene without anything that can move: no sites, no tendons, no hidden group."""
    options = mujoco.MjvOption()
    options.sitegroup[:] = 0
    options.geomgroup[_HIDDEN_GROUP] = 0
    options.flags[mujoco.mjtVisFlag.mjVIS_TENDON] = 0
    return options


def num_open() -> int:
    """OpenGL contexts that this process holds."""
    return sum(renderer.is_open for renderer in tuple(_OPEN))


def close_all() -> None:
    """Free the OpenGL contexts of all renderers."""
    for renderer in tuple(_OPEN):
        renderer.close()


def close_all_first_at_exit() -> None:
    """Have `close_all` run before the exit hooks registered so far.

    MuJoCo and dm_control each end EGL in such a hook when imported; a context that outlives EGL prints tracebacks.
    """
    atexit.unregister(close_all)
    atexit.register(close_all)


def check_frame_options(size: int, supersample: int, quality: str) -> None:
    """Raise ValueError, in one line, unless a `FrameRenderer` accepts these options."""
    if size < 1:
        raise ValueError(f"image_size must be >= 1 pixel, got {size}")
    if size * max(1, supersample) > MAX_SIDE:
        raise ValueError(f"image_size times supersample must be at most {MAX_SIDE} pixels, got {size} x {supersample}")
    if not 1 <= supersample <= MAX_SUPERSAMPLE:
        raise ValueError(f"supersample must be in 1..{MAX_SUPERSAMPLE}, got {supersample}")
    if quality not in QUALITIES:
        raise ValueError(f"quality must be one of {', '.join(QUALITIES)}, got {quality!r}")


def box_average(image: np.ndarray, k: int) -> np.ndarray:
    """Mean over k x k boxes, rounded half up: uint8 (k*S, k*S, 3) -> a new uint8 (S, S, 3), in integer arithmetic."""
    if k == 1:
        return image.copy()
    rows = image[0::k].astype(np.uint16)
    for i in range(1, k):
        rows += image[i::k]
    boxes = rows[:, 0::k].copy()
    for i in range(1, k):
        boxes += rows[:, i::k]
    return ((boxes + k * k // 2) // (k * k)).astype(np.uint8)


def _make_contexts(model: mujoco.MjModel, side: int, quality: Quality) -> tuple[Any, mujoco.MjrContext]:
    """An OpenGL context, and MuJoCo's in it, for frames of side x side pixels."""
    backend = _backend()
    if backend in _NO_GL:
        if any(map(_loads, _GL_LIBRARIES.values())):
            raise GLUnavailable(f"MUJOCO_GL={backend!r} turns pictures off; leave it unset, or set it to egl or osmesa")
        raise GLUnavailable(
            f"No headless OpenGL library found (looked for {', '.join(_GL_LIBRARIES.values())}); "
            "install one: apt-get install libegl1 libgl1-mesa-dri"
        )
    # Buffer size and multisampling are read from the model as the context is made; the model stays as it was.
    frame_buffer, multisampling = model.vis.global_, model.vis.quality
    saved = frame_buffer.offwidth, frame_buffer.offheight, multisampling.offsamples
    frame_buffer.offwidth = frame_buffer.offheight = side
    if quality == "fast":
        multisampling.offsamples = 0
    try:
        context = _context_class(backend)(side, side)
        context.make_current()
        gpu = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, gpu)
    except Exception as error:  # each GL backend raises its own type
        raise GLUnavailable(
            f"MUJOCO_GL={backend!r} makes no OpenGL context ({error}); set MUJOCO_GL to egl or osmesa, "
            "or install one: apt-get install libegl1 libgl1-mesa-dri"
        ) from error
    finally:
        frame_buffer.offwidth, frame_buffer.offheight, multisampling.offsamples = saved
    return context, gpu


def _context_class(backend: str) -> type[Any]:
    """MuJoCo's own choice stands only if it was imported after `MUJOCO_GL` was set, so headless ones are named."""
    if backend in _GL_LIBRARIES:
        return importlib.import_module(f"mujoco.{backend}").GLContext
    return mujoco.GLContext


def _release_of(backend: str) -> Callable[[], object] | None:
    """What leaves this thread without an OpenGL context; None where that is not known.

    A context that is current in one thread cannot be used by another; and dm_control, which makes a context of its own
    for some tasks, frees its objects in whatever context is current when a world is thrown away.
    """
    if backend == "egl":
        # The library itself: the call through PyOpenGL takes several times as long, and is made for every frame.
        make_current = ctypes.CDLL(_GL_LIBRARIES[backend]).eglMakeCurrent
        make_current.argtypes = [ctypes.c_void_p] * 4
        return partial(make_current, importlib.import_module("mujoco.egl").EGL_DISPLAY, None, None, None)
    if backend == "osmesa":
        osmesa = importlib.import_module("mujoco.osmesa")
        return partial(osmesa.osmesa.OSMesaMakeCurrent, None, None, osmesa.GL.GL_FLOAT, 0, 0)
    return None


def _free(context: Any, gpu: mujoco.MjrContext) -> None:
    context.make_current()
    gpu.free()
    context.free()
