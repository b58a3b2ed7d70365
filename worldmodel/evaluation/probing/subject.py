"""What is probed: a run's model and its data, with latents of every row."""

from dataclasses import dataclass, replace

import torch

from worldmodel.data.frames import Frames, load_frames
from worldmodel.data.store import DataSet
from worldmodel.data.table import LatentTable
from worldmodel.learning.sources import latent_table
from worldmodel.models import WorldModel
from worldmodel.models.encoders import set_cpu_threads
from worldmodel.runs.run_directory import RunDirectory
from worldmodel.settings import ProbeConfig, TrainConfig, read_run_config
from worldmodel.system.devices import pick_device

SPLIT_NAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class Subject:
    """A run's model, the settings it was trained with, and its data; `random_table` is by an untrained encoder, None
    where no controls are asked for."""

    trained: TrainConfig
    model: WorldModel
    data: DataSet
    frames: Frames
    table: LatentTable
    random_table: LatentTable | None


def open_subject(config: ProbeConfig, run: RunDirectory) -> Subject:
    """The subject of a trained run."""
    device = pick_device(config.device)
    trained = read_run_config(run.path)
    if config.data:
        trained = replace(trained, collection=replace(trained.collection, data=config.data))
    model = WorldModel.load(run.path, device)
    set_cpu_threads(model.config.encoder)
    data = DataSet(trained.collection.directory, trained.collection.num_episodes)
    frames = load_frames(data, model.config.encoder.input_size, device)
    random_table = _random_table(model, data, frames, config.seed + 1) if config.controls else None
    return Subject(trained, model, data, frames, latent_table(model, data, frames), random_table)


def _random_table(model: WorldModel, data: DataSet, frames: Frames, seed: int) -> LatentTable:
    """Latents by an encoder of the same shape that was never trained."""
    torch.manual_seed(seed)
    untrained = WorldModel(model.config).to(model.device)
    untrained.encoder.fit_normalization(frames.gather(torch.arange(0, data.num_rows, max(1, data.num_rows // 2048))))
    return latent_table(untrained, data, frames)
