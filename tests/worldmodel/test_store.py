"""Data sets on the disk: what is written is what is read, and damage is one clear line."""

import json
import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from worldmodel_fakes import EPISODES_PER_SHARD, fake_episode, write_fake_data

from worldmodel.data.arrays import write_arrays
from worldmodel.data.index import INDEX_NAME, FactorRecord, KinematicRecord, read_index, write_index
from worldmodel.data.shards import shard_path, write_shard
from worldmodel.data.store import DataSet
from worldmodel.data.truth import half_constants
from worldmodel.learning.sources import segments
from worldmodel.system.digest import carries_checksum
from worldmodel.system.errors import StoreError
from worldmodel.system.files import write_atomically

NUM_STEPS = (6, 4, 9)  # episodes differ in length
EPISODES = [fake_episode(i, NUM_STEPS[i % 3]) for i in range(13)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_fake_data(tmp_path / "fake", EPISODES)
    return tmp_path / "fake"


def stacked(column: str) -> np.ndarray:
    return np.concatenate([getattr(episode, column) for episode in EPISODES])


def test_every_column_comes_back(directory):
    data = DataSet(directory)
    np.testing.assert_array_equal(data.frames(slice(0, data.num_rows)), stacked("frames"))
    np.testing.assert_array_equal(data.states, stacked("states"))
    np.testing.assert_array_equal(data.factors, stacked("factors"))
    np.testing.assert_array_equal(data.length, [len(episode.frames) for episode in EPISODES])
    for offset, length, episode in zip(data.offset, data.length, EPISODES, strict=True):
        np.testing.assert_array_equal(data.actions[offset : offset + length - 1], episode.actions)


def test_the_action_of_a_last_row_is_nan_and_of_no_other(directory):
    data = DataSet(directory)
    last = np.zeros(data.num_rows, bool)
    last[data.offset + data.length - 1] = True
    np.testing.assert_array_equal(np.isnan(data.actions).all(1), last)
    np.testing.assert_array_equal(np.isnan(data.actions).any(1), last)


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (3, 20), (30, 41), (37, 38), (0, 90)])
def test_frames_of_any_range_across_shards(directory, start, stop):
    np.testing.assert_array_equal(DataSet(directory).frames(slice(start, stop)), stacked("frames")[start:stop])


def test_map_frames_sees_every_frame_once_whatever_the_chunk(directory):
    for chunk in (1, 7, 1000):
        sums = DataSet(directory).map_frames(lambda frames: frames.astype(int).sum((1, 2, 3)), chunk)
        np.testing.assert_array_equal(sums, stacked("frames").astype(int).sum((1, 2, 3)))


def test_the_first_episodes_alone(directory):
    whole, part = DataSet(directory), DataSet(directory, 7)
    assert part.num_rows == whole.length[:7].sum()
    np.testing.assert_array_equal(part.states, whole.states[: part.num_rows])
    np.testing.assert_array_equal(part.map_frames(np.copy), stacked("frames")[: part.num_rows])


def test_splits_are_disjoint_complete_and_stable_as_data_grows(tmp_path):
    episodes = [fake_episode(i, 3) for i in range(40)]
    write_fake_data(tmp_path / "all", episodes)
    small, large = DataSet(tmp_path / "all", 20), DataSet(tmp_path / "all", 40)
    for name, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert len(large.split(name)) == share * 40
        assert set(small.split(name).offset) == {row for row in large.split(name).offset if row < small.num_rows}
    offsets = np.concatenate([large.split(name).offset for name in ("train", "validation", "test")])
    np.testing.assert_array_equal(np.sort(offsets), large.offset)


def test_too_few_episodes_for_a_split(tmp_path):
    write_fake_data(tmp_path / "few", EPISODES[:4])
    with pytest.raises(StoreError, match="4 episodes, too few for a test split; collect at least 10"):
        DataSet(tmp_path / "few").split("test")


