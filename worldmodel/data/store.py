"""A data set: a directory of HDF5 shards (`shards`) and one `dataset.json` (`index`), opened for reading."""

import copy
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import h5py
import numpy as np

from worldmodel.data.index import read_index
from worldmodel.data.shards import check_shard, compare, missing, open_shard, read_column, shard_path, verify_shard
from worldmodel.envs.rollout import Episode
from worldmodel.settings import RECORDED
from worldmodel.system.errors import StoreError

SPLITS = {"train": range(8), "validation": range(8, 9), "test": range(9, 10)}


@dataclass(frozen=True)
class EpisodeIndex:
    """Episodes of a split, as ranges of rows of the flat columns."""

    offset: np.ndarray
    """First row of each episode, int64 (E,)."""

    length: np.ndarray
    """Rows of each episode, one a frame, int64 (E,)."""

    restart_midway: bool = False
    """Whether the second half of an episode starts anew, from another state."""

    middle: int | None = None
    """Frame at which the second half of every episode begins, whenever the episode ends: where constants were redrawn
    or the world started anew. None: the middle of each episode's own length."""

    def __len__(self) -> int:
        return len(self.offset)

    def halves(self) -> tuple["EpisodeIndex", "EpisodeIndex"]:
        """First and second half of every episode.

        The middle frame, where constants may drift, belongs to both, unless the second half starts anew there. Of an
        episode that ended before it, the second half has no frames.
        """
        middle = (self.length - 1) // 2 if self.middle is None else np.minimum(self.middle, self.length)
        first = middle if self.restart_midway else np.minimum(middle + 1, self.length)
        return EpisodeIndex(self.offset, first), EpisodeIndex(self.offset + middle, self.length - middle)

    def only(self, chosen: np.ndarray) -> "EpisodeIndex":
        """Some of the episodes, by their numbers or by a mask (E,)."""
        return replace(self, offset=self.offset[chosen], length=self.length[chosen])

    def at_least(self, num_frames: int) -> "EpisodeIndex":
        """The episodes of at least so many frames: some worlds end an episode early, and some recordings are cut."""
        return self.only(self.length >= num_frames)

    def with_room_for(self, window: int) -> "EpisodeIndex":
        """The episodes whose halves each hold `window` control steps."""
        return self.only(self.have_room_for(window))

    def have_room_for(self, window: int) -> np.ndarray:
        """Whether both halves of each episode hold `window` control steps, bool (E,)."""
        first, second = self.halves()
        return np.minimum(first.length, second.length) > window

    def rows(self) -> np.ndarray:
        """All rows of these episodes, int64 (rows,), episode after episode."""
        none = np.zeros(0, np.int64)
        return np.concatenate([none, *(np.arange(o, o + n) for o, n in zip(self.offset, self.length, strict=True))])


