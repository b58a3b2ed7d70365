"""The door: every file that is opened passes here, since others may have written it, or may be writing it.

Only regular files are read: no link, device, named pipe or socket, none that consists of holes, and nothing waits.
What is read whole has a largest size; JSON has a largest depth, and numbers that fit into 64 bits. Files are written
whole or not at all. No other module may open files; a test (tests/test_door.py) reads the sources for it.
"""

import errno
import functools
import hashlib
import json
import os
import platform
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from worldmodel.system.errors import UserError

try:
    import resource
except ImportError:  # Windows
    resource = None

SPARE_BYTES = 32 * 2**20  # that must stay free on the disk after a write
MAX_JSON_BYTES = 16 * 2**20
MAX_JSON_DEPTH = 50
MAX_INTEGER = 2**63  # whole numbers in JSON are smaller
# A file may be this many times as large as what the disk keeps of it, and this large anyway: file systems that compress
# keep less than a file has; a file of holes has any size, and was sent in a few bytes.
MAX_HOLES, NEVER_HOLES = 64, 64 * 2**20
# After this many seconds without a write, a temporary file of another machine is taken to be abandoned.
ABANDONED_S = 24 * 3600.0
_FULL, _TOO_LARGE = (errno.ENOSPC, errno.EDQUOT), (errno.EFBIG,)
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)
_SAFELY = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
"""How a file is opened: without following a link, without waiting; Windows knows only the last of these."""
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


def check_regular(path: Path, most: int | None = None) -> int:
    """The bytes of a file, after making sure that it is a regular one, of at most `most` bytes.

    A named pipe would be read for ever, and a link leads out of the folder that one opened.

    Raises FileNotFoundError where nothing is, UserError where something else is.
    """
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no regular file")
        raise UserError(f"{path} is {kind}; a regular file is expected: put the file itself there")
    kept = 512 * getattr(status, "st_blocks", 0)  # Windows does not say
    if status.st_size > NEVER_HOLES and 0 < kept * MAX_HOLES < status.st_size:
        raise UserError(f"{path} has {status.st_size} bytes, nearly all of them holes; put the file itself there")
    if most is not None and status.st_size > most:
        raise UserError(f"{path} has {status.st_size} bytes; at most {most} are read")
    return status.st_size


def check_inside(path: Path, folder: Path) -> Path:
    """`path`, below `folder`, which the user named; UserError where it leads elsewhere, by a link or by `..`."""
    inside = path.is_relative_to(folder) and ".." not in path.relative_to(folder).parts
    try:
        inside = inside and path.resolve() == folder.resolve() / path.relative_to(folder)
    except (OSError, RuntimeError):  # links that lead to one another
        inside = False
    if not inside:
        raise UserError(f"{path} leads out of {folder}; put the file itself there")
    return path


def open_regular(path: Path, most: int | None = None) -> BufferedReader:
    """Open a file for reading, as `check_regular` allows it; never waits and follows no link."""
    check_regular(path, most)
    return os.fdopen(os.open(path, os.O_RDONLY | _SAFELY), "rb")


def read_regular(path: Path, most: int) -> bytes:
    """The content of a file of at most `most` bytes; UserError where it is no regular file, or larger."""
    with open_regular(path, most) as file:
        return file.read(most)


def read_start(path: Path, most: int) -> bytes:
    """The first 64 bytes of a file of at most `most` bytes; UserError where it is no regular file, or larger."""
    with open_regular(path, most) as file:
        return file.read(64)


