"""Several data sets of one world, read as one: nothing is copied."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from worldmodel.data.index import differences
from worldmodel.data.store import DataSet
from worldmodel.settings import CollectConfig
from worldmodel.system.errors import StoreError


class JoinedDataSet(DataSet):
    """The episodes of data sets one after another. Each keeps its own index, which says by which policy it came about.

    Episodes are numbered through, so that each part is split into training, validation and test as a whole would be.
    """

    def __init__(self, parts: Sequence[DataSet]) -> None:
        """Raises StoreError where the parts are of different worlds."""
        first = parts[0]
        for part in parts[1:]:
            if found := differences(first.index.world, part.index.world):
                raise StoreError(
                    f"{part.directory} and {first.directory} are of different worlds ({found[0][0]} differs); "
                    f"delete {part.directory}, and it is collected again"
                )
        self.parts = list(parts)
        self.directory, self.index = first.directory, first.index
        self._window = first._window
        self.num_episodes = sum(part.num_episodes for part in parts)
        self.shards = [path for part in parts for path in part.shards]
        self.shard_rows = [rows for part in parts for rows in part.shard_rows]
        self._shard_episodes = [num for part in parts for num in part._shard_episodes]
        self.length = np.concatenate([part.length for part in parts])
        self.offset = np.concatenate([[0], np.cumsum(self.length)[:-1]])
        self.num_rows = sum(part.num_rows for part in parts)

    def _read_all(self, column: str) -> np.ndarray:
        return np.concatenate([part._read_all(column) for part in self.parts])


def with_rounds(collection: CollectConfig, rounds: Iterable[Path]) -> DataSet:
    """The recording of `collection`, and after it the data sets that rounds of training added.

    Raises:
        StoreError: one of them is missing or damaged, or they are of different worlds.
    """
    parts = [DataSet(collection.directory, collection.num_episodes)]
    for folder in rounds:  # one by one: how many there are may be a stranger's word
        if not folder.is_dir():
            raise StoreError(f"{folder}, which a round of training recorded, is missing; restore it, or train again")
        parts.append(DataSet(folder))
    return JoinedDataSet(parts) if len(parts) > 1 else parts[0]
