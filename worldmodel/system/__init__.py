"""Files, processes, signals and progress: what every room needs of the operating system."""

from typing import TYPE_CHECKING

from worldmodel.system.lazy import lazy_names

if TYPE_CHECKING:
    from worldmodel.system.devices import pick_device
    from worldmodel.system.distributed import Processes, launch, whole
    from worldmodel.system.errors import UserError
    from worldmodel.system.files import read_json, write_json

__all__ = [
    "Processes",
    "UserError",
    "launch",
    "pick_device",
    "read_json",
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
    },
)
