"""Worlds that a run names: one that is defined in a Python file is only made when the user trusts that file."""

from worldmodel import envs
from worldmodel.envs import MujocoWorld
from worldmodel.settings import EnvConfig
from worldmodel.system.errors import UserError


def check_trusted(env: EnvConfig, trust_world: bool) -> None:
    """UserError where making the world would run a file of whoever wrote the run, and the user has not agreed."""
    if ".py:" in env.world and not trust_world:
        raise UserError(
            f"the run's world is code in a file ({env.world}); if you trust that file, add trust_world=true"
        )


def trusted_world(env: EnvConfig, trust_world: bool) -> MujocoWorld:
    """The world of a run."""
    check_trusted(env, trust_world)
    return envs.make(**env.make_arguments())
