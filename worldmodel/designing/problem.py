"""A design problem: the world, its unknown constants, the positions that are observed, and their noise."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from worldmodel import envs
from worldmodel.designing.design_result import ChosenPolicy
from worldmodel.envs.rollout import episode_seed
from worldmodel.envs.sensitivity import Motion, position_names, record_motion, rotational, tangent
from worldmodel.envs.world import MujocoWorld
from worldmodel.settings import CollectConfig, DesignConfig
from worldmodel.system.errors import UserError

NUM_CHECKED = 6
"""Trajectories that decide what moves, and how to differentiate."""
SMALLEST_SHARE = 0.01
"""A coordinate that moves less than this share of the liveliest of its kind is contact noise, as in `data/truth.py`."""


@dataclass(frozen=True)
class DesignProblem:
    """A design study: the world, its constants, what is observed of it, and with how much noise."""

    world: MujocoWorld
    """The world, with its constants drawn from their priors."""
    config: DesignConfig
    """The settings."""
    constants: tuple[str, ...]
    """Names of the P constants."""
    observed: np.ndarray
    """Indices (N,) of the observed position coordinates."""
    noise: np.ndarray
    """Their standard deviations (N,), in metres or radians."""
    reach: dict[int, float]
    """State index -> largest |position| that the frame encoder knows."""

    @property
    def scales(self) -> np.ndarray:
        """Standard deviations (P,) of the constants' priors, in the coordinate in which they are Gaussian."""
        return np.array([self.world.factors[name].prior_scale for name in self.constants])

    @property
    def given_policy(self) -> ChosenPolicy:
        """The environment's own excitation."""
        return chosen_policy(self.config.training.collection)

    def motions(self, policy: ChosenPolicy, seeds: range) -> list[Motion]:
        """A trajectory for each seed; the same seed gives the same constants, start and noise of the policy."""
        acting = policy.make()
        return [
            record_motion(self.world, acting, seed=seed, num_steps=self.config.training.collection.episode_steps)
            for seed in (episode_seed(self.config.seed, index) for index in seeds)
        ]


def chosen_policy(collection: CollectConfig) -> ChosenPolicy:
    """The excitation that the settings of a collection choose."""
    parameters = dict(collection.policy)
    return ChosenPolicy(parameters.pop("name"), parameters)


def open_problem(config: DesignConfig) -> DesignProblem:
    """The world, the constants in question, what is observed of it and how well.

    Raises:
        UserError: the world has no physical constants, or nothing of it moves or is observed.
    """
    arguments: dict[str, Any] = {**config.training.env.make_arguments(), "factor_rho": {}}
    constants = _constants(envs.make(**arguments))
    # constants are drawn from their priors whatever else the environment randomises: pictures do not matter here
    world = envs.make(**{**arguments, "randomize": list(constants)})
    observed = _observed(config, world, constants)
    noise = np.where(rotational(world)[observed], config.noise_rad, config.noise_m)
    return DesignProblem(world, config, constants, observed, noise, _reach(config, world))


def _constants(world: MujocoWorld) -> tuple[str, ...]:
    physical = [name for name, factor in world.factors.items() if factor.kind == "physical"]
    if not physical:
        raise UserError(
            f"{world.name} has no physical factors; choose an env whose masses or frictions can be set (env=puck)"
        )
    return tuple(name for name in world.randomize if name in physical) or tuple(physical)


def _observed(config: DesignConfig, world: MujocoWorld, constants: tuple[str, ...]) -> np.ndarray:
    """Indices (N,) of the positions that the settings name, or else of those that move."""
    names = position_names(world)
    if unknown := [name for name in config.observed if name not in names]:
        raise UserError(f"observed names {unknown[0]!r}; the positions of {world.name} are {', '.join(names)}")
    trial = DesignProblem(world, config, constants, np.arange(0), np.ones(0), {})
    states = np.concatenate([motion.states for motion in trial.motions(trial.given_policy, range(NUM_CHECKED))])
    if config.observed:
        return np.array([names.index(name) for name in config.observed])
    spread = tangent(world, states)[:, : len(names)].std(0)
    observed = np.flatnonzero(moving(spread, rotational(world)))
    if not len(observed):
        raise UserError("nothing moves under this policy, so nothing can be identified; choose a livelier policy")
    return observed


def moving(std: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Which positions move, bool (nv,), compared with the liveliest of their kind (metres or radians)."""
    found = np.zeros(len(std), bool)
    for kind in (turns, ~turns):
        if kind.any():
            found |= kind & (std > SMALLEST_SHARE * std[kind].max())
    return found


def _reach(config: DesignConfig, world: MujocoWorld) -> dict[int, float]:
    """How far positions may go: what the atlas of the environment's frame encoder covers."""
    atlas = config.training.atlas
    latents = {} if atlas is None or atlas.env.kinematic is None else atlas.env.kinematic.latents
    straight = {name: scale for name, scale in latents.items() if name not in world.scene.angle_names}
    return {world.state_names.index(name): config.reach_sd * scale for name, scale in straight.items()}
