"""Rollouts: the only loops over an environment.

Shape letters are those of planners/interfaces.py. Alignment in time: `frames[t]`, `states[t]` and `factors[t]` hold
before `actions[t]` is taken; `frames[t+1]` is what it leads to and `rewards[t]` what it earns. An episode of T actions
has T+1 frames.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from worldmodel.envs.excitation import Policy
from worldmodel.envs.snapshot import success
from worldmodel.envs.world import MujocoWorld, Snapshot


def episode_seed(seed: int, index: int) -> int:
    """The seed of episode number `index` of a set of episodes with this seed."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


def middle_frame(num_steps: int) -> int:
    """The frame from which constants are redrawn, or the world starts afresh, in an episode of so many steps."""
    return num_steps // 2


@dataclass(frozen=True)
class Episode:
    """A recorded episode."""

    frames: np.ndarray
    """uint8 (T+1, S, S, 3)."""

    states: np.ndarray
    """float32 (T+1, X)."""

    actions: np.ndarray
    """float32 (T, A) in [-1, 1], as they were executed."""

    rewards: np.ndarray
    """float32 (T,)."""

    factors: np.ndarray
    """float32 (T+1, P), the value of every declared factor, in the order of `world.factors`."""

    seed: int
    """The seed that reproduces the episode."""


def rollout(
    world: MujocoWorld,
    policy: Policy,
    *,
    seed: int,
    num_steps: int,
    drift_rho: float | None = None,
    restart_midway: bool = False,
    state0: np.ndarray | None = None,
    factors: Mapping[str, float] | None = None,
    render: bool = True,
) -> Episode:
    """Run a policy for one episode; the same arguments give a bit-identical episode.

    Args:
        world, policy: the policy acts in the world.
        seed: seed of the start, the factors and the policy.
        num_steps: T; the world's time limit does not apply. The episode is shorter only if the world terminates
            (and its scene does not go on after that).
        drift_rho: if given, the randomised physical factors are redrawn with this correlation before the
            middle frame, so that the two halves share them only in part.
        restart_midway: at that frame the world also starts afresh, and the policy with it: the halves are two motions
            that share nothing but constants, and no action leads from one to the other.
        state0: start here, float (X,).
        factors: name -> value, instead of what would be drawn.
        render: False leaves out the pictures; frames are then (T+1, 0, 0, 3).

    Raises:
        ValueError: num_steps < 1, or drift_rho outside [0, 1].
    """
    if num_steps < 1:
        raise ValueError(f"num_steps must be >= 1, got {num_steps}")
    if drift_rho is not None and not 0 <= drift_rho <= 1:
        raise ValueError(f"drift_rho must be in [0, 1], got {drift_rho}")
    world.restart(seed=seed, factors=factors, state=state0)
    act = policy.begin(world, np.random.default_rng((seed, 1)))  # a stream of its own
    look = frame_source(world, render)
    seen, actions, rewards = [_Moment.of(world, look)], [], []
    for t in range(num_steps):
        actions.append(np.clip(act(seen[-1].state), -1, 1))
        reward, terminated = world.advance(actions[-1])
        if t + 1 == middle_frame(num_steps):
            if drift_rho is not None:
                world.drift_constants(drift_rho)
            if restart_midway:
                world.start_afresh()
                act = policy.begin(world, np.random.default_rng((seed, 2)))
                terminated = False
        rewards.append(reward)
        seen.append(_Moment.of(world, look))
        if terminated and not world.scene.goes_on_after_end:
            break
    return Episode(
        frames=np.stack([moment.frame for moment in seen]),
        states=np.stack([moment.state for moment in seen]).astype(np.float32),
        actions=np.stack(actions).astype(np.float32),
        rewards=np.array(rewards, np.float32),
        factors=np.array([moment.factors for moment in seen], np.float32),
        seed=seed,
    )


class _Moment(NamedTuple):
    """What an episode records between two actions: frame (S, S, 3), state float64 (X,), values of the factors."""

    frame: np.ndarray
    state: np.ndarray
    factors: list[float]

    @staticmethod
    def of(world: MujocoWorld, look: Callable[[], np.ndarray]) -> "_Moment":
        return _Moment(look(), world.state(), [*world.factor_values.values()])


def frame_source(world: MujocoWorld, render: bool) -> Callable[[], np.ndarray]:
    """A function that gives the current frame of the world, or without rendering an empty picture (0, 0, 3)."""
    return world.frame if render else lambda: np.empty((0, 0, 3), np.uint8)


