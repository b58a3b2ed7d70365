"""Encoders of pixels, trained by LeJEPA on positive pairs of a data set: what the pixel tables have in common.

Letters: Z true variables, D latents, V views, F features, n samples.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.reproduce.core import VALIDATION, Cell, Request, or_nan
from worldmodel import envs
from worldmodel.data.frames import Frames, load_frames
from worldmodel.data.pairs import PairSampler
from worldmodel.data.recording import Recording, record
from worldmodel.data.store import DataSet, EpisodeIndex
from worldmodel.learning.dynamics import encode_rows
from worldmodel.learning.loop import Trainer
from worldmodel.learning.methods.lejepa import LeJEPA, SIGRegWeight
from worldmodel.learning.methods.views import EncoderObjective, encoder_stage
from worldmodel.measures.canonical import CanonicalReadout, fit_canonical_pairs
from worldmodel.measures.identifiability import Identifiability, measure
from worldmodel.models.encoders import Encoder
from worldmodel.runs.run_directory import RunDirectory
from worldmodel.settings import EncoderConfig, OptimConfig
from worldmodel.system.devices import pick_device
from worldmodel.system.errors import UserError

NUM_READOUT_PAIRS = 300_000
PairsOfSplit = Callable[[str], PairSampler]
NUM_ROWS = 5_000


@dataclass(frozen=True)
class Scenes:
    """What is recorded: a world, how it moves, how much of it.

    kinematic: latents of an exact OU process, in place of forces. names: the state variables that latents should hold.
    """

    name: str
    world: str
    names: tuple[str, ...]
    episodes: int
    episode_steps: int
    policy: Mapping[str, Any]
    kinematic: Mapping[str, Any] | None = None
    supersample: int = 1


@dataclass(frozen=True)
class Pixels:
    """A recorded data set at the encoder's size; z float64 (rows, Z), the named variables in their own units."""

    scenes: Scenes
    data: DataSet
    frames: Frames
    z: np.ndarray

    def split(self, name: str) -> EpisodeIndex:
        return self.data.split(name)

    def rows(self, split: str, most: int = NUM_ROWS) -> np.ndarray:
        """At most so many rows of a split, evenly spread."""
        rows = self.split(split).rows()
        return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]


def open_scenes(scenes: Scenes, request: Request, input_size: int = 16) -> Pixels:
    """Record what is missing, and load it."""
    world = envs.make(scenes.world)
    have = world.state_names
    world.close()
    if missing := [name for name in scenes.names if name not in have]:
        raise UserError(
            f"world {scenes.world} has no {', '.join(missing)}, which this table measures; it has {', '.join(have)}; "
            "leave world empty for the table's own"
        )
    settings = {
        "name": scenes.world,
        "kinematic": dict(scenes.kinematic) if scenes.kinematic else None,
        "image_size": 64,
        "supersample": scenes.supersample,
        "quality": "fast",
        "randomize": [],
        "factor_rho": {},
    }
    recording = Recording(scenes.name, settings, dict(scenes.policy), scenes.episode_steps, seed=0)
    record(request.data / scenes.name, recording, scenes.episodes, request.workers)
    data = DataSet(request.data / scenes.name, scenes.episodes)
    columns = [data.state_names.index(name) for name in scenes.names]
    frames = load_frames(data, input_size, pick_device(request.device))
    return Pixels(scenes, data, frames, data.states[:, columns].astype(np.float64))


@dataclass(frozen=True)
class PixelRun:
    """One training of an encoder. sigreg_start, sigreg_end: lambda in units of 1 - rho; num_frames: in a batch."""

    latent_dim: int = 2
    input_size: int = 16
    hidden: int = 256
    sigreg_start: float = 0.02
    sigreg_end: float = 0.3
    num_slices: int = 16
    steps: int = 1000
    num_frames: int = 512
    lr: float = 3e-3


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
    optim = OptimConfig(run.steps, run.num_frames // _num_views(pairs), run.lr)
    trainer = Trainer(RunDirectory(cell.folder), encoder, cell.folder.name, cell.seed)
    trainer.fit(encoder_stage(EncoderObjective(pairs, objective), encoder, pixels.frames, optim, on_collapse="report"))
    return encoder


def _num_views(pairs: PairSampler) -> int:
    return len(pairs.sample(1, torch.Generator()))


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
    readout: CanonicalReadout | None = None

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

    seen: what the pairs are rows of.
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

    seen: what the pairs are rows of, where it is not `pixels`.
    """
    figures = {VALIDATION: or_nan(identify(Reader(encoder), pixels, "validation").r2_h_to_z)}
    for suffix, read in readers(encoder, seen or pixels, pairs_of, cell).items():
        found = identify(read, pixels, "test")
        figures |= {f"r2_h_to_z{suffix}": or_nan(found.r2_h_to_z), f"r2_z_to_h{suffix}": or_nan(found.r2_z_to_h)}
        figures |= {f"r2_{name}{suffix}": or_nan(value) for name, value in found.per_variable.items()}
    return figures
