"""One environment per world for as long as tests of it follow each other: building them is most of the cost."""

import functools
from collections.abc import Callable

import pytest

from worldmodel import envs


@pytest.fixture(scope="session")
def world_of() -> Callable[[str], envs.MujocoWorld]:
    """`world_of(name)` is a 32-pixel world of that name that tests share; they leave its factors nominal."""
    return functools.lru_cache(maxsize=4)(functools.partial(envs.make, image_size=32))  # an OpenGL context has 80 MB
