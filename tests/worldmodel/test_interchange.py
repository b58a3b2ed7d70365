"""Data sets from and for other toolkits: what is written is what is read, in their layouts; and `worldmodel data`."""

import json
import multiprocessing
import os
import re
import resource
import shlex
import shutil
import struct
import subprocess
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import imageio.v3 as imageio
import imageio_ffmpeg
import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet
from worldmodel_fakes import A, S, X, fake_episode, write_fake_data

from worldmodel.cli.main import main
from worldmodel.data import arrays, converting, writing
from worldmodel.data.arrays import write_arrays
from worldmodel.data.curation import LeftOut, VerifyResult, convert, describe, merge, verify
from worldmodel.data.interchange import fit_frames, open_foreign, write_stable_worldmodel
from worldmodel.data.interchange.foreign import choose_camera
from worldmodel.data.interchange.video_frames import VideoReader
from worldmodel.data.leases import lease
from worldmodel.data.shards import ShardCheck, shard_path, verify_shard
from worldmodel.data.store import DataSet
from worldmodel.envs.rollout import Episode
from worldmodel.runs import Run
from worldmodel.system.errors import StoreError, UserError

LENGTHS = (7, 4, 9)  # frames; episodes differ
EPISODES = [fake_episode(index, length - 1) for index, length in enumerate(LENGTHS)]
FPS = 20


def recordings() -> Iterator[dict[str, np.ndarray]]:
    for episode in EPISODES:
        yield {"frames": episode.frames, "actions": 3 * episode.actions, "states": episode.states}


LOW, HIGH = (3 * np.concatenate([getattr(e.actions, m)(0)[None] for e in EPISODES]) for m in ("min", "max"))
BOUNDS = LOW.min(0), HIGH.max(0)


def assert_holds_the_recordings(data: DataSet, tolerance: float = 0) -> None:
    assert data.num_episodes == len(EPISODES)
    for found, episode in zip(data.episodes(), EPISODES, strict=True):
        assert np.abs(found.frames.astype(int) - episode.frames).mean() <= tolerance
        np.testing.assert_array_equal(found.states, episode.states)
        scaled = 2 * (3 * episode.actions - BOUNDS[0]) / (BOUNDS[1] - BOUNDS[0]) - 1
        np.testing.assert_allclose(found.actions, scaled, atol=1e-5)


def test_a_users_arrays_come_back(tmp_path: Path):
    directory = tmp_path / "mine"
    assert write_arrays(directory, "mine", recordings(), state_names=["a", "b", "c_vel"], action_bounds=BOUNDS) == 3
    data = DataSet(directory)
    assert_holds_the_recordings(data)
    assert data.state_names == ["a", "b", "c_vel"]
    with pytest.raises(StoreError, match="holds a data set already"):
        write_arrays(directory, "mine", recordings())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"frames": np.zeros((5, S, S, 3))}, "frames must be uint8"),
        ({"frames": np.zeros((5, S, S + 1, 3), np.uint8)}, r"\(T\+1, S, S, 3\)"),
        ({"frames": np.zeros((1, S, S, 3), np.uint8)}, "two frames"),
        ({"actions": np.zeros((5, A))}, r"need \(4, A\) actions"),
        ({"actions": np.full((4, A), 2.0)}, "action_bounds"),
        ({"actions": np.full((4, A), np.nan)}, "finite"),
        ({"states": np.zeros((4, X))}, "states must be"),
        ({"states": np.full((5, X), np.nan)}, "states must be finite"),
        ({"rewards": np.full(4, np.inf)}, "rewards must be finite"),
        ({"rewards": np.zeros(5)}, "rewards must be"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path: Path, change: dict[str, np.ndarray], named: str):
    good = {"frames": np.zeros((5, S, S, 3), np.uint8), "actions": np.zeros((4, A)), "states": np.zeros((5, X))}
    with pytest.raises(UserError, match=named) as caught:
        write_arrays(tmp_path, "bad", [good, {**good, **change}], state_names=["a", "b", "c"])
    assert "episode 1" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("bounds", [(-2.0, 2), ([-2], [2]), (np.full(A, -2), 2.0)])
def test_one_bound_holds_for_all_numbers_of_an_action(tmp_path: Path, bounds: tuple):
    episode = {"frames": np.zeros((5, S, S, 3), np.uint8), "actions": np.full((4, A), 1.0)}
    write_arrays(tmp_path, "one", [episode], action_bounds=bounds)
    data = DataSet(tmp_path)
    assert data.index.world.action_bounds == ((-2.0,) * A, (2.0,) * A)
    np.testing.assert_allclose(data.actions[:4], 0.5)


@pytest.mark.parametrize("bounds", [(-2.0,), ([-2] * (A + 1), 2), (2.0, -2.0), (-np.inf, 2.0), ("low", "high"), 2.0])
def test_bounds_of_other_actions_are_refused(tmp_path: Path, bounds: tuple):
    episode = {"frames": np.zeros((5, S, S, 3), np.uint8), "actions": np.zeros((4, A))}
    with pytest.raises(UserError, match=rf"action_bounds must be \(lowest, highest\), each a number or {A} of them"):
        write_arrays(tmp_path / "bad", "bad", [episode], action_bounds=bounds)
    assert not (tmp_path / "bad").exists()


def test_arrays_are_written_as_they_come_and_shards_are_of_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """However short the first episode is; ten episodes are looked at, and no more are in memory at once."""
    monkeypatch.setattr(arrays, "FRAMES_PER_SHARD", 5000)
    held: list[weakref.ref] = []
    most = 0

    def episodes() -> Iterator[dict[str, np.ndarray]]:
        nonlocal most
        for index in range(120):
            frames = np.full((10 if index == 0 else 100, S, S, 3), index, np.uint8)
            held.append(weakref.ref(frames))
            most = max(most, sum(of() is not None for of in held))
            yield {"frames": frames, "actions": np.zeros((len(frames) - 1, A))}

    assert write_arrays(tmp_path, "many", episodes()) == 120
    data = DataSet(tmp_path)
    assert most <= 13 and [data.index.episodes_per_shard, len(data.shards)] == [50, 3]
    assert [int(episode.frames.mean()) for episode in data.episodes()] == list(range(120))


def test_two_state_variables_of_one_name_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="'a' is there twice in state_names"):
        write_arrays(tmp_path, "bad", recordings(), state_names=["a", "b", "a"], action_bounds=BOUNDS)


