"""A user's own recordings as a data set: arrays in, shards out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from worldmodel.data.index import INDEX_NAME, Index, RecordingRecord, WorldRecord, read_index
from worldmodel.data.shards import FRAMES_PER_SHARD, shard_path, write_shard
from worldmodel.data.writing import alone_in, claim, finish
from worldmodel.envs.rollout import Episode
from worldmodel.settings import RECORDED
from worldmodel.system.errors import StoreError, UserError

_SAMPLED = 10
"""Episodes by the longest of which it is decided how many go into a shard."""


def write_arrays(
    directory: Path | str,
    name: str,
    episodes: Iterable[Mapping[str, np.ndarray]],
    *,
    state_names: Sequence[str] = (),
    action_bounds: tuple[ArrayLike, ArrayLike] | None = None,
    control_dt_s: float = 0.1,
    source: str = "arrays",
) -> int:
    """Write episodes as a data set that every command but `control` takes (`worldmodel train env=recorded env.name=…`).

    Args:
        directory: data/NAME; must not hold a data set yet.
        episodes: for each, "frames" uint8 (T+1, S, S, 3) and "actions" float (T, A); where known, "states" float
            (T+1, X) and "rewards" float (T,). They are taken one by one, so that they may exceed memory.
        state_names: X names. Velocities end in "_vel".
        action_bounds: lowest and highest action, float (A,) or a number for all: scaled to [-1, 1], where planners look
            for actions.
        control_dt_s: seconds from one frame to the next.
        source: where the episodes are from; kept in the index.

    Returns:
        The number of episodes.

    Raises:
        StoreError: `directory` holds a data set, or other files. (What the same call left there when it was cut off
            is written anew.)
        UserError: an episode whose arrays do not fit together, or whose actions leave [-1, 1] or have other bounds.
    """
    directory = Path(directory)
    if (directory / INDEX_NAME).exists() and read_index(directory).num_episodes > 0:
        raise StoreError(f"{directory} holds a data set already; choose another folder, or delete it")
    checked = _checked(episodes, len(state_names), action_bounds)
    first = list(islice(checked, _SAMPLED))
    if not first:
        raise UserError(f"no episodes to write to {directory}")
    per_shard = episodes_per_shard(max(len(episode.frames) for episode in first))
    bounds = None if action_bounds is None else as_bounds(action_bounds, first[0].actions.shape[1])
    world = recorded_world(first[0].frames.shape[1], control_dt_s, state_names, bounds)
    index = Index(name, 0, per_shard, RecordingRecord(source=source, drift_rho=None), world)
    num_episodes = 0

    def counted(group: Iterable[Episode]) -> Iterator[Episode]:
        nonlocal num_episodes
        for episode in group:
            num_episodes += 1
            yield episode

    with alone_in(directory):
        claim(directory, index)
        for shard, group in enumerate(_groups(_drained(first, checked), per_shard)):
            write_shard(shard_path(directory, shard), counted(group))
        finish(directory, replace(index, num_episodes=num_episodes))
    return num_episodes


def as_bounds(bounds: tuple[ArrayLike, ArrayLike], num_actions: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest action, float (A,) each; UserError where these bounds are none of A actions."""
    try:
        low, high = (np.broadcast_to(np.asarray(end, np.float64), (num_actions,)) for end in bounds)
        if np.isfinite([low, high]).all() and (low <= high).all():
            return low, high
    except (TypeError, ValueError):
        pass
    raise UserError(
        f"action_bounds must be (lowest, highest), each a number or {num_actions} of them, one for each number of an "
        f"action, got {' '.join(str(bounds).split())}"
    )


