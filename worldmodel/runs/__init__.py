"""The run directory: what training and evaluation leave on the disk, and how it is read."""

from typing import TYPE_CHECKING

from worldmodel.system.lazy import lazy_names

if TYPE_CHECKING:
    from worldmodel.runs.cells import CellKey, CellStore, cell_key
    from worldmodel.runs.run_directory import RunDirectory, command_line, hardware, peak_memory_mb, versions

__all__ = [
    "CellKey",
    "CellStore",
    "RunDirectory",
    "cell_key",
    "command_line",
    "hardware",
    "peak_memory_mb",
    "versions",
]

__getattr__ = lazy_names(
    __name__,
    {
        "cells": ["CellKey", "CellStore", "cell_key"],
        "run_directory": ["RunDirectory", "command_line", "hardware", "peak_memory_mb", "versions"],
    },
)