@pytest.mark.parametrize(
    ("height", "width", "size", "expected"), [(8, 8, 0, 8), (6, 10, 0, 6), (12, 8, 4, 4), (7, 9, 3, 3)]
)
def test_frames_are_cut_square_and_averaged(height: int, width: int, size: int, expected: int):
    frames = np.random.default_rng(0).integers(0, 256, (5, height, width, 3), np.uint8)
    fitted = fit_frames(frames, size)
    assert fitted.shape == (5, expected, expected, 3) and fitted.dtype == np.uint8
    side = min(height, width)
    middle = frames[:, (height - side) // 2 :][:, :side, (width - side) // 2 :][:, :, :side]
    np.testing.assert_allclose(fitted.mean(), middle.mean(), atol=3)
    if size == 0:
        np.testing.assert_array_equal(fitted, middle)


# ---------------------------------------------------------------------------------------------------------------------
# their layouts, and back


def write_peer_file(path: Path, **columns: np.ndarray) -> None:
    """stable-worldmodel's HDF5: chunks of a row, int32 lengths, compressed where its user likes; `columns` replace or
    add some."""
    with h5py.File(path, "w", libver="latest") as file:
        lengths = np.array(LENGTHS, np.int32)
        rows = [np.concatenate([3 * e.actions, np.zeros((1, A), np.float32)]) for e in EPISODES]
        frames = np.concatenate([e.frames for e in EPISODES])
        file.create_dataset("pixels", data=frames, chunks=(1, S, S, 3), compression="gzip")
        content = {
            "action": np.concatenate(rows),
            "proprio": np.concatenate([e.states for e in EPISODES]),
            "ep_len": lengths,
            "ep_offset": np.cumsum(lengths) - lengths,
        }
        for name, values in {**content, **columns}.items():
            file[name] = values


Fill = Callable[[h5py.Group, Episode], None]


def plain_observations(group: h5py.Group, episode: Episode) -> None:
    group["observations/pixels"], group["observations/state"] = episode.frames, episode.states


def plain_actions(group: h5py.Group, episode: Episode) -> None:
    group["actions"] = 3 * episode.actions


def write_minari(folder: Path, observations: Fill = plain_observations, actions: Fill = plain_actions) -> None:
    (folder / "data").mkdir(parents=True)
    with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
        for index, episode in enumerate(EPISODES):
            group = file.create_group(f"episode_{index}")
            observations(group, episode)
            actions(group, episode)
            group["rewards"] = episode.rewards


def png(image: np.ndarray) -> bytes:
    return imageio.imwrite("<bytes>", image, extension=".png")


CAMERA = "observation.images.top"


def write_lerobot(
    folder: Path,
    as_video: bool,
    video_rate: int = 1,
    features: dict[str, Any] | None = None,
    columns: dict[str, list] | None = None,
    encode: Callable[[np.ndarray], bytes] = png,
) -> None:
    """All episodes in one table and one video, as LeRobot v3 packs them; frames eight times as large, for the codec.

    video_rate: frames of the video for every row. features, columns: replace or add some.
    """
    info = {
        "codebase_version": "v3.0",
        "fps": FPS,
        "features": {
            CAMERA: {"dtype": "video" if as_video else "image", "shape": [S, S, 3]},
            "observation.state": {"dtype": "float32", "shape": [X]},
            "action": {"dtype": "float32", "shape": [A]},
            **(features or {}),
        },
    }
    (folder / "meta" / "episodes" / "chunk-000").mkdir(parents=True)
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    rows: dict[str, list] = {"episode_index": [], "frame_index": [], "action": [], "observation.state": []}
    images = []
    for index, episode in enumerate(EPISODES):
        rows["episode_index"] += [index] * len(episode.frames)
        rows["frame_index"] += range(len(episode.frames))
        rows["action"] += [*(3 * episode.actions).tolist(), [0.0] * A]
        rows["observation.state"] += episode.states.tolist()
        images += [{"bytes": encode(frame), "path": ""} for frame in episode.frames] if not as_video else []
    if not as_video:
        rows[CAMERA] = images
    (folder / "data" / "chunk-000").mkdir(parents=True)
    parquet.write_table(pyarrow.table({**rows, **(columns or {})}), folder / "data/chunk-000/file-000.parquet")
    starts = ((np.cumsum(LENGTHS) - np.array(LENGTHS)) / FPS).tolist()
    index: dict[str, list] = {
        "episode_index": [0, 1, 2], "length": list(LENGTHS), "data/chunk_index": [0] * 3, "data/file_index": [0] * 3,
    }  # fmt: skip
    for name, feature in info["features"].items():
        if feature["dtype"] == "video":
            index[f"videos/{name}/chunk_index"] = index[f"videos/{name}/file_index"] = [0] * 3
            index[f"videos/{name}/from_timestamp"] = starts
    parquet.write_table(pyarrow.table(index), folder / "meta" / "episodes" / "chunk-000" / "file-000.parquet")
    if as_video:
        frames = np.concatenate([e.frames for e in EPISODES]).repeat(8, 1).repeat(8, 2)
        # between two rows, a faster camera sees other things
        shown = frames[:, None].repeat(video_rate, 1) if video_rate >= 1 else frames
        shown[:, 1:] = 255 - shown[:, 1:] if video_rate > 1 else shown[:, 1:]
        write_video(folder, CAMERA, shown.reshape(-1, *frames.shape[1:]), FPS * video_rate)


def write_video(folder: Path, name: str, frames: np.ndarray, fps: int, codec: str = "libx264rgb") -> None:
    video = folder / "videos" / name / "chunk-000" / "file-000.mp4"
    video.parent.mkdir(parents=True)
    imageio.imwrite(video, frames, plugin="FFMPEG", fps=fps, codec=codec, output_params=["-qp", "0"])


def test_a_faster_camera_shows_each_row_the_frame_of_its_time(tmp_path: Path):
    write_lerobot(tmp_path / "theirs", as_video=True, video_rate=3)
    convert(tmp_path / "theirs", tmp_path / "ours", image_size=S)
    assert_holds_the_recordings(DataSet(tmp_path / "ours"), tolerance=2)


def test_a_slower_camera_shows_a_frame_for_as_long_as_it_lasts(tmp_path: Path):
    write_lerobot(tmp_path / "theirs", as_video=True)
    frames = np.concatenate([e.frames for e in EPISODES])[::2].repeat(8, 1).repeat(8, 2)  # every second row has its own
    shutil.rmtree(tmp_path / "theirs" / "videos")
    write_video(tmp_path / "theirs", CAMERA, frames, FPS // 2)
    convert(tmp_path / "theirs", tmp_path / "ours", image_size=S)
    rows = np.concatenate([e.frames for e in EPISODES])
    found = DataSet(tmp_path / "ours").frames(slice(0, len(rows))).astype(int)
    np.testing.assert_allclose(found, rows[np.arange(len(rows)) // 2 * 2], atol=2)


def test_a_video_that_ends_early_is_one_line_with_its_rate(tmp_path: Path):
    write_lerobot(tmp_path / "theirs", as_video=True)
    shutil.rmtree(tmp_path / "theirs" / "videos")
    write_video(tmp_path / "theirs", CAMERA, np.zeros((8, 16, 16, 3), np.uint8), FPS)
    with pytest.raises(StoreError, match=r"ends after 8 frames \(20 a second\)") as caught:
        convert(tmp_path / "theirs", tmp_path / "ours")
    assert "\n" not in str(caught.value)


def test_frames_of_a_camera_without_a_constant_rate_are_found_by_their_times(tmp_path: Path):
    """Ten frames at 10 a second, then ten at 25: no rate that a header could name is right for both."""
    levels = np.arange(20, dtype=np.uint8) * 12
    frames = np.full((20, 32, 32, 3), levels[:, None, None, None])
    even, file = tmp_path / "even.mp4", tmp_path / "uneven.mp4"
    imageio.imwrite(even, frames, plugin="FFMPEG", fps=10, codec="libx264rgb", output_params=["-qp", "0"])
    times = np.concatenate([np.arange(10) / 10, 1 + np.arange(10) / 25])
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(even), "-fps_mode", "passthrough"]
    command += ["-vf", "setpts='if(lt(N,10),N/10,1+(N-10)/25)/TB'", "-enc_time_base", "1/1000"]
    subprocess.run(
        [*command, "-video_track_timescale", "1000", "-vcodec", "libx264rgb", "-qp", "0", str(file)], check=True
    )
    reader = VideoReader()
    for shift, wanted in ((0.0, slice(None)), (0.02, slice(None)), (0.0, slice(10, None)), (0.0, slice(None, 10))):
        found = np.stack(list(reader.frames(file, times[wanted] + shift)))
        np.testing.assert_array_equal(found[:, 0, 0, 0], levels[wanted])
    reader.close()


def irregular(**columns: list) -> dict[str, Any]:
    """Arguments of `write_lerobot`; its second episode has rows 7 to 10."""
    regular = {"frame_index": [t for n in LENGTHS for t in range(n)]}
    regular |= {"timestamp": [t / FPS for t in regular["frame_index"]]}
    for name, values in columns.items():
        regular[name][7:11] = values
    return {"columns": regular, "features": {"timestamp": {"dtype": "float32", "shape": [1]}}}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ({"frame_index": [0, 1, 1, 2]}, "its frame_index goes from 1 to 1"),
        ({"frame_index": [0, 1, 3, 4]}, "its frame_index goes from 1 to 3"),
        (
            {"timestamp": [0.0, 0.05, 0.5, 0.55]},
            "its row 2 is 0.5 s after its first, at 20 frames a second 0.1 s are expected",
        ),
    ],
)
def test_episodes_whose_rows_are_not_one_after_another_are_left_out(tmp_path: Path, rows: dict[str, list], reason: str):
    write_lerobot(tmp_path / "theirs", as_video=False, **irregular(**rows))
    assert convert(tmp_path / "theirs", tmp_path / "ours").left_out == (LeftOut(1, reason),)


def test_a_rate_that_the_rows_contradict_is_refused(tmp_path: Path):
    """They are 0.05 s apart; a model would learn motions that are twice as fast."""
    write_lerobot(tmp_path, as_video=False, **irregular())
    assert open_foreign(tmp_path).columns(0).problem() == ""
    info = json.loads((tmp_path / "meta" / "info.json").read_text())
    (tmp_path / "meta" / "info.json").write_text(json.dumps({**info, "fps": 40}))
    with pytest.raises(UserError, match=r"none of the 3 .* its row 1 is 0.05 s after its first, at 40 frames a second"):
        convert(tmp_path, tmp_path / "ours")


def test_episodes_that_a_source_promises_and_lacks_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_lerobot(tmp_path / "theirs", as_video=False)
    file = tmp_path / "theirs" / "meta" / "info.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "total_episodes": 50}))
    assert main(["data", "convert", f"path={tmp_path / 'theirs'}", f"out={tmp_path / 'ours'}"]) == 0
    assert "missing: 47 episodes that the source promises" in capsys.readouterr().out


@pytest.mark.parametrize("key", ["is_depth_map", "video.is_depth_map"])
def test_depth_is_no_camera(tmp_path: Path, key: str):
    depth = {"dtype": "video", "shape": [S, S, 1], "info": {key: True}}
    features = {"observation.images.depth": depth}
    write_lerobot(tmp_path, as_video=True, features=features)
    foreign = open_foreign(tmp_path)
    assert (foreign.camera, foreign.cameras) == (CAMERA, (CAMERA,))
    with pytest.raises(UserError, match=r"observation.images.depth is a depth map, no camera; choose one of"):
        open_foreign(tmp_path, "observation.images.depth")


def test_deep_gray_videos_that_do_not_say_so_are_refused(tmp_path: Path):
    write_lerobot(tmp_path, as_video=True)
    video = tmp_path / "videos" / CAMERA / "chunk-000" / "file-000.mp4"
    frames = np.zeros((20, 16, 16), np.uint16).tobytes()
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "gray12le"]
    command += ["-s", "16x16", "-r", str(FPS), "-i", "-", "-vcodec", "ffv1", "-pix_fmt", "gray12le", str(video)]
    subprocess.run(command, input=frames, check=True)
    with pytest.raises(StoreError, match="gray12le pictures, such as depth"):
        open_foreign(tmp_path).frames(0)


