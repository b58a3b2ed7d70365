"""Valid files to begin with, a folder of every kind that is read, made in seconds and without a simulator."""

import io
import json
import shutil
from importlib import resources
from pathlib import Path

import h5py
import imageio.v3 as imageio
import numpy as np
import pyarrow
import torch
from pyarrow import parquet

from worldmodel.data import DataSet, convert, write_arrays
from worldmodel.learning import Stage, Trainer
from worldmodel.models import ModelConfig, WorldModel
from worldmodel.runs import Run, RunDirectory, write_record
from worldmodel.settings import (
    ContextConfig,
    DecoderConfig,
    EncoderConfig,
    HeadsConfig,
    OptimConfig,
    PredictorConfig,
    write_run_config,
)

CAMERA = "observation.images.top"
FPS = 50
STAGES = {"encoder": {"method.lag": 5}}
"""Stage -> the options that its weights depend on."""
_SIZE, _FRAMES, _EPISODES = 16, 15, 2


def make_valid(folder: Path) -> None:
    """A run, a data set, and recordings of every layout."""
    torch.manual_seed(0)
    episodes = [_episode(np.random.default_rng(index)) for index in range(_EPISODES)]
    write_arrays(folder / "data", "data", episodes, state_names=["x", "y", "x_vel"])
    _write_run(folder / "run")
    convert(folder / "data", folder / "foreign.h5")
    _write_minari(folder / "minari" / "data", episodes)
    _write_lerobot(folder / "images", episodes, as_film=False)
    _write_lerobot(folder / "film", episodes, as_film=True)
    _write_clip(folder / "clip", episodes[0])
    scene = resources.files("worldmodel.envs").joinpath("scenes/puck/scene.xml")
    (folder / "scene.xml").write_bytes(scene.read_bytes())
    (folder / "command.json").write_text(
        json.dumps({"do": "drag_goal", "geom": 1, "grip": [0, 0, 0], "point": [0.5, 0, 0]})
    )


def _episode(rng: np.random.Generator) -> dict[str, np.ndarray]:
    frames = rng.integers(0, 255, (_FRAMES, _SIZE, _SIZE, 3), np.uint8)
    actions = rng.uniform(-1, 1, (_FRAMES - 1, 2)).astype(np.float32)
    return {"frames": frames, "actions": actions, "states": rng.standard_normal((_FRAMES, 3)).astype(np.float32)}


def _write_run(folder: Path) -> None:
    """A run with settings and results of one that comes with the package, and a small model."""
    source = Run("zoo/puck")
    folder.mkdir()
    shutil.copy(source.path / "summary.json", folder)
    write_run_config(folder, source.config)
    control = source.summary.control
    assert control is not None
    write_record(folder / "control.json", control)
    encoder, context = EncoderConfig(input_size=8, hidden=8, latent_dim=4), ContextConfig(window=9, dim=2, hidden=8)
    predictor, heads = PredictorConfig(hidden=8, horizon=4, history=[0, 1]), HeadsConfig(hidden=8)
    decoder = DecoderConfig(image_size=32, hidden=8, channels=[8, 8])
    model = WorldModel(ModelConfig(encoder, 2, predictor, context, heads, decoder))
    model.save(folder)
    weight = next(model.encoder.parameters())
    stage = Stage("encoder", model.encoder, lambda *_: {"loss": weight.square().sum()}, OptimConfig(steps=3))
    Trainer(RunDirectory(folder), model, STAGES, 0).fit(stage)
    (folder / "figures").mkdir()
    for name in ("x", "success", "probes"):  # a page draws the last two where they are missing, which takes longer
        (folder / "figures" / f"{name}.png").write_bytes(_png(np.zeros((8, 8, 3), np.uint8)))


def _write_minari(folder: Path, episodes: list[dict[str, np.ndarray]]) -> None:
    folder.mkdir(parents=True)
    with h5py.File(folder / "main_data.hdf5", "w") as file:
        for index, episode in enumerate(episodes):
            group = file.create_group(f"episode_{index}")
            group["observations/pixels"], group["observations/state"] = episode["frames"], episode["states"]
            group["actions"] = episode["actions"]
            group["rewards"] = np.zeros(len(episode["actions"]), np.float32)


def _write_lerobot(folder: Path, episodes: list[dict[str, np.ndarray]], as_film: bool) -> None:
    features = {
        CAMERA: {"dtype": "video" if as_film else "image", "shape": [_SIZE, _SIZE, 3], "info": {"video.fps": FPS}},
        "observation.state": {"dtype": "float32", "shape": [3]},
        "action": {"dtype": "float32", "shape": [2]},
    }
    for part in ("meta/episodes/chunk-000", "data/chunk-000", f"videos/{CAMERA}/chunk-000"):
        (folder / part).mkdir(parents=True)
    info = {"codebase_version": "v3.0", "fps": FPS, "features": features}
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    rows = {
        "episode_index": np.repeat(np.arange(_EPISODES), _FRAMES).tolist(),
        "frame_index": list(range(_FRAMES)) * _EPISODES,
        "action": [row for of in episodes for row in [*of["actions"].tolist(), [0.0, 0.0]]],
        "observation.state": [row for of in episodes for row in of["states"].tolist()],
    }
    frames = np.concatenate([of["frames"] for of in episodes])
    if not as_film:
        rows[CAMERA] = [{"bytes": _png(frame), "path": ""} for frame in frames]
    parquet.write_table(pyarrow.table(rows), folder / "data/chunk-000/file-000.parquet")
    index: dict[str, list[float]] = {"episode_index": list(range(_EPISODES)), "length": [_FRAMES] * _EPISODES}
    index |= {f"data/{of}_index": [0] * _EPISODES for of in ("chunk", "file")}
    if as_film:
        place = f"videos/{CAMERA}"
        index |= {f"{place}/{of}_index": [0] * _EPISODES for of in ("chunk", "file")}
        index[f"{place}/from_timestamp"] = [_FRAMES * number / FPS for number in range(_EPISODES)]
        _write_film(folder / place / "chunk-000" / "file-000.mp4", frames)
    parquet.write_table(pyarrow.table(index), folder / "meta/episodes/chunk-000/file-000.parquet")


def _write_clip(folder: Path, episode: dict[str, np.ndarray]) -> None:
    """A film with its actions beside it, once as text, once as arrays."""
    folder.mkdir()
    for name in ("text.mp4", "arrays.mp4"):
        _write_film(folder / name, episode["frames"])
    np.savetxt(folder / "text.csv", episode["actions"], delimiter=",", header="x,y", comments="")
    np.savez(folder / "arrays.npz", actions=episode["actions"])


def _write_film(path: Path, frames: np.ndarray) -> None:
    imageio.imwrite(path, frames, plugin="FFMPEG", fps=FPS, codec="libx264rgb", output_params=["-qp", "30"])


def _png(frame: np.ndarray) -> bytes:
    file = io.BytesIO()
    imageio.imwrite(file, frame, extension=".png")
    return file.getvalue()


def read_all(data: DataSet) -> None:
    """Every column of a data set."""
    _ = data.states, data.actions, data.rewards, data.factors, data.map_frames(np.copy)
