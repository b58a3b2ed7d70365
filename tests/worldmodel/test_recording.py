"""Recording: the same content whatever the workers, kills and interrupts, and nothing lost but the shard in hand."""

import errno
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from recording_fakes import (
    EPISODES,
    NUM_SHARDS,
    PER_SHARD,
    POLICY,
    STEPS,
    WORLD,
    AlwaysDies,
    DiskFillsUp,
    SmallShards,
    WithMishaps,
    WithoutLocks,
    settings,
)

from worldmodel.cli.main import main
from worldmodel.data import recording, workers
from worldmodel.data.collecting import CollectResult, collect
from worldmodel.data.leases import lease, remove_leases
from worldmodel.data.recording import record, recording_of
from worldmodel.data.shards import shard_path, write_shard
from worldmodel.data.store import DataSet
from worldmodel.settings import RECORDED, CollectConfig, EnvConfig
from worldmodel.system.errors import StoreError, UserError
from worldmodel.system.files import write_atomically

ROOT = Path(__file__).parents[2]


def contents(directory: Path) -> dict[str, dict[str, np.ndarray]]:
    """Every column of every shard."""
    found = {}
    for path in sorted(directory.glob("*.h5")):
        with h5py.File(path, "r") as file:
            found[path.name] = {name: np.asarray(file[name]) for name in file}
    return found


def assert_same_contents(one: Path, other: Path) -> None:
    first, second = contents(one), contents(other)
    assert first.keys() == second.keys()
    for shard, columns in first.items():
        assert columns.keys() == second[shard].keys()
        for name, values in columns.items():
            np.testing.assert_array_equal(values, second[shard][name], err_msg=f"{shard} {name}")
    for path in sorted([*one.glob("*.h5"), one / "dataset.json"]):
        assert path.read_bytes() == (other / path.name).read_bytes(), path.name


def write_times(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in directory.glob("*.h5")}


