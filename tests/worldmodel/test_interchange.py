"""Data sets from and for other toolkits: what is written is what is read, in their layouts; and `worldmodel data`."""

import json
from collections.abc import Iterator
from pathlib import Path

import h5py
import imageio.v3 as imageio
import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from worldmodel_fakes import A, S, X, fake_episode, write_fake_data

from worldmodel.cli.main import main
from worldmodel.data.arrays import write_arrays
from worldmodel.data.interchange import fit_frames, open_foreign, write_stable_worldmodel
from worldmodel.data.shards import shard_path, verify_shard
from worldmodel.data.store import DataSet
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
        ({"rewards": np.zeros(5)}, "rewards must be"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path: Path, change: dict[str, np.ndarray], named: str):
    good = {"frames": np.zeros((5, S, S, 3), np.uint8), "actions": np.zeros((4, A)), "states": np.zeros((5, X))}
    with pytest.raises(UserError, match=named) as caught:
        write_arrays(tmp_path, "bad", [good, {**good, **change}], state_names=["a", "b", "c"])
    assert "episode 1" in str(caught.value) and "\n" not in str(caught.value)


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


def write_peer_file(path: Path) -> None:
    """stable-worldmodel's HDF5: chunks of a row, int32 lengths, compressed where its user likes."""
    with h5py.File(path, "w", libver="latest") as file:
        lengths = np.array(LENGTHS, np.int32)
        rows = [np.concatenate([3 * e.actions, np.zeros((1, A), np.float32)]) for e in EPISODES]
        frames = np.concatenate([e.frames for e in EPISODES])
        file.create_dataset("pixels", data=frames, chunks=(1, S, S, 3), compression="gzip")
        file["action"] = np.concatenate(rows)
        file["proprio"] = np.concatenate([e.states for e in EPISODES])
        file["ep_len"], file["ep_offset"] = lengths, np.cumsum(lengths) - lengths


def write_minari(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
        for index, episode in enumerate(EPISODES):
            group = file.create_group(f"episode_{index}")
            group["observations/pixels"], group["observations/state"] = episode.frames, episode.states
            group["actions"], group["rewards"] = 3 * episode.actions, episode.rewards


def write_lerobot(folder: Path, as_video: bool) -> None:
    """All episodes in one table and one video, as LeRobot v3 packs them; frames four times as large, for the codec."""
    dtype = "video" if as_video else "image"
    info = {
        "codebase_version": "v3.0",
        "fps": FPS,
        "features": {
            "observation.images.top": {"dtype": dtype, "shape": [S, S, 3]},
            "observation.state": {"dtype": "float32", "shape": [X]},
            "action": {"dtype": "float32", "shape": [A]},
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
        images += [{"bytes": imageio.imwrite("<bytes>", f, extension=".png"), "path": ""} for f in episode.frames]
    if not as_video:
        rows["observation.images.top"] = images
    (folder / "data" / "chunk-000").mkdir(parents=True)
    parquet.write_table(pyarrow.table(rows), folder / "data" / "chunk-000" / "file-000.parquet")
    starts = (np.cumsum(LENGTHS) - np.array(LENGTHS)) / FPS
    index: dict[str, list] = {
        "episode_index": [0, 1, 2], "length": list(LENGTHS), "data/chunk_index": [0] * 3, "data/file_index": [0] * 3,
        "videos/observation.images.top/chunk_index": [0] * 3, "videos/observation.images.top/file_index": [0] * 3,
        "videos/observation.images.top/from_timestamp": starts.tolist(),
    }  # fmt: skip
    parquet.write_table(pyarrow.table(index), folder / "meta" / "episodes" / "chunk-000" / "file-000.parquet")
    if as_video:
        video = folder / "videos" / "observation.images.top" / "chunk-000" / "file-000.mp4"
        video.parent.mkdir(parents=True)
        frames = np.concatenate([e.frames for e in EPISODES]).repeat(8, 1).repeat(8, 2)
        imageio.imwrite(video, frames, plugin="FFMPEG", fps=FPS, codec="libx264rgb", output_params=["-qp", "0"])


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
    for found, episode in zip(open_foreign(tmp_path / "out.h5").episodes(), EPISODES, strict=True):
        np.testing.assert_array_equal(found["frames"], episode.frames)
        np.testing.assert_array_equal(found["actions"], episode.actions)
        np.testing.assert_array_equal(found["rewards"], episode.rewards)


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
    assert main(["data", "merge", *paths, f"out={tmp_path / 'both'}"]) == 1
    write_fake_data(tmp_path / "b", second, {"state_names": ["x", "y", "z_vel"]})
    assert main(["data", "merge", *paths, f"out={tmp_path / 'other'}"]) == 1
    assert not (tmp_path / "other").exists()


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
    assert verify_shard(shard) == 5


def test_a_recording_from_elsewhere_trains_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    episodes = [
        {"frames": rng.integers(0, 256, (15, 16, 16, 3), np.uint8), "actions": rng.uniform(-1, 1, (14, A))}
        for _ in range(10)
    ]
    write_arrays("data/mine", "mine", episodes)
    tiny = [
        *("method.optim.steps=3", "method.optim.batch_size=8", "method.lag=2", "predictor.horizon=3"),
        *(
            "predictor.history=[0,1]",
            "predictor_training.steps=3",
            "predictor_training.batch_size=8",
            "encoder.latent_dim=4",
        ),
    ]
    assert main(["train", "env=recorded", "env.name=mine", *tiny]) == 0
    found = Run("runs/mine").train
    assert found.data.episodes == 10 and found.prediction and found.identifiability is None
    assert main(["control", "run=runs/mine", "tasks=1"]) == 1
    assert main(["train", "env=recorded", "env.name=nothing"]) == 1
