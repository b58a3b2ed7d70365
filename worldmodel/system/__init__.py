"""Files, processes, signals and progress: what every room needs of the operating system."""

from typing import TYPE_CHECKING

from worldmodel.system.lazy import lazy_names

if TYPE_CHECKING:
    from worldmodel.system.devices import pick_device
    from worldmodel.system.distributed import Processes, launch, whole
    from worldmodel.system.errors import UserError
    from worldmodel.system.files import read_json, write_json
    from worldmodel.system.interrupts import Terminated, sigterm_raises
    from worldmodel.system.resident import forget_peak, peak_resident_bytes, resident_bytes

__all__ = [
    "Processes",
    "Terminated",
    "UserError",
    "forget_peak",
    "launch",
    "peak_resident_bytes",
    "pick_device",
    "read_json",
    "resident_bytes",
    "sigterm_raises",
    "whole",
    "write_json",
]

__getattr__ = lazy_names(
    __name__,
    {
        "devices": ["pick_device"],
        "distributed": ["Processes", "launch", "whole"],
        "errors": ["UserError"],
        "files": ["read_json", "write_json"],
        "interrupts": ["Terminated", "sigterm_raises"],
        "resident": ["forget_peak", "peak_resident_bytes", "resident_bytes"],
    },
)