def left_by_a_killed_process(path: Path, content: bytes) -> Path:
    """A temporary file of a process on this machine that wrote half of it and was killed."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)
        os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=write_atomically, args=(path, write))
    process.start()
    process.join()
    (left,) = path.parent.glob(f".{path.name}.*.tmp")
    return left


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    """One worker, never interrupted."""
    directory = tmp_path_factory.mktemp("data") / "tiny"
    record(directory, settings(), EPISODES, 1)
    return directory


@pytest.fixture
def copy(reference: Path, tmp_path: Path) -> Path:
    directory = tmp_path / "tiny"
    directory.mkdir()
    for path in reference.iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    return directory


def test_a_recording_holds_what_was_asked_for(reference):
    data = DataSet(reference)
    assert (data.num_episodes, data.num_rows) == (EPISODES, EPISODES * (STEPS + 1))
    assert len(contents(reference)) == NUM_SHARDS
    assert data.frames(slice(0, 2)).shape == (2, 16, 16, 3)
    np.testing.assert_array_equal(data.length, STEPS + 1)


def test_episodes_differ_from_one_another(reference):
    states = DataSet(reference).states.reshape(EPISODES, STEPS + 1, -1)
    assert len(np.unique(states[:, 0], axis=0)) == EPISODES


def test_two_workers_record_what_one_records(reference, tmp_path):
    record(tmp_path / "two", settings(), EPISODES, 2)
    assert_same_contents(tmp_path / "two", reference)


def test_growing_keeps_the_earlier_episodes(copy):
    first = DataSet(copy)
    pixels, states, before = first.frames(slice(0, first.num_rows)), first.states, write_times(copy)
    record(copy, settings(), EPISODES + 3, 1)
    grown = DataSet(copy)
    assert grown.num_episodes == EPISODES + 3
    np.testing.assert_array_equal(grown.frames(slice(0, first.num_rows)), pixels)
    np.testing.assert_array_equal(grown.states[: first.num_rows], states)
    # all but the last shard, which was not full, stand as they were
    rewritten = {name for name, written in before.items() if write_times(copy)[name] != written}
    assert rewritten == {f"shard-{NUM_SHARDS - 1:05d}.h5"}


def test_a_finished_data_set_is_not_touched_and_never_shrinks(copy):
    before = write_times(copy)
    record(copy, settings(), EPISODES, 1)
    record(copy, settings(), 2, 1)
    assert write_times(copy) == before
    assert DataSet(copy).num_episodes == EPISODES


@pytest.mark.parametrize(
    "change",
    [{"seed": 6}, {"episode_steps": STEPS + 1}, {"policy": {"name": "ou"}}, {"drift_rho": None}, {"name": "other"}],
)
def test_other_settings_are_refused_in_one_line(copy, change):
    before = write_times(copy)
    with pytest.raises(StoreError) as caught:
        record(copy, settings(**change), EPISODES + 1, 1)
    assert next(iter(change)) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert write_times(copy) == before


def test_damaged_shards_are_recorded_again_and_leftovers_go(copy, reference):
    whole = shard_path(copy, 0).read_bytes()
    shard_path(copy, 1).write_bytes(whole[: len(whole) // 2])
    shard_path(copy, 2).write_bytes(b"")
    shard_path(copy, 3).write_bytes(b"not HDF5" * 99)
    shard_path(copy, 4).unlink()
    with h5py.File(shard_path(copy, 5), "w") as file:
        file["something"] = [1, 2]
    left_by_a_killed_process(shard_path(copy, 1), whole[:100])
    before = write_times(copy)
    record(copy, settings(), EPISODES, 1)
    assert_same_contents(copy, reference)
    kept = {name for name, written in write_times(copy).items() if written == before.get(name)}
    assert kept == {"shard-00000.h5", "shard-00006.h5", "shard-00007.h5"}
    assert not list(copy.glob(".*"))


def test_a_disk_that_fills_up_in_a_worker_is_one_line_and_finished_shards_stay(tmp_path):
    with pytest.raises(UserError, match=r"^no space left on the disk$"):
        record(tmp_path, settings(DiskFillsUp), EPISODES, 1)
    assert "shard-00000.h5" in contents(tmp_path)
    assert "shard-00001.h5" not in contents(tmp_path)
    with pytest.raises(StoreError, match="no episode yet"):
        DataSet(tmp_path)


def test_a_recording_that_fails_ends_its_own_processes_and_no_other(tmp_path):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        number = pool.apply(os.getpid)
        with pytest.raises(UserError, match="no space left"):
            record(tmp_path, settings(DiskFillsUp), EPISODES, 2)
        assert pool.apply_async(os.getpid).get(60) == number


@pytest.mark.parametrize("call", ["record", "write_shard"])
def test_a_full_disk_is_noticed_before_hdf5_meets_it(tmp_path, monkeypatch, call):
    monkeypatch.setattr("worldmodel.system.files.shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match="no space left on the disk") as caught:
        if call == "record":
            record(tmp_path, settings(), EPISODES, 1)
        else:
            write_shard(tmp_path / "shard.h5", settings().episodes(range(1)))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_write_that_the_disk_refuses_leaves_no_half_shard(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("worldmodel.data.shards._append", refuse)
    with pytest.raises(UserError, match=r"^no space left on the disk of"):
        recording._record_shard(tmp_path, settings(), range(2))
    assert {path.name for path in tmp_path.iterdir()} <= {".leases"}


def test_workers_that_die_or_hang_are_replaced_and_nothing_is_lost(reference, tmp_path):
    record(tmp_path / "tiny", settings(WithMishaps, folder=str(tmp_path)), 3 * PER_SHARD, 1, stall_s=5)
    assert {path.name for path in tmp_path.glob("tried-*")} == {"tried-1", "tried-2"}
    for shard in range(3):
        assert shard_path(tmp_path / "tiny", shard).read_bytes() == shard_path(reference, shard).read_bytes()


def test_workers_that_always_die_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "MAX_FAILURES", 0)
    with pytest.raises(UserError, match=r"worker processes died 1 times .* episodes 0 to 2\)") as caught:
        record(tmp_path, settings(AlwaysDies), EPISODES, 1)
    assert "\n" not in str(caught.value)


def record_the_fourth_shard_slowly(directory: Path, reference: Path, started: Any) -> None:
    """Another command on the same data set: it is at shard 3 until all others stand."""
    with lease(directory, 3) as granted:
        assert granted
        started.set()
        while len(list(directory.glob("*.h5"))) < NUM_SHARDS - 1:
            time.sleep(0.05)
        write_atomically(shard_path(directory, 3), lambda path: shutil.copy(shard_path(reference, 3), path))


def test_two_commands_share_the_work_on_one_data_set(copy, reference):
    for shard in (3, 6):
        shard_path(copy, shard).unlink()
    context = multiprocessing.get_context("fork")
    started = context.Event()
    other = context.Process(target=record_the_fourth_shard_slowly, args=(copy, reference, started))
    other.start()
    assert started.wait(30)
    record(copy, settings(), EPISODES, 1)
    other.join()
    assert other.exitcode == 0
    assert_same_contents(copy, reference)
    assert not list(copy.glob(".*"))


def test_jobs_of_a_launcher_record_one_data_set(tmp_path, monkeypatch):
    """`collect -m` over joblib, whose processes start others in a way of their own."""
    monkeypatch.chdir(tmp_path)
    small = ["env=reacher", "env.image_size=16", "episodes=9", "episode_steps=3"]
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    assert main(["collect", "-m", *small, "workers=1,1", "data=swept", *launcher]) == 0
    assert main(["collect", *small, "workers=1", "data=alone"]) == 0
    assert_same_contents(tmp_path / "swept" / "reacher", tmp_path / "alone" / "reacher")


@pytest.mark.parametrize("kind", [SmallShards, WithoutLocks])
def test_three_commands_record_one_data_set_at_once_whatever_each_asks_for(tmp_path, reference, kind):
    """Without locks, work is done twice and nothing is lost."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("recording_fakes.py")), kind.__name__, str(tmp_path)]
    commands = [
        subprocess.Popen([*command, str(num)], env=environment, stderr=subprocess.PIPE, text=True)
        for num in (EPISODES, 2, EPISODES)
    ]
    for one in commands:
        _, errors = one.communicate(timeout=180)
        assert one.returncode == 0, errors
    assert_same_contents(tmp_path, reference)
    assert not list(tmp_path.glob(".*"))