@pytest.mark.parametrize("num", range(1, 10))
def test_few_recordings_from_elsewhere_are_split_by_episode_or_by_time(tmp_path, num):
    frames, actions = np.zeros((41, 8, 8, 3), np.uint8), np.zeros((40, 2))
    write_arrays(tmp_path, "few", [{"frames": frames, "actions": actions}] * num)
    data = DataSet(tmp_path)
    parts = [data.split(name) for name in ("train", "validation", "test")]
    rows = np.concatenate([part.rows() for part in parts])
    np.testing.assert_array_equal(np.sort(rows), np.arange(data.num_rows))
    if num > 2:
        assert [len(part) for part in parts] == [num - 2, 1, 1] and all(part.length.min() == 41 for part in parts)
    else:
        assert [part.length.tolist() for part in parts] == [[32] * num, [4] * num, [5] * num]
        assert all((part.offset // 41 == np.arange(num)).all() for part in parts)


def test_splits_leave_out_what_ended_before_two_windows(directory):
    data = DataSet(directory)
    roomy = data.with_room_for(3)
    assert data.num_too_short == 0 and roomy.num_too_short == (data.length < 7).sum() > 0
    for name in ("train", "test"):
        assert (roomy.split(name).length >= 7).all()
        np.testing.assert_array_equal(roomy.split(name).offset, data.split(name).at_least(7).offset)
        assert all((half.length > 3).all() for half in roomy.split(name).halves())
    with pytest.raises(
        StoreError, match=r"no validation episode of \S+ holds two windows of 500 steps.*context.window"
    ):
        data.with_room_for(500).split("validation")


def test_halves_share_the_middle_frame(directory):
    first, second = DataSet(directory).split("train").halves()
    np.testing.assert_array_equal(first.offset + first.length - 1, second.offset)
    episodes = DataSet(directory).split("train")
    np.testing.assert_array_equal(second.offset + second.length, episodes.offset + episodes.length)


@pytest.mark.parametrize("settings", [{"drift_rho": 0.5}, {"restart_midway": True}])
def test_halves_meet_where_constants_were_redrawn_or_the_world_started_anew(tmp_path, settings):
    """At frame 5 of episodes of 10 steps, though some ended before: after 7, 5 and 3 of them."""
    ended = [fake_episode(index, num_steps) for index, num_steps in enumerate([10, 7, 5, 3, 10, 7, 5, 3, 10, 10])]
    for episode in ended:
        episode.factors[:5], episode.factors[5:] = 1.0, 2.0
    write_fake_data(tmp_path, ended, {"randomize": ["factor0"]}, episode_steps=10, **settings)
    data = DataSet(tmp_path)
    episodes, restarts = data.split("train"), data.index.settings.restart_midway
    first, second = episodes.halves()
    assert first.length.tolist() == ([5, 5, 5, 4] if restarts else [6, 6, 6, 4]) * 2
    assert second.length.tolist() == [6, 3, 1, 0] * 2
    assert (second.offset == episodes.offset + np.minimum(5, episodes.length)).all()
    stretches = segments(data, episodes)
    assert len(stretches) == 14  # none of no frames
    for offset, length in zip(stretches.offset, stretches.length, strict=True):
        seen = data.factors[offset : offset + length - (not restarts), 0]  # the middle frame may be in both halves
        assert np.ptp(seen) == 0 if len(seen) else length == 1
    roomy = data.with_room_for(2)
    assert roomy.num_too_short == 4 and roomy.split("train").length.tolist() == [11, 8] * 2
    np.testing.assert_array_equal(half_constants(roomy, roomy.split("train"))[..., 0], [[1, 2]] * 4)
    assert half_constants(data, data.split("train")).shape == (8, 2, 1)  # one that ended before has its last constants


def test_episodes_that_are_too_short_can_be_left_out(directory):
    episodes = DataSet(directory).split("train")
    longer = episodes.at_least(7)
    assert longer.length.min() == 7 and len(longer) == (episodes.length >= 7).sum()
    assert set(longer.offset) < set(episodes.offset)
    assert len(episodes.at_least(0)) == len(episodes) and len(episodes.at_least(99)) == 0


def test_a_shard_reads_as_flat_rows_with_lengths_and_offsets(directory):
    """What stable-worldmodel's HDF5 reader does: slice every flat column by ep_offset and ep_len."""
    with h5py.File(shard_path(directory, 1)) as file:
        columns = {name: np.asarray(file[name]) for name in file}
    lengths, offsets = columns.pop("ep_len"), columns.pop("ep_offset")
    assert {len(column) for column in columns.values()} == {lengths.sum()}
    for k, (offset, length) in enumerate(zip(offsets, lengths, strict=True)):
        episode = EPISODES[EPISODES_PER_SHARD + k]
        np.testing.assert_array_equal(columns["pixels"][offset : offset + length], episode.frames)
        np.testing.assert_array_equal(columns["reward"][offset : offset + length - 1], episode.rewards)
        assert np.isnan(columns["reward"][offset + length - 1])


def one_line(error: pytest.ExceptionInfo[StoreError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_missing_directory(tmp_path):
    with pytest.raises(StoreError, match=r"no data set at .*nowhere.*worldmodel collect") as error:
        DataSet(tmp_path / "nowhere")
    one_line(error)


def test_empty_directory(tmp_path):
    with pytest.raises(StoreError, match="no data set at"):
        DataSet(tmp_path)
    (tmp_path / "meta").mkdir()  # as in LeRobot's folders
    with pytest.raises(StoreError, match="make one with: worldmodel data convert path="):
        DataSet(tmp_path)


def test_an_index_of_version_0_1_is_read_and_gains_defaults_and_a_checksum(tmp_path):
    text = (Path(__file__).parent / "fixtures" / "dataset-0.1.0.json").read_text()
    (tmp_path / INDEX_NAME).write_text(text)
    index = read_index(tmp_path)
    assert index.world.kinematic == KinematicRecord({"x": 0.5}, 0.9) and index.world.latent_names == ("x",)
    assert index.settings.drift_rho is None and not index.settings.restart_midway
    assert [factor.name for factor in index.world.drawn("visual")] == ["light"]
    assert index.world.factor("light").value(np.array(0.0)) == 0.5
    write_index(tmp_path / "again", index)
    content = json.loads((tmp_path / "again" / INDEX_NAME).read_text())
    found = [carries_checksum(folder / INDEX_NAME) for folder in (tmp_path, tmp_path / "again")]
    assert found == [False, True]
    del content["sha256"]
    world = content["settings"]["world"]
    added = (world.pop("factors"), world.pop("camera"), world.pop("action_repeat"))
    assert added == ({}, None, 1), "what later versions can be told besides"
    assert json.dumps(content, indent=2) + "\n" == text


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("num_episodes",), -1, "num_episodes"),
        (("num_episodes",), True, "num_episodes"),
        (("episodes_per_shard",), 0, "episodes_per_shard"),
        (("name",), "\x1b[31mred", "name"),
        (("settings", "drift_rho"), 1.5, "settings.drift_rho"),
        (("world", "state_names"), "xyz", "world.state_names"),
        (("world", "state_names"), ["x", "x", "y"], "'x' is there twice in state_names"),
        (("world", "angle_names"), ["wrist"], "'wrist' in angle_names is no state variable"),
        (("world", "kinematic"), {"latents": {"wrist": 1.0}, "rho": 0.9}, "no state variable"),
        (("world", "kinematic"), {"latents": {"x": 1.0}, "rho": None}, "world.kinematic.rho"),
        (("world", "factors", 1, "kind"), "chemical", "world.factors[1].kind"),
        (("world", "factors", 1, "prior_scale"), 0, "world.factors[1].prior_scale"),
    ],
)
def test_foreign_values_in_an_index_are_named_with_their_place(directory, place, value, told):
    content = json.loads((directory / INDEX_NAME).read_text())
    del content["sha256"]
    inside = content
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    (directory / INDEX_NAME).write_text(json.dumps(content))
    with pytest.raises(StoreError, match="is not a data set index") as error:
        DataSet(directory)
    assert told in one_line(error) and str(directory) in str(error.value)


def test_a_flipped_bit_in_the_index_is_found_or_changes_nothing(directory):
    path, index = directory / INDEX_NAME, read_index(directory)
    whole, silent = path.read_bytes(), 0
    for bit in np.random.default_rng(0).choice(8 * len(whole), 300, replace=False).tolist():
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            silent += read_index(directory) != index
        except StoreError as error:
            assert INDEX_NAME in str(error) and "\n" not in str(error)
    assert silent == 0


@pytest.mark.parametrize("transform", ["log", "linear"])
def test_a_factor_s_coordinate_and_value_are_inverse(transform):
    factor = FactorRecord("mass", "kg", 2.0, (0.5, 8.0), transform, 0.25, "physical")
    values = np.array([0.5, 2.0, 3.7])
    assert factor.coordinate(values)[1] == 0
    np.testing.assert_allclose(factor.value(factor.coordinate(values)), values, rtol=1e-12)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"episodes": 5}', '{"schema": 1}', "\x00\x01"])
