"""Recording a data set: worker processes roll out episodes and write whole shards.

Kept free of torch, so that a worker starts in a second.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import envs
from envs.excitation import make_policy
from envs.rollout import Episode, rollout
from worldmodel.data.store import INDEX_NAME, read_index, shard_path, write_index, write_shard
from worldmodel.errors import StoreError
from worldmodel.progress import progress

FRAMES_PER_SHARD = 10_000


@dataclass(frozen=True)
class Recording:
    """Everything that determines an episode, but for its index.

    world: keyword arguments of `envs.make`. policy: name and parameters of an excitation policy. drift_rho: correlation
    of the randomised physical constants before and after the middle of an episode; None: they stay.
    """

    name: str
    world: Mapping[str, Any]
    policy: Mapping[str, Any]
    episode_steps: int
    seed: int
    drift_rho: float | None = None

    @property
    def episodes_per_shard(self) -> int:
        return max(1, FRAMES_PER_SHARD // (self.episode_steps + 1))

    def episodes(self, indices: range) -> Iterator[Episode]:
        """Roll out the episodes of these indices; each depends on its index and the settings alone."""
        world = envs.make(**self.world)
        policy = make_policy(**self.policy)
        try:
            for index in indices:
                seed = int(np.random.SeedSequence([self.seed, index]).generate_state(1)[0])
                yield rollout(world, policy, seed=seed, num_steps=self.episode_steps, drift_rho=self.drift_rho)
        finally:
            world.close()


def record(directory: Path, recording: Recording, num_episodes: int, num_workers: int) -> float:
    """Complete the data set at `directory` to `num_episodes`; shards that stand are kept. Returns seconds.

    Raises StoreError when the directory holds a data set of other settings, UserError when the disk is full.
    """
    start = time.monotonic()
    settings = asdict(recording)
    standing = _episodes_standing(directory, settings)
    total = max(num_episodes, standing)
    per_shard = recording.episodes_per_shard
    jobs = [range(i, min(i + per_shard, total)) for i in range(0, total, per_shard)]
    jobs = [job for job in jobs if _episodes_in(shard_path(directory, job.start // per_shard)) != len(job)]
    if jobs or standing < total:  # a kill may fall between the last shard and the index
        # before anything is recorded: a wrong world, policy or factor is reported by this process, and only once
        world = envs.make(**recording.world)
        make_policy(**recording.policy)
        world.reset(seed=0)  # renders, so that a machine without OpenGL is noticed here too
        description = world.describe()
        world.close()
        index = {
            "name": recording.name,
            "num_episodes": standing,
            "episodes_per_shard": per_shard,
            "settings": settings,
            "world": description,
        }
        for leftover in directory.glob(".shard-*.tmp"):
            leftover.unlink(missing_ok=True)
        # before the first shard too, so that what a kill leaves is never completed with other settings
        write_index(directory, index)
        _run_jobs(directory, recording, jobs, num_workers)
        write_index(directory, {**index, "num_episodes": total})
    return time.monotonic() - start


def _episodes_standing(directory: Path, settings: dict[str, Any]) -> int:
    """Episodes of the finished data set at `directory`, 0 if none; StoreError when its settings differ."""
    if not (directory / INDEX_NAME).exists():
        return 0
    index = read_index(directory)
    held, asked = _flat(index["settings"]), _flat(settings)
    for key in {**held, **asked}:
        if held.get(key) != asked.get(key):
            envs.make(**settings["world"]).close()  # a world or policy that does not exist is the more useful news
            make_policy(**settings["policy"])
            raise StoreError(
                f"{directory} holds a data set with {key}={held.get(key)}, asked for {key}={asked.get(key)}; "
                f"choose another folder (data=…) or delete {directory}"
            )
    return int(index["num_episodes"])


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _episodes_in(path: Path) -> int:
    """Episodes in the shard at `path`; 0 when it does not stand or cannot be read."""
    if not path.exists():
        return 0
    try:
        with h5py.File(path, "r") as file:
            lengths = file["ep_len"]
            assert isinstance(lengths, h5py.Dataset)
            return len(lengths)
    except (OSError, KeyError):
        return 0


# ---------------------------------------------------------------------------------------------------------------------
# worker processes

_frames_done: "Synchronized[int] | None" = None


def _run_jobs(directory: Path, recording: Recording, jobs: list[range], num_workers: int) -> None:
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    total = sum(map(len, jobs)) * (recording.episode_steps + 1)
    workers = max(1, min(num_workers or os.cpu_count() or 1, len(jobs)))
    bar = progress(total=total, desc=f"collect {recording.name}", unit="frame", unit_scale=True)
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(counter, os.getpid()))
    try:
        waiting: set[Future[None]] = {pool.submit(_write_job, directory, recording, job) for job in jobs}
        while waiting:
            finished, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            bar.update(counter.value - bar.n)
            for future in finished:
                future.result()
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        bar.close()


def _start_worker(counter: "Synchronized[int]", parent: int) -> None:
    global _frames_done
    _frames_done = counter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    """A killed parent cannot stop its workers; they notice that they were orphaned."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _write_job(directory: Path, recording: Recording, job: range) -> None:
    path = shard_path(directory, job.start // recording.episodes_per_shard)
    write_shard(path, _counted(recording.episodes(job)))


def _counted(episodes: Iterator[Episode]) -> Iterator[Episode]:
    for episode in episodes:
        yield episode
        if _frames_done is not None:
            with _frames_done.get_lock():
                _frames_done.value += len(episode.frames)