def test_a_file_of_leases_that_was_removed_under_a_holder_gives_nobody_a_second_lease(tmp_path):
    with lease(tmp_path, 2) as granted:
        assert granted
        context = multiprocessing.get_context("fork")
        other = context.Process(target=remove_leases, args=(tmp_path,))
        other.start()
        other.join()
        assert (tmp_path / ".leases").exists()  # the last command removes it
    remove_leases(tmp_path)
    assert not (tmp_path / ".leases").exists()


def test_a_lease_ends_with_its_process(tmp_path):
    context = multiprocessing.get_context("fork")
    started = context.Event()

    def hold() -> None:
        with lease(tmp_path, 2) as granted:
            assert granted
            started.set()
            time.sleep(600)

    holder = context.Process(target=hold)
    holder.start()
    assert started.wait(30)
    for shard, free in ((2, False), (1, True)):
        with lease(tmp_path, shard) as granted:
            assert granted == free
    holder.kill()
    holder.join()
    with lease(tmp_path, 2) as granted:
        assert granted


def test_a_wrong_world_is_reported_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="arm_mas"):
        record(tmp_path, settings(world={**WORLD, "randomize": ["arm_mas"]}), EPISODES, 1)
    assert not list(tmp_path.iterdir())


def test_a_reset_that_does_not_heed_the_seed_is_refused(tmp_path):
    (tmp_path / "world.py").write_text(
        "import numpy as np\nfrom worldmodel.envs.suite import VariedPendulum\n"
        "own = np.random.default_rng(0)\n"
        "class Pendulum(VariedPendulum):\n"
        "    def reset(self, rng): super().reset(own)\n"
    )
    world = {**WORLD, "name": f"{tmp_path}/world.py:Pendulum", "randomize": []}
    with pytest.raises(UserError, match=r"does not heed the seed: two resets with seed 0 differ in pixels and state"):
        record(tmp_path / "data", settings(world=world), 2, 1)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "policy",
    [{"name": "walk"}, {"name": "ou", "st": 1.0}, {"name": "ou_tracking", "std": [1.0] * 5}, {}],
    ids=["unknown name", "unknown parameter", "fits another world", "no name"],
)
def test_a_wrong_policy_is_reported_before_anything_is_written(tmp_path, policy):
    config = CollectConfig(EnvConfig(image_size=16), policy, episodes=2, episode_steps=2, data=str(tmp_path))
    with pytest.raises(ValueError) as caught:
        collect(config)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_collect_says_what_the_data_set_holds(copy):
    world = {key: value for key, value in WORLD.items() if key not in ("name", "kinematic", "quality", "factor_shell")}
    env = EnvConfig(WORLD["name"], "tiny", **world)
    config = CollectConfig(env, POLICY, EPISODES, STEPS, drift_rho=0.3, data=str(copy.parent), workers=1, data_seed=5)
    assert recording_of(config).record() == settings().record()
    found = collect(config)
    assert found == CollectResult(copy, EPISODES, EPISODES * (STEPS + 1), found.seconds)
    recorded = CollectConfig(EnvConfig(RECORDED, "tiny"), data=str(copy.parent))
    assert collect(recorded) == CollectResult(copy, EPISODES, EPISODES * (STEPS + 1), 0.0)
    with pytest.raises(StoreError, match="no data set at"):
        collect(CollectConfig(EnvConfig(RECORDED, "other"), data=str(copy.parent)))


