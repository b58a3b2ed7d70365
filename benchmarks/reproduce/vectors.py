"""Encoders of mixed vectors, trained by any loss of the field; shared by the synthetic tables.

Letters: Z latents, V views, n samples.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.reproduce import synthetic
from benchmarks.reproduce.definitions import VALIDATION, Cell, or_nan
from worldmodel.learning import (
    InfoNCE,
    LeJEPA,
    SIGRegWeight,
    Stage,
    Trainer,
    Views,
    alignment,
    sigreg,
    whitening_penalty,
)
from worldmodel.measures import Identifiability, affine_apply, affine_fit, fit_canonical, measure, r2
from worldmodel.models import mlp
from worldmodel.runs import RunDirectory
from worldmodel.settings import InfoNCEConfig, OptimConfig

LARGEST_WATCHED_DIM = 64  # the collapse watch takes eigenvalues, which is slow beyond
NUM_HELD_OUT = 10_000
INFONCE_TEMPERATURE = 2.0  # the reference's kernel width 1


@dataclass(frozen=True)
class VectorRun:
    """One training on mixed vectors."""

    mixing: str
    """Name of the mixing; see `benchmarks.reproduce.synthetic`."""
    dim: int = 2
    """Z, the number of true latents."""
    num_layers: int = 8
    """Coupling layers of the mixing, where it has some."""
    alpha: float = 2.0
    """Shape of the latents' distribution; 2 is Gaussian."""
    rho: float | Sequence[float] = 0.95
    """Correlation of each view with its parent, one for all latents or one for each: pairs have rho^2, as in the
    reference's own code."""
    num_views: int = 2
    """Views of a parent; losses "infonce" and "prediction" take two."""
    latent_dim: int = 0
    """D, the number of learned latents; 0 takes as many as the world has."""
    encoder: str = "fourier"
    """fourier: an MLP on the input and on random sines of it. matched: the mixing's own inverse architecture."""
    loss: str = "lejepa"
    """lejepa, whitening (its second moments alone), infonce, or prediction (one rate for each latent)."""
    sigreg_start: float = 0.02
    """SIGReg's weight lambda at the start, in units of 1 - rho^2; it rises geometrically."""
    sigreg_end: float = 0.3
    """The weight in the end."""
    absolute: bool = False
    """The weights are not in units of 1 - rho^2."""
    steps: int = 1200
    """Training steps."""
    batch_size: int = 256
    """Parents of a step."""
    lr: float = 3e-3
    """Highest learning rate."""
    weight_decay: float = 1e-4
    """Decoupled weight decay."""
    grad_clip: float = 1.0
    """Largest norm of a gradient."""
    num_slices: int = 16
    """Directions on which SIGReg projects."""

    @property
    def pair_rho(self) -> float:
        """Autocorrelation of a pair; the mean of them where latents differ."""
        return float(np.mean(np.square(self.rho)))


