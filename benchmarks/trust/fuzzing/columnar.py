"""Tables, HDF5 and Parquet, with one change."""

import functools
import io
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import h5py
import numpy as np
import pyarrow
from pyarrow import parquet

from benchmarks.trust.fuzzing.archives import array
from benchmarks.trust.fuzzing.texts import nest

_MOST_BYTES = 10**7


def as_hdf5(rng: Random, content: bytes) -> bytes:
    """Change an HDF5 file: its columns, links, attributes and storage."""
    with h5py.File.in_memory(content) as file:
        names: list[str] = []
        file.visit(names.append)
        with suppress(Exception):  # HDF5 refuses some of these itself
            rng.choice(_HDF5_CHANGES)(rng, file, rng.choice(names))
        file.flush()
        return file.id.get_file_image()


def _values(file: Any, name: str) -> Any:
    column = file[name]
    if column.nbytes > _MOST_BYTES:
        raise ValueError("an earlier change has promised more than can be changed again")
    if column.is_virtual or column.external:  # of a file in memory, HDF5 crashes where it reads one
        raise ValueError("an earlier change has moved the values to another file")
    return column[()]


def _other_array(rng: Random, file: Any, name: str) -> None:
    values, attributes = _values(file, name), dict(file[name].attrs)
    if values.dtype.kind == "O":  # h5py may crash where it writes references
        return
    del file[name]
    changed = file.create_dataset(name, data=array(rng, np.asarray(values)))
    changed.attrs.update(attributes if rng.random() < 0.3 else {})


def _packed(rng: Random, file: Any, name: str) -> None:
    values = _values(file, name)
    del file[name]
    options = [
        {"compression": "gzip"},
        {"compression": "lzf"},
        {"fletcher32": True},
        {"scaleoffset": 0},
        {"shuffle": True},
    ]
    file.create_dataset(name, data=values, chunks=True, **rng.choice(options))


def _promised(rng: Random, file: Any, name: str) -> None:
    """A column of rows that were never written."""
    shape, kind = file[name].shape, file[name].dtype
    del file[name]
    rows = rng.choice([1, 1000, 2**24, 2**40])
    file.create_dataset(name, (rows, *shape[1:]), kind, chunks=(min(rows, 256), *shape[1:]))


def _strange_type(rng: Random, file: Any, name: str) -> None:
    num = len(file[name])
    del file[name]
    file.create_dataset(name, (rng.choice([num, 0, 1]),), rng.choice(_TYPES))


_TYPES = [
    h5py.string_dtype(), h5py.string_dtype(length=4), h5py.vlen_dtype(np.uint8), h5py.vlen_dtype(np.float32),
    h5py.ref_dtype, np.dtype([("a", "f4"), ("b", "i8")]), h5py.enum_dtype({"a": 1}), np.dtype("V7"),
    np.dtype(("f4", (3,))),
]  # fmt: skip


def _linked(rng: Random, file: Any, name: str) -> None:
    del file[name]
    links = [
        h5py.SoftLink(f"/{name}"),
        h5py.SoftLink("/nowhere"),
        h5py.SoftLink("/"),
        h5py.ExternalLink("/etc/passwd", "/"),
    ]
    file[name] = rng.choice(links)


def _held_by_itself(rng: Random, file: Any, name: str) -> None:
    """A group that holds its own parent under many names."""
    holder = file[name] if isinstance(file[name], h5py.Group) else file[name].parent
    for index in range(rng.choice([1, 3, 40])):
        holder[f"{rng.choice(['a', 'observations', 'pixels', 'episode_'])}{index}"] = rng.choice([holder, file["/"]])


def _attribute(rng: Random, file: Any, name: str) -> None:
    attributes = file[name].attrs
    key = rng.choice([*attributes, "x", "sha256"])
    if key in attributes and rng.random() < 0.4:
        del attributes[key]
    else:
        attributes[key] = rng.choice(
            [0, "x" * 9000, "", b"\xff", np.zeros((40, 40)), h5py.Empty("f4"), float("nan"), ["a", "b"]]
        )


def _moved(rng: Random, file: Any, name: str) -> None:
    file.move(name, rng.choice(["x", "episode_x", "episode_-1", "\x1b[1m", "a/b/c/d", "pixels", "\udcff"]))


def _replaced(rng: Random, file: Any, name: str) -> None:
    del file[name]
    if rng.random() < 0.5:
        file.create_group(name)
    else:
        file.create_dataset(name, data=rng.choice([h5py.Empty("f4"), 0, "text", np.zeros((0, 0)), np.float64(1)]))


def _in_other_files(rng: Random, file: Any, name: str) -> None:
    shape, kind = file[name].shape, file[name].dtype
    del file[name]
    if rng.random() < 0.5:
        file.create_dataset(name, shape, kind, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
    else:
        layout = h5py.VirtualLayout(shape, kind)
        layout[:] = h5py.VirtualSource(rng.choice([".", "/etc/passwd"]), name, shape)
        file.create_virtual_dataset(name, layout)


def _without(rng: Random, file: Any, name: str) -> None:
    del file[name]


_HDF5_CHANGES: list[Callable[[Random, Any, str], None]] = [
    _other_array, _other_array, _other_array, _packed, _promised, _strange_type, _linked, _held_by_itself, _attribute,
    _moved, _replaced, _in_other_files, _without,
]  # fmt: skip


@functools.lru_cache(maxsize=2)  # the valid content, and that after a first change
def _columns(content: bytes) -> dict[str, Any]:
    return parquet.read_table(io.BytesIO(content)).to_pydict()


def as_parquet(rng: Random, content: bytes) -> bytes:
    """Change a Parquet table: its values and types."""
    changed = nest(rng, _columns(content))
    if not isinstance(changed, dict):
        return content
    columns = {str(name): _as_column(rng, values) for name, values in changed.items()}
    num = min((len(column) for column in columns.values()), default=0)
    file = io.BytesIO()
    with suppress(pyarrow.ArrowException, UnicodeError):
        whole = pyarrow.table({name: column.slice(0, num) for name, column in columns.items()})
        parquet.write_table(whole, file, compression=rng.choice(["none", "snappy", "gzip", "zstd"]))
        return file.getvalue()
    return content


def _as_column(rng: Random, values: Any) -> Any:
    try:
        column = pyarrow.array(values if isinstance(values, list) else [values])
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError):
        column = pyarrow.array([repr(value)[:100] for value in (values if isinstance(values, list) else [values])])
    with suppress(pyarrow.ArrowException):
        if rng.random() < 0.1:
            return column.dictionary_encode()
        if rng.random() < 0.1:
            return column.cast(rng.choice([pyarrow.string(), pyarrow.float16(), pyarrow.int8(), pyarrow.bool_()]))
    return column
