"""Data sets of ours for other toolkits."""

from pathlib import Path

import numpy as np

from worldmodel.data.hdf5_files import check_room, new_hdf5, open_hdf5
from worldmodel.data.shards import digest_of_shards
from worldmodel.data.store import DataSet
from worldmodel.system.errors import UserError
from worldmodel.system.files import remove_leftovers, write_atomically

_SOURCE = "source_digest"


def is_written_from(data: DataSet, path: Path) -> bool:
    """Whether the file at `path` is what `write_stable_worldmodel` writes of `data`."""
    try:
        with open_hdf5(path) as file:
            return file.attrs.get(_SOURCE) == digest_of_shards(data.shards)
    except (OSError, UserError):
        return False


def write_stable_worldmodel(data: DataSet, path: Path) -> None:
    """All shards as one file in stable-worldmodel's layout, compared with their checksums as they are read.

    Each shard can be opened by stable-worldmodel's reader as it is, too.
    """
    shape = data.frames(slice(0, 1)).shape[1:]
    columns = {"action": data.actions, "state": data.states, "reward": data.rewards, "factors": data.factors}

    def fill(temporary: Path) -> None:
        check_room(path, data.num_rows * int(np.prod(shape)) + sum(values.nbytes for values in columns.values()))
        with new_hdf5(temporary, latest=True) as file:
            file.attrs[_SOURCE] = digest_of_shards(data.shards)
            pixels = file.create_dataset("pixels", (data.num_rows, *shape), np.uint8, chunks=(1, *shape))
            start = 0
            for frames in data.chunks(4096):
                pixels[start : start + len(frames)] = frames
                start += len(frames)
            for name, values in columns.items():
                if values.shape[-1]:
                    file[name] = values
            file["ep_len"], file["ep_offset"] = data.length.astype(np.int32), data.offset.astype(np.int64)

    remove_leftovers(path)
    write_atomically(path, fill)
