"""Locks on open files: the operating system, or the file server, releases them however their process ends.

Where there are no locks (some file systems, Windows) everybody is granted everything.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def lock_file(file: BinaryIO) -> bool:
    """Whether this open file got the lock of its file; it belongs to the open file, also within one process."""
    return fcntl is None or _granted(fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_bytes(file: BinaryIO, start: int, length: int) -> bool:
    """Whether this process got the lock of some bytes of a file, which may lie beyond its end; length 0: of all.

    The lock belongs to the process: it is lost when the process closes the file, however often it has opened it.
    """
    return fcntl is None or _granted(fcntl.lockf, file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)


def is_at(path: Path, file: BinaryIO) -> bool:
    """Whether an open file is still the one at `path`: where another command has removed it, nobody knows its locks."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    held = os.fstat(file.fileno())
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)


def _granted(lock: Callable[..., object], *arguments: object) -> bool:
    try:
        lock(*arguments)
    except (BlockingIOError, PermissionError):  # POSIX allows either
        return False
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
    return True