def test_foreign_index(directory, content):
    (directory / INDEX_NAME).write_text(content)
    with pytest.raises(StoreError, match="is not a data set index") as error:
        DataSet(directory)
    assert str(directory) in one_line(error)


def test_index_of_another_schema(directory):
    index = json.loads((directory / INDEX_NAME).read_text())
    (directory / INDEX_NAME).write_text(json.dumps({**index, "schema": 99}))
    with pytest.raises(StoreError, match="has schema 99, this version reads 1"):
        DataSet(directory)


def test_more_episodes_than_there_are(directory):
    with pytest.raises(StoreError, match="holds 13 episodes, 14 were asked for"):
        DataSet(directory, 14)


def test_missing_shard(directory):
    shard_path(directory, 1).unlink()
    with pytest.raises(StoreError, match=r"shard-00001.h5 is missing.*give the command that made it again") as error:
        DataSet(directory)
    one_line(error)


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_truncated_shard(directory, keep):
    path = shard_path(directory, 2)
    size = path.stat().st_size
    os.truncate(path, keep if isinstance(keep, int) else int(size * keep))
    with pytest.raises(StoreError, match=r"shard-00002.h5 is damaged .*delete it and give") as error:
        DataSet(directory)
    one_line(error)


def test_foreign_shard(directory):
    with h5py.File(shard_path(directory, 0), "w") as file:
        file["observations"] = np.zeros(3)
    with pytest.raises(StoreError, match=r"shard-00000.h5 lacks action, .*not written by this package"):
        DataSet(directory)