class FourierMLP(nn.Module):
    """x (n, Z) -> [x, sin W x, cos W x] -> MLP with BatchNorm -> (n, D).

    Sines of random frequencies let a small MLP bend as fast as the spiral turns. `features` is what the last, linear
    layer reads.
    """

    frequencies: Tensor

    def __init__(
        self, dim: int, latent_dim: int, num_frequencies: int = 64, std: float = 1.0, hidden: int = 128, depth: int = 4
    ) -> None:
        super().__init__()
        self.register_buffer("frequencies", std * torch.randn(dim, num_frequencies))
        self.body = mlp(dim + 2 * num_frequencies, [hidden] * depth, latent_dim, batch_norm=True)

    def features(self, x: Tensor) -> Tensor:
        angle = x @ self.frequencies
        return self.body[:-1](torch.cat([x, angle.sin(), angle.cos()], 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body[-1](self.features(x))


class MatchedEncoder(nn.Module):
    """The inverse of `synthetic.coupling` with weights to be learned: volume-preserving, so it cannot collapse."""

    def __init__(self, dim: int, num_layers: int) -> None:
        super().__init__()
        half = dim // 2
        self.weights = nn.Parameter(torch.randn(num_layers, half, half) / math.sqrt(half))

    def features(self, x: Tensor) -> Tensor:
        return self(x)

    def forward(self, x: Tensor) -> Tensor:
        halves = list(x.chunk(2, 1))
        for layer in range(len(self.weights) - 1, -1, -1):
            moved = 1 - layer % 2
            halves[moved] = halves[moved] - torch.tanh(halves[1 - moved] @ self.weights[layer])
        return torch.cat(halves, 1)


class SoftWhitening(nn.Module):
    """The reference's second-moment loss: half alignment, half the mean squared entry of Cov - I."""

    def forward(self, seen: Views) -> dict[str, Tensor]:
        align, penalty = alignment(seen.latents), whitening_penalty(seen.latents.flatten(0, 1))
        return {"loss": (align + penalty) / 2, "alignment": align, "penalty": penalty}


class RatePrediction(nn.Module):
    """Prediction instead of alignment: a view is the other times a rate learned for each latent, and SIGReg."""

    def __init__(self, latent_dim: int, weight: SIGRegWeight, num_slices: int) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.full((latent_dim,), 0.9))
        self.weight, self.num_slices = weight, num_slices

    def forward(self, seen: Views) -> dict[str, Tensor]:
        weight = self.weight(seen.progress)
        first, second = seen.latents
        missed = ((second - self.rate * first).square().mean() + (first - self.rate * second).square().mean()) / 4
        gaussian = sigreg(seen.latents.flatten(0, 1), self.num_slices, seen.generator)
        return {"loss": (1 - weight) * missed + weight * gaussian, "prediction": missed, "sigreg": gaussian}


@dataclass(frozen=True)
class Learned:
    """A trained encoder with its mixing."""

    run: VectorRun
    """How it was trained."""
    world: synthetic.Mixing
    """Maps true latents to the encoder's input."""
    encoder: FourierMLP | MatchedEncoder
    """Maps that input to learned latents."""
    train_s: float
    """Seconds of its training, or its share of several."""

    @torch.no_grad()
    def features(self, z: np.ndarray) -> np.ndarray:
        return self.encoder.features(torch.from_numpy(self.world.mix(z))).numpy()

    @torch.no_grad()
    def latents(self, z: np.ndarray) -> np.ndarray:
        """True latents (n, Z) to learned ones (n, Z)."""
        return self.encoder(torch.from_numpy(self.world.mix(z))).numpy()


def learn(run: VectorRun, cell: Cell) -> Learned:
    """Train as `run` says with the cell's seed."""
    world, encoder = world_and_encoder(run, cell.seed)
    objective = _objective(run)

    def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        parents = synthetic.latents(rng, run.batch_size, run.dim, run.alpha)
        seen = synthetic.views(rng, parents, run.rho, run.num_views, run.alpha)
        learned = encoder(torch.from_numpy(world.mix(seen.reshape(-1, run.dim)))).view(*seen.shape[:2], -1)
        nothing = torch.empty(0)
        values = objective(Views(nothing, nothing, learned, learned, progress, generator))
        return values | ({"latents": learned.flatten(0, 1)} if run.dim <= LARGEST_WATCHED_DIM else {})

    optim = OptimConfig(steps=run.steps, batch_size=run.batch_size, lr=run.lr, weight_decay=run.weight_decay)
    trainer = Trainer(RunDirectory(cell.folder), encoder, {"encoder": {"cell": cell.folder.name}}, cell.seed)
    learning = nn.ModuleDict({"encoder": encoder, "objective": objective})
    train_s = trainer.fit(Stage("encoder", learning, loss, optim, on_collapse="report", grad_clip=run.grad_clip))
    return Learned(run, world, encoder, train_s)


def world_and_encoder(run: VectorRun, seed: int) -> tuple[synthetic.Mixing, FourierMLP | MatchedEncoder]:
    """The mixing of a run, and its encoder before the first step."""
    torch.manual_seed(seed)
    world = synthetic.make_mixing(run.mixing, run.dim, run.num_layers, seed)
    if run.encoder == "matched":
        return world, MatchedEncoder(run.dim, run.num_layers)
    return world, FourierMLP(run.dim, run.latent_dim or run.dim)


def _objective(run: VectorRun) -> nn.Module:
    if run.loss == "infonce":
        return InfoNCE(InfoNCEConfig(temperature=INFONCE_TEMPERATURE))
    if run.loss == "whitening":
        return SoftWhitening()
    weight = SIGRegWeight(run.sigreg_start, run.sigreg_end, 1.0 if run.absolute else 1 - run.pair_rho)
    if run.loss == "prediction":
        return RatePrediction(run.latent_dim or run.dim, weight, run.num_slices)
    return LeJEPA(weight, run.num_slices)


def recovery(learned: Learned, cell: Cell, num: int = NUM_HELD_OUT) -> dict[str, float]:
    """R2 both ways and the bound on fresh latents, of the latents as trained and, if asked for, of the canonical
    readout.

    "validation" is of other latents than the rest.
    """
    run = learned.run
    rng = np.random.default_rng((cell.seed, 1))
    fit, validation, test = (synthetic.latents(rng, num, run.dim, run.alpha) for _ in range(3))
    pairs = synthetic.views(rng, synthetic.latents(rng, num, run.dim, run.alpha), run.rho, alpha=run.alpha)
    plain = _measured(learned.latents, learned, fit, test, pairs)
    figures = {
        "r2_h_to_z": or_nan(plain.r2_h_to_z),
        "r2_z_to_h": or_nan(plain.r2_z_to_h),
        "orthogonality_error": plain.orthogonality_error or 0.0,
        "procrustes_mse": plain.procrustes_mse or 0.0,
        "bound": plain.theorem_bound or 0.0,
        "train_s": learned.train_s,
    }
    if run.encoder == "matched":  # nothing to choose, nothing to polish
        return figures
    figures[VALIDATION] = float(r2(validation, _read(learned, fit, validation)).mean())
    if cell.request.polish:
        more = synthetic.views(rng, synthetic.latents(rng, 5 * num, run.dim, run.alpha), run.rho, alpha=run.alpha)
        readout = fit_canonical(np.stack([learned.features(view) for view in more]), run.dim)
        polished = _measured(lambda z: readout(learned.features(z)), learned, fit, test, pairs)
        figures["r2_h_to_z_polished"] = or_nan(polished.r2_h_to_z)
        figures["r2_z_to_h_polished"] = or_nan(polished.r2_z_to_h)
    return figures


def _read(learned: Learned, fit: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Prediction (n, Z) of the true latents `held_out` from the learned ones, by a linear map fitted on `fit`."""
    return affine_apply(affine_fit(learned.latents(fit), fit), learned.latents(held_out))


def _measured(
    encode: Callable[[np.ndarray], np.ndarray],
    learned: Learned,
    fit: np.ndarray,
    held_out: np.ndarray,
    pairs: np.ndarray,
) -> Identifiability:
    names = [f"z{index}" for index in range(learned.run.dim)]
    encoded = (encode(pairs[0]), encode(pairs[1]))
    return measure((fit, encode(fit)), (held_out, encode(held_out)), names, encoded, learned.run.pair_rho)


def measure_run(cell: Cell) -> dict[str, float]:
    """Train as the cell's settings say, and measure."""
    run = VectorRun(**cell.settings)
    return recovery(learn(run, cell), cell, num_held_out(run))


def num_held_out(run: VectorRun) -> int:
    """Latents to fit a linear map on, and to test it on; the map's own error adds 1 / 8 to the unexplained variance."""
    return max(NUM_HELD_OUT, 8 * run.dim)