def test_a_video_is_opened_as_a_video_and_not_as_a_list_of_other_files(tmp_path: Path):
    write_lerobot(tmp_path, as_video=True)
    video = tmp_path / "videos" / CAMERA / "chunk-000" / "file-000.mp4"
    video.rename(tmp_path / "secret.mp4")
    video.write_text(f"ffconcat version 1.0\nfile '{tmp_path / 'secret.mp4'}'\n")
    with pytest.raises(StoreError, match="is no MP4 file"):
        open_foreign(tmp_path).frames(0)


def gray(image: np.ndarray) -> np.ndarray:
    return image.mean(2).astype(np.uint8)


def animated(*images: np.ndarray) -> bytes:
    """A PNG of several pictures."""
    file = BytesIO()
    first, *others = map(Image.fromarray, images)
    first.save(file, "PNG", save_all=True, append_images=others)
    return file.getvalue()


@pytest.mark.parametrize(
    ("encode", "expected"),
    [
        (lambda image: png(gray(image)), lambda image: gray(image)[..., None].repeat(3, 2)),
        (lambda image: png(np.dstack([image, image[..., 0]])), lambda image: image),
        (lambda image: imageio.imwrite("<bytes>", image, extension=".webp", lossless=True), lambda image: image),
        (lambda image: animated(image, 255 - image), lambda image: image),
    ],
    ids=["gray", "alpha", "webp", "animated"],
)
def test_images_of_one_channel_or_with_alpha_become_frames(tmp_path: Path, encode, expected):
    write_lerobot(tmp_path, as_video=False, encode=encode)
    found = open_foreign(tmp_path).frames(1)
    np.testing.assert_array_equal(found, np.stack([expected(frame) for frame in EPISODES[1].frames]))


