"""Recording a data set: worker processes roll out episodes and write whole shards.

Any number of commands, on any machines that share the file system, may record one data set together, without a
coordinator: whoever holds the lease of a shard records it (`leases.py`), and each command returns when all shards
stand. A shard's content depends on its number alone, so that at worst, where locks are not shared, work is done twice.

Kept free of torch, so that a worker starts in a second.
"""

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from worldmodel import envs
from worldmodel.data.index import (
    INDEX_NAME,
    Index,
    RecordingRecord,
    WorldArguments,
    differences,
    read_index,
    world_record,
    write_index,
)
from worldmodel.data.leases import lease, remove_leases
from worldmodel.data.shards import open_shard, read_column, shard_path, write_shard
from worldmodel.envs.excitation import make_policy
from worldmodel.envs.rollout import Episode, rollout
from worldmodel.system.errors import StoreError, UserError
from worldmodel.system.files import leftovers, write_new
from worldmodel.system.progress import progress

FRAMES_PER_SHARD = 10_000
# between two looks at a shard that another command records
BUSY_POLL_S = 0.5
# workers on a busy machine may take so long to start, the import of the simulator included
START_S = 120.0
# worker processes may die or hang that often in a row without a shard being finished
MAX_FAILURES = 2


@dataclass(frozen=True)
class Recording:
    """Everything that determines an episode, but for its index.

    world: keyword arguments of `envs.make`. policy: name and parameters of an excitation policy. drift_rho: correlation
    of the randomised physical constants before and after the middle of an episode; None: they stay. restart_midway: the
    second half is a motion of its own, from another start. engine: "classic"
    simulates one episode after the other with MuJoCo, "warp" `worlds` at a time with MuJoCo Warp, one shard's worth.
    """

    name: str
    world: Mapping[str, Any]
    policy: Mapping[str, Any]
    episode_steps: int
    seed: int
    drift_rho: float | None = None
    restart_midway: bool = False
    engine: Literal["classic", "warp"] = "classic"
    worlds: int = 128

    @property
    def episodes_per_shard(self) -> int:
        return self.worlds if self.engine == "warp" else max(1, FRAMES_PER_SHARD // (self.episode_steps + 1))

    def record(self) -> RecordingRecord:
        """As the data set's index holds it."""
        return RecordingRecord(
            name=self.name,
            world=msgspec.convert(dict(self.world), WorldArguments),
            policy=json.loads(json.dumps(dict(self.policy))),  # tuples become lists, as they are read back
            episode_steps=self.episode_steps,
            seed=self.seed,
            drift_rho=self.drift_rho,
            restart_midway=self.restart_midway,
            engine=self.engine,
            worlds=self.worlds if self.engine == "warp" else None,
        )

    def episodes(self, indices: range, progress: Callable[[int], None] = lambda num_frames: None) -> Iterator[Episode]:
        """Roll out the episodes of these indices; each depends on its index and the settings alone.

        `progress` is told of frames as they are made.
        """
        world = envs.make(**self.world)
        policy = make_policy(**self.policy)
        seeds = [int(np.random.SeedSequence([self.seed, index]).generate_state(1)[0]) for index in indices]
        length: dict[str, Any] = {"num_steps": self.episode_steps, "drift_rho": self.drift_rho}
        try:
            if self.engine == "warp":
                yield from warp_engine().warp_rollouts(world, policy, seeds=seeds, progress=progress, **length)
                return
            for seed in seeds:
                episode = rollout(world, policy, seed=seed, restart_midway=self.restart_midway, **length)
                yield episode
                progress(len(episode.frames))
        finally:
            world.close()


def warp_engine() -> Any:
    """The module of the batched engine, which needs a package that the others do not."""
    try:
        from worldmodel.envs import warp
    except ImportError as error:
        raise UserError(
            f"engine=warp needs MuJoCo Warp ({error}); install it with: pip install 'worldmodel[warp]'"
        ) from error
    return warp


def record(directory: Path, recording: Recording, num_episodes: int, num_workers: int, stall_s: float = 600.0) -> float:
    """Complete the data set at `directory` to `num_episodes`; shards that stand are kept. Returns seconds.

    `stall_s`: workers that finish no episode for so long are taken to hang, and are replaced.

    Raises StoreError when the directory holds a data set of other settings; UserError when the disk is full, or when
    workers die or hang again and again.
    """
    start = time.monotonic()
    standing = _episodes_standing(directory, recording)
    total = max(num_episodes, standing)
    per_shard = recording.episodes_per_shard
    jobs = [range(i, min(i + per_shard, total)) for i in range(0, total, per_shard)]
    jobs = [job for job in jobs if not _stands(directory, recording, job)]
    if jobs or standing < total:  # a kill may fall between the last shard and the index
        # before anything is recorded: a wrong world, policy or factor is reported by this process, and only once
        world = envs.make(**recording.world)
        make_policy(**recording.policy)
        world.reset(seed=0)  # renders, so that a machine without OpenGL is noticed here too
        description = world_record(world)
        if recording.engine == "warp":
            warp_engine().check_supported(world)
            if note := warp_engine().drawn_differently(world):
                print(f"note: {note}")
        world.close()
        index = Index(recording.name, 0, per_shard, recording.record(), description)
        # before the first shard, so that what a kill leaves is never completed with other settings
        _claim(directory, recording, index)
        _Workers(directory, recording, num_workers, stall_s).run(jobs)
        # another command may have completed more in the meantime
        write_index(directory, replace(index, num_episodes=max(total, _episodes_standing(directory, recording))))
        for shard in range(-(-total // per_shard)):
            for leftover in leftovers(shard_path(directory, shard)):
                leftover.unlink(missing_ok=True)
        remove_leases(directory)
    return time.monotonic() - start


def _claim(directory: Path, recording: Recording, index: Index) -> None:
    """Say what the data set will be, unless that stands already; StoreError where it stands differently."""
    try:
        write_index(directory, index, write_new)
    except FileExistsError:
        _episodes_standing(directory, recording)


def _episodes_standing(directory: Path, recording: Recording) -> int:
    """Episodes of the finished data set at `directory`, 0 if none; StoreError when its settings differ."""
    if not (directory / INDEX_NAME).exists():
        return 0
    index = read_index(directory)
    for key, held, asked in differences(index.settings, recording.record()):
        envs.make(**recording.world).close()  # a world or policy that does not exist is the more useful news
        make_policy(**recording.policy)
        raise StoreError(
            f"{directory} holds a data set with {key}={held}, asked for {key}={asked}; "
            f"choose another folder (data=…) or delete {directory}"
        )
    return index.num_episodes


def _stands(directory: Path, recording: Recording, job: range) -> bool:
    """Whether the shard of these episodes stands and holds as many; one that cannot be read does not."""
    path = shard_path(directory, job.start // recording.episodes_per_shard)
    if not path.exists():
        return False
    try:
        with open_shard(path) as file:
            return len(read_column(file, "ep_len", path)) >= len(job)
    except StoreError:
        return False


# ---------------------------------------------------------------------------------------------------------------------
# the parent of the workers


class _Stalled(Exception):
    """No worker has finished an episode for too long."""


class _Workers:
    """Worker processes that record shards, replaced when they die or hang."""

    def __init__(self, directory: Path, recording: Recording, num_workers: int, stall_s: float) -> None:
        self._directory, self._recording, self._stall_s = directory, recording, stall_s
        # torchrun starts several commands on a machine; one process fills a GPU
        most = 1 if recording.engine == "warp" else os.cpu_count() or 1
        self._num_workers = num_workers or most // int(os.environ.get("LOCAL_WORLD_SIZE", 1)) or 1

    def run(self, jobs: list[range]) -> None:
        """Until the shards of all jobs stand, recorded here or by another command."""
        total = sum(map(len, jobs)) * (self._recording.episode_steps + 1)
        bar = progress(total=total, desc=f"collect {self._recording.name}", unit="frame", unit_scale=True)
        failures = 0
        try:
            while jobs:
                try:
                    self._run_pool(jobs, bar)
                except (BrokenProcessPool, _Stalled) as error:
                    before, jobs = len(jobs), self._missing(jobs)
                    failures = failures + 1 if len(jobs) == before else 1
                    if jobs and failures > MAX_FAILURES:
                        raise UserError(self._diagnosis(error, jobs[0])) from error
                jobs = self._missing(jobs)
        finally:
            bar.close()

    def _missing(self, jobs: list[range]) -> list[range]:
        return [job for job in jobs if not _stands(self._directory, self._recording, job)]

    def _diagnosis(self, error: Exception, job: range) -> str:
        what = f"hung for {self._stall_s:g} s" if isinstance(error, _Stalled) else "died"
        return (
            f"worker processes {what} {MAX_FAILURES + 1} times without finishing a shard (next: episodes {job.start} "
            f"to {job.stop - 1}); what is finished is kept. Try workers=1; look at the world, or the machine's memory"
        )

    def _run_pool(self, jobs: list[range], bar: Any) -> None:
        """One pool of workers, until all jobs are done or it breaks."""
        workers = max(1, min(self._num_workers, len(jobs)))
        # Inside a job of joblib the default is a method of its own, whose name new processes would look up in vain.
        if multiprocessing.get_start_method(allow_none=True) not in (None, *multiprocessing.get_all_start_methods()):
            multiprocessing.set_start_method("forkserver", force=True)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])  # the simulator is imported once, not by every worker
        frames_done = context.Value("q", 0)  # of this pool: a worker may die with the lock of the last one's in hand
        pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(frames_done,))
        try:
            while jobs:
                waiting = {pool.submit(_record_shard, self._directory, self._recording, job): job for job in jobs}
                jobs = self._collect(waiting, frames_done, bar)  # what others are at
                if jobs:
                    time.sleep(BUSY_POLL_S)
        except BaseException as error:
            for child in multiprocessing.active_children():
                child.kill() if isinstance(error, _Stalled) else child.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _collect(self, waiting: dict["Future[bool]", range], frames_done: "Synchronized[int]", bar: Any) -> list[range]:
        """Wait for all jobs; returns those that another command holds the lease of."""
        busy: list[range] = []
        moved, seen, patience = time.monotonic(), frames_done.value, max(self._stall_s, START_S)
        while waiting:
            finished, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            done = frames_done.value
            if finished or done != seen:
                moved, patience = time.monotonic(), self._stall_s
            elif time.monotonic() - moved > patience:
                raise _Stalled
            bar.update(done - seen)
            seen = done
            for future in finished:
                job = waiting.pop(future)
                if not future.result():
                    busy.append(job)
        return busy


# ---------------------------------------------------------------------------------------------------------------------
# a worker process

_frames_done: "Synchronized[int] | None" = None


def _start_worker(counter: "Synchronized[int]") -> None:
    global _frames_done
    _frames_done = counter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent cannot stop its workers; they notice that they were orphaned, at once."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _record_shard(directory: Path, recording: Recording, job: range) -> bool:
    """Record the episodes of a job; False where another command is doing so."""
    shard = job.start // recording.episodes_per_shard
    with lease(directory, shard) as granted:
        if granted and not _stands(directory, recording, job):
            for leftover in leftovers(shard_path(directory, shard)):
                leftover.unlink(missing_ok=True)
            write_shard(shard_path(directory, shard), recording.episodes(job, _count))
    return granted


def _count(num_frames: int) -> None:
    if _frames_done is not None:
        with _frames_done.get_lock():
            _frames_done.value += num_frames