class BatchWorld:
    """B independent episodes through one world and one renderer, for controllers that plan in batches.

    Each episode is exactly the one that the world would run alone. The wrapped world itself is left in the state
    of the episode that ran last.
    """

    def __init__(self, world: MujocoWorld, num: int, render: bool = True) -> None:
        """
        Args:
            world: runs every episode in turn.
            num: B, episodes side by side.
            render: False leaves out the pictures; frames are then (B, 0, 0, 3), for controllers that read states only.

        Raises:
            ValueError: num < 1.
        """
        if num < 1:
            raise ValueError(f"num must be >= 1 episodes, got {num}")
        self.world = world
        self.num = num
        self._look = frame_source(world, render)
        self.rewards = np.zeros(num)
        """Of the last step, float64 (B,)."""
        self.ended = np.zeros(num, bool)
        """Whether the world says that the last step ended the episode, bool (B,)."""
        self.succeeded: list[bool | None] = [None] * num
        """The world's own flag of success after the last step; None where it has none."""
        self._snapshots: list[Snapshot] = []

    def reset(
        self,
        states: np.ndarray | None = None,
        factors: Sequence[Mapping[str, float]] | None = None,
        seed: int | None = None,
        reward_hidden: bool = False,
    ) -> None:
        """Start all episodes.

        Args:
            states: float (B, X); None draws the world's own starts.
            factors: a mapping name -> value per episode; None draws what the world randomises.
            seed: episode i is seeded with seed + i; None continues with the world's own randomness.
            reward_hidden: see `MujocoWorld.restart`.

        Raises:
            ValueError: another number of states or factors than episodes, or what `MujocoWorld.restart` refuses.
        """
        for what, given in (("states", states), ("factors", factors)):
            if given is not None and len(given) != self.num:
                raise ValueError(f"{what} must have one entry for each of {self.num} episodes, got {len(given)}")
        self._snapshots = []
        for i in range(self.num):
            self.world.restart(
                seed=None if seed is None else seed + i,
                factors=None if factors is None else factors[i],
                state=None if states is None else states[i],
                reward_hidden=reward_hidden,
            )
            self._snapshots.append(self.world.snapshot())

    def go_on(self, moments: Sequence[Snapshot]) -> None:
        """Have episode i continue from a snapshot, for worlds whose state does not determine an episode.

        Raises:
            ValueError: another number of moments than episodes.
        """
        if len(moments) != self.num:
            raise ValueError(f"moments must be one for each of {self.num} episodes, got {len(moments)}")
        self._snapshots = [*moments]

    def drift(self, names: Sequence[str], rho: float) -> None:
        """Redraw factors of every episode with correlation rho to what they are; see `MujocoWorld.drift_factors`."""
        self._check_started()
        for i, snapshot in enumerate(self._snapshots):
            self.world.restore(snapshot)
            self.world.drift_factors(names, rho)
            self._snapshots[i] = self.world.snapshot()

    def scale(self, ratios: Mapping[str, float]) -> None:
        """Multiply factors of every episode, name -> ratio, from here to its end.

        Raises:
            FactorError: an unknown name, or a value out of bounds.
        """
        self._check_started()
        for i, snapshot in enumerate(self._snapshots):
            self.world.restore(snapshot)
            self.world.set_factors({name: ratio * snapshot.values[name] for name, ratio in ratios.items()})
            self._snapshots[i] = self.world.snapshot()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Advance every episode by one control step.

        Args:
            actions: (B, A), clipped to [-1, 1].

        Returns:
            Frames uint8 (B, S, S, 3) and states float64 (B, X) after the step.
        """
        self._check_started()
        if len(actions) != self.num:
            raise ValueError(f"actions must have one row for each of {self.num} episodes, got {len(actions)}")
        frames, states = [], []
        self.rewards, self.ended = np.zeros(self.num), np.zeros(self.num, bool)
        for i, action in enumerate(actions):
            self.world.restore(self._snapshots[i])
            self.rewards[i], self.ended[i] = self.world.advance(action)
            self.succeeded[i] = success(self.world.scene)
            frames.append(self._look())
            states.append(self.world.state())
            self._snapshots[i] = self.world.snapshot()
        return np.stack(frames), np.stack(states)

    def keep(self, which: np.ndarray) -> None:
        """Go on with some of the episodes only: bool (B,), at least one of them true."""
        self._check_started()
        if which.shape != (self.num,) or not which.any():
            raise ValueError(f"which must be {self.num} booleans, not all false, got {which}")
        self._snapshots = [snapshot for snapshot, stays in zip(self._snapshots, which, strict=True) if stays]
        self.num, self.rewards, self.ended = len(self._snapshots), self.rewards[which], self.ended[which]
        self.succeeded = [flag for flag, stays in zip(self.succeeded, which, strict=True) if stays]

    def frames(self) -> np.ndarray:
        """The current frames, uint8 (B, S, S, 3)."""
        self._check_started()
        frames = []
        for snapshot in self._snapshots:
            self.world.restore(snapshot)
            frames.append(self._look())
        return np.stack(frames)

    @property
    def states(self) -> np.ndarray:
        """The current states, float64 (B, X)."""
        self._check_started()
        states = []
        for snapshot in self._snapshots:
            self.world.restore(snapshot)
            states.append(self.world.state())
        return np.stack(states)

    @property
    def factors(self) -> list[dict[str, float]]:
        """Of each episode: every factor of the world -> its value now."""
        self._check_started()
        return [snapshot.values for snapshot in self._snapshots]

    def _check_started(self) -> None:
        if not self._snapshots:
            raise ValueError("BatchWorld has no episodes yet; call reset first")
