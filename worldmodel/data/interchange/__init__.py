"""Data sets of other toolkits: LeRobot v3, Minari and stable-worldmodel are read, stable-worldmodel's is written."""

from worldmodel.data.interchange.export import is_written_from, write_stable_worldmodel
from worldmodel.data.interchange.foreign import ForeignColumns, ForeignData
from worldmodel.data.interchange.images import fit_frames
from worldmodel.data.interchange.opening import open_foreign

__all__ = ["ForeignColumns", "ForeignData", "fit_frames", "is_written_from", "open_foreign", "write_stable_worldmodel"]
