"""Memory: what is free, what this process holds, and the most that it has held since the last look.

Linux alone tells the last two; `resource` and psutil know a peak only since the process began, which nothing sets back.
"""

import os
import re
from pathlib import Path

from worldmodel.system.errors import UserError

_ASSUMED_BYTES = 4 * 2**30
"""Free memory on Windows."""
_ALWAYS_BYTES = 256 * 2**20
"""So much is taken without a look at what is free, which takes 30 microseconds."""


def available_bytes() -> int:
    """Free memory of the host: on Linux with what the page cache would give back, on Windows a careful guess."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists() and (found := re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text())):
        return 1024 * int(found[1])
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return _ASSUMED_BYTES


def require_memory(num_bytes: int, what: str, remedy: str) -> None:
    """UserError where `what` would take more memory than is free: the numbers of a stranger's run may ask for it."""
    if num_bytes > _ALWAYS_BYTES and num_bytes > (free := available_bytes()):
        raise UserError(f"{what} would take {shown(num_bytes)} of memory, and {shown(free)} are free; {remedy}")


def require_frames(num: int, side: int, what: str, remedy: str) -> None:
    """As `require_memory`, for frames uint8 (num, side, side, 3) that are gathered, and then stacked."""
    require_memory(2 * num * side**2 * 3, f"{what} ({num:,} of {side} x {side})", remedy)


def shown(num_bytes: float) -> str:
    """A number of bytes for a reader: "3.09 MB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g} TB"


def resident_bytes() -> int:
    """Bytes that this process holds in memory now; OSError elsewhere than on Linux."""
    return _status("VmRSS")


def peak_resident_bytes() -> int:
    """The most bytes that it has held at once since `forget_peak`, or since it began; OSError as above."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Set the peak back to what the process holds now; OSError as above, or where the kernel does not let it."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = next(line for line in lines if line.startswith(f"{field}:")).split()[1]
    return 1024 * int(kilobytes)
