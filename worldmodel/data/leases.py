"""Leases of shards: of all commands that record one data set, on any machine, one works on a shard at a time.

A lease is a lock on one byte of one file, byte k for shard k. The operating system (or the file server) releases it
when its process ends, however that happens: nothing is left behind to expire or to clear away.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = ".leases"


@contextmanager
def lease(directory: Path, shard: int) -> Iterator[bool]:
    """Whether this process got the lease of a shard; held inside the `with`.

    Locks of this kind belong to a process, so a process must not ask for two leases at once.
    """
    with (directory / _NAME).open("a+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, shard)
        except (BlockingIOError, PermissionError):  # POSIX allows either
            yield False
        else:
            yield True


def remove_leases(directory: Path) -> None:
    """When every shard stands."""
    (directory / _NAME).unlink(missing_ok=True)
