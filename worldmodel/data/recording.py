"""Recording a data set: worker processes roll out episodes and write whole shards.

Any number of commands, on any machines that share the file system, may record one data set together, without a
coordinator: whoever holds the lease of a shard records it (`leases.py`), and each command returns when all shards are
recorded. A shard's content depends on its number alone, so that on a file system without locks work is done twice, and
nothing is lost.

Kept free of torch, so that a worker starts in a second.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
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
    write_index,
)
from worldmodel.data.leases import index_lease, lease, remove_leases
from worldmodel.data.provenance import check_same_world, provenance
from worldmodel.data.shards import FRAMES_PER_SHARD, open_shard, read_column, shard_path, write_shard
from worldmodel.data.workers import Work, WorkerPool, report_progress
from worldmodel.envs.effects import effect
from worldmodel.envs.excitation import Policy, make_policy
from worldmodel.envs.rollout import Episode, episode_seed, rollout
from worldmodel.settings import CollectConfig
from worldmodel.system.errors import StoreError, UserError
from worldmodel.system.files import remove_leftovers, write_new
from worldmodel.system.printable import say
from worldmodel.system.progress import progress
from worldmodel.system.resident import require_frames


@dataclass(frozen=True)
class Recording:
    """Everything that determines an episode, but for its number."""

    name: str
    """Name of the data set."""

    world: Mapping[str, Any]
    """Keyword arguments of `envs.make`."""

    policy: Mapping[str, Any]
    """Name and parameters of an excitation policy, as `make_policy` takes them."""

    episode_steps: int
    """Control steps of an episode, unless the world ends it earlier."""

    seed: int
    """Seed of all episodes; each also depends on its number."""

    drift_rho: float | None = None
    """Correlation of the drawn physical constants before and after the middle of an episode; None: they stay."""

    restart_midway: bool = False
    """Whether the second half of an episode starts anew, from another state."""

    engine: Literal["classic", "warp"] = "classic"
    """"classic" simulates one episode after the other with MuJoCo; "warp" `worlds` at a time with MuJoCo Warp."""

    worlds: int = 128
    """Episodes that "warp" simulates at once: one shard's worth."""

    @property
    def episodes_per_shard(self) -> int:
        """Episodes of every shard but the last."""
        return self.worlds if self.engine == "warp" else max(1, FRAMES_PER_SHARD // (self.episode_steps + 1))

    def arguments(self) -> WorldArguments:
        """The keyword arguments of `envs.make`, typed."""
        return msgspec.convert(dict(self.world), WorldArguments)

    def record(self) -> RecordingRecord:
        """What the data set's index says of it."""
        return RecordingRecord(
            name=self.name,
            world=self.arguments(),
            policy=json.loads(json.dumps(dict(self.policy))),  # tuples become lists, as they are read back
            episode_steps=self.episode_steps,
            seed=self.seed,
            drift_rho=self.drift_rho,
            restart_midway=self.restart_midway,
            engine=self.engine,
            worlds=self.worlds if self.engine == "warp" else None,
        )

    def episodes(self, indices: range, progress: Callable[[int], None] = lambda num_frames: None) -> Iterator[Episode]:
        """Roll out the episodes of these numbers; each depends on its number and the settings alone.

        progress: called with the number of frames that were made since the last call.
        """
        world = envs.make(**self.world)
        policy = make_policy(**self.policy)
        seeds = [episode_seed(self.seed, index) for index in indices]
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


def recording_of(config: CollectConfig) -> Recording:
    """The recording that the settings of `collect` describe; UserError where they name no policy."""
    if "name" not in config.policy:
        raise UserError('policy names no excitation policy; give one, such as policy={"name": "ou"}')
    return Recording(
        name=config.env.label,
        world=config.env.make_arguments(),
        policy=dict(config.policy),
        episode_steps=config.episode_steps,
        seed=config.data_seed,
        drift_rho=config.drift_rho,
        restart_midway=config.restart_midway,
        **({} if config.warp_worlds is None else {"engine": "warp", "worlds": config.warp_worlds}),
    )


def warp_engine() -> Any:
    """The module of the batched engine, which needs a package that the others do not."""
    try:
        from worldmodel.envs import warp
    except ImportError as error:
        raise UserError(
            f"warp_worlds needs MuJoCo Warp ({error}); install it with: pip install 'worldmodel[warp]'"
        ) from error
    return warp


def record(
    directory: Path, recording: Recording, num_episodes: int, num_workers: int | None, stall_s: float = 600.0
) -> float:
    """Complete the data set at `directory` to `num_episodes`; recorded shards are kept. Returns seconds.

    num_workers: processes; None takes every core of the machine, or one process with MuJoCo Warp.
    stall_s: workers that finish no episode for so long are taken to hang, and are replaced.

    Raises StoreError when the directory holds a data set of other settings, or of the same world as it was before it
    was edited; UserError when the disk is full, or when workers die or hang again and again; ValueError when the world
    or the policy cannot be made.
    """
    start = time.monotonic()
    recorded = _episodes_recorded(directory, recording)
    total = max(num_episodes, recorded)
    per_shard = recording.episodes_per_shard
    jobs = [range(i, min(i + per_shard, total)) for i in range(0, total, per_shard)]
    jobs = [job for job in jobs if not _is_recorded(directory, recording, job)]
    if not jobs and recorded >= total:
        _check_world(directory, recording)
        return time.monotonic() - start
    num_workers = num_workers or _usual_workers(recording)
    at_once = recording.worlds if recording.engine == "warp" else min(num_workers, len(jobs))
    num_frames = at_once * (recording.episode_steps + 1)
    remedy = "lower workers, warp_worlds, episode_steps or env.image_size"
    require_frames(num_frames, recording.arguments().image_size, "the frames of episodes recorded at once", remedy)
    # before the first shard, so that a command with other settings does not complete what this one began
    _claim(directory, recording)
    # none are left where an earlier command was killed between the last shard and the index
    _record_jobs(directory, recording, jobs, num_workers, stall_s)
    _count_episodes(directory, total)
    for shard in range(-(-total // per_shard)):
        remove_leftovers(shard_path(directory, shard))
    remove_leftovers(directory / INDEX_NAME)
    remove_leases(directory)
    return time.monotonic() - start


def _claim(directory: Path, recording: Recording) -> None:
    """Write the index of the data set to be recorded, unless it is there; StoreError where it has other settings.

    The world and the policy are tried out before, so that what is wrong with them is reported before workers start.
    """
    arguments = recording.arguments()
    policy = make_policy(**recording.policy)
    if not envs.is_known_everywhere(arguments.name):
        raise UserError(
            f"world {arguments.name!r} is registered in this process alone, and other processes record; name a "
            "function in a Python file that returns it: path/to/file.py:factory"
        )
    world = envs.make(**recording.world)
    try:
        now = provenance(arguments, world)
        _check_reproducible(world)  # renders, so that a machine without OpenGL is noticed here too
        policy.begin(world, np.random.default_rng(0))
        _check_factors_act(world, policy, recording)
        if recording.engine == "warp":
            warp_engine().check_supported(world)
            if note := warp_engine().drawn_differently(world):
                say(f"note: {note}")
    finally:
        world.close()
    index = Index(recording.name, 0, recording.episodes_per_shard, recording.record(), now.record, now.digest)
    try:
        write_index(directory, index, write_new)
    except FileExistsError:
        _episodes_recorded(directory, recording)
        check_same_world(directory, read_index(directory), arguments, now)


def _check_reproducible(world: envs.MujocoWorld) -> None:
    """UserError where two resets with one seed differ: a shard would depend on when it is recorded, and a controller's
    episodes on their order."""
    first, second = (world.reset(seed=0)[0] for _ in range(2))
    if differing := [name for name in first if not np.array_equal(first[name], second[name])]:
        raise UserError(
            f"{world.name} does not heed the seed: two resets with seed 0 differ in {' and '.join(differing)}; draw "
            "all that is random from the generator that reset is given"
        )


def _check_factors_act(world: envs.MujocoWorld, policy: Policy, recording: Recording) -> None:
    """UserError where a factor that the user named and randomises changes nothing in two episodes."""
    named = {factor.name for factor in world.factors.values() if factor.group in recording.world.get("factors", {})}
    for name in (name for name in world.randomize if name in named):
        if not any(effect(world, name, policy, seed=seed, num_steps=recording.episode_steps) for seed in (0, 1)):
            what = (
                "picture" if world.factors[name].kind == "visual" else f"motion under policy {recording.policy['name']}"
            )
            raise UserError(
                f"factor {name} ({world.factors[name].description}) does not act: no {what} changes with it; see "
                f"worldmodel worlds env={recording.world['name']} for those that do"
            )


def _check_world(directory: Path, recording: Recording) -> None:
    """StoreError where the world of a finished data set was edited since; not where it cannot be determined."""
    index = read_index(directory)
    if index.digest is None:
        return
    try:
        world = envs.make(**recording.world)
    except envs.UnknownWorld:  # its Python file is not on this machine
        return
    try:
        check_same_world(directory, index, recording.arguments(), provenance(recording.arguments(), world))
    finally:
        world.close()


def _count_episodes(directory: Path, total: int) -> None:
    """Write into the index that `total` episodes are recorded, or more where another command has recorded more.

    Commands that record different numbers of episodes may come here at once. Without locks, one of them may overwrite
    the larger number of another; it then finds the other's shards, which were there before that number was written.
    """
    with index_lease(directory):
        index = read_index(directory)
        while (count := max(total, _whole_episodes(directory, index))) > index.num_episodes:
            index = replace(index, num_episodes=count)
            write_index(directory, index)


def _whole_episodes(directory: Path, index: Index) -> int:
    """Episodes that are recorded: those of the index, and those of the shards that follow."""
    per_shard = index.episodes_per_shard
    shard = index.num_episodes // per_shard
    while (found := _num_episodes(shard_path(directory, shard))) >= per_shard:
        shard += 1
    return max(index.num_episodes, shard * per_shard + found)


def _episodes_recorded(directory: Path, recording: Recording) -> int:
    """Episodes of the finished data set at `directory`, 0 if none; StoreError when its settings differ."""
    if not (directory / INDEX_NAME).exists():
        return 0
    index = read_index(directory)
    for key, held, asked in differences(index.settings, recording.record()):
        envs.make(**recording.world).close()  # a world or policy that does not exist is said first
        make_policy(**recording.policy)
        raise StoreError(
            f"{directory} holds a data set with {key}={held}, asked for {key}={asked}; "
            f"choose another folder (data=…) or delete {directory}"
        )
    return index.num_episodes


def _is_recorded(directory: Path, recording: Recording, job: range) -> bool:
    """Whether the shard of these episodes is recorded and holds as many."""
    return _num_episodes(shard_path(directory, job.start // recording.episodes_per_shard)) >= len(job)


def _num_episodes(path: Path) -> int:
    """Episodes of a shard; 0 where it is missing, or cannot be read."""
    try:
        with open_shard(path) as file:
            return len(read_column(file, "ep_len", path))
    except StoreError:
        return 0


def _record_jobs(directory: Path, recording: Recording, jobs: list[range], num_workers: int, stall_s: float) -> None:
    work = Work(partial(_record_shard, directory, recording), partial(_is_recorded, directory, recording), __name__)
    total = sum(map(len, jobs)) * (recording.episode_steps + 1)
    with progress(total=total, desc=f"collect {recording.name}", unit="frame", unit_scale=True) as bar:
        WorkerPool(work, num_workers, stall_s).run(jobs, bar)


def _usual_workers(recording: Recording) -> int:
    """Every core, shared with the other commands that torchrun starts on a machine; one process fills a GPU."""
    most = 1 if recording.engine == "warp" else os.cpu_count() or 1
    return most // int(os.environ.get("LOCAL_WORLD_SIZE", 1)) or 1


def _record_shard(directory: Path, recording: Recording, job: range) -> bool:
    """Record the episodes of a job, in a worker process; False where another command is doing so."""
    shard = job.start // recording.episodes_per_shard
    path, is_recorded = shard_path(directory, shard), partial(_is_recorded, directory, recording, job)
    with lease(directory, shard) as granted:
        if granted and not is_recorded():
            remove_leftovers(path)
            write_shard(path, recording.episodes(job, report_progress), unless=is_recorded)
    return granted
