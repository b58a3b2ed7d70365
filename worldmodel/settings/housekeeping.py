"""`report`, `data`, `demo`, `runs`, `worlds`: looking at what is there."""

from dataclasses import dataclass, field
from typing import Literal

from worldmodel.settings.base import Count, NonNegative, NonNegativeInt, Settings


@dataclass(frozen=True)
class ReportConfig(Settings):
    """One self-contained HTML page about a run, or about several."""

    run: str = ""
    """A run directory, or a pattern that names several."""
    out: str | None = None
    """Where the page goes; null: report.html in the run's folder."""
    overwrite: bool = False
    """Replace the file at `out` even where this command has not written it."""


@dataclass(frozen=True)
class DataConfig(Settings):
    """Look after data sets: worldmodel data info|verify|merge|convert path=data/NAME."""

    what: Literal["info", "verify", "merge", "convert"] = "info"
    """info: what it holds. verify: every byte against its checksum. merge: path and others, of one world, into out.
    convert: a LeRobot v3 folder, a Minari folder or stable-worldmodel's HDF5 into out=data/NAME; ours into out=NAME.h5
    for stable-worldmodel."""
    path: str = ""
    """The data set, or the recording to convert."""
    others: list[str] = field(default_factory=list)
    """Data sets to merge with it."""
    out: str | None = None
    """Where the result goes."""
    camera: str | None = None
    """Image column of the recording to convert; null: the first."""
    image_size: NonNegativeInt = 64
    """Pixels to which converted frames are reduced, after their middle square was cut out; 0 keeps theirs."""


@dataclass(frozen=True)
class DemoConfig(Settings):
    """The main job, small: identify, control, constants, and one page about them, in runs/demo."""

    runs: str = "runs"
    """Folder of runs."""
    data: str = "data/demo"
    """Folder of data sets."""
    seed: NonNegativeInt = 0
    """Seed of data and training."""
    tasks: Count = 100
    """Control tasks."""
    workers: Count | None = None
    """Processes that record; null takes every core."""


@dataclass(frozen=True)
class ZooConfig(Settings):
    """The trained models that come with the package, for run=zoo/NAME."""

    name: str | None = None
    """Print the card of this one; null: list all."""


@dataclass(frozen=True)
class RunsConfig(Settings):
    """Look after runs: worldmodel runs list|compare|verify|remove."""

    what: Literal["list", "compare", "verify", "remove"] = "list"
    """list: every run of the folder with its few figures, also what is not finished. compare: several runs side by
    side, and what differs between their settings. verify: every file against its checksum. remove: delete runs from the
    disk."""
    run: str | None = None
    """Which runs: a folder or a pattern such as "runs/push_t-s?"; null: all of `runs`."""
    runs: str = "runs"
    """Folder of runs."""


@dataclass(frozen=True)
class WorldsConfig(Settings):
    """List the worlds, or look closely at one: worldmodel worlds env=NAME."""

    env: str | None = None
    """Name of a world or a recipe, path/to/file.py:factory or gym:ID; "walker-*" lists worlds that match; null lists
    all."""
    out: str | None = None
    """Where a picture goes (PNG): of the world through each of its cameras, or of all that are listed."""
    seconds: NonNegative = 6.0
    """Seconds to measure which factors act, once for those that the world declares and once for all others."""
