"""stable-worldmodel's HDF5: flat columns, `ep_len` and `ep_offset`; the action of a row is taken after its frame."""

from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np

from worldmodel.data.interchange.foreign import ForeignColumns, as_actions, choose_camera, numbered, stacked
from worldmodel.data.interchange.hdf5 import arrays, blocks, column, described, is_image, is_vector, opened, rows, width
from worldmodel.data.interchange.images import as_frames, fitted
from worldmodel.system.errors import StoreError

_VECTORS = ("state", "proprio", "observation")


class StableWorldModelFile:
    """One file of stable-worldmodel; see `ForeignData`."""

    kind = "stable-worldmodel"
    control_dt_s = 0.1  # the file does not say

    def __init__(self, path: Path, camera: str) -> None:
        self._path = path
        with opened(path) as file:
            found = dict(arrays(file))
            self.cameras = tuple(name for name in found if is_image(found[name]))
            self.camera = choose_camera(self.cameras, camera, path, [described(one) for one in found.values()])
            length, offset = (self._of_episodes(file, name) for name in ("ep_len", "ep_offset"))
            self._spans = list(zip(offset.tolist(), (offset + length).tolist(), strict=True))
            self._vectors = [name for name in _VECTORS if name in found and is_vector(found[name])]
            self.state_names = numbered(self._vectors, [width(found[name]) for name in self._vectors])
        self.num_episodes = self.num_promised = len(self._spans)
        _check_apart(self._spans, path)

    def _of_episodes(self, file: h5py.File, name: str) -> np.ndarray:
        """A number of each episode, int64 (episodes,); StoreError where there are several, or more than rows."""
        found, num_rows = column(file, name, self._path), len(column(file, self.camera, self._path))
        if found.ndim != 1 or len(found) > num_rows:
            raise StoreError(
                f"{self._path}: {name} has shape {found.shape}; one number an episode is needed, and no more episodes "
                f"than rows, {num_rows}"
            )
        return found[:].astype(np.int64)

    def columns(self, episode: int) -> ForeignColumns:
        start, stop = self._spans[episode]
        last = max(start, stop - 1)  # no action follows the last frame
        with opened(self._path) as file:
            actions = rows(column(file, "action", self._path), start, last, self._path)
            states = [rows(column(file, name, self._path), start, stop, self._path) for name in self._vectors]
            rewards = np.zeros(last - start, np.float32)
            if "reward" in file:
                rewards = rows(column(file, "reward", self._path), start, last, self._path)
            return ForeignColumns(
                as_actions(actions, self._path), stacked(states, stop - start), rewards.reshape(-1).astype(np.float32)
            )

    def frames(self, episode: int, size: int = 0) -> np.ndarray:
        with opened(self._path) as file:
            found = column(file, self.camera, self._path)
            parts = blocks(found, *self._spans[episode], self._path)
            return fitted((as_frames(part, self._path) for part in parts), size, self._path)

    def close(self) -> None:
        pass


def _check_apart(spans: list[tuple[int, int]], path: Path) -> None:
    """StoreError where two episodes, each (first row, row after the last), share rows."""
    ordered = sorted(span for span in spans if span[0] < span[1])
    for (_, stop), (start, _) in pairwise(ordered):
        if start < stop:
            raise StoreError(
                f"{path}: an episode begins at row {start}, where another one still lasts until row {stop - 1}; "
                "ep_offset and ep_len contradict each other"
            )
