"""Frames are exact, current, and cheap where asked; a machine without OpenGL is told what to install."""

import gc
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from worldmodel import envs
from worldmodel.envs.rendering import box_average

ROOT = Path(__file__).resolve().parents[2]


def frame(**options) -> np.ndarray:
    world = envs.make("reacher-hard", **options)
    pixels = world.reset(seed=0)[0]["pixels"]
    world.close()
    return pixels


@pytest.mark.parametrize("k", [1, 2, 3, 4, 16])
def test_box_average_is_the_rounded_mean(k):
    image = np.random.default_rng(0).integers(0, 256, (5 * k, 5 * k, 3), dtype=np.uint8)
    image[:k, :k] = 255
    exact = np.floor(image.reshape(5, k, 5, k, 3).mean((1, 3)) + 0.5)
    assert np.array_equal(box_average(image, k), exact)


@pytest.mark.parametrize("k", [2, 3])
def test_supersampling_averages_a_larger_frame(k):
    assert np.array_equal(frame(image_size=24, supersample=k), box_average(frame(image_size=24 * k), k))


def test_qualities_show_the_same_scene_differently():
    fast, suite = (frame(image_size=64, quality=quality).astype(float) for quality in ("fast", "suite"))
    assert not np.array_equal(fast, suite)
    assert np.corrcoef(fast.ravel(), suite.ravel())[0, 1] > 0.6


def test_fast_is_much_faster_than_suite():
    seconds = {}
    for quality in ("fast", "suite"):
        world = envs.make("reacher", quality=quality)
        world.reset(seed=0)
        start = time.process_time()
        for _ in range(20):
            world.frame()
        seconds[quality] = time.process_time() - start
        world.close()
    assert seconds["suite"] > 3 * seconds["fast"]


def test_frames_are_of_the_current_state():
    world = envs.make("puck", image_size=32)
    world.reset(seed=0, options={"state": np.array([0, 0, 0, 2.0, 0, 0])})
    world.advance(np.zeros(2))
    assert np.array_equal(world.frame(), world.goal_frame(world.state()))


def test_making_a_frame_leaves_the_model_alone():
    world = envs.make("puck", image_size=32)
    before = world.scene.model.vis.global_.offwidth, world.scene.model.vis.quality.offsamples
    world.reset(seed=0)
    assert (world.scene.model.vis.global_.offwidth, world.scene.model.vis.quality.offsamples) == before


def test_a_closed_world_opens_again():
    world = envs.make("puck", image_size=16)
    first = world.reset(seed=0)[0]["pixels"]
    world.close()
    world.close()
    assert np.array_equal(world.frame(), first)


def test_any_thread_may_draw_a_world_and_close_it():
    """One of its own for each thread would be fine anyway; here every world is drawn by every thread, in turn."""
    names = ("puck", "lit_ball")
    worlds = [envs.make(name, image_size=16) for name in names]
    expected = [world.reset(seed=0)[0]["pixels"] for world in worlds]

    def same(index: int) -> bool:
        return np.array_equal(worlds[index].frame(), expected[index])

    threads = [ThreadPoolExecutor(1) for _ in range(2)]
    for _ in range(3):
        for one, other in ((0, 1), (1, 0)):
            drawn = [thread.submit(same, index) for thread, index in zip(threads, (one, other), strict=True)]
            assert all(future.result() for future in drawn)
        assert same(0) and same(1)
    threads[0].submit(worlds[1].close).result()
    assert same(1)
    made_elsewhere = threads[1].submit(envs.make, "puck", image_size=16).result()
    assert np.array_equal(made_elsewhere.reset(seed=0)[0]["pixels"], expected[0])
    for thread in threads:
        thread.shutdown()


