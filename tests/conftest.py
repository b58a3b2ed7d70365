"""Shared by all tests: one thread each for torch and numpy, and markers that skip where a machine lacks something."""

import importlib.util
import os
import shutil

import pytest
import torch  # before dm_control, whose import has crashed a later import of torch
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="session", autouse=True)
def _single_threaded():
    """Keep parallel test processes from contending for cores, and sums from depending on the number of threads."""
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")  # numpy's and scipy's, which torch knows nothing of


@pytest.fixture(scope="session", autouse=True)
def _few_steps_of_goal_heads():
    """No option says how long goal heads are trained: 3000 steps, ten seconds of every tiny run that learns them."""
    from worldmodel.learning import dynamics_stages
    from worldmodel.settings import OptimConfig

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamics_stages, "HEADS_TRAINING", OptimConfig(steps=6, batch_size=16))
        yield


@pytest.fixture(scope="module", autouse=True)
def _leaves_the_folder():
    """The tests of a file leave the working directory as they found it: which file comes next is chance."""
    before = os.getcwd()
    yield
    assert os.getcwd() == before, "the tests of this file leave another working directory to those that come next"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not importlib.util.find_spec("stable_worldmodel"):  # left out, not skipped: no machine lacks what it should have
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("peer")])
        items[:] = [item for item in items if not item.get_closest_marker("peer")]
    has_browser = bool(shutil.which("chromedriver")) and any(
        shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")
    )
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
        if item.get_closest_marker("browser") and not has_browser and not os.environ.get("CI"):
            item.add_marker(pytest.mark.skip(reason="no Chromium with chromedriver"))
