"""What is known of this process, and kept with every result: its command, versions, machine and memory."""

import os
import platform
import shlex
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch

try:
    import resource
except ImportError:  # Windows
    resource = None

_PACKAGES = ("worldmodel", "torch", "mujoco", "dm_control", "gymnasium", "numpy")


@dataclass(frozen=True)
class Hardware:
    """A machine."""

    machine: str
    """Architecture, such as x86_64."""
    system: str
    """Operating system."""
    cores: int | None
    """CPU cores."""
    gpu: str | None
    """Name of the first GPU; None where torch sees none."""

    def __str__(self) -> str:
        """`2 CPU cores`, or the name of the GPU."""
        if self.gpu or self.cores is None:
            return self.gpu or ""
        return f"{self.cores} CPU core{'' if self.cores == 1 else 's'}"


def this_machine() -> Hardware:
    """The machine that this process runs on."""
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return Hardware(platform.machine(), platform.system(), os.cpu_count(), gpu)


def command_line() -> str:
    """The command that is running, as a user would type it."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)  # of `python -m MODULE`
    module = spec.name.removesuffix(".__main__") if spec else ""
    if module == "worldmodel.cli":
        start = ["worldmodel"]
    else:
        start = ["python", "-m", module] if module else [Path(sys.argv[0]).name]
    return shlex.join([*start, *sys.argv[1:]])


def versions() -> dict[str, str]:
    """Package -> its version, of those that figures may depend on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def peak_memory_mb() -> float:
    """Most memory that this process has held at once, in megabytes (10^6 bytes); 0 on Windows, which does not say."""
    if resource is None:
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
