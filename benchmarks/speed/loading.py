"""How fast clips are read, from memory and from disk, beside stable-worldmodel's reader of the same file."""

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.settings import BenchConfig
from benchmarks.speed.cpu_time import median_cpu_s
from worldmodel.data import DataSet, DiskFrames, EpisodeIndex, Frames, load_frames, window_starts, write_arrays
from worldmodel.learning import encoder_objective, encoder_stage
from worldmodel.models import Encoder
from worldmodel.settings import EncoderConfig, MethodConfig

CPU = torch.device("cpu")
SIDE, EPISODE_FRAMES, NUM_ROWS, BATCH, CLIP_FRAMES = 64, 201, 12_060, 256, 4


def load(config: BenchConfig) -> dict[str, Any]:
    """Clips of four 64 x 64 frames per CPU-second, from memory and from mapped shards, beside the peer where installed;
    and training steps per CPU-second on each, which show the cost of streaming."""
    with tempfile.TemporaryDirectory() as folder:
        data = _noise(Path(folder))
        draw = _clip_sampler(data)
        figures: dict[str, Any] = {"clips_of": "4 frames of 64 x 64 x 3", "batch": BATCH}
        for name, frames in (("memory", load_frames(data, SIDE, CPU)), ("disk", DiskFrames(data, SIDE, CPU))):
            figures[f"{name}_clips_per_cpu_s"] = BATCH / median_cpu_s(lambda f=frames: f.gather(draw()), 50)
        steps = {
            name: _steps_per_cpu_s(frames, data, config.repeats)
            for name, frames in (("memory", load_frames(data, 16, CPU)), ("disk", DiskFrames(data, 16, CPU)))
        }
        figures |= {f"training_steps_per_cpu_s_{name}": rate for name, rate in steps.items()}
        figures["training_disk_to_memory"] = steps["disk"] / steps["memory"]
        return figures | _peer_load(data, config.repeats)


def _noise(folder: Path) -> DataSet:
    """A data set of random pixels."""
    rng = np.random.default_rng(0)

    def episode() -> Mapping[str, np.ndarray]:
        return {
            "frames": rng.integers(0, 256, (EPISODE_FRAMES, SIDE, SIDE, 3), np.uint8),
            "actions": np.zeros((EPISODE_FRAMES - 1, 2)),
        }

    write_arrays(folder, "bench", (episode() for _ in range(NUM_ROWS // EPISODE_FRAMES)))
    return DataSet(folder)


def _clip_sampler(data: DataSet) -> Callable[[], Tensor]:
    """Draws the rows of a batch of clips, int64 (256, 4)."""
    starts = window_starts(EpisodeIndex(data.offset, data.length), CLIP_FRAMES)
    generator = torch.Generator().manual_seed(0)

    def draw() -> Tensor:
        chosen = starts[torch.randint(len(starts), (BATCH,), generator=generator)]
        return chosen[:, None] + torch.arange(CLIP_FRAMES)

    return draw


def _steps_per_cpu_s(frames: Frames, data: DataSet, repeats: int) -> float:
    """Steps of LeJEPA with the default encoder, which takes 16 x 16 of the 64 x 64 pixels."""
    encoder = Encoder(EncoderConfig(latent_dim=8))
    method = MethodConfig(pairs="lag", lag=3)
    recipe = encoder_objective(method, encoder, data, data.split("train"), 0)
    stage = encoder_stage(recipe, encoder, frames, method.optim)
    optimizer = torch.optim.AdamW(stage.module.parameters(), 1e-3, fused=True)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        stage.loss(0.5, generator)["loss"].backward()
        optimizer.step()

    return 1 / median_cpu_s(step, 5 * repeats)


def _peer_load(data: DataSet, repeats: int) -> dict[str, Any]:
    """Clips per CPU-second of stable-worldmodel's HDF5 reader on a shard of ours, and whether it reads what we wrote;
    nothing where it is not installed."""
    try:
        from stable_worldmodel.data.formats.hdf5 import HDF5Dataset
    except ImportError:
        return {}
    found: dict[str, Any] = {"peer_version": metadata.version("stable-worldmodel")}
    for name, columns in (("all_columns", None), ("frames_only", ["pixels"])):
        peer = HDF5Dataset(path=data.shards[0], num_steps=CLIP_FRAMES, keys_to_load=columns)
        same = np.array_equal(np.moveaxis(np.asarray(peer[5]["pixels"]), 1, -1), data.frames(slice(5, 9)))
        found[f"peer_hdf5_{name}_reads_what_was_written"] = same
        chosen = np.random.default_rng(0).integers(0, len(peer), 100).tolist()
        work = partial(lambda peer, chosen: [peer[index] for index in chosen], peer, chosen)
        found[f"peer_hdf5_{name}_clips_per_cpu_s"] = 100 / median_cpu_s(work, repeats)
    return found
