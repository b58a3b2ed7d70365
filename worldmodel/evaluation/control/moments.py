"""Moments of fresh episodes, drawn like those of a run's data set: what its camera usually sees."""

from dataclasses import dataclass

import numpy as np

from worldmodel.data.truth import moving_columns
from worldmodel.envs import MujocoWorld, rollout
from worldmodel.envs.excitation import make_policy
from worldmodel.evaluation.control.tasks import bounded_factors
from worldmodel.settings import CollectConfig

_SEED_STREAM = 7_004
_FITTED = 4  # episodes that a map is fitted on, for each that it is judged on
_FRAMES_AN_EPISODE = 20


@dataclass(frozen=True)
class Moments:
    """Moments of fresh episodes, n of them."""

    states: np.ndarray
    """(n, X)."""
    factors: list[dict[str, float]]
    """Every declared factor -> its value."""
    positions: np.ndarray
    """Positions that vary, which a frame can show; angles as cosine and sine, (n, Z)."""

    def part(self, first: int, end: int) -> "Moments":
        """The moments from number `first` to before `end`."""
        rows = slice(first, end)
        return Moments(self.states[rows], self.factors[rows], self.positions[rows])

    def __len__(self) -> int:
        return len(self.states)


def draw_moments(world: MujocoWorld, collection: CollectConfig, num: int, seed: int) -> tuple[Moments, Moments]:
    """Moments to fit a map on, and `num` to judge it on, from other episodes."""
    policy = make_policy(**collection.policy)
    judged = -(-num // _FRAMES_AN_EPISODE)  # episodes
    seeds = np.random.SeedSequence([_SEED_STREAM, seed]).generate_state((_FITTED + 1) * judged)
    states, factors = [], []
    for episode_seed in seeds:
        episode = rollout(world, policy, seed=int(episode_seed), num_steps=collection.episode_steps, render=False)
        rows = np.linspace(0, len(episode.states) - 1, _FRAMES_AN_EPISODE).astype(int)
        states.append(episode.states[rows].astype(np.float64))
        factors += [bounded_factors(world, dict(zip(world.factors, episode.factors[row], strict=True))) for row in rows]
    stacked, names = np.concatenate(states), list(world.state_names)
    shown = [name for name in names if not name.endswith("_vel")]
    columns = stacked[:, [names.index(name) for name in shown]]
    positions = moving_columns(shown, columns, set(world.scene.angle_names)).values
    drawn = Moments(stacked, factors, positions)
    return drawn.part(judged * _FRAMES_AN_EPISODE, len(drawn)), drawn.part(0, num)
