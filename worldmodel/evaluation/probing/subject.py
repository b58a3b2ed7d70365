"""The subject of a probe: a run's model and its data, with latents of every row."""

from dataclasses import dataclass, replace

import torch

from worldmodel.data.frames import Frames, load_frames
from worldmodel.data.store import DataSet
from worldmodel.data.table import LatentTable
from worldmodel.evaluation.fits import check_frames
from worldmodel.learning.sources import latent_table
from worldmodel.models import WorldModel
from worldmodel.models.encoders import set_cpu_threads
from worldmodel.runs import Run
from worldmodel.settings import ProbeConfig, TrainConfig
from worldmodel.system.devices import pick_device

SPLIT_NAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class Subject:
    """A run and its data."""

    trained: TrainConfig
    """The settings that it was trained with."""
    model: WorldModel
    """Its model."""
    data: DataSet
    """The episodes for its dynamics, those of all rounds as well."""
    frames: Frames
    """Their frames, at the encoder's size."""
    table: LatentTable
    """Latents and actions of every frame."""
    random_table: LatentTable | None
    """The same by an encoder that was never trained; None where no controls are asked for."""


def open_subject(config: ProbeConfig, run: Run) -> Subject:
    """The subject of a trained run."""
    device = pick_device(config.device)
    trained = run.config
    if config.data:
        trained = replace(trained, collection=replace(trained.collection, data=config.data))
    model = run.model(device)
    set_cpu_threads(model.eye.config)
    data = run.episodes(config.data)
    check_frames(model, data.index.world.image_size, str(data.directory))
    if model.context_encoder is not None:
        data = data.with_room_for(model.context_encoder.config.window)
    frames = load_frames(data, model.eye.config.input_size, device)
    random_table = _random_table(model, data, frames, config.seed + 1) if config.controls else None
    return Subject(trained, model, data, frames, latent_table(model, data, frames), random_table)


def _random_table(model: WorldModel, data: DataSet, frames: Frames, seed: int) -> LatentTable:
    """Latents by an encoder of the same shape that was never trained."""
    torch.manual_seed(seed)
    untrained = WorldModel(model.config).to(model.device)
    untrained.eye.fit_normalization(frames.gather(torch.arange(0, data.num_rows, max(1, data.num_rows // 2048))))
    return latent_table(untrained, data, frames)
