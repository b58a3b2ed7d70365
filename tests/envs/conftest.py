"""One environment per world for the whole session: building them is most of the cost."""

from collections.abc import Callable

import pytest

import envs


@pytest.fixture(scope="session")
def world_of() -> Callable[[str], envs.MujocoWorld]:
    """`world_of(name)` is the session's 32-pixel world of that name; tests leave its factors nominal."""
    worlds: dict[str, envs.MujocoWorld] = {}

    def get(name: str) -> envs.MujocoWorld:
        if name not in worlds:
            worlds[name] = envs.make(name, image_size=32)
        return worlds[name]

    return get