def test_a_world_that_is_thrown_away_leaves_the_frames_of_others_alone():
    """dm_control makes an OpenGL context of its own for this task, and frees it in whatever context is current then."""
    escape = envs.make("quadruped-escape", image_size=16)
    escape.reset(seed=0)
    escape.close()
    other = envs.make("puck", image_size=16)
    other.reset(seed=0)
    del escape
    gc.collect()
    expected = envs.make("puck", image_size=16).reset(seed=5)[0]["pixels"]
    assert np.array_equal(other.reset(seed=5)[0]["pixels"], expected)


def test_where_a_context_cannot_be_released_another_thread_is_told_so(monkeypatch):
    monkeypatch.setattr(envs.rendering, "_release_of", lambda backend: None)
    world = envs.make("puck", image_size=16)
    world.reset(seed=0)
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(envs.GLUnavailable, match="only in the thread that drew its first one"):
            pool.submit(world.frame).result()
    world.close()


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if key != "MUJOCO_GL"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**inherited, **environment}, capture_output=True, text=True
    )


NO_LIBRARY = """
import ctypes
real = ctypes.CDLL
def without_gl(name, *args, **kwargs):
    if name in ("libEGL.so.1", "libOSMesa.so.8"): raise OSError
    return real(name, *args, **kwargs)
ctypes.CDLL = without_gl
from worldmodel import envs
world = envs.make("puck")
world.restart(seed=0)
world.advance([0, 0])
print(world.state().shape)
try: world.frame()
except envs.GLUnavailable as error: print(error)
"""


def test_without_opengl_states_work_and_frames_name_the_remedy():
    result = run_python(NO_LIBRARY)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0] == "(6,)"
    assert "looked for libEGL.so.1, libOSMesa.so.8" in result.stdout
    assert "apt-get install libegl1 libgl1-mesa-dri" in result.stdout


@pytest.mark.parametrize("value", ["", " ", "on", "1", " EGL "])
def test_what_names_no_library_is_as_good_as_unset(value):
    result = run_python("from worldmodel import envs\nenvs.make('puck', image_size=8).reset(seed=0)", MUJOCO_GL=value)
    assert result.returncode == 0, result.stderr


def test_pictures_that_were_turned_off_are_told_so():
    result = run_python("from worldmodel import envs\nenvs.make('puck', image_size=8).reset(seed=0)", MUJOCO_GL="off")
    assert "MUJOCO_GL='off' turns pictures off; leave it unset, or set it to egl or osmesa" in result.stderr


def test_the_order_of_imports_does_not_matter():
    code = "import mujoco\nfrom worldmodel import envs\nprint(envs.make('puck').reset()[0]['pixels'].shape)"
    result = run_python(code)
    assert result.stdout.strip() == "(64, 64, 3)", result.stderr


def test_leaving_python_with_open_worlds_is_silent():
    code = "from worldmodel import envs\nworlds = []\nfor name in ('puck', 'reacher', 'lit_ball', 'walker-walk'):"
    code += "\n    worlds.append(envs.make(name))\n    if name != 'walker-walk': worlds[-1].reset()"
    result = run_python(code)
    assert result.returncode == 0
    assert "Traceback" not in result.stderr and "Exception ignored" not in result.stderr


TRITON = """
import sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("mujoco", "dm_control"): print(name, "triton" in sys.modules)
sys.meta_path.insert(0, Watch())
from worldmodel import envs
print(envs.make("reacher").reset()[0]["pixels"].shape)
"""


@pytest.mark.parametrize("content", ["", "raise ImportError('no driver')"])
def test_the_compiler_of_pytorch_is_loaded_before_opengl(tmp_path: Path, content: str):
    """Each brings an LLVM, and the process dies of Mesa's coming first. A stand-in says whether it was imported."""
    (tmp_path / "triton.py").write_text(f"print('triton')\n{content}\n")
    result = run_python(TRITON, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    there = str(not content)
    assert result.stdout.splitlines() == ["triton", f"mujoco {there}", f"dm_control {there}", "(64, 64, 3)"]
