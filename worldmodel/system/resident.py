"""Memory that this process holds, and the most that it has held since the last look; Linux alone tells both.

`resource` and psutil know a peak only since the process began, which nothing sets back.
"""

from pathlib import Path


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
