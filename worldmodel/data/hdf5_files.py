"""HDF5 files, opened after the checks of `system.files`, and created; both without locks."""

from pathlib import Path

import h5py

from worldmodel.system.files import check_regular


def open_hdf5(path: Path) -> h5py.File:
    """An HDF5 file from an untrusted source; UserError where it is no regular file, OSError where it is no HDF5.

    Without locks, since not every file system has them, and a file that is there is whole and stays as it is.
    """
    check_regular(path)
    return h5py.File(path, "r", locking=False)


def make_hdf5(path: Path, latest: bool = False) -> h5py.File:
    """Create an HDF5 file; no lock, since no other process knows it yet. latest: in the newest format, which other
    toolkits write."""
    return h5py.File(path, "w", libver="latest" if latest else None, locking=False)
