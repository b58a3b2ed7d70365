"""Data sets on disk, and the pairs and clips that training draws from them."""

from typing import TYPE_CHECKING

from worldmodel.system.lazy import lazy_names

if TYPE_CHECKING:
    from worldmodel.data.arrays import write_arrays
    from worldmodel.data.collecting import CollectResult, collect
    from worldmodel.data.converting import convert
    from worldmodel.data.frames import DiskFrames, Frames, load_frames
    from worldmodel.data.interchange import open_foreign
    from worldmodel.data.merging import merge
    from worldmodel.data.pairs import LagPairs, OUPairs, PairSampler, nearest_poses, window_starts
    from worldmodel.data.recording import Recording, record, recording_of, warp_engine
    from worldmodel.data.store import DataSet, EpisodeIndex
    from worldmodel.data.table import LatentTable

__all__ = [
    "CollectResult",
    "DataSet",
    "DiskFrames",
    "EpisodeIndex",
    "Frames",
    "LagPairs",
    "LatentTable",
    "OUPairs",
    "PairSampler",
    "Recording",
    "collect",
    "convert",
    "load_frames",
    "merge",
    "nearest_poses",
    "open_foreign",
    "record",
    "recording_of",
    "warp_engine",
    "window_starts",
    "write_arrays",
]

__getattr__ = lazy_names(
    __name__,
    {
        "arrays": ["write_arrays"],
        "collecting": ["CollectResult", "collect"],
        "converting": ["convert"],
        "frames": ["DiskFrames", "Frames", "load_frames"],
        "interchange": ["open_foreign"],
        "merging": ["merge"],
        "pairs": ["LagPairs", "OUPairs", "PairSampler", "nearest_poses", "window_starts"],
        "recording": ["Recording", "record", "recording_of", "warp_engine"],
        "store": ["DataSet", "EpisodeIndex"],
        "table": ["LatentTable"],
    },
)
