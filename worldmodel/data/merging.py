"""Several data sets of one world as one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.data.index import Index, RecordingRecord, WorldDigest, differences
from worldmodel.data.shards import digest_of_shards
from worldmodel.data.store import DataSet
from worldmodel.data.writing import write_data_set
from worldmodel.envs.rollout import Episode
from worldmodel.settings.names import check_name
from worldmodel.system.errors import StoreError
from worldmodel.system.printable import say

Bounds = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class MergeResult:
    """Several data sets, joined."""

    directory: Path
    """Where the whole is."""

    episodes: int
    """Episodes of all sources."""

    frames: int
    """Frames of all sources."""


def merge(paths: Sequence[Path], out: Path) -> MergeResult:
    """Copy the episodes of data sets of one world, one data set after another, into a new one.

    Every shard is compared with its checksums before anything is copied from it. Where recordings from elsewhere were
    scaled by different limits, their actions are scaled anew, by limits that hold for all. A command that was cut off
    can be given again: it continues where it stopped, and leaves the same bytes.

    Raises StoreError where a source is damaged, of another world, or of episodes with another middle, or where `out`
    holds something else.
    """
    if twice := [path for path in paths if [other.resolve() for other in paths].count(path.resolve()) > 1]:
        say(f"warning: {twice[0]} is named twice: the same episodes will be trained on and tested")
    check_name(f"{out}: a data set's name", out.name)
    sources = [DataSet(path) for path in paths]
    first = sources[0].index
    for source in sources[1:]:
        _check_same_world(sources[0], source)
    _check_same_middle(sources)
    bounds = _common_bounds(sources)
    world = first.world
    if bounds is not None:
        world = replace(world, action_bounds=(tuple(bounds[0].tolist()), tuple(bounds[1].tolist())))
    num_episodes = sum(source.num_episodes for source in sources)
    index = Index(out.name, num_episodes, first.episodes_per_shard, _settings(sources), world, _digest(sources))
    write_data_set(out, index, _Joined(sources, bounds), "merge")
    return MergeResult(out, num_episodes, sum(source.num_rows for source in sources))


class _Joined:
    """The episodes of all sources by their number in the whole, read from front to back."""

    def __init__(self, sources: list[DataSet], bounds: Bounds | None) -> None:
        self._sources, self._bounds = sources, bounds
        self._next, self._episodes = 0, iter(())

    def __call__(self, numbers: range) -> Iterator[Episode]:
        if self._next != numbers.start or numbers.start == 0:
            self._episodes = self._from(numbers.start)
        self._next = numbers.stop
        return islice(self._episodes, len(numbers))

    def _from(self, number: int) -> Iterator[Episode]:
        begin = 0
        for source in self._sources:
            if number < begin + source.num_episodes:
                rescaled = (self._rescaled(episode, source) for episode in source.episodes(max(0, number - begin)))
                yield from rescaled
            begin += source.num_episodes

    def _rescaled(self, episode: Episode, source: DataSet) -> Episode:
        if self._bounds is None or _same(own := _bounds_of(source), self._bounds):
            return episode
        (low, high), (lowest, highest) = own, self._bounds
        actions = low + (episode.actions.astype(np.float64) + 1) / 2 * (high - low)
        scaled = 2 * (actions - lowest) / np.maximum(highest - lowest, 1e-8) - 1
        return replace(episode, actions=scaled.clip(-1, 1).astype(np.float32))


def _check_same_world(first: DataSet, other: DataSet) -> None:
    found = {key: (one, another) for key, one, another in differences(first.index.world, other.index.world)}
    if other.actions.shape[1] == first.actions.shape[1]:
        found.pop("action_bounds", None)  # made equal by scaling anew
    differing = [f"{key}: {_short(another)} and {_short(one)}" for key, (one, another) in found.items()]
    one, another = first.index.digest, other.index.digest
    if one and another and one.simulator == another.simulator and one != another:
        differing.append("its compiled model, or its Python file")
    if differing:
        raise StoreError(f"{other.directory} and {first.directory} are of different worlds ({', '.join(differing)})")


def _check_same_middle(sources: list[DataSet]) -> None:
    """StoreError where the whole could not say where an episode starts anew, or its constants are redrawn.

    One index speaks for all episodes. Where their lengths differ, it names no middle, and each episode is halved by its
    own length; one that ended early would be halved elsewhere.
    """
    first = sources[0]
    for source in sources[1:]:
        if source.index.settings.restart_midway != first.index.settings.restart_midway:
            one, other = (source, first) if source.index.settings.restart_midway else (first, source)
            raise StoreError(
                f"episodes of {one.directory} start anew in the middle (restart_midway), those of {other.directory} do "
                "not; merge data sets that were recorded alike"
            )
    if len({source.index.settings.episode_steps for source in sources}) == 1:
        return
    for source in sources:
        steps = source.index.settings.episode_steps
        if source.index.settings.middle is not None and steps and source.length.min() <= steps:
            raise StoreError(
                f"an episode of {source.directory} ended before its {steps} steps, and other data sets have episodes "
                "of another length, so that its middle would be lost; merge data sets of one episode_steps"
            )


def _short(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _bounds_of(source: DataSet) -> Bounds:
    """Limits that a source's actions were scaled by; [-1, 1] where they were taken as they are."""
    ones = np.ones(source.actions.shape[1])
    low, high = source.index.world.action_bounds or (-ones, ones)
    return np.array(low), np.array(high)


def _common_bounds(sources: list[DataSet]) -> Bounds | None:
    """Limits that hold for all sources; None where all have the same and nothing needs scaling."""
    bounds = [_bounds_of(source) for source in sources]
    if all(_same(bounds[0], other) for other in bounds[1:]):
        return None
    return np.min([low for low, _ in bounds], 0), np.max([high for _, high in bounds], 0)


def _same(one: Bounds, other: Bounds) -> bool:
    return np.array_equal(one, other)


def _settings(sources: list[DataSet]) -> RecordingRecord:
    """Settings that all sources share; the others have their defaults.

    Where constants drift in some sources, halves are told apart in all, and drift_rho is the lowest.
    """
    first, *others = every = [source.index.settings for source in sources]
    shared: dict[str, Any] = {
        "drift_rho": min((of.drift_rho for of in every if of.drift_rho is not None), default=None)
    }
    for name in (item.name for item in fields(RecordingRecord)):
        if all(getattr(other, name) == getattr(first, name) for other in others):
            shared[name] = getattr(first, name)
    digest = digest_of_shards(chain.from_iterable(source.shards for source in sources))
    merged = tuple(str(source.directory) for source in sources)
    return RecordingRecord(**{**shared, "merged": merged, "source_digest": digest})


def _digest(sources: list[DataSet]) -> WorldDigest | None:
    """What all sources say of the world; None where they do not all say the same."""
    first, *others = (source.index.digest for source in sources)
    return first if all(other == first for other in others) else None
