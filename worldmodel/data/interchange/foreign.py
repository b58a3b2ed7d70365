"""The interface of readers of other toolkits' data sets, and the checks that all of them share.

Readers take files from untrusted sources: no path and no format string out of them is followed, and what one
episode may hold is bounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from worldmodel.system.errors import StoreError, UserError

MAX_EPISODE_BYTES = 8 * 10**9
MAX_STATES = 10_000


@dataclass(frozen=True)
class ForeignColumns:
    """An episode without its frames: T actions between T + 1 frames; T is -1 or 0 where a recording was aborted."""

    actions: np.ndarray
    """float32 (T, A), in the source's own unit."""

    states: np.ndarray
    """float32 (T + 1, X)."""

    rewards: np.ndarray
    """float32 (T,), of each action; zeros where the source has none."""

    gap: str = ""
    """Where the source's own numbers contradict one row after another at a constant rate; empty where they do not."""

    def problem(self) -> str:
        """Why the episode cannot be used; empty where it can."""
        num_frames = len(self.states)
        if num_frames < 2:
            return f"it has {num_frames} frame{'s' * (num_frames != 1)}"
        for name, values in (("actions", self.actions), ("rewards", self.rewards)):
            if len(values) != num_frames - 1:
                more = " or more" if len(values) > num_frames else ""  # not all of them need have been read
                return f"it has {len(values)}{more} {name} for {num_frames} frames, one between two is needed"
        if self.gap:
            return self.gap
        for name, values in (("actions", self.actions), ("states", self.states), ("rewards", self.rewards)):
            if not np.isfinite(values).all():
                return f"its {name} are not all finite numbers"
        return ""


class ForeignData(Protocol):
    """A data set of another toolkit, open for reading; episodes are numbered from 0 in the order of the source."""

    kind: str
    """The toolkit's name."""

    camera: str
    """The image column that frames are taken from."""

    cameras: tuple[str, ...]
    """All image columns."""

    state_names: tuple[str, ...]
    """X names; those of the source are not always known."""

    control_dt_s: float
    """Seconds from one frame to the next."""

    num_episodes: int
    """Episodes in the source, those that cannot be used included."""

    num_promised: int
    """Episodes that the source says it has; it may have been copied in part."""

    def columns(self, episode: int) -> ForeignColumns:
        """Everything but the frames of an episode; StoreError or UserError where it cannot be read."""
        ...

    def frames(self, episode: int, size: int = 0) -> np.ndarray:
        """The middle squares of its frames, averaged to `size` pixels a side: uint8 (T + 1, size, size, 3).

        size 0 keeps their pixels. Few frames are in memory at their own size at a time.

        StoreError where they cannot be read, or are not all of one size.
        """
        ...

    def close(self) -> None:
        """Free what is open."""
        ...


_NO_VIEWS = ("goal", "mask", "segment", "depth")
"""Words in the names of image columns that do not show the robot's view."""


def choose_camera(names: Sequence[str], wanted: str, path: Path, others: Sequence[str] = ()) -> str:
    """The image column to take: the one that was asked for, or the one called "pixels", or the first.

    others: columns that are no images, each with its type and shape, for the message.

    Pictures of goals, masks and depths come last: they are what a camera saw only where there is nothing else.
    """
    if not names:
        there = f"; there are {', '.join(others)[:300]}" if others else ""
        raise StoreError(
            f"{path} holds no images, from which this toolkit learns: uint8 (rows, height, width, 3), or gray, "
            f"channels first, fractions of 1, or encoded{there}"
        )
    if not wanted:
        likely = sorted(names, key=lambda name: any(word in name.lower() for word in _NO_VIEWS))
        return next((name for name in likely if name.rpartition("/")[2] == "pixels"), likely[0])
    for name in names:
        if wanted in (name, name.rpartition("/")[2]):
            return name
    raise UserError(f"{path} has no camera {wanted!r}; choose one of {', '.join(names)}")


def as_actions(values: np.ndarray, path: Path) -> np.ndarray:
    """Actions as float32 (T, A): whole numbers and truth values in columns (MultiDiscrete, MultiBinary) are numbers,
    those without are names."""
    if values.dtype.kind not in ("fiub" if values.ndim > 1 else "fiu"):
        raise UserError(f"{path}: actions are of type {values.dtype}; numbers are needed")
    if values.ndim == 1 and values.dtype.kind in "iu":
        raise UserError(
            f"{path}: actions are the numbers of discrete choices, {values.shape}, which planners cannot search; "
            "store them as columns (T, A), such as one-hot vectors"
        )
    if values.ndim > 2:
        raise UserError(f"{path}: actions have shape {values.shape}; (T, A) is needed: flatten them")
    return _columns(values)


def stacked(parts: list[np.ndarray], num_rows: int) -> np.ndarray:
    """State columns, each (rows,) or (rows, x), beside each other: float32 (rows, X); X is 0 where there are none."""
    return np.concatenate([np.zeros((num_rows, 0), np.float32), *map(_columns, parts)], 1)


def _columns(values: np.ndarray) -> np.ndarray:
    return (values[:, None] if values.ndim == 1 else values).astype(np.float32)


def numbered(names: Sequence[str], widths: Sequence[int]) -> tuple[str, ...]:
    """A name for each of `width` columns of every vector: "state_0", "state_1", …

    StoreError where a few bytes ask for more names than a state can have.
    """
    if sum(widths) > MAX_STATES:
        raise StoreError(f"{', '.join(names)[:100]} have {sum(widths)} numbers a row; at most {MAX_STATES} are read")
    return tuple(f"{name}_{i}" for name, width in zip(names, widths, strict=True) for i in range(width))
