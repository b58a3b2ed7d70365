"""Collecting a data set: from the settings of `collect` to whole shards on the disk."""

from dataclasses import dataclass
from pathlib import Path

from worldmodel.data.recording import record, recording_of
from worldmodel.data.store import DataSet
from worldmodel.settings import RECORDED, CollectConfig


@dataclass(frozen=True)
class CollectResult:
    """A data set that holds at least what was asked for."""

    directory: Path
    """Where it is."""

    episodes: int
    """Episodes that it holds: more than were asked for, where it held more before."""

    frames: int
    """Frames of all these episodes."""

    seconds: float
    """Wall seconds of recording; nearly none where all episodes were recorded before."""


def collect(config: CollectConfig) -> CollectResult:
    """Complete the data set of `config`: what is missing is recorded by worker processes, and nothing twice.

    May be called again after it was cut off, and by several processes and machines at once.

    Raises:
        StoreError: the directory holds a data set of other settings; or env.world is "recorded" and it holds none.
        UserError: the disk is full, or workers die again and again.
        ValueError: the world or the policy does not exist, or takes no such option.
    """
    seconds = 0.0
    if config.env.world != RECORDED:
        seconds = record(config.directory, recording_of(config), config.episodes, config.workers)
    data = DataSet(config.directory)
    return CollectResult(config.directory, data.num_episodes, data.num_rows, seconds)
