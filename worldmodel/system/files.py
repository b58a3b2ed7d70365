"""Files that others may have written, or may be writing: only regular ones are read, and whole ones written."""

import errno
import functools
import hashlib
import json
import os
import platform
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any, BinaryIO

from worldmodel.system.errors import UserError

SPARE_BYTES = 32 * 2**20
MAX_JSON_BYTES = 16 * 2**20
# After this many seconds without a write, a temporary file of another machine is taken to be abandoned.
ABANDONED_S = 24 * 3600.0
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

# ---------------------------------------------------------------------------------------------------------------------
# reading


def check_regular(path: Path) -> int:
    """The bytes of a file, after making sure that it is a regular one.

    A named pipe would be read for ever, and a link leads out of the folder that one opened.

    Raises FileNotFoundError where nothing is, UserError where something else is.
    """
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
        raise UserError(f"{path} is {kind}; a regular file is expected: put the file itself there")
    return status.st_size


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, as `check_regular` allows it; never waits and follows no link."""
    check_regular(path)
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file that anybody may have written.

    Raises ValueError, in one line, where it is none: not a regular file, not JSON, not an object, larger than
    `MAX_JSON_BYTES`, or nested so deep that it can only be meant to exhaust the reader.
    """
    with open_regular(path) as file:
        text = file.read(MAX_JSON_BYTES + 1)
    if len(text) > MAX_JSON_BYTES:
        raise ValueError(f"more than the {MAX_JSON_BYTES} bytes that are read")
    try:
        content = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(content, dict):
        raise ValueError(f"a JSON object was expected, not {type(content).__name__}")
    return content


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


# ---------------------------------------------------------------------------------------------------------------------
# writing


def write_atomically(path: Path, write: Callable[[Path], object], unless: Callable[[], bool] | None = None) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to the disk, then rename it over `path`.

    A reader sees the old file or the new one, never half of either. `unless` is called when the file is filled: where
    it returns True, the file that is at `path` by then is kept.

    Raises UserError where the disk is full.
    """
    with _temporary(path, write) as temporary:
        if unless is None or not unless():
            os.replace(temporary, path)


def write_new(path: Path, write: Callable[[Path], object]) -> None:
    """As `write_atomically`, but FileExistsError where there is a file already: of several processes, one succeeds."""
    with _temporary(path, write) as temporary:
        try:
            os.link(temporary, path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # A file system without hard links: two processes may both succeed, and the last one's file stays.
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
            os.replace(temporary, path)


@contextmanager
def _temporary(path: Path, write: Callable[[Path], object]) -> Iterator[Path]:
    """A filled file beside `path`, whose name no other process on any machine uses; it is gone afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    require_space(path.parent)
    temporary = path.with_name(f".{path.name}.{_machine()}-{os.getpid()}-{secrets.token_hex(6)}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        yield temporary
    except (OSError, RuntimeError) as error:
        if _tells_of_a_full_disk(error):
            raise _no_space(path.parent) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _tells_of_a_full_disk(error: BaseException | None) -> bool:
    """Whether an error, or one that came before it, is that the disk was full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def remove_leftovers(path: Path) -> None:
    """Remove what kills left of attempts to write `path`, and nothing that a living process is at work on.

    A temporary file is removed when the process that wrote it has ended, or, where it ran on another machine and cannot
    be asked, when nothing was written for `ABANDONED_S`.
    """
    for leftover in path.parent.glob(f".{escape(path.name)}.*.tmp"):
        if _is_abandoned(leftover, path):
            leftover.unlink(missing_ok=True)


def _is_abandoned(leftover: Path, path: Path) -> bool:
    machine, _, rest = leftover.name[len(path.name) + 2 :].partition("-")
    process = rest.partition("-")[0]
    if machine == _machine() and process.isdecimal():
        return not _is_alive(int(process))
    try:
        return time.time() - leftover.stat().st_mtime > ABANDONED_S
    except FileNotFoundError:
        return False


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:  # an ended process that its parent has not asked for yet
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


@functools.cache
def _machine() -> str:
    """Names this machine, or container: where two processes agree on it, they agree on what a process number means."""
    parts = [platform.node()]
    for source, read in (("/proc/sys/kernel/random/boot_id", Path.read_text), ("/proc/self/ns/pid", os.readlink)):
        try:
            parts.append(str(read(Path(source))))
        except OSError:
            pass
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def require_space(directory: Path, num_bytes: int = 0) -> None:
    """UserError unless the disk takes `num_bytes` and some to spare: HDF5 crashes on a write that the disk refuses."""
    if shutil.disk_usage(directory).free < num_bytes + SPARE_BYTES:
        raise _no_space(directory)


def _no_space(directory: Path) -> UserError:
    return UserError(
        f"no space left on the disk of {directory}; what is finished is kept: free some space and run again"
    )


def write_json(path: Path, content: dict[str, Any], writer: Callable[..., None] = write_atomically) -> None:
    """Write `content` as indented JSON, by `write_atomically` or `write_new`."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    writer(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