def recorded_world(
    image_size: int,
    control_dt_s: float,
    state_names: Sequence[str],
    bounds: tuple[np.ndarray, np.ndarray] | None,
    camera: str | None = None,
) -> WorldRecord:
    """The index's description of a world that was recorded elsewhere."""
    return WorldRecord(
        name=RECORDED,
        image_size=image_size,
        camera=camera,
        control_dt_s=control_dt_s,
        state_names=tuple(state_names),
        angle_names=(),
        factors=(),
        randomize=(),
        factor_rho={},
        kinematic=None,
        action_bounds=None if bounds is None else (tuple(bounds[0].tolist()), tuple(bounds[1].tolist())),
    )


def episodes_per_shard(num_frames: int) -> int:
    """How many episodes of so many frames a shard holds."""
    return max(1, FRAMES_PER_SHARD // num_frames)


def _groups(episodes: Iterator[Episode], size: int) -> Iterator[Iterator[Episode]]:
    """Every `size` of the episodes, none of which is held; each group is to be read to its end before the next."""
    for episode in episodes:
        yield chain([episode], islice(episodes, size - 1))


def _drained(first: list[Episode], others: Iterator[Episode]) -> Iterator[Episode]:
    """Those of a list, each of which leaves it, and then the others."""
    while first:
        yield first.pop(0)
    yield from others


def _checked(
    episodes: Iterable[Mapping[str, np.ndarray]], num_states: int, bounds: tuple[ArrayLike, ArrayLike] | None
) -> Iterator[Episode]:
    shape: tuple[Any, ...] | None = None
    for index, arrays in enumerate(episodes):
        episode = as_episode(index, arrays, num_states, bounds)
        found = (episode.frames.shape[1:], episode.actions.shape[1:])
        if shape not in (None, found):
            raise UserError(f"episode {index} has frames and actions of shapes {found}, the first one {shape}")
        shape = found
        yield episode


def as_episode(
    index: int, arrays: Mapping[str, np.ndarray], num_states: int, bounds: tuple[ArrayLike, ArrayLike] | None
) -> Episode:
    """An episode of arrays as `write_arrays` takes them, its actions scaled by `bounds`; UserError where they do not
    fit together."""

    def expect(holds: bool, what: str) -> None:
        if not holds:
            raise UserError(f"episode {index}: {what}")

    frames, actions = np.asarray(arrays["frames"]), np.asarray(arrays["actions"], np.float32)
    num = len(frames)
    square = frames.ndim == 4 and frames.shape[1] == frames.shape[2] and frames.shape[3] == 3
    expect(
        frames.dtype == np.uint8 and square, f"frames must be uint8 (T+1, S, S, 3), got {frames.dtype} {frames.shape}"
    )
    expect(num >= 2, f"at least two frames are needed, got {num}")
    expect(
        actions.ndim == 2 and len(actions) == num - 1, f"{num} frames need ({num - 1}, A) actions, got {actions.shape}"
    )
    if bounds is not None:
        low, high = (end.astype(np.float32) for end in as_bounds(bounds, actions.shape[1]))
        actions = 2 * (actions - low) / np.maximum(high - low, 1e-8) - 1
    expect(bool(np.isfinite(actions).all()), "actions must be finite numbers")
    expect(
        not actions.size or float(np.abs(actions).max()) < 1.001,
        "actions must lie in [-1, 1]; pass their limits as action_bounds=(low, high)",
    )
    states = np.asarray(arrays.get("states", np.zeros((num, num_states))), np.float32)
    expect(states.shape == (num, num_states), f"states must be ({num}, {num_states}), got {states.shape}")
    expect(bool(np.isfinite(states).all()), "states must be finite numbers; leave the episode out, or mend them")
    rewards = np.asarray(arrays.get("rewards", np.zeros(num - 1)), np.float32)
    expect(rewards.shape == (num - 1,), f"rewards must be ({num - 1},), got {rewards.shape}")
    expect(bool(np.isfinite(rewards).all()), "rewards must be finite numbers; leave the episode out, or mend them")
    return Episode(frames, states, actions.clip(-1, 1), rewards, np.zeros((num, 0), np.float32), index)
