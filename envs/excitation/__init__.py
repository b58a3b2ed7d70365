"""Excitation: policies that move a world enough for its state and constants to be learned.

    policy = make_policy("ou", std=0.5)
    act = policy.begin(world, np.random.default_rng(0))
    world.advance(act(world.state()))

A policy is a frozen dataclass of parameters; `begin(world, rng)` starts it for one episode and returns a function from
the state, float64 (X,), to the action, float32 (A,) in [-1, 1]. Time constants are in seconds, so that a policy means
the same at any control rate.
"""

from collections.abc import Mapping
from typing import Any

from worldmodel.envs.excitation.designed_gaussian import DesignedGaussian
from worldmodel.envs.excitation.noise import colored_noise, ou_process
from worldmodel.envs.excitation.open_loop import OU, ColoredNoise, Mixture, Uniform
from worldmodel.envs.excitation.parameters import check_known, check_parameters
from worldmodel.envs.excitation.play import ObjectPlay
from worldmodel.envs.excitation.policy import Actor, Policy
from worldmodel.envs.excitation.tracking import Coasting, OUTracking

__all__ = [
    "OU",
    "POLICIES",
    "Actor",
    "Coasting",
    "ColoredNoise",
    "DesignedGaussian",
    "Mixture",
    "OUTracking",
    "ObjectPlay",
    "Policy",
    "Uniform",
    "colored_noise",
    "make_policy",
    "ou_process",
]

POLICIES: dict[str, type] = {
    "uniform": Uniform,
    "ou": OU,
    "colored_noise": ColoredNoise,
    "coasting": Coasting,
    "ou_tracking": OUTracking,
    "designed_gaussian": DesignedGaussian,
    "play": ObjectPlay,
    "mixture": Mixture,
}


def make_policy(name: str, **params: Any) -> Policy:
    """A policy by name; the policies of a mixture may be given as mappings {"name": ..., parameter: ...}.

    Raises:
        ValueError: an unknown name or parameter, a missing one, or one of a wrong type or out of range.
    """
    check_known("policy", name, [*POLICIES])
    check_parameters(name, POLICIES[name], params)
    if "policies" in params:
        params["policies"] = [_part(part) for part in params["policies"]]
    return POLICIES[name](**params)


def _part(part: Policy | Mapping[str, Any]) -> Policy:
    """A policy of a mixture."""
    if not isinstance(part, Mapping):
        return part
    if "name" not in part:
        raise ValueError(f"a policy of a mixture needs a name, got {dict(part)}; write {{name: ou, std: 0.5}}")
    return make_policy(**part)
