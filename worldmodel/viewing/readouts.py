"""Readouts from latents while the view runs: the state by linear maps, and constants with intervals.

The maps are the linear probes of `worldmodel probe`, fitted once on three quarters of the reference episodes; their
errors are measured on the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from worldmodel.data.truth import joined, moving_columns
from worldmodel.envs import Episode, MujocoWorld
from worldmodel.envs.angles import shorter_way
from worldmodel.measures.regression import LinearMap
from worldmodel.models import WorldModel
from worldmodel.models.context_encoder import ContextEncoder
from worldmodel.viewing.messages import ConstantShown, StateShown

_FITTED_SHARE = 0.75
_INTERVAL_SD = 1.96  # of a normal distribution, for 95 %
_NUM_WINDOWS = 4  # lengths of windows at which the error of constants is measured
_CHUNK = 512  # frames that are embedded at once


@dataclass(frozen=True)
class Encoded:
    """A reference episode with its latents, float32 (T+1, D)."""

    episode: Episode
    latents: np.ndarray


def encode(model: WorldModel, episodes: Sequence[Episode]) -> list[Encoded]:
    """The episodes with latents of their frames."""
    frames = torch.from_numpy(np.concatenate([each.frames for each in episodes])).movedim(-1, -3)
    latents = torch.cat([model.embed(part.to(model.device)).cpu() for part in frames.split(_CHUNK)]).numpy()
    ends = np.cumsum([len(each.frames) for each in episodes])[:-1]
    return [Encoded(*pair) for pair in zip(episodes, np.split(latents, ends), strict=True)]


class StateReadout:
    """Positions from one latent, velocities from a latent and its change over a few control steps."""

    def __init__(
        self,
        encoded: Sequence[Encoded],
        state_names: Sequence[str],
        angles: set[str],
        units: Mapping[str, str],
        lag: int,
    ) -> None:
        """angles: names of angles, compared on the circle. lag: control steps between the two latents of a velocity."""
        self.lag = lag
        self._names, self._angles, self._units = list(state_names), angles, units
        states = np.concatenate([each.episode.states[lag:] for each in encoded])
        moving = moving_columns(self._names, states, angles)
        self._columns = moving.names
        now = np.concatenate([each.latents[lag:] for each in encoded])
        change = np.concatenate([each.latents[lag:] - each.latents[: len(each.latents) - lag] for each in encoded])
        fitted = _first_share([len(each.latents) - lag for each in encoded])
        fast = np.array([name.endswith("_vel") for name in self._columns], bool)
        self._position = LinearMap.fit(now[fitted], moving.values[fitted][:, ~fast]) if (~fast).any() else None
        both = np.concatenate([now, change], 1)
        self._velocity = LinearMap.fit(both[fitted], moving.values[fitted][:, fast]) if fast.any() else None
        self._slow, self._fast = (
            [name for name, is_fast in zip(self._columns, fast, strict=True) if is_fast == wanted]
            for wanted in (False, True)
        )
        read, held = self.read(now, now - change), ~fitted
        self.errors = {
            name: float(np.sqrt(np.mean(self._difference(name, of, states[:, self._names.index(name)])[held] ** 2)))
            for name, of in read.items()
        }
        """Name -> root mean square error on held-out episodes."""

    @property
    def names(self) -> list[str]:
        """The state variables that are read."""
        return [name for name in self._names if name in self.errors]

    def positions(self, latents: np.ndarray) -> dict[str, np.ndarray]:
        """Position name -> its value (n,) read from latents (n, D); angles in radians."""
        return {} if self._position is None else joined(self._slow, self._position(latents))

    def read(self, now: np.ndarray, before: np.ndarray) -> dict[str, np.ndarray]:
        """State name -> its value (n,) from latents (n, D) of now and of `lag` control steps ago."""
        found = self.positions(now)
        if self._velocity is not None:
            found |= joined(self._fast, self._velocity(np.concatenate([now, now - before], 1)))
        return found

    def readings(self, now: np.ndarray, before: np.ndarray, state: np.ndarray) -> list[StateShown]:
        """Each state variable read from latents (D,) beside the truth, a state (X,)."""
        found = self.read(now[None], before[None])
        readings = []
        for name in self.names:
            truth, value = float(state[self._names.index(name)]), float(found[name][0])
            if name in self._angles:  # in the same turn as the simulation's
                value = truth + float(self._difference(name, np.array([value]), np.array([truth]))[0])
            readings.append(StateShown(name, self._units[name], truth, value, self.errors[name]))
        return readings

    def _difference(self, name: str, read: np.ndarray, truth: np.ndarray) -> np.ndarray:
        error = read - truth
        return shorter_way(error) if name in self._angles else error


class ConstantReadout:
    """Physical constants from contexts, with intervals that depend on the number of control steps seen."""

    def __init__(self, encoded: Sequence[Encoded], encoder: ContextEncoder, world: MujocoWorld) -> None:
        self._factors = [world.factors[name] for name in world.randomized("physical")]
        columns = [[*world.factors].index(factor.name) for factor in self._factors]
        long_enough = [each for each in encoded if len(each.episode.actions) >= encoder.min_steps]
        truth = np.array(
            [
                [
                    factor.standardize(each.episode.factors[-1, k])
                    for factor, k in zip(self._factors, columns, strict=True)
                ]
                for each in long_enough
            ]
        )
        fitted = _first_share([1] * len(long_enough))
        longest = min(len(each.episode.actions) for each in long_enough)
        self._steps = np.unique(np.linspace(encoder.min_steps, longest, _NUM_WINDOWS).astype(int))
        contexts = [_contexts(encoder, long_enough, steps) for steps in self._steps]
        self._map = LinearMap.fit(contexts[-1][fitted], truth[fitted])
        self._sd = np.stack([(self._map(of[~fitted]) - truth[~fitted]).std(0) for of in contexts])

    def readings(
        self, context: np.ndarray | None, num_steps: int, settled: bool, truth: dict[str, float]
    ) -> list[ConstantShown]:
        """Each constant with its 95 % interval, beside the truth.

        Args:
            context: (C,); None before enough was seen.
            num_steps: control steps that it was estimated from.
            settled: whether the constants did not change during these steps.
        """
        if context is None:
            return [ConstantShown(of.name, of.unit, truth[of.name], None, None, None, False) for of in self._factors]
        coordinates = self._map(context[None])[0]
        readings = []
        for k, factor in enumerate(self._factors):
            reach = _INTERVAL_SD * float(np.interp(num_steps, self._steps, self._sd[:, k]))
            low, estimate, high = (factor.value(coordinates[k] + shift) for shift in (-reach, 0.0, reach))
            readings.append(ConstantShown(factor.name, factor.unit, truth[factor.name], estimate, low, high, settled))
        return readings


@torch.no_grad()
def _contexts(encoder: ContextEncoder, encoded: Sequence[Encoded], steps: int) -> np.ndarray:
    """Contexts (n, C) of the last `steps` control steps of every episode."""
    device = next(encoder.parameters()).device
    latents = torch.from_numpy(np.stack([each.latents[-steps - 1 :] for each in encoded])).to(device)
    actions = torch.from_numpy(np.stack([each.episode.actions[-steps:] for each in encoded])).to(device)
    return encoder(latents, actions).cpu().double().numpy()


def _first_share(lengths: Sequence[int]) -> np.ndarray:
    """Which rows of so many episodes fit a map, bool (rows,): those of the first three quarters of the episodes."""
    num_fitted = max(1, round(_FITTED_SHARE * len(lengths)))
    return np.repeat(np.arange(len(lengths)) < num_fitted, lengths)
