"""HDF5 files, opened after the checks of `system.files`, and created; both without locks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from worldmodel.system.files import check_regular, require_size, require_space

_OWN_BYTES = 2**16
"""What HDF5 adds to the bytes that a file holds, with a fiftieth of them."""


def open_hdf5(path: Path) -> h5py.File:
    """An HDF5 file from an untrusted source; UserError where it is no regular file, OSError where it is no HDF5.

    Without locks, since not every file system has them, and a file that is there is whole and stays as it is.
    """
    check_regular(path)
    return h5py.File(path, "r", locking=False)


@contextmanager
def new_hdf5(path: Path, latest: bool = False) -> Iterator[h5py.File]:
    """Create an HDF5 file, to be filled inside the `with`; no lock, since no other process knows it yet.

    HDF5 crashes where it cannot write what it holds when it closes a file. So what a disk refuses is noticed before,
    and room is made: the file is empty then.

    latest: in the newest format, which other toolkits write.
    """
    with h5py.File(path, "w", libver="latest" if latest else None, locking=False) as file:
        try:
            yield file
            file.flush()
        except BaseException:
            os.truncate(path, 0)
            raise


def check_room(path: Path, num_bytes: int, before: int = 0) -> None:
    """UserError unless there is room for so many bytes, on the disk and in the HDF5 file, which holds `before`."""
    require_space(path.parent, num_bytes)
    require_size(path, (before + num_bytes) * 51 // 50 + _OWN_BYTES)
