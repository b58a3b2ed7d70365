"""Recordings of small shards, some with mishaps: in a module without torch, since every worker process imports it.

python recording_fakes.py SmallShards DIRECTORY NUM_EPISODES     records as another command would
"""

import errno
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worldmodel.data.recording import Recording, record
from worldmodel.envs.rollout import Episode
from worldmodel.system.errors import UserError

STEPS, PER_SHARD, EPISODES = 6, 3, 23
NUM_SHARDS = 8
WORLD = {
    "name": "reacher",
    "kinematic": None,
    "image_size": 16,
    "supersample": 1,
    "quality": "fast",
    "randomize": ["arm_mass"],
    "factor_rho": {},
}
POLICY = {"name": "uniform", "hold_steps": 2}


class SmallShards(Recording):
    """Shards of few episodes; a class and no patch, because it has to reach the worker processes."""

    @property
    def episodes_per_shard(self) -> int:
        return PER_SHARD


class DiskFillsUp(SmallShards):
    """The second shard meets a full disk."""

    def episodes(self, indices: range, progress=lambda num_frames: None) -> Iterator[Episode]:
        yield from super().episodes(indices[:1], progress)
        if indices.start >= PER_SHARD:
            raise UserError("no space left on the disk")
        yield from super().episodes(indices[1:], progress)


@dataclass(frozen=True)
class WithMishaps(SmallShards):
    """The worker of the second shard dies, and the worker of the third hangs; both only the first time."""

    folder: str = ""

    def episodes(self, indices: range, progress=lambda num_frames: None) -> Iterator[Episode]:
        yield from super().episodes(indices[:1], progress)
        shard = indices.start // PER_SHARD
        tried = Path(self.folder) / f"tried-{shard}"
        if shard in (1, 2) and not tried.exists():
            tried.touch()
            os.kill(os.getpid(), signal.SIGKILL) if shard == 1 else time.sleep(600)
        yield from super().episodes(indices[1:], progress)


class AlwaysDies(SmallShards):
    def episodes(self, indices: range, progress=lambda num_frames: None) -> Iterator[Episode]:
        os._exit(1)


class WithoutLocks(SmallShards):
    """On a file system without locks: it refuses them in the command, and in a worker as soon as this reaches it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fcntl.lockf = _refuse_locks

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        fcntl.lockf = _refuse_locks


def _refuse_locks(*_: Any) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def settings(kind: type[Recording] = SmallShards, **changes: Any) -> Recording:
    defaults = {"name": "tiny", "world": WORLD, "policy": POLICY, "episode_steps": STEPS, "seed": 5, "drift_rho": 0.3}
    return kind(**{**defaults, **changes})


if __name__ == "__main__":
    chosen = {kind.__name__: kind for kind in (SmallShards, WithoutLocks)}[sys.argv[1]]
    record(Path(sys.argv[2]), settings(chosen), int(sys.argv[3]), 1)
