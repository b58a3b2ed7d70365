"""Episodes without pictures: positions with noise in place of frame latents, and the constants at work."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from worldmodel import envs
from worldmodel.data.store import SPLITS, EpisodeIndex
from worldmodel.data.table import LatentTable
from worldmodel.data.truth import columns_named, moving_columns, second_rows
from worldmodel.envs.excitation import make_policy
from worldmodel.envs.rollout import Episode, episode_seed, middle_frame, rollout
from worldmodel.envs.sensitivity import position_names, rotational
from worldmodel.envs.world import MujocoWorld
from worldmodel.settings import SHELL_SD, PositionsConfig
from worldmodel.system.errors import UserError
from worldmodel.system.progress import progress

SHIFT_SEED = 1
"""Added to data_seed for episodes out of range: constants and starts that no other episode had."""


@dataclass(frozen=True)
class SimulatedEpisodes:
    """E episodes as contexts see them."""

    table: LatentTable
    """Positions with noise in place of latents, and actions."""
    episodes: EpisodeIndex
    """Rows of the table that each episode has."""
    constants: np.ndarray
    """Standardised constants in either half of each episode, (E, 2, P)."""

    def split(self, name: str) -> tuple[EpisodeIndex, np.ndarray]:
        """Episodes of a split, as data sets are split, and their constants."""
        chosen = np.isin(np.arange(len(self.episodes)) % 10, list(SPLITS[name]))
        return self.episodes.only(chosen), self.constants[chosen]

    def with_room_for(self, window: int) -> "SimulatedEpisodes":
        """The episodes whose halves each hold `window` control steps: some worlds end an episode early."""
        chosen = self.episodes.have_room_for(window)
        return replace(self, episodes=self.episodes.only(chosen), constants=self.constants[chosen])

    @property
    def unseen(self) -> EpisodeIndex:
        """Episodes that no encoder was trained on."""
        parts = [self.split(name)[0] for name in ("validation", "test")]
        offset, length = (np.concatenate([getattr(p, key) for p in parts]) for key in ("offset", "length"))
        return replace(self.episodes, offset=offset, length=length)


def make_world(config: PositionsConfig, **arguments: Any) -> MujocoWorld:
    """The environment's world with nothing but its physical constants randomised: nothing is rendered.

    Raises:
        UserError: no physical constant varies.
    """
    chosen: dict[str, Any] = {**config.training.env.make_arguments(), **arguments, "factor_rho": {}}
    bare = envs.make(**{**chosen, "factor_shell": {}, "factor_spread": {}})
    names = bare.randomized("physical")
    if not names:
        raise UserError(
            f"no physical constant varies in env={config.training.env.label}; name some, env.randomize=[physical], "
            "or choose env=puck"
        )
    return envs.make(**{**chosen, "randomize": names})


def simulate(
    config: PositionsConfig, world: MujocoWorld, device: torch.device
) -> tuple[SimulatedEpisodes, SimulatedEpisodes | None]:
    """Episodes in range, and out of it where the settings ask for some.

    Raises:
        UserError: no position moves.
    """
    collection = config.training.collection
    pairs = {"drift_rho": collection.drift_rho, "restart_midway": collection.restart_midway}
    near = _rollouts(config, world, collection.episodes, collection.data_seed, **pairs)
    lens = Lens.fitted(config, world, np.concatenate([episode.states for episode in near]))
    out_of_range = None
    if config.shift_episodes:
        shell = make_world(config, factor_shell={"physical": list(SHELL_SD)}, factor_spread={})
        seed = collection.data_seed + SHIFT_SEED
        far = _rollouts(config, shell, config.shift_episodes, seed)
        out_of_range = _as_contexts_see(world, far, lens, device, seed)
    is_cut = collection.restart_midway or collection.drift_rho is not None
    middle = middle_frame(collection.episode_steps) if is_cut else None
    cut = {"restart_midway": collection.restart_midway, "middle": middle}
    data = _as_contexts_see(world, near, lens, device, collection.data_seed, **cut)
    return data.with_room_for(config.training.context_or_default.window), out_of_range


def _rollouts(config: PositionsConfig, world: MujocoWorld, num: int, seed: int, **pairs: Any) -> list[Episode]:
    policy, num_steps = make_policy(**config.training.collection.policy), config.training.collection.episode_steps
    seeds = (episode_seed(seed, index) for index in range(num))
    return [
        rollout(world, policy, seed=of_episode, num_steps=num_steps, render=False, **pairs)
        for of_episode in progress(seeds, total=num, desc=f"simulate {world.name}", unit="episode")
    ]


@dataclass(frozen=True)
class Lens:
    """Turns states into latents: positions that move, each with its noise; angles as cosine and sine, other positions
    divided by their standard deviation."""

    chosen: list[int]
    """Columns of the state that are positions."""
    names: list[str]
    """Their names."""
    noise: np.ndarray
    """Standard deviations of their noise, in metres or radians."""
    angles: frozenset[str]
    """Positions that are angles on a circle."""
    kept: list[str]
    """Names of the D latents."""
    scale: np.ndarray
    """Divisor of each latent, (D,)."""

    @staticmethod
    def fitted(config: PositionsConfig, world: MujocoWorld, states: np.ndarray) -> "Lens":
        """The lens for states (rows, X); UserError when no position moves."""
        names = [name for name in world.state_names if not name.endswith("_vel")]
        chosen = [world.state_names.index(name) for name in names]
        turns = dict(zip(position_names(world), rotational(world), strict=True))
        noise = np.where([turns.get(name, False) for name in names], config.noise_rad, config.noise_m)
        angles = frozenset(world.scene.angle_names)
        moving = moving_columns(names, states[:, chosen], set(angles))
        if not moving.names:
            raise UserError(f"nothing of {world.name} moves under this policy; choose a livelier one")
        on_circle = [name.startswith(("cos ", "sin ")) for name in moving.names]
        scale = np.where(on_circle, 1.0, moving.values.std(0))
        return Lens(chosen, names, noise, angles, moving.names, scale)

    def __call__(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """States (rows, X) -> latents float32 (rows, D)."""
        seen = states[:, self.chosen] + self.noise * rng.standard_normal((len(states), len(self.chosen)))
        return (columns_named(self.kept, seen, self.names) / self.scale).astype(np.float32)


def _as_contexts_see(
    world: MujocoWorld,
    episodes: list[Episode],
    lens: Lens,
    device: torch.device,
    seed: int,
    **cut: Any,
) -> SimulatedEpisodes:
    length = np.array([len(episode.states) for episode in episodes])
    index = EpisodeIndex(np.concatenate([[0], length.cumsum()[:-1]]), length, **cut)
    latents = lens(np.concatenate([e.states for e in episodes]), np.random.default_rng([seed, len(episodes)]))
    actions = np.concatenate([np.concatenate([e.actions, np.zeros_like(e.actions[:1])]) for e in episodes])
    table = LatentTable(torch.from_numpy(latents).to(device), torch.from_numpy(actions).to(device))
    columns = [list(world.factors).index(name) for name in world.randomize]
    values = np.concatenate([e.factors for e in episodes])[:, columns].astype(np.float64)
    halves = values[second_rows(index)]
    factors = [world.factors[name] for name in world.randomize]
    constants = [np.vectorize(factor.standardize)(halves[..., k]) for k, factor in enumerate(factors)]
    return SimulatedEpisodes(table, index, np.stack(constants, -1))