def read_text(path: Path, most: int) -> str:
    """The content of a text file of at most `most` bytes, as by `read_regular`; ValueError where it is not UTF-8."""
    return read_regular(path, most).decode("utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file from an untrusted source.

    Raises ValueError, in one line, where there is none: not a regular file, not JSON, not an object, larger than
    `MAX_JSON_BYTES`, or what `parse_json` refuses.
    """
    content = parse_json(read_text(path, MAX_JSON_BYTES))
    if not isinstance(content, dict):
        raise ValueError(f"a JSON object was expected, not {type(content).__name__}")
    return content


def check_place(path: Path) -> None:
    """UserError where no file can be made at `path`, which the user named, before minutes are spent."""
    folder = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not folder.is_dir():
        raise UserError(f"{path} cannot be written, since {folder} is no folder; choose another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{path} cannot be written, since nothing may be written into {folder}; choose another place")


def check_replaceable(path: Path, marks: Sequence[bytes], what: str, remedy: str) -> None:
    """UserError where a file at `path`, which the user named, is not of the kind `what`, before minutes are spent.

    marks: bytes of which one stands in the first thousand of every file of the kind `what`.
    """
    check_place(path)
    try:
        with open_regular(path.resolve()) as file:
            start = file.read(1000)
    except FileNotFoundError:
        return
    except UserError as error:
        raise UserError(f"{error}, or {remedy}") from error
    if not any(mark in start for mark in marks):
        raise UserError(f"{path} exists and is no {what}; {remedy}")


def parse_json(text: str, constant: Callable[[str], Any] | None = None) -> Any:
    """The value of JSON text; ValueError where it can only be meant to exhaust or to confuse the reader.

    That is nesting beyond `MAX_JSON_DEPTH`, whole numbers beyond 64 bits, others beyond any float, and what is no JSON
    number, such as NaN, unless `constant` makes something of it.
    """
    try:
        content = json.loads(
            text, parse_constant=constant or _refuse_constant, parse_int=_integer, parse_float=_finite_number
        )
    except RecursionError:
        raise ValueError("nested too deep") from None
    level = [content]
    for _ in range(MAX_JSON_DEPTH):
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _within(outer)]
        if not level:
            return content
    raise ValueError("nested too deep")


def _within(outer: dict[str, Any] | list[Any]) -> Iterator[Any]:
    return iter(outer.values() if isinstance(outer, dict) else outer)


def _integer(text: str) -> int:
    if len(text) > 20 or abs(value := int(text)) >= MAX_INTEGER:
        raise ValueError(f"{text[:25]} is larger than any number that is written")
    return value


def _finite_number(text: str) -> float:
    if abs(value := float(text)) == float("inf"):
        raise ValueError(f"{text[:25]} is larger than any number that is written")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


# ---------------------------------------------------------------------------------------------------------------------
# writing


def check_folder(path: Path) -> None:
    """UserError where something else than a folder is at `path`, within a folder of ours: a link leads elsewhere."""
    if os.path.lexists(path) and not stat.S_ISDIR(mode := os.lstat(path).st_mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "a file")
        raise UserError(f"{path} is {kind}, and a folder is expected; remove it, or put the folder itself there")


def inner_folder(path: Path) -> Path:
    """A folder within one of ours, made where it is missing; UserError as by `check_folder`."""
    check_folder(path)
    path.mkdir(parents=True, exist_ok=True)
    return path


def open_lock(path: Path) -> BinaryIO:
    """Open a file for locks, made where it is missing; UserError where something else is there, such as a link."""
    if os.path.lexists(path):
        check_regular(path)
    flags = os.O_RDWR | os.O_CREAT | _SAFELY
    return os.fdopen(os.open(path, flags, 0o666), "r+b")


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file of ours; UserError where the disk takes no more, or something else is at `path`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _SAFELY
    with _told_of_the_disk(path), os.fdopen(os.open(path, flags, 0o666), "a", encoding="utf-8") as file:
        file.write(line + "\n")


def write_atomically(path: Path, write: Callable[[Path], object], unless: Callable[[], bool] | None = None) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to the disk, then rename it over `path`.

    A reader sees the old file or the new one, never half of either. `unless` is called when the file is filled: where
    it returns True, the file that is at `path` by then is kept.

    Raises UserError where the disk is full, or takes no file so large.
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
        with _told_of_the_disk(path):
            write(temporary)
            check_regular(temporary)
            flags = os.O_RDWR | _SAFELY  # Windows flushes only what can be written
            with os.fdopen(os.open(temporary, flags), "r+b") as handle:
                os.fsync(handle.fileno())
            yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _told_of_the_disk(path: Path) -> Iterator[None]:
    """While `path` is written: UserError, in words, where the disk is full, or takes no file so large."""
    try:
        yield
    except Exception as error:  # libraries make errors of their own of what the disk says
        if _tells(error, _FULL):
            raise _no_space(path.parent) from error
        if _tells(error, _TOO_LARGE):
            raise _too_large(path) from error
        raise


def _tells(error: BaseException | None, numbers: Sequence[int]) -> bool:
    """Whether an error, or one that came before it, is of these numbers, or says so in words, as of other programs."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in numbers:
            return True
        if any(os.strerror(number) in str(error) for number in numbers):
            return True
        error = error.__cause__ or error.__context__
    return False


def remove_leftovers(path: Path) -> None:
    """Remove what kills left of attempts to write `path`, and nothing that a living process is at work on.

    A temporary file is removed when the process that wrote it has ended, or, where it ran on another machine and cannot
    be asked, when nothing was written for `ABANDONED_S`.
    """
    for leftover in path.parent.glob(f".{escape(path.name)}.*.tmp"):
        if _is_abandoned(leftover):
            _remove_temporary(leftover)


def remove_all_leftovers(folder: Path, locked: bool = False) -> None:
    """As `remove_leftovers`, for every file of a folder; does nothing where the folder is a link.

    locked: no other machine is at work here; on this one some commands write a file without the lock.
    """
    for leftover in [] if folder.is_symlink() else folder.glob(".*.tmp"):
        if _is_abandoned(leftover, locked):
            _remove_temporary(leftover)


def _remove_temporary(leftover: Path) -> None:
    """Remove a temporary file; a folder of such a name is none of ours, and stays."""
    with suppress(FileNotFoundError, IsADirectoryError):
        leftover.unlink()


def _is_abandoned(leftover: Path, locked: bool = False) -> bool:
    machine, _, rest = leftover.name.removesuffix(".tmp").rpartition(".")[2].partition("-")
    process = rest.partition("-")[0]
    if machine == _machine() and process.isdecimal() and sys.platform != "win32":  # where os.kill ends what it asks
        return not _is_alive(int(process))
    try:
        return locked or time.time() - leftover.stat().st_mtime > ABANDONED_S
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
        with suppress(OSError):
            parts.append(str(read(Path(source))))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def require_space(directory: Path, num_bytes: int = 0) -> None:
    """UserError unless the disk takes `num_bytes` and some to spare: HDF5 crashes on a write that the disk refuses."""
    if shutil.disk_usage(directory).free < num_bytes + SPARE_BYTES:
        raise _no_space(directory)


def require_size(path: Path, num_bytes: int) -> None:
    """UserError unless a process may write a file of `num_bytes`, for the same reason."""
    if resource is not None and 0 <= resource.getrlimit(resource.RLIMIT_FSIZE)[0] < num_bytes:
        raise _too_large(path)


def _too_large(path: Path) -> UserError:
    return UserError(
        f"{path} becomes larger than a file may be here; what is finished is kept: raise the limit (ulimit -f) or take "
        "another disk, and run again"
    )


def _no_space(directory: Path) -> UserError:
    return UserError(
        f"no space left on the disk of {directory}; what is finished is kept: free some space and run again"
    )


def write_text(path: Path, text: str) -> None:
    """Write a text file of ours by `write_atomically`, in UTF-8."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, content: dict[str, Any], writer: Callable[..., None] = write_atomically) -> None:
    """Write `content` as indented JSON, by `write_atomically` or `write_new`."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    writer(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
