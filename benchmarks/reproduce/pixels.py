"""Encoders of pixels, trained by LeJEPA on positive pairs of a data set; shared by the pixel tables.

Letters: Z true variables, D latents, V views, F features, n samples.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.reproduce.definitions import VALIDATION, Cell, or_nan
from benchmarks.settings import ReproduceConfig
from worldmodel import envs
from worldmodel.data import DataSet, EpisodeIndex, Frames, PairSampler, collect, load_frames
from worldmodel.learning import EncoderObjective, LeJEPA, SIGRegWeight, Trainer, encode_rows, encoder_stage
from worldmodel.measures import CanonicalReadout, Identifiability, fit_canonical_pairs, measure
from worldmodel.models import Encoder
from worldmodel.runs import RunDirectory
from worldmodel.settings import CollectConfig, EncoderConfig, EnvConfig, KinematicConfig, OptimConfig
from worldmodel.system import UserError, pick_device

NUM_READOUT_PAIRS = 300_000
PairsOfSplit = Callable[[str], PairSampler]
NUM_ROWS = 5_000


@dataclass(frozen=True)
class Scenes:
    """A recording: its world, how that moves, and its size."""

    name: str
    """Name of the data set."""
    world: str
    """Name of the world."""
    names: tuple[str, ...]
    """The state variables that latents should hold."""
    episodes: int
    """How many episodes."""
    episode_steps: int
    """Control steps of an episode."""
    policy: Mapping[str, Any]
    """Name and parameters of the policy."""
    kinematic: KinematicConfig | None = None
    """Poses of an exact OU process, in place of forces."""
    supersample: int = 1
    """Frames are rendered so many times larger and box-averaged."""


@dataclass(frozen=True)
class Pixels:
    """A recorded data set at the encoder's size."""

    scenes: Scenes
    """What was recorded."""
    data: DataSet
    """The data set."""
    frames: Frames
    """Its frames, at the encoder's size."""
    z: np.ndarray
    """The variables that latents should hold, float64 (rows, Z) in their own units."""

    def split(self, name: str) -> EpisodeIndex:
        """Episodes of "train", "validation" or "test"."""
        return self.data.split(name)

    def rows(self, split: str, most: int = NUM_ROWS) -> np.ndarray:
        """At most so many rows of a split, evenly spread."""
        rows = self.split(split).rows()
        return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]


def open_scenes(scenes: Scenes, request: ReproduceConfig, input_size: int = 16) -> Pixels:
    """Record the episodes that are missing, and load the data set.

    Raises:
        UserError: the world lacks one of the variables.
    """
    world = envs.make(scenes.world)
    have = world.state_names
    world.close()
    if missing := [name for name in scenes.names if name not in have]:
        raise UserError(
            f"world {scenes.world} has no {', '.join(missing)}, which this table measures; it has {', '.join(have)}; "
            "leave world empty for the table's own"
        )
    collection = CollectConfig(
        EnvConfig(scenes.world, scenes.name, scenes.kinematic, supersample=scenes.supersample),
        policy=dict(scenes.policy),
        episodes=scenes.episodes,
        episode_steps=scenes.episode_steps,
        data=request.data,
        workers=request.workers,
    )
    collect(collection)
    data = DataSet(collection.directory, scenes.episodes)
    columns = [data.state_names.index(name) for name in scenes.names]
    frames = load_frames(data, input_size, pick_device(request.device))
    return Pixels(scenes, data, frames, data.states[:, columns].astype(np.float64))


@dataclass(frozen=True)
class PixelRun:
    """One training of an encoder."""

    latent_dim: int = 2
    """Numbers in a latent."""
    input_size: int = 16
    """Image side in pixels that the encoder sees."""
    hidden: int = 256
    """Units of a hidden layer."""
    sigreg_start: float = 0.02
    """SIGReg's weight lambda at the start, in units of 1 - rho."""
    sigreg_end: float = 0.3
    """The weight in the end."""
    num_slices: int = 16
    """Directions on which SIGReg projects."""
    steps: int = 1000
    """Training steps."""
    num_frames: int = 512
    """Frames of a step."""
    lr: float = 3e-3
    """Highest learning rate."""


def new_encoder(run: PixelRun, pixels: Pixels, seed: int, device: torch.device) -> Encoder:
    """An encoder before its first step, its inputs in standard units of the training frames."""
    torch.manual_seed(seed)
    encoder = Encoder(EncoderConfig(input_size=run.input_size, latent_dim=run.latent_dim, hidden=run.hidden)).to(device)
    encoder.fit_normalization(pixels.frames.gather(torch.from_numpy(pixels.rows("train", 4096))))
    return encoder


def train_encoder(run: PixelRun, pixels: Pixels, pairs: PairSampler, rho: float, cell: Cell) -> Encoder:
    """LeJEPA on `pairs`, whose latents have autocorrelation `rho`."""
    weight = SIGRegWeight(run.sigreg_start, run.sigreg_end, 1 - rho)
    return train_objective(run, pixels, pairs, LeJEPA(weight, run.num_slices), cell)


