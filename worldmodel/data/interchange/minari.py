"""Minari's HDF5: one group an episode, with T + 1 observations (an array, or groups of arrays) and T actions.

Minari encodes images of 32 pixels a side and more as JPEG by default: a column of byte strings, of one length or many.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from worldmodel.data.interchange.foreign import ForeignColumns, as_actions, choose_camera, numbered, stacked
from worldmodel.data.interchange.hdf5 import (
    blocks,
    check_lengths,
    column,
    described,
    is_image,
    is_vector,
    opened,
    rows,
    width,
)
from worldmodel.data.interchange.images import as_frames, decode, fitted, is_encoded
from worldmodel.system.errors import StoreError
from worldmodel.system.files import check_inside

_MAX_NESTING = 8


def minari_file(path: Path) -> Path | None:
    """The file that holds the data of a Minari folder, or None."""
    candidates = (path / "data" / "main_data.hdf5", path / "main_data.hdf5")
    return next((check_inside(file, path) for file in candidates if file.is_file()), None)


class MinariFile:
    """The main file of a Minari data set; see `ForeignData`."""

    kind = "minari"
    control_dt_s = 0.1  # the file does not say

    def __init__(self, path: Path, camera: str) -> None:
        self._path = path
        with opened(path) as file:
            links = {str(name): file.get(name, getlink=True) for name in file if str(name).startswith("episode_")}
            groups = [name for name, link in links.items() if isinstance(link, h5py.HardLink)]  # not of other files
            self._groups = sorted(groups, key=lambda name: int(name[8:] or 0))
            if not self._groups:
                raise StoreError(f"{path} holds no episodes")
            observations = dict(_observations(file[self._groups[0]], "observations"))
            self._encoded = {name for name, found in observations.items() if _is_encoded(found, path)}
            self.cameras = tuple(n for n, found in observations.items() if n in self._encoded or is_image(found))
            self.camera = choose_camera(self.cameras, camera, path, [described(one) for one in observations.values()])
            vectors = {n: found for n, found in observations.items() if n not in self._encoded and is_vector(found)}
            self._vectors = list(vectors)
            names = [name.removeprefix("observations/") for name in vectors]
            self.state_names = numbered(names, [width(found) for found in vectors.values()])
        self.num_episodes = self.num_promised = len(self._groups)

    def columns(self, episode: int) -> ForeignColumns:
        with opened(self._path) as file:
            group: Any = file[self._groups[episode]]
            num_frames = len(column(group, self.camera, self._path))
            most = num_frames + 1  # what has more rows belongs to other frames
            actions = self._first(group, "actions", most)
            states = [self._first(group, name, most) for name in self._vectors]
            rewards = np.zeros(len(actions), np.float32)
            if "rewards" in group:
                rewards = self._first(group, "rewards", most)
            return ForeignColumns(
                as_actions(actions, self._path), stacked(states, num_frames), rewards.reshape(-1).astype(np.float32)
            )

    def frames(self, episode: int, size: int = 0) -> np.ndarray:
        with opened(self._path) as file:
            found = column(file[self._groups[episode]], self.camera, self._path)
            if self.camera in self._encoded:
                return fitted(self._decoded(found), size, self._path)
            if not is_image(found):
                raise StoreError(f"{self._path}: {found.name} holds no frames, though that of the first episode does")
            return fitted(
                (as_frames(block, self._path) for block in blocks(found, 0, len(found), self._path)), size, self._path
            )

    def _decoded(self, found: h5py.Dataset) -> Iterator[np.ndarray]:
        """Encoded images one by one, each (1, H, W, 3); no more of them than the file holds."""
        if found.ndim == 1:
            check_lengths(found, self._path)
        num_bytes, most = 0, self._path.stat().st_size
        for row in range(len(found)):
            content = np.asarray(found[row], np.uint8).tobytes()
            num_bytes += len(content)
            if num_bytes > most:
                raise StoreError(f"{self._path}: {found.name} promises more images than the file holds")
            yield decode(content, self._path)[None]

    def close(self) -> None:
        pass

    def _first(self, group: Any, name: str, most: int) -> np.ndarray:
        """The first rows of a column, at most so many."""
        found = column(group, name, self._path)
        return rows(found, 0, min(most, len(found)), self._path)


def _observations(group: Any, name: str, holders: tuple[int, ...] = ()) -> Iterator[tuple[str, h5py.Dataset]]:
    """(path within the episode, column) of all arrays below `observations`, by name."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return  # a link out of the file, or nothing there
    found = group[name]
    if isinstance(found, h5py.Dataset):
        yield name, found
    elif isinstance(found, h5py.Group):
        place = h5py.h5o.get_info(found.id).addr
        if place in holders or len(holders) > _MAX_NESTING:
            raise ValueError("a group holds itself, or groups are nested too deep")
        for inner in sorted(found):
            for below, column_below in _observations(found, inner, (*holders, place)):
                yield f"{name}/{below}", column_below


def _is_encoded(found: h5py.Dataset, path: Path) -> bool:
    """Whether a column holds encoded images: byte strings of any length, or of one length with zeros behind."""
    of_many_lengths = found.ndim == 1 and h5py.check_vlen_dtype(found.dtype) == np.uint8
    if of_many_lengths:
        check_lengths(found, path)
    of_one_length = found.ndim == 2 and found.dtype == np.uint8
    return (of_many_lengths or of_one_length) and len(found) > 0 and is_encoded(np.asarray(found[0]).tobytes())