class DataSet:
    """A finished data set, opened for reading; columns are loaded when they are first asked for.

    Rows are frames: those of the first episode, then those of the second, and so on, over all shards.
    """

    def __init__(self, directory: Path, num_episodes: int | None = None) -> None:
        """Open the data set at `directory`, or its first `num_episodes` alone.

        Raises StoreError where it is missing, not finished, of another schema, or damaged, or holds fewer episodes.
        """
        self.directory = directory
        self._window: int | None = None
        self.index = read_index(directory)
        available = self.index.num_episodes
        if available == 0:
            raise StoreError(f"{directory} holds no episode yet: give the command that began it again")
        self.num_episodes = available if num_episodes is None else num_episodes
        if self.num_episodes > available:
            raise StoreError(
                f"{directory} holds {available} episodes, {self.num_episodes} were asked for; "
                f"collect the rest with: worldmodel collect env={self.index.name} episodes={self.num_episodes}"
            )
        num_shards = -(-self.num_episodes // self.index.episodes_per_shard)
        found = set(directory.glob("shard-*.h5"))
        if num_shards > len(found):
            raise missing(next(path for k in range(num_shards) if (path := shard_path(directory, k)) not in found))
        self.shards = [shard_path(directory, k) for k in range(num_shards)]
        lengths = [self._episode_lengths(path) for path in self.shards]
        self._shard_episodes = [len(part) for part in lengths]
        self.length = np.concatenate(lengths)[: self.num_episodes]
        if len(self.length) < self.num_episodes:
            raise StoreError(f"{directory} holds {len(self.length)} episodes, its index promises {self.num_episodes}")
        self.offset = np.concatenate([[0], np.cumsum(self.length)[:-1]])
        self.num_rows = int(self.length.sum())
        # rows of each shard that belong to these episodes
        ends = np.minimum(np.cumsum([part.sum() for part in lengths]), self.num_rows)
        self.shard_rows = [int(rows) for rows in np.diff(ends, prepend=0)]

    def with_room_for(self, window: int) -> "DataSet":
        """The same data set; its splits leave out episodes whose halves do not each hold `window` control steps."""
        found = copy.copy(self)
        found._window = window
        return found

    @property
    def num_too_short(self) -> int:
        """Episodes that no split has, since they ended early."""
        return self.num_episodes - len(self.chosen(np.arange(self.num_episodes)))

    def chosen(self, numbers: np.ndarray) -> EpisodeIndex:
        """Episodes by their numbers or by a mask (E,), without those that have no room."""
        settings = self.index.settings
        found = EpisodeIndex(self.offset, self.length, settings.restart_midway, settings.middle).only(numbers)
        return found if self._window is None else found.with_room_for(self._window)

    @property
    def state_names(self) -> list[str]:
        return list(self.index.world.state_names)

    @property
    def factor_names(self) -> list[str]:
        return list(self.index.world.factor_names)

    @cached_property
    def states(self) -> np.ndarray:
        """float32 (rows, X)."""
        return self._read_all("state")

    @cached_property
    def actions(self) -> np.ndarray:
        """float32 (rows, A); NaN in the last row of an episode."""
        return self._read_all("action")

    @cached_property
    def rewards(self) -> np.ndarray:
        """float32 (rows,); NaN in the last row of an episode."""
        return self._read_all("reward")

    @cached_property
    def factors(self) -> np.ndarray:
        """float32 (rows, P), the columns named by `factor_names`."""
        return self._read_all("factors")

    def frames(self, rows: slice) -> np.ndarray:
        """Frames of a range of rows, uint8 (rows, S, S, 3), read from the disk and not verified."""
        parts, start = [], 0
        for path, num_rows in zip(self.shards, self.shard_rows, strict=True):
            low, high = max(rows.start, start), min(rows.stop, start + num_rows)
            if low < high:
                with open_shard(path) as file:
                    parts.append(file["pixels"][low - start : high - start])  # type: ignore[index]
            start += num_rows
        return np.concatenate(parts)

    def map_frames(self, function: Callable[[np.ndarray], np.ndarray], chunk: int = 4096) -> np.ndarray:
        """Apply `function`, uint8 (n, S, S, 3) -> (n, …), to all frames, at most `chunk` at a time: (rows, …).

        Raises StoreError where a shard is damaged.
        """
        parts = map(function, self.chunks(chunk))
        first = next(parts)
        mapped = np.empty((sum(self.shard_rows), *first.shape[1:]), first.dtype)
        start = 0
        for part in chain([first], parts):
            mapped[start : start + len(part)] = part
            start += len(part)
        return mapped

    def chunks(self, chunk: int) -> Iterator[np.ndarray]:
        """All frames in order, at most `chunk` at a time; StoreError, at its end, where a shard is damaged.

        A shard of which only the first episodes are used is read to its end, as only the whole has a checksum.
        """
        for path, num_rows in zip(self.shards, self.shard_rows, strict=True):
            with open_shard(path) as file:
                pixels = file["pixels"]
                assert isinstance(pixels, h5py.Dataset)
                digest = hashlib.sha256()
                for start in range(0, len(pixels), chunk):
                    frames = pixels[start : start + chunk]
                    digest.update(frames)
                    if start < num_rows:
                        yield frames[: num_rows - start]
                compare(pixels, digest.hexdigest(), path)

    def episodes(self, first: int = 0) -> Iterator[Episode]:
        """Episodes from number `first` on, one after another, as they were recorded (seeds are not kept: 0).

        A shard is read to its last byte and compared with its checksums before any of its episodes is given:
        StoreError where it is damaged.
        """
        begins = np.cumsum([0, *self._shard_episodes])
        for path, begin, end in zip(self.shards, begins[:-1].tolist(), begins[1:].tolist(), strict=True):
            numbers = range(max(first, begin), min(end, self.num_episodes))
            if numbers:
                verify_shard(path)
            yield from map(self._episode, numbers)

    def _episode(self, number: int) -> Episode:
        offset, length = int(self.offset[number]), int(self.length[number])
        rows, steps = slice(offset, offset + length), slice(offset, offset + length - 1)
        return Episode(
            self.frames(rows), self.states[rows], self.actions[steps], self.rewards[steps], self.factors[rows], 0
        )

    def split(self, name: str) -> EpisodeIndex:
        """Episodes of "train" (80 %), "validation" or "test" (10 % each), by number: added episodes keep the split.

        Of recordings from elsewhere there may be fewer than ten, and no more can be had: then the last is for the test,
        the one before it for validation; one or two are split by time, each into eight tenths, one and one.

        Raises StoreError where no episode is left for it.
        """
        if self.index.world.name == RECORDED and self.num_episodes < 10:
            return self._split_of_few(name)
        chosen = np.isin(np.arange(self.num_episodes) % 10, list(SPLITS[name]))
        if not chosen.any():
            raise StoreError(
                f"{self.directory} has {self.num_episodes} episodes, too few for a {name} split; "
                "collect at least 10 (episodes=10)"
            )
        episodes = self.chosen(chosen)
        if not len(episodes):
            raise StoreError(
                f"no {name} episode of {self.directory} holds two windows of {self._window} steps, one in each half; "
                "set context.window to less than half of episode_steps, or collect more episodes, some of which go on "
                "for longer"
            )
        return episodes

    def _split_of_few(self, name: str) -> EpisodeIndex:
        if self.num_episodes > 2:
            chosen = {"train": slice(-2), "validation": slice(-2, -1), "test": slice(-1, None)}[name]
            return EpisodeIndex(self.offset[chosen], self.length[chosen])
        tenths = SPLITS[name]
        first, last = self.length * tenths.start // 10, self.length * tenths.stop // 10
        return EpisodeIndex(self.offset + first, last - first)

    def _episode_lengths(self, path: Path) -> np.ndarray:
        with open_shard(path) as file:
            check_shard(file, path, self.index.world)
            return read_column(file, "ep_len", path)

    def _read_all(self, column: str) -> np.ndarray:
        parts = []
        for path in self.shards:
            with open_shard(path) as file:
                parts.append(read_column(file, column, path))
        values = np.concatenate(parts)[: self.num_rows]
        is_number = np.isfinite(values)
        if column in ("action", "reward"):  # which an episode's last frame has none of
            is_number[self.offset + self.length - 1] = True
        if not is_number.all():
            episode = int(np.searchsorted(self.offset, np.argwhere(~is_number)[0, 0], "right")) - 1
            raise StoreError(
                f"{self.directory}: {column} of episode {episode} is not finite; record it anew, or leave the "
                "episode out"
            )
        return values