def train_objective(run: PixelRun, pixels: Pixels, pairs: PairSampler, objective: nn.Module, cell: Cell) -> Encoder:
    """An encoder that minimises `objective`, a module from `Views` to named scalars."""
    encoder = new_encoder(run, pixels, cell.seed, pick_device(cell.request.device))
    num_views = len(pairs.sample(1, torch.Generator()))
    optim = OptimConfig(steps=run.steps, batch_size=run.num_frames // num_views, lr=run.lr)
    stage = encoder_stage(EncoderObjective(pairs, objective), encoder, pixels.frames, optim, on_collapse="report")
    trainer = Trainer(RunDirectory(cell.folder), encoder, {stage.name: {"cell": cell.folder.name}}, cell.seed)
    trainer.fit(stage)
    return encoder


@torch.no_grad()
def encode_features(encoder: Encoder, frames: Frames, rows: np.ndarray) -> np.ndarray:
    """Every hidden layer of an MLP encoder side by side: float32 (n, F)."""
    encoder.eval()
    body = encoder.body
    assert isinstance(body, nn.Sequential)
    layers = body[-1]
    assert isinstance(layers, nn.Sequential)
    parts = []
    for part in torch.from_numpy(rows).split(4096):
        x = body[:-1](encoder.normalize(frames.gather(part)))
        hidden = []
        for layer in list(layers)[:-1]:
            x = layer(x)
            if isinstance(layer, nn.GELU):
                hidden.append(x)
        parts.append(torch.cat(hidden, 1))
    return torch.cat(parts).cpu().numpy()


def fit_readout(
    encoder: Encoder, pixels: Pixels, pairs_of: PairsOfSplit, num_latents: int, seed: int
) -> CanonicalReadout:
    """The canonical readout of the encoder's features over training pairs, its ridge chosen on validation pairs."""
    generator = torch.Generator().manual_seed(seed)

    def seen(split: str, num_pairs: int) -> tuple[np.ndarray, np.ndarray]:
        rows = pairs_of(split).sample(num_pairs, generator).numpy()[:2]
        unique, place = np.unique(rows, return_inverse=True)
        return encode_features(encoder, pixels.frames, unique), place.reshape(rows.shape)

    features, pairs = seen("train", NUM_READOUT_PAIRS)
    return fit_canonical_pairs(features, pairs, num_latents, seen("validation", NUM_READOUT_PAIRS // 10))


@dataclass(frozen=True)
class Reader:
    """An encoder with its readout, if any: rows of frames to latents."""

    encoder: Encoder
    """The encoder."""
    readout: CanonicalReadout | None = None
    """Gives the latents from its features; None takes the encoder's own latents."""

    def __call__(self, pixels: Pixels, rows: np.ndarray) -> np.ndarray:
        if self.readout is not None:
            return self.readout(encode_features(self.encoder, pixels.frames, rows))
        return encode_rows(self.encoder, pixels.frames, torch.from_numpy(rows)).cpu().numpy()


def identify(read: Reader, pixels: Pixels, split: str) -> Identifiability:
    """Maps fitted on training rows, scored on a split of other episodes, between latents and standardised variables."""
    fit_rows, rows = pixels.rows("train"), pixels.rows(split)
    mean, std = pixels.z[fit_rows].mean(0), pixels.z[fit_rows].std(0)
    z_fit, z = ((pixels.z[chosen] - mean) / std for chosen in (fit_rows, rows))
    return measure((z_fit, read(pixels, fit_rows)), (z, read(pixels, rows)), list(pixels.scenes.names))


def readers(encoder: Encoder, seen: Pixels, pairs_of: PairsOfSplit, cell: Cell) -> dict[str, Reader]:
    """The encoder as trained, under "", and if asked for with the canonical readout, under "_polished".

    seen: the data set whose rows the pairs are.
    """
    found = {"": Reader(encoder)}
    if cell.request.polish:
        readout = fit_readout(encoder, seen, pairs_of, encoder.config.num_latents, cell.seed)
        found["_polished"] = Reader(encoder, readout)
    return found


def figures_of(
    encoder: Encoder, pixels: Pixels, pairs_of: PairsOfSplit, cell: Cell, seen: Pixels | None = None
) -> dict[str, float]:
    """R2 both ways on the test split, as trained and polished; "validation" for choosing settings.

    seen: the data set whose rows the pairs are, where it is not `pixels`.
    """
    figures = {VALIDATION: or_nan(identify(Reader(encoder), pixels, "validation").r2_h_to_z)}
    for suffix, read in readers(encoder, seen or pixels, pairs_of, cell).items():
        found = identify(read, pixels, "test")
        figures |= {f"r2_h_to_z{suffix}": or_nan(found.r2_h_to_z), f"r2_z_to_h{suffix}": or_nan(found.r2_z_to_h)}
        figures |= {f"r2_{name}{suffix}": or_nan(value) for name, value in found.per_variable.items()}
    return figures
