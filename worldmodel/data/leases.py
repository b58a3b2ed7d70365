"""Leases: of all commands that record one data set, on any machine, one works on a shard at a time.

A lease is a lock on one byte of one file, byte k for shard k. The operating system (or the file server) releases it
when its process ends, however that happens: nothing is left behind to expire or to clear away.

On a file system without locks everybody is granted every lease. Work is then done twice, and nothing is lost by it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from worldmodel.system.files import open_lock
from worldmodel.system.locks import is_at, lock_bytes

_NAME = ".leases"
_INDEX_BYTE = 2**40  # beyond the shards
_PATIENCE_S = 10.0


@contextmanager
def lease(directory: Path, shard: int) -> Iterator[bool]:
    """Whether this process got the lease of a shard; held inside the `with`.

    Locks of this kind belong to a process, so a process must not ask for two leases at once.
    """
    with _locked(directory, shard) as granted:
        yield granted


@contextmanager
def index_lease(directory: Path) -> Iterator[None]:
    """Keep other commands from changing the index meanwhile; waits for those that do, but not for one that hangs."""
    give_up = time.monotonic() + _PATIENCE_S
    while True:
        with _locked(directory, _INDEX_BYTE) as granted:
            if granted or time.monotonic() > give_up:
                yield
                return
        time.sleep(0.05)


@contextmanager
def whole_lease(directory: Path) -> Iterator[bool]:
    """Whether this process got the leases of all shards, and of the index."""
    with _locked(directory, 0, length=0) as granted:  # length 0: all bytes
        yield granted


def remove_leases(directory: Path) -> None:
    """Remove the file of leases, unless another command holds one: the last command removes it."""
    with whole_lease(directory) as granted:
        if granted:
            with suppress(PermissionError):  # Windows removes no open file
                (directory / _NAME).unlink(missing_ok=True)


@contextmanager
def _locked(directory: Path, start: int, length: int = 1) -> Iterator[bool]:
    path = directory / _NAME
    while True:
        with open_lock(path) as file:
            granted = lock_bytes(file, start, length)
            if granted and not is_at(path, file):
                continue
            yield granted
            return