def sixteen_bits(channels: int) -> Callable[[np.ndarray], bytes]:
    """A PNG of 16 bits a channel, as its specification has it: signature, IHDR, IDAT, IEND."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    def encode(image: np.ndarray) -> bytes:
        height, width = image.shape[:2]
        colour = {1: 0, 2: 4, 3: 2}[channels]
        header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
        lines = b"".join(b"\0" + bytes(2 * channels * width) for _ in range(height))
        body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + body

    return encode


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_images_of_16_bits_are_refused_by_name(tmp_path: Path, channels: int):
    write_lerobot(tmp_path, as_video=False, encode=sixteen_bits(channels))
    with pytest.raises(StoreError, match="images of 16 bits, such as depth"):
        open_foreign(tmp_path).frames(0)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"#EXTM3U\nhttp://example.org", b"\x89PNG\r\n\x1a\n" + b"x" * 40])
def test_what_is_no_image_is_one_line(tmp_path: Path, content: bytes):
    write_lerobot(tmp_path, as_video=False, encode=lambda image: content)
    with pytest.raises(StoreError, match=r"file-000\.parquet") as caught:
        open_foreign(tmp_path).frames(0)
    assert "\n" not in str(caught.value)


NUM_ROWS = sum(LENGTHS)
BROKEN = {
    "frames in no order": ({}, {"frame_index": [{"a": 1}] * NUM_ROWS}, "frame_index does not hold a number in every"),
    "episodes without a number": ({}, {"episode_index": [[0]] * NUM_ROWS}, "episode_index does not hold a number"),
    "images as text": ({}, {CAMERA: [{"bytes": "x", "path": ""}] * NUM_ROWS}, "names images in other files"),
    "images as numbers": ({}, {CAMERA: [1] * NUM_ROWS}, "holds no images where its description names them"),
    "times beyond dates": (
        {},
        {"action": pyarrow.array([2**62] * NUM_ROWS, pyarrow.timestamp("us"))},
        "action does not",
    ),
    "a name with a zero": ({"a\0b": {"dtype": "video"}}, {}, "feature name"),
    "a name of any length": ({"a" * 300: {"dtype": "video"}}, {}, "feature name"),
    "actions of another robot": (
        {"action": {"dtype": "float32", "shape": [A + 1]}},
        {},
        f"action has {A} numbers a row, meta/info.json says {A + 1}; copy",
    ),
    "a shape of any length": (
        {"observation.state": {"dtype": "float32", "shape": [2**62] * 300}},
        {},
        "at most 8 whole",
    ),
}


@pytest.mark.parametrize(("features", "columns", "told"), BROKEN.values(), ids=BROKEN)
def test_a_broken_lerobot_folder_is_refused_in_one_line(tmp_path: Path, features: dict, columns: dict, told: str):
    write_lerobot(tmp_path, as_video=False, features=features, columns=columns)
    with pytest.raises(StoreError, match=told), closing(open_foreign(tmp_path)) as foreign:
        foreign.columns(0)
        foreign.frames(0)


def test_an_aborted_lerobot_episode_is_left_out_and_named(tmp_path: Path):
    write_lerobot(tmp_path / "L", as_video=False)
    file = tmp_path / "L" / "data/chunk-000/file-000.parquet"
    parquet.write_table(parquet.read_table(file).slice(0, NUM_ROWS - 1), file)
    found = convert(tmp_path / "L", tmp_path / "mine")
    assert [(of.episode, of.reason) for of in found.left_out] == [
        (2, f"its table has {LENGTHS[2] - 1} rows, its index promises {LENGTHS[2]}")
    ]
    assert DataSet(tmp_path / "mine").length.tolist() == list(LENGTHS[:2])


def test_two_columns_of_one_name_are_refused(tmp_path: Path):
    write_lerobot(tmp_path, as_video=False)
    table = parquet.read_table(tmp_path / "data/chunk-000/file-000.parquet")
    parquet.write_table(
        table.append_column("frame_index", table["frame_index"]), tmp_path / "data/chunk-000/file-000.parquet"
    )
    with pytest.raises(StoreError, match="no column frame_index, or several of that name"):
        open_foreign(tmp_path).columns(0)


def test_rewards_of_lerobot_come_along(tmp_path: Path):
    rewards = np.arange(sum(LENGTHS), dtype=np.float32)
    feature = {"next.reward": {"dtype": "float32", "shape": [1]}}
    write_lerobot(tmp_path, as_video=False, features=feature, columns={"next.reward": rewards.tolist()})
    np.testing.assert_array_equal(open_foreign(tmp_path).columns(1).rewards, rewards[7:10])


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["goal", "image"], "image"),
        (["observations/achieved_goal", "observations/desired_goal", "observations/rgb"], "observations/rgb"),
        (["goal/pixels", "observations/pixels"], "observations/pixels"),
        (["depth_color", "instance_mask", "top"], "top"),
        (["b", "a"], "b"),
        (["goal"], "goal"),
    ],
)
def test_goals_masks_and_depths_are_no_views_where_there_are_others(names: list[str], taken: str):
    assert choose_camera(names, "", Path("x")) == taken
    assert choose_camera(names, names[0], Path("x")) == names[0]


def test_pixels_are_taken_before_columns_that_come_first_by_name(tmp_path: Path):
    goal = np.full((sum(LENGTHS), S, S, 3), 7, np.uint8)
    write_peer_file(tmp_path / "theirs.h5", goal=goal)
    found = convert(tmp_path / "theirs.h5", tmp_path / "ours")
    assert (found.camera, found.other_cameras) == ("pixels", ("goal",))
    assert_holds_the_recordings(DataSet(tmp_path / "ours"))
    assert convert(tmp_path / "theirs.h5", tmp_path / "goals", camera="goal").camera == "goal"
    assert (DataSet(tmp_path / "goals").frames(slice(0, 20)) == 7).all()
    with pytest.raises(UserError, match="no camera 'top'; choose one of goal, pixels"):
        convert(tmp_path / "theirs.h5", tmp_path / "other", camera="top")


def nested(group: h5py.Group, episode: Episode) -> None:
    group["observations/a/map"], group["observations/camera/pixels"] = episode.frames + 1, episode.frames
    group["observations/state"] = episode.states


def jpegs(episode: Episode) -> list[np.ndarray]:
    images = [frame.repeat(4, 0).repeat(4, 1) for frame in episode.frames]
    encoded = [imageio.imwrite("<bytes>", image, extension=".jpg", quality=100, subsampling=0) for image in images]
    return [np.frombuffer(one, np.uint8) for one in encoded]


def of_many_lengths(group: h5py.Group, episode: Episode, **how: Any) -> None:
    encoded = jpegs(episode)
    column = group.create_dataset("observations/pixels", (len(encoded),), h5py.vlen_dtype(np.uint8), **how)
    for index, one in enumerate(encoded):
        column[index] = one
    group["observations/state"] = episode.states


def in_chunks(group: h5py.Group, episode: Episode) -> None:
    of_many_lengths(group, episode, chunks=(4,), maxshape=(None,))


def of_one_length(group: h5py.Group, episode: Episode) -> None:
    encoded = jpegs(episode)
    longest = max(map(len, encoded))
    group["observations/pixels"] = np.stack([np.pad(one, (0, longest - len(one))) for one in encoded])
    group["observations/state"] = episode.states


@pytest.mark.parametrize(
    ("observations", "tolerance"), [(nested, 0), (of_many_lengths, 3), (in_chunks, 3), (of_one_length, 3)]
)
def test_minari_s_nested_and_encoded_images_are_found(tmp_path: Path, observations: Fill, tolerance: float):
    write_minari(tmp_path / "theirs", observations)
    found = convert(tmp_path / "theirs", tmp_path / "ours", image_size=S)
    assert found.camera.endswith("pixels")
    data = DataSet(tmp_path / "ours")
    assert data.state_names == ["state_0", "state_1", "state_2"]
    assert_holds_the_recordings(data, tolerance)


@pytest.mark.parametrize("observations", [of_many_lengths, in_chunks])
def test_an_image_that_promises_gigabytes_is_refused_before_there_is_room_for_it(tmp_path: Path, observations: Fill):
    write_minari(tmp_path / "theirs", observations)
    path = tmp_path / "theirs" / "data" / "main_data.hdf5"
    with h5py.File(path) as file:
        column = file["episode_0/observations/pixels"].id
        place = column.get_chunk_info(0).byte_offset if observations is in_chunks else column.get_offset()
    with path.open("r+b") as file:
        file.seek(place)
        file.write((1_963_000_000).to_bytes(4, "little"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        UserError, match=r"/episode_0/observations/pixels promises 19630\d{5} bytes, more than the file has"
    ):
        open_foreign(tmp_path / "theirs")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kilobytes


def test_packed_images_of_many_lengths_are_refused(tmp_path: Path):
    write_minari(tmp_path / "theirs", lambda group, episode: of_many_lengths(group, episode, compression="gzip"))
    with pytest.raises(UserError, match="packed by HDF5; write the column without compression"):
        open_foreign(tmp_path / "theirs")


def whole_numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, shape)


def test_whole_numbers_in_columns_are_numbers(tmp_path: Path):
    actions = whole_numbers(sum(LENGTHS), 1)
    write_peer_file(tmp_path / "theirs.h5", action=actions, proprio=whole_numbers(sum(LENGTHS), 2))
    columns = open_foreign(tmp_path / "theirs.h5").columns(0)
    np.testing.assert_array_equal(columns.actions, actions[:6])
    assert columns.actions.dtype == columns.states.dtype == np.float32 and columns.states.shape == (7, 2)
    write_minari(tmp_path / "minari", actions=lambda group, episode: group.update({"actions": whole_numbers(6, 2)}))
    assert open_foreign(tmp_path / "minari").columns(0).actions.shape == (6, 2)


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "channels first": lambda frames: frames.transpose(0, 3, 1, 2),
    "fractions": lambda frames: (frames / 255).astype(np.float32),
    "fractions, channels first": lambda frames: frames.transpose(0, 3, 1, 2) / 255,
    "alpha": lambda frames: np.concatenate([frames, np.full_like(frames[..., :1], 255)], 3),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_in_other_layouts_are_the_same_frames(tmp_path: Path, layout: str):
    write_minari(tmp_path, lambda group, episode: group.update({"observations/rgb": LAYOUTS[layout](episode.frames)}))
    np.testing.assert_array_equal(open_foreign(tmp_path).frames(1), EPISODES[1].frames)


@pytest.mark.parametrize(
    ("images", "named"),
    [
        (lambda frames: frames.astype(np.float32), "type float32 from 0 to 255; store them as uint8, or as fractions"),
        (lambda frames: frames[..., [0, 1, 2, 0]], "four channels, the last of which is no alpha"),
        (lambda frames: frames.astype(np.uint16), r"there are episode_0/observations/rgb uint16 \(7, 8, 8, 3\)"),
        (lambda frames: frames[..., 0], r"there are episode_0/observations/rgb uint8 \(7, 8, 8\)"),
    ],
)
def test_images_that_cannot_be_told_are_refused_by_name(
    tmp_path: Path, images: Callable[[np.ndarray], np.ndarray], named: str
):
    write_minari(tmp_path, lambda group, episode: group.update({"observations/rgb": images(episode.frames)}))
    with pytest.raises(StoreError, match=named):
        open_foreign(tmp_path).frames(0)


def test_truth_values_in_columns_are_numbers(tmp_path: Path):
    touch = whole_numbers(7, 2) > 1
    write_peer_file(tmp_path / "theirs.h5", action=np.resize(touch, (20, 2)), proprio=np.resize(touch, (20, 2)))
    columns = open_foreign(tmp_path / "theirs.h5").columns(0)
    np.testing.assert_array_equal(columns.actions, touch[:6])
    np.testing.assert_array_equal(columns.states, touch)


@pytest.mark.parametrize(("too_many", "told"), [(1, "4"), (2**20, "5 or more")])
def test_actions_too_many_leave_their_episode_out(tmp_path: Path, too_many: int, told: str):
    def actions(group: h5py.Group, episode: Episode) -> None:
        num = len(episode.actions) + (too_many if episode.seed == 1 else 0)
        group["actions"] = 3 * np.resize(episode.actions, (num, A))

    write_minari(tmp_path / "theirs", actions=actions)
    reason = f"it has {told} actions for 4 frames, one between two is needed"
    assert convert(tmp_path / "theirs", tmp_path / "ours").left_out == (LeftOut(1, reason),)


def test_episodes_of_two_robots_are_named(tmp_path: Path):
    def actions(group: h5py.Group, episode: Episode) -> None:
        group["actions"] = np.zeros((len(episode.actions), A + (episode.seed == 1)))

    write_minari(tmp_path / "theirs", actions=actions)
    with pytest.raises(UserError, match=rf"episode 1 of .* has actions of {A + 1} .* {A} and {X} are expected"):
        convert(tmp_path / "theirs", tmp_path / "ours")


def test_episodes_that_share_rows_are_refused(tmp_path: Path):
    write_peer_file(tmp_path / "theirs.h5", ep_offset=np.array([0, 6, 11]))
    with pytest.raises(StoreError, match="begins at row 6, where another one still lasts until row 6"):
        open_foreign(tmp_path / "theirs.h5")


@pytest.mark.parametrize("shape", [(sum(LENGTHS) + 1,), (len(LENGTHS), 1), ()])
def test_spans_of_episodes_are_one_number_each_and_fewer_than_rows(tmp_path: Path, shape: tuple[int, ...]):
    write_peer_file(tmp_path / "theirs.h5", ep_len=np.ones(shape, int), ep_offset=np.ones(shape, int))
    with pytest.raises(StoreError, match=rf"ep_len has shape {re.escape(str(shape))}; one number an episode is needed"):
        open_foreign(tmp_path / "theirs.h5")


@pytest.mark.parametrize("name", ["my data", "[x]", ".hidden", "x" * 201])
def test_a_data_set_has_a_name_that_train_takes(tmp_path: Path, name: str):
    write_peer_file(tmp_path / "theirs.h5")
    with pytest.raises(UserError, match="a data set's name is one folder's name"):
        convert(tmp_path / "theirs.h5", tmp_path / name)
    with pytest.raises(UserError, match="a data set's name is one folder's name"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / name)


def test_the_command_that_comes_next_works_in_any_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_peer_file(tmp_path / "theirs.h5")
    out = tmp_path / "my data" / "arm"
    assert main(["data", "convert", f"path={tmp_path / 'theirs.h5'}", f"out={out}"]) == 0
    command = shlex.split(capsys.readouterr().out.partition("next: ")[2])
    assert command == ["worldmodel", "train", "env=recorded", "env.name=arm", f"data={out.parent}"]


def test_a_data_set_that_is_merged_with_itself_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_fake_data(tmp_path / "a", EPISODES)
    found = merge([tmp_path / "a", tmp_path / "a" / ".." / "a"], tmp_path / "both")
    assert found.episodes == 2 * len(EPISODES)
    assert "a is named twice: the same episodes will be trained on and tested" in capsys.readouterr().out


def test_discrete_choices_are_refused_by_name(tmp_path: Path):
    write_peer_file(tmp_path / "theirs.h5", action=whole_numbers(sum(LENGTHS)))
    for kind in (np.int64, bool):
        folder = tmp_path / np.dtype(kind).name
        write_minari(folder, actions=lambda g, e, kind=kind: g.update({"actions": whole_numbers(6).astype(kind)}))
        with pytest.raises(UserError, match=r"actions are .*(discrete choices|type bool)"):
            open_foreign(folder).columns(0)
    with pytest.raises(UserError, match="discrete choices"):
        open_foreign(tmp_path / "theirs.h5").columns(0)


def test_a_dictionary_of_actions_is_named(tmp_path: Path):
    def actions(group: h5py.Group, episode: Episode) -> None:
        group["actions/arm"], group["actions/grip"] = episode.actions, episode.actions[:, :1]

    write_minari(tmp_path, actions=actions)
    with pytest.raises(StoreError, match="actions is a group of arm, grip"):
        open_foreign(tmp_path).columns(0)


@pytest.mark.parametrize("length", [0, 1])
def test_episodes_that_cannot_be_used_are_left_out_and_named(tmp_path: Path, length: int):
    """Aborted recordings are common, and so are sensors that drop out."""
    lengths = np.array([7, length, 4 - length, 9])
    states = np.concatenate([e.states for e in EPISODES])
    states[12] = np.nan
    write_peer_file(tmp_path / "theirs.h5", ep_len=lengths, ep_offset=np.cumsum(lengths) - lengths, proprio=states)
    found = convert(tmp_path / "theirs.h5", tmp_path / "ours")
    assert (found.episodes, found.frames) == (2, 11 - length)
    aborted = "it has 1 frame" if length else "it has 0 frames"
    assert found.left_out == (LeftOut(1, aborted), LeftOut(3, "its states are not all finite numbers"))
    data = DataSet(tmp_path / "ours")
    np.testing.assert_array_equal(data.frames(slice(0, 7)), EPISODES[0].frames)
    assert len(data.length) == 2 and np.isfinite(data.states).all()


def test_a_source_without_an_episode_to_use_is_one_line(tmp_path: Path):
    write_peer_file(tmp_path / "theirs.h5", ep_len=np.ones(20, int), ep_offset=np.arange(20))
    with pytest.raises(UserError, match=r"none of the 20 episodes of .*theirs.h5 can be used: it has 1 frame"):
        convert(tmp_path / "theirs.h5", tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_recordings_with_different_limits_are_merged_in_one_scale(tmp_path: Path):
    limits = [(np.array([-90.0, 0.0]), np.array([80.0, 1.0])), (np.array([-10.0, -2.0]), np.array([95.0, 0.5]))]
    raw = [low + (high - low) * np.random.default_rng(k).uniform(size=(5, 2)) for k, (low, high) in enumerate(limits)]
    for k in range(2):
        episode = {"frames": EPISODES[0].frames[:6], "actions": raw[k]}
        write_arrays(tmp_path / f"part-{k}", "part", [episode], action_bounds=limits[k])
    merge([tmp_path / "part-0", tmp_path / "part-1"], tmp_path / "both")
    both = DataSet(tmp_path / "both")
    assert both.index.world.action_bounds == ((-90.0, -2.0), (95.0, 1.0))
    low, high = map(np.array, both.index.world.action_bounds)
    for found, actions in zip(both.episodes(), raw, strict=True):
        np.testing.assert_allclose(low + (found.actions + 1) / 2 * (high - low), actions, atol=1e-4)


# ---------------------------------------------------------------------------------------------------------------------
# cut off and given again


class _Cut(BaseException):
    """A kill, as a test can survive it."""


def cut_off(monkeypatch: pytest.MonkeyPatch, whole_shards: int) -> None:
    """Writing ends after so many shards, in the middle of the next."""
    write, count = writing.write_shard, iter(range(99))

    def fails(path: Path, episodes: Any, **_: Any) -> None:
        if next(count) < whole_shards:
            return write(path, episodes)
        path.with_name(f".{path.name}.0123456789ab-1-cut.tmp").write_bytes(b"half")
        os.utime(path.with_name(f".{path.name}.0123456789ab-1-cut.tmp"), (0, 0))
        raise _Cut

    monkeypatch.setattr(writing, "write_shard", fails)


def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converting, "episodes_per_shard", lambda num_frames: 1)


@pytest.mark.parametrize("whole_shards", [0, 1, 2])
@pytest.mark.parametrize("what", ["merge", "convert"])
def test_a_command_that_was_cut_off_goes_on_to_the_same_bytes(tmp_path: Path, what: str, whole_shards: int):
    def command(out: Path) -> None:
        if what == "merge":
            merge([tmp_path / "a", tmp_path / "b"], out)
        else:
            convert(tmp_path / "theirs", out, image_size=S)

    write_fake_data(tmp_path / "a", [fake_episode(i) for i in range(8)])
    write_fake_data(tmp_path / "b", [fake_episode(i) for i in range(8, 15)])
    write_lerobot(tmp_path / "theirs", as_video=True)
    out, at_once = tmp_path / "out", tmp_path / "once" / "out"
    with pytest.MonkeyPatch.context() as monkeypatch:
        small_shards(monkeypatch)
        command(at_once)
        with pytest.MonkeyPatch.context() as cutting:
            cut_off(cutting, whole_shards)
            with pytest.raises(_Cut):
                command(out)
        assert len(list(out.glob("*.h5"))) == whole_shards
        with pytest.raises(StoreError, match="holds no episode yet: give the command that began it again"):
            DataSet(out)
        kept = {path: path.stat().st_mtime_ns for path in out.glob("*.h5")}
        command(out)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert {path.name for path in out.iterdir()} == {path.name for path in at_once.iterdir()}
    for path in out.iterdir():
        assert path.read_bytes() == (at_once / path.name).read_bytes()


def test_what_was_begun_is_not_completed_with_other_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small_shards(monkeypatch)
    write_peer_file(tmp_path / "theirs.h5")
    with pytest.MonkeyPatch.context() as cutting:
        cut_off(cutting, 1)
        with pytest.raises(_Cut):
            convert(tmp_path / "theirs.h5", tmp_path / "ours")
    (tmp_path / "theirs.h5").unlink()
    write_peer_file(tmp_path / "theirs.h5", proprio=whole_numbers(sum(LENGTHS), X))
    with pytest.raises(StoreError, match=r"holds another data set \(settings.source_digest differ\)"):
        convert(tmp_path / "theirs.h5", tmp_path / "ours")


def test_a_shard_that_was_lost_or_damaged_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small_shards(monkeypatch)
    write_peer_file(tmp_path / "theirs.h5")
    convert(tmp_path / "theirs.h5", tmp_path / "ours")
    whole = {path: path.read_bytes() for path in (tmp_path / "ours").iterdir()}
    shard_path(tmp_path / "ours", 0).unlink()
    shard_path(tmp_path / "ours", 2).write_bytes(b"not HDF5")
    assert len(verify(tmp_path / "ours").damaged) == 2
    convert(tmp_path / "theirs.h5", tmp_path / "ours")
    assert {path: path.read_bytes() for path in (tmp_path / "ours").iterdir()} == whole


def test_a_folder_with_other_things_in_it_is_not_written_to(tmp_path: Path):
    write_peer_file(tmp_path / "theirs.h5")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    with pytest.raises(StoreError, match=r"thesis holds thesis.tex and no dataset.json"):
        convert(tmp_path / "theirs.h5", tmp_path / "thesis")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["thesis.tex"]


def test_two_commands_do_not_write_one_data_set_at_once(tmp_path: Path):
    write_peer_file(tmp_path / "theirs.h5")
    (tmp_path / "ours").mkdir()
    context = multiprocessing.get_context("fork")
    holding, done = context.Event(), context.Event()

    def hold() -> None:
        with lease(tmp_path / "ours", 0):
            holding.set()
            done.wait(60)

    other = context.Process(target=hold)
    other.start()
    assert holding.wait(30)
    with pytest.raises(UserError, match=r"another command is writing .*ours; wait until it has ended"):
        convert(tmp_path / "theirs.h5", tmp_path / "ours")
    done.set()
    other.join()
    assert convert(tmp_path / "theirs.h5", tmp_path / "ours").episodes == 3


@pytest.mark.parametrize("layout", ["stable-worldmodel", "minari", "lerobot images", "lerobot video"])
def test_other_layouts_are_converted_and_looked_after(tmp_path: Path, layout: str, capsys: pytest.CaptureFixture[str]):
    source, out = tmp_path / "theirs", tmp_path / "data" / "ours"
    if layout == "stable-worldmodel":
        source = tmp_path / "theirs.h5"
        write_peer_file(source)
    elif layout == "minari":
        write_minari(source)
    else:
        write_lerobot(source, as_video=layout.endswith("video"))
    assert main(["data", "convert", f"path={source}", f"out={out}", f"image_size={S}"]) == 0
    assert_holds_the_recordings(DataSet(out), tolerance=2 if layout.endswith("video") else 0)
    assert main(["data", "verify", f"path={out}"]) == 0
    assert main(["data", "info", f"path={out}"]) == 0
    assert "20 of 8 x 8 x 3" in capsys.readouterr().out


def test_ours_go_out_in_the_layout_of_stable_worldmodel_and_come_back(tmp_path: Path):
    write_fake_data(tmp_path / "fake", EPISODES)
    write_stable_worldmodel(DataSet(tmp_path / "fake"), tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert {"pixels", "action", "state", "ep_len", "ep_offset"} <= set(file)
        np.testing.assert_array_equal(file["ep_len"][:], LENGTHS)
        np.testing.assert_array_equal(file["ep_offset"][:], np.cumsum(LENGTHS) - LENGTHS)
    foreign = open_foreign(tmp_path / "out.h5")
    assert foreign.num_episodes == len(EPISODES)
    for number, episode in enumerate(EPISODES):
        np.testing.assert_array_equal(foreign.frames(number), episode.frames)
        columns = foreign.columns(number)
        np.testing.assert_array_equal(columns.actions, episode.actions)
        np.testing.assert_array_equal(columns.states, episode.states)
        np.testing.assert_array_equal(columns.rewards, episode.rewards)


def test_a_shard_has_what_the_peers_reader_relies_on(tmp_path: Path):
    write_fake_data(tmp_path, EPISODES)
    with h5py.File(shard_path(tmp_path, 0), "r", swmr=True) as file:  # as its reader opens a file
        assert {"ep_len", "ep_offset", "action", "pixels"} <= set(file) and file["pixels"].ndim == 4


@pytest.mark.peer
def test_the_peers_own_reader_opens_a_shard(tmp_path: Path):
    """`worldmodel bench what=load` checks the same, and docs/results/bench-load.json says with what outcome."""
    from stable_worldmodel.data.formats.hdf5 import HDF5Dataset

    write_fake_data(tmp_path, EPISODES)
    theirs = HDF5Dataset(path=shard_path(tmp_path, 0), num_steps=4)
    np.testing.assert_array_equal(theirs[0]["pixels"].movedim(1, -1), EPISODES[0].frames[:4])
    np.testing.assert_array_equal(theirs[0]["action"], EPISODES[0].actions[:4])
    # a shard holds the first episodes only
    with h5py.File(shard_path(tmp_path, 0)) as file:
        assert len(theirs) == sum(int(length) - 3 for length in file["ep_len"][:])


def test_merged_data_sets_hold_all_episodes(tmp_path: Path):
    first, second = [fake_episode(i) for i in range(8)], [fake_episode(i) for i in range(8, 19)]
    write_fake_data(tmp_path / "a", first)
    write_fake_data(tmp_path / "b", second)
    paths = [f"path={tmp_path / 'a'}", f"others=[{tmp_path / 'b'}]"]
    assert main(["data", "merge", *paths, f"out={tmp_path / 'both'}"]) == 0
    both = DataSet(tmp_path / "both")
    for found, episode in zip(both.episodes(), first + second, strict=True):
        np.testing.assert_array_equal(found.frames, episode.frames)
        np.testing.assert_array_equal(found.factors, episode.factors)
    assert main(["data", "merge", *paths, f"out={tmp_path / 'both'}"]) == 0  # again: nothing is left to do
    write_fake_data(tmp_path / "b", second, {"state_names": ["x", "y", "z_vel"]})
    assert main(["data", "merge", *paths, f"out={tmp_path / 'other'}"]) == 1
    assert not (tmp_path / "other").exists()


def test_merged_episodes_are_halved_where_any_of_them_drift(tmp_path: Path):
    for name, settings in {"a": {"drift_rho": 0.5}, "b": {}, "c": {"drift_rho": 0.9}}.items():
        write_fake_data(tmp_path / name, [fake_episode(i) for i in range(10)], episode_steps=6, **settings)
    merge([tmp_path / name for name in "bac"], tmp_path / "all")
    settings = DataSet(tmp_path / "all").index.settings
    assert (settings.drift_rho, settings.middle) == (0.5, 3)


def test_what_would_hide_the_middle_of_episodes_is_not_merged(tmp_path: Path):
    short = [fake_episode(i, 4) for i in range(10)]
    kinds = {"anew": {"restart_midway": True}, "plain": {}, "drifts": {"drift_rho": 0.5}}
    for name, settings in kinds.items():
        write_fake_data(tmp_path / name, short, episode_steps=6, **settings)
        write_fake_data(tmp_path / f"long-{name}", [fake_episode(i, 8) for i in range(10)], episode_steps=8, **settings)
    for pair in (["anew", "plain"], ["plain", "anew"]):
        with pytest.raises(
            StoreError, match=r"of \S+/anew start anew in the middle \(restart_midway\), those of \S+/plain"
        ):
            merge([tmp_path / name for name in pair], tmp_path / "out")
    for kind in ("anew", "drifts"):
        with pytest.raises(StoreError, match=f"an episode of .*/{kind} ended before its 6 steps"):
            merge([tmp_path / kind, tmp_path / f"long-{kind}"], tmp_path / "out")
    merge([tmp_path / "plain", tmp_path / "long-drifts"], tmp_path / "out")


@pytest.mark.parametrize("what", ["merge", "convert"])
def test_a_damaged_shard_is_not_made_to_look_whole(tmp_path: Path, what: str):
    write_fake_data(tmp_path / "a", [fake_episode(i) for i in range(12)])
    shard = shard_path(tmp_path / "a", 2)
    with h5py.File(shard) as file:
        last = file["pixels"].id.get_chunk_info(3).byte_offset
    content = bytearray(shard.read_bytes())
    content[last] ^= 128
    shard.write_bytes(content)
    with pytest.raises(StoreError, match=r"shard-00002.h5 is damaged \(the checksum of /pixels differs"):
        if what == "merge":
            merge([tmp_path / "a"], tmp_path / "out.h5")
        else:
            convert(tmp_path / "a", tmp_path / "out.h5")
    with pytest.raises(StoreError):
        DataSet(tmp_path / "out.h5")


def test_what_carries_no_checksum_is_accepted_and_verify_says_so(tmp_path: Path):
    write_fake_data(tmp_path, [fake_episode(i) for i in range(7)])
    assert verify(tmp_path) == VerifyResult(tmp_path, 2, 7, 49, (), ())
    content = json.loads((tmp_path / "dataset.json").read_text())
    del content["sha256"]
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with h5py.File(shard_path(tmp_path, 1), "a") as file:
        del file["pixels"].attrs["sha256"], file["state"].attrs["sha256"]
    found = verify(tmp_path)
    assert found.is_whole and len(found.warnings) == 2
    assert "dataset.json carries no checksum" in found.warnings[0]
    assert found.warnings[1].endswith("shard-00001.h5 carries no checksum of pixels, state")
    assert DataSet(tmp_path).states.shape == (49, X)


def test_a_description_is_of_the_whole_data_set(tmp_path: Path):
    write_fake_data(tmp_path / "fake", EPISODES, {"randomize": ["factor1"]})
    found = describe(tmp_path / "fake")
    assert (found.episodes, found.shortest, found.longest, found.frames) == (3, 4, 9, 20)
    assert (found.frame_shape, found.shards, found.num_actions) == ((S, S, 3), 1, A)
    assert (found.state_names, found.drawn, len(found.factors)) == (("x", "y", "x_vel"), ("factor1",), 4)
    assert found.num_bytes == shard_path(tmp_path / "fake", 0).stat().st_size


def test_a_flipped_bit_is_found_and_its_shard_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_fake_data(tmp_path, [fake_episode(i) for i in range(12)])
    assert main(["data", "verify", f"path={tmp_path}"]) == 0
    shard = shard_path(tmp_path, 1)
    content = bytearray(shard.read_bytes())
    with h5py.File(shard) as file:
        pixels = file["pixels"].id.get_chunk_info(2).byte_offset
        state = file["state"].id.get_offset()
    for place in (pixels + 5, state + 9):
        damaged = content.copy()
        damaged[place] ^= 4
        shard.write_bytes(damaged)
        assert main(["data", "verify", f"path={tmp_path}"]) == 1
        error = capsys.readouterr().err
        assert "shard-00001.h5" in error and "checksum" in error and "1 of 3 shards" in error
        with pytest.raises(StoreError, match="shard-00001"):
            data = DataSet(tmp_path)
            data.map_frames(np.copy)
            assert data.states.any()
    shard.write_bytes(content)
    assert verify_shard(shard) == ShardCheck(5, 35, ())


def test_a_recording_from_elsewhere_in_which_nothing_moves_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    still = {"frames": np.full((15, 16, 16, 3), 90, np.uint8), "actions": np.zeros((14, A))}
    write_arrays("data/still", "still", [still] * 3)
    assert main(["train", "env=recorded", "env.name=still", "encoder.input_size=16"]) == 1
    assert "nothing moves in the frames of data/still at 16 x 16 pixels" in capsys.readouterr().err


@pytest.mark.parametrize("num_episodes", [3, 10])
def test_a_recording_from_elsewhere_trains_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], num_episodes: int
):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    episodes = [
        {"frames": rng.integers(0, 256, (15, 16, 16, 3), np.uint8), "actions": rng.uniform(-1, 1, (14, A))}
        for _ in range(num_episodes)
    ]
    write_arrays("data/mine", "mine", episodes)
    tiny = [
        *(
            "encoder.input_size=16",
            "method.optim.steps=3",
            "method.optim.batch_size=8",
            "method.lag=2",
            "predictor.horizon=3",
        ),
        *(
            "predictor.history=[0,1]",
            "predictor_training.steps=3",
            "predictor_training.batch_size=8",
            "decoder_training.steps=2",
            "distillation.optim.steps=2",
            "encoder.latent_dim=4",
        ),
    ]
    assert main(["train", "env=recorded", "env.name=mine", *tiny]) == 0
    trained = Run("runs/mine").train
    assert trained.data.episodes == num_episodes and trained.prediction is not None and trained.identifiability is None
    assert main(["train", "env=recorded", "env.name=nothing"]) == 1
    said = capsys.readouterr().out
    assert "next: worldmodel imagine run=runs/mine\n      worldmodel probe run=runs/mine" in said
    assert "worldmodel control" not in said
    for verb in ("control", "surprise"):
        assert main([verb, "run=runs/mine"]) == 1
        assert "there is no world to drive it in" in capsys.readouterr().err
