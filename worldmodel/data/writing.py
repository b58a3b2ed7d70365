"""Writing a data set whose episodes come from elsewhere, by a command that can be given again after it was killed.

The index is written first, with no episodes: it says what the directory will hold, so that a command with other content
does not complete what this one began. Then come the shards, each whole or not at all, and last the index with the
number of episodes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from worldmodel.data.index import INDEX_NAME, Index, differences, read_index, write_index
from worldmodel.data.leases import remove_leases, whole_lease
from worldmodel.data.shards import shard_path, verify_shard, write_shard
from worldmodel.envs.rollout import Episode
from worldmodel.system.errors import StoreError, UserError
from worldmodel.system.files import remove_leftovers
from worldmodel.system.progress import progress

EpisodesOf = Callable[[range], Iterator[Episode]]
"""Gives the episodes of these numbers; called with ascending ranges."""


def write_data_set(directory: Path, index: Index, episodes: EpisodesOf, what: str) -> None:
    """Write a data set, or continue where an earlier call was interrupted: whole shards are kept.

    what: for the progress bar.

    Raises StoreError where `directory` holds something else, UserError where another command is writing there.
    """
    with alone_in(directory):
        claim(directory, index)
        for shard in progress(range(index.num_shards), desc=what, unit="shard"):
            first = shard * index.episodes_per_shard
            numbers = range(first, min(first + index.episodes_per_shard, index.num_episodes))
            path = shard_path(directory, shard)
            if not _is_whole(path, len(numbers)):
                remove_leftovers(path)
                write_shard(path, episodes(numbers))
        finish(directory, index)


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Keep other commands from writing the data set at `directory`; UserError where one is."""
    if directory.exists() and not directory.is_dir():
        raise StoreError(f"{directory} is no folder; choose another place for the data set")
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with whole_lease(directory) as granted:
            if not granted:
                raise UserError(f"another command is writing {directory}; wait until it has ended, and try again")
            yield
    finally:
        remove_leases(directory)


def claim(directory: Path, index: Index) -> None:
    """Write the index of the data set that `directory` will hold; StoreError where it holds another, or part of one."""
    if not (directory / INDEX_NAME).exists():
        if stranger := next((path.name for path in directory.iterdir() if not path.name.startswith(".")), ""):
            raise StoreError(f"{directory} holds {stranger} and no {INDEX_NAME}; choose another place, or delete it")
        write_index(directory, replace(index, num_episodes=0))
    held = read_index(directory)
    differing = [key for key, _, _ in differences(held, index) if key != "num_episodes"]
    if differing and held.num_episodes == 0 and not any(directory.glob("shard-*.h5")):  # nothing came of that claim
        write_index(directory, replace(index, num_episodes=0))
    elif differing or held.num_episodes not in (0, index.num_episodes):
        raise StoreError(
            f"{directory} holds another data set ({', '.join(differing or ['num_episodes'])} differ); "
            "choose another place, or delete it"
        )


def finish(directory: Path, index: Index) -> None:
    """Write the index of a data set whose shards are all written; shards beyond those, of an earlier attempt, go."""
    for path in set(directory.glob("shard-*.h5")) - {shard_path(directory, k) for k in range(index.num_shards)}:
        path.unlink()
    remove_leftovers(directory / INDEX_NAME)
    write_index(directory, index)


def _is_whole(path: Path, num_episodes: int) -> bool:
    """Whether a shard is there, undamaged, with so many episodes."""
    try:
        return verify_shard(path).episodes == num_episodes
    except StoreError:
        return False
