"""Tables of arrays (npz): read from strangers, written for other programs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from worldmodel.system.files import check_regular, write_atomically


def read_arrays(path: Path, most: int, *names: str) -> dict[str, np.ndarray]:
    """The arrays of these names, or all where none are named, of an npz of at most `most` bytes, unpacked too.

    Raises:
        OSError: there is no such file.
        UserError: it is no regular file, or larger.
        ValueError: its content is wrong, in whatever way.
    """
    check_regular(path, most)
    try:
        with np.load(path, allow_pickle=False) as file:
            if sum(entry.file_size for entry in file.zip.infolist()) > most:
                raise ValueError(f"it unpacks to more than {most} bytes")
            arrays = {name: file[name] for name in names or file.files}
    except Exception as error:  # numpy and zipfile raise whatever the file provokes
        raise ValueError(" ".join(str(error).split())) from error
    # any file may be in a zip
    if stray := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise ValueError(f"{stray[0][:60]} is no array")
    return arrays


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an npz of arrays, whole or not at all."""
    write_atomically(path, lambda temporary: _save(temporary, arrays))


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with path.open("wb") as file:  # a name of its own: savez would add .npz to it
        np.savez(file, **arrays)  # type: ignore[arg-type]
