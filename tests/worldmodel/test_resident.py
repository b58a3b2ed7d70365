"""Memory of this process: its peak is seen after what took it is gone, and can be forgotten."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from worldmodel.cli.error_lines import one_line
from worldmodel.data import collect
from worldmodel.evaluation.control.driving import run_tasks
from worldmodel.evaluation.control.tasks import photographs
from worldmodel.identifying.rendered import rendered_poses, rendered_windows
from worldmodel.runs import TaskProtocol
from worldmodel.settings import CollectConfig, EnvConfig
from worldmodel.system import UserError, forget_peak, peak_resident_bytes, resident_bytes
from worldmodel.system.resident import require_memory

TAKEN = 64 * 2**20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone tells")
def test_a_peak_outlives_what_took_it_until_it_is_forgotten():
    forget_peak()
    before = resident_bytes()
    taken = np.ones(TAKEN, np.uint8)
    assert resident_bytes() - before > 0.9 * TAKEN
    del taken
    assert peak_resident_bytes() - before > 0.9 * TAKEN
    forget_peak()
    assert peak_resident_bytes() - before < 0.5 * TAKEN


def test_more_memory_than_is_free_is_refused_in_one_line():
    require_memory(10**6, "a plan", "lower it")
    with pytest.raises(UserError, match=r"^a plan would take 1e\+03 TB of memory, and .*B are free; lower it$"):
        require_memory(10**15, "a plan", "lower it")


def drive(wide: Any) -> None:
    run_tasks(wide.world, Sized(10**7), wide, TaskProtocol("lewm"), None)  # type: ignore[arg-type]


class Sized:
    """So many tasks, without any."""

    def __init__(self, num: int) -> None:
        self._num = num

    def __len__(self) -> int:
        return self._num


ENORMOUS: dict[str, Callable[[Any], object]] = {
    "tasks side by side": drive,
    "photographs": lambda wide: photographs(wide.world, Sized(10**7), []),  # type: ignore[arg-type]
    "poses": lambda wide: rendered_poses(wide, 10**7, 0),
    "simulated recordings": lambda wide: rendered_windows(wide, 128, 10**6, 0),
    "a recording": lambda wide: collect(
        CollectConfig(EnvConfig("reacher", image_size=4096), episode_steps=10**5, data=wide.data)
    ),
}


@pytest.mark.parametrize("of", ENORMOUS)
def test_frames_that_no_memory_holds_are_refused_before_one_is_drawn(of: str, tmp_path: Path):
    world = SimpleNamespace(image_size=4096)
    wide = SimpleNamespace(world=world, observation=SimpleNamespace(columns=[0]), sees=True, data=str(tmp_path))
    with pytest.raises(UserError, match=r"of 4096 x 4096\) would take .* are free; "):
        ENORMOUS[of](wide)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("take", [lambda: np.ones(10**15), lambda: torch.ones(10**15)], ids=["numpy", "torch"])
def test_what_libraries_say_of_memory_gets_a_remedy(take: Callable[[], object]):
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        take()
    line = one_line(caught.value)
    assert line.startswith("there is not enough memory (") and "ask for less at once" in line and "\n" not in line
