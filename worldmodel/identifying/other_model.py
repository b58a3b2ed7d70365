"""A model file of the user's own in place of the model of the scene that a run was trained in."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import mujoco
import numpy as np

from worldmodel.envs import MjcfScene, Scene
from worldmodel.envs.state_variables import check_names, state_names
from worldmodel.system.errors import UserError
from worldmodel.system.files import check_regular

_MAX_BYTES = 16 * 2**20
_MOST_CPU_S, _MOST_BYTES, _PATIENCE_S = 4, 10**9, 60
"""Limits of compiling a model file: CPU-seconds, bytes, and wall seconds, which are more on a busy machine."""
_LOOK_S, _MOST_LOOKS_ASLEEP = 0.25, 12
"""Seconds between looks at the process; one found asleep this many times in a row waits for a file that never comes."""
_TRIAL = """
import ctypes
import os
import sys
file, most_cpu_s, most_bytes, library, plugins = sys.argv[1:]
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (int(most_cpu_s),) * 2)
    resource.setrlimit(resource.RLIMIT_AS, (int(most_bytes),) * 2)
except ImportError:  # Windows has no such limits
    pass
if library:
    compiler, reason = ctypes.CDLL(library), ctypes.create_string_buffer(1000)
    compiler.mj_loadAllPluginLibraries(os.fsencode(plugins), None)
    compiler.mj_loadXML(os.fsencode(file), None, reason, len(reason))
else:
    import mujoco
    try:
        mujoco.MjModel.from_xml_path(file)
    except ValueError:
        pass
"""
"""Compiles a model file, by MuJoCo's library itself: its Python bindings take ten times as long to import as a model
to compile. What is wrong with the file is told by the process that asks."""


def other_model(scene: Scene, mjcf: str, constants: Sequence[str]) -> MjcfScene:
    """The scene with the model of an MJCF file; starts, camera and rate stay.

    Of its factors, light, colours and these constants stay, with their priors; all else is as the file has it.

    Raises:
        UserError: there is no such file, it takes too long to compile, or its joints, actuators or cameras are not
            those of the scene.
    """
    _check_cost(mjcf)
    try:
        model = mujoco.MjModel.from_xml_path(mjcf)
        check_names(model)
    except ValueError as error:
        raise UserError(f"{mjcf} is no model file: {' '.join(str(error).split())}") from error
    _check_same("joints", scene.state_names, state_names(model), mjcf, scene)
    _check_same("actuators", _actuators(scene.model), _actuators(model), mjcf, scene)
    _check_same("cameras", _cameras(scene.model), _cameras(model), mjcf, scene)

    def reset(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        scene.reset(rng)
        data.qpos[:], data.qvel[:], data.act[:] = scene.data.qpos, scene.data.qvel, scene.data.act

    try:
        return MjcfScene(
            mjcf,
            name=scene.name,
            camera=scene.camera,
            control_dt_s=scene.control_dt_s,
            time_limit_s=scene.time_limit_s,
            factors=[factor for factor in scene.factors if factor.kind == "visual" or factor.name in constants],
            reset=reset,
            goal_tolerance=scene.goal_tolerance,
            angle_names=scene.angle_names,
        )
    except ValueError as error:
        raise UserError(f"{mjcf}: {error}") from error


def _check_cost(mjcf: str) -> None:
    """UserError where a model file takes far more to compile than to send.

    A line of it can stand for a hundred million bodies, or name a pipe as a mesh, and MuJoCo cannot be interrupted. So
    another process compiles it first, under limits.
    """
    if Path(mjcf).exists():
        check_regular(Path(mjcf).resolve(), _MAX_BYTES)
    limits = [str(_MOST_CPU_S), str(_MOST_BYTES)]
    command = [sys.executable, "-P", "-c", _TRIAL, str(Path(mjcf).absolute()), *limits, _library(), mujoco.PLUGINS_DIR]
    with tempfile.TemporaryDirectory() as folder:  # MuJoCo leaves a log where it stands
        quiet = subprocess.DEVNULL
        with subprocess.Popen(command, cwd=folder, stdin=quiet, stdout=quiet, stderr=quiet) as trial:
            try:
                ended = _ends(trial)
            finally:
                trial.kill()
    if not ended:
        raise UserError(
            f"{mjcf} names a mesh, a texture or another file that cannot be read to its end, like a named pipe; put "
            "regular files there"
        )
    if trial.returncode != 0:
        raise UserError(
            f"{mjcf} takes more than {_MOST_CPU_S} CPU-seconds or {_MOST_BYTES / 1e9:.0f} GB to compile; repeat fewer "
            "bodies, and use smaller meshes and textures"
        )


def _library() -> str:
    """The file of MuJoCo's library, where it lies beside the Python bindings, as in its wheels; empty elsewhere."""
    folder = Path(mujoco.__file__).parent
    return next((str(file) for name in ("libmujoco.*", "mujoco.dll") for file in folder.glob(name)), "")


def _ends(process: subprocess.Popen[bytes]) -> bool:
    """Wait for a process; False as soon as it does nothing but wait itself, or takes too long."""
    looks_asleep, until = 0, time.monotonic() + _PATIENCE_S
    while looks_asleep < _MOST_LOOKS_ASLEEP and time.monotonic() < until:
        try:
            process.wait(_LOOK_S)
            return True
        except subprocess.TimeoutExpired:
            looks_asleep = looks_asleep + 1 if _sleeps(process.pid) else 0
    return False


def _sleeps(pid: int) -> bool:
    """Whether Linux says that a process waits for something other than a core or a disk; False elsewhere."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("S")
    except OSError:
        return False


def _actuators(model: mujoco.MjModel) -> tuple[str, ...]:
    return tuple(model.actuator(index).name or f"actuator{index}" for index in range(model.nu))


def _cameras(model: mujoco.MjModel) -> tuple[str, ...]:
    return tuple(model.camera(index).name or f"camera{index}" for index in range(model.ncam))


def _check_same(what: str, wanted: tuple[str, ...], found: tuple[str, ...], mjcf: str, scene: Scene) -> None:
    if wanted != found:
        raise UserError(
            f"the {what} of {mjcf} are {', '.join(found) or 'none'}, those of {scene.name}, in which the run was "
            f"trained, are {', '.join(wanted) or 'none'}; give a model file with the same {what} in the same order"
        )