def test_a_script_without_a_main_guard_collects(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from worldmodel.data.collecting import collect\n"
        "from worldmodel.settings import CollectConfig, EnvConfig\n"
        "print(collect(CollectConfig(EnvConfig(image_size=16), {'name': 'ou'}, 2, 2, workers=1)).episodes)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == "2\n", done.stderr


# ---------------------------------------------------------------------------------------------------------------------
# kills and interrupts: the command line in a process of its own

# what `python -m worldmodel.cli` does, with small shards, and slowly where a signal is to fall midway; worker processes
# run it too, up to its last line
SCRIPT = f"""
import sys, time
from worldmodel.cli.main import main
from worldmodel.data import recording
recording.FRAMES_PER_SHARD = {PER_SHARD * (STEPS + 1)}
fast = recording.rollout
def slow(*args, **kwargs):
    time.sleep(float(sys.argv[1]))
    return fast(*args, **kwargs)
recording.rollout = slow
if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
"""


class Collect:
    """`worldmodel collect` into `folder`, in a session of its own."""

    def __init__(self, folder: Path, seconds_per_episode: float) -> None:
        script = folder / "collect.py"
        script.write_text(SCRIPT)
        self.directory = folder / "data" / "tiny"
        arguments = [
            *("env=reacher", "env.name=tiny", "env.image_size=16", "env.randomize=[arm_mass]", "drift_rho=0.3"),
            *("policy=uniform", "policy.hold_steps=2", f"episodes={EPISODES}", f"episode_steps={STEPS}"),
            *("data_seed=5", "workers=2", f"data={folder / 'data'}"),
        ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(seconds_per_episode), "collect", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
            # tests that a shell put in the background are deaf to Ctrl-C, and so would be what they start
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )

    def shards(self) -> set[str]:
        return {path.name for path in self.directory.glob("*.h5")}

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not condition():
            assert self.process.poll() is None, self.process.communicate()[1]
            assert time.monotonic() < deadline, "nothing was recorded"
            time.sleep(0.02)

    def finish(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=120)
        return self.process.returncode, errors


@pytest.fixture
def collecting(tmp_path) -> Iterator[Callable[[float], Collect]]:
    started: list[Collect] = []

    def start(seconds_per_episode: float) -> Collect:
        started.append(Collect(tmp_path, seconds_per_episode))
        return started[-1]

    yield start
    for command in started:
        if command.process.poll() is None:
            os.killpg(command.process.pid, signal.SIGKILL)
            command.process.communicate()


def test_interrupted_then_killed_then_finished_is_as_if_nothing_had_happened(collecting, reference):
    interrupted = collecting(0.5)
    interrupted.wait_for(lambda: bool(interrupted.shards()))
    os.killpg(interrupted.process.pid, signal.SIGINT)  # as Ctrl-C in a terminal: workers get it too
    code, errors = interrupted.finish()
    assert code == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    kept = write_times(interrupted.directory)
    assert 0 < len(kept) < NUM_SHARDS
    with pytest.raises(StoreError, match="no episode yet"):
        DataSet(interrupted.directory)

    killed = collecting(0.5)
    killed.wait_for(lambda: len(killed.shards()) > len(kept))
    os.kill(killed.process.pid, signal.SIGKILL)  # the parent alone: its workers must end by themselves
    assert killed.finish()[0] == -signal.SIGKILL  # the pipe closes when the last worker has ended
    standing = write_times(killed.directory)
    assert standing.items() >= kept.items()
    assert len(standing) < NUM_SHARDS

    record(killed.directory, settings(), EPISODES, 1)
    assert write_times(killed.directory).items() >= standing.items()
    assert not list(killed.directory.glob(".*"))
    assert_same_contents(killed.directory, reference)


def test_a_named_factor_is_recorded_and_one_that_does_not_act_is_refused(tmp_path):
    named = {"heavy": {"of": "body.pointmass.mass"}, "view": "camera.0.pos", "idle": "geom.0.friction"}
    env = EnvConfig(world="point_mass", image_size=16, factors=named, randomize=["heavy", "view"])
    config = CollectConfig(env=env, episodes=2, episode_steps=5, data=str(tmp_path), workers=1)
    collect(config)
    data = DataSet(config.directory)
    assert [f.name for f in data.index.world.factors[-5:]] == ["heavy", "view_x", "view_y", "view_z", "idle"]
    assert data.index.world.randomize == ("heavy", "view_x", "view_y", "view_z")
    idle = replace(config, env=replace(env, name="idle", randomize=["idle"]))
    with pytest.raises(UserError, match=r"factor idle \(geom.0.friction\) does not act: no motion under"):
        collect(idle)