def test_shard_whose_rows_do_not_add_up(directory):
    with h5py.File(shard_path(directory, 0), "a") as file:
        lengths = np.asarray(file.pop("ep_len"))
        file["ep_len"] = lengths + 1
    with pytest.raises(StoreError, match="rows do not add up"):
        DataSet(directory)


def test_damage_anywhere_is_told_as_a_damaged_shard_or_does_not_stop_the_reading(directory):
    """Overwrite a stretch of a shard's bytes, everywhere in turn: nothing but StoreError ever comes out."""
    path = shard_path(directory, 1)
    whole = path.read_bytes()
    told = 0
    for start in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:start] + b"\xa5" * 64 + whole[start + 64 :])
        try:
            data = DataSet(directory)
            for column in (data.states, data.actions, data.factors):
                assert len(column) == data.num_rows
            data.map_frames(np.copy)
        except StoreError as error:
            assert "\n" not in str(error) and "shard-00001.h5" in str(error)
            told += 1
    assert told > 0


def test_nothing_stands_under_the_shard_s_name_until_it_is_whole(tmp_path):
    path = shard_path(tmp_path, 0)

    def episodes():
        yield EPISODES[0]
        assert not path.exists()
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="went away"):
        write_shard(path, episodes())
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_bit_in_a_part_of_a_shard_that_is_not_used_is_found(directory):
    """Only the whole of a column has a checksum, and the flipped bit may be in either part."""
    path = shard_path(directory, 1)
    with h5py.File(path) as file:
        last = file["pixels"].id.get_chunk_info(file["pixels"].id.get_num_chunks() - 1).byte_offset
    content = bytearray(path.read_bytes())
    content[last] ^= 1
    path.write_bytes(content)
    data = DataSet(directory, EPISODES_PER_SHARD + 1)
    with pytest.raises(StoreError, match=r"shard-00001.h5 is damaged .*checksum of /pixels"):
        data.map_frames(np.copy)
    with pytest.raises(StoreError, match=r"shard-00001.h5 is damaged .*checksum of /pixels"):
        list(data.episodes())
    assert len(list(zip(range(EPISODES_PER_SHARD), DataSet(directory).episodes(), strict=False))) == EPISODES_PER_SHARD


@pytest.mark.parametrize("name", [INDEX_NAME, "shard-00001.h5"])
@pytest.mark.parametrize("kind", ["a named pipe", "a link", "a folder"])
def test_what_is_no_regular_file_is_refused_at_once(directory, name, kind):
    path = directory / name
    path.unlink()
    {"a named pipe": os.mkfifo, "a link": lambda p: p.symlink_to("/etc/hostname"), "a folder": os.mkdir}[kind](path)
    with pytest.raises(StoreError, match=f"{name} .*is {kind}; a regular file is expected") as error:
        DataSet(directory)
    one_line(error)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half of the n")
        raise OSError

    with pytest.raises(OSError):
        write_atomically(path, fail)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_recording_that_a_kill_left_without_an_episode(directory):
    write_index(directory, replace(read_index(directory), num_episodes=0))
    with pytest.raises(StoreError, match="holds no episode yet: give the command that began it again"):
        DataSet(directory)


def test_a_fault_of_the_caller_is_not_blamed_on_the_shard(directory):
    def fail(frames: np.ndarray) -> np.ndarray:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match=r"^out of memory$"):
        DataSet(directory).map_frames(fail)
