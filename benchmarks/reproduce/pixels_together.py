"""Encoders of reacher's pixels, many at once: the same as `reacher_ou` one by one, batched and on a device.

Letters: E runs, V views, B states, S image side.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.reproduce.definitions import Cell
from benchmarks.reproduce.pixels import PixelRun, Pixels, new_encoder
from benchmarks.reproduce.together import SIGRegWeights, lejepa_each, train_together
from worldmodel.data import nearest_poses
from worldmodel.models import Encoder
from worldmodel.settings import OptimConfig

NUM_GRID = 1024  # directions an angle: .006 rad apart, a quarter of the distance between the poses of a large atlas
MOST_LAGS = 6  # a multiple of every number of lags


class PoseGrid:
    """Rows of the poses nearest to every direction of two angles, on a grid: a look-up costs one gather."""

    def __init__(self, angles: np.ndarray, rows: np.ndarray, device: torch.device) -> None:
        """angles float (n, 2) rad, rows int64 (n,): an atlas."""
        axis = (np.arange(NUM_GRID) + 0.5) * (2 * math.pi / NUM_GRID)
        grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)
        self._rows = torch.from_numpy(rows[nearest_poses(angles, grid, 2 * math.pi)]).to(device)

    def __call__(self, angles: Tensor) -> Tensor:
        """Angles (…, 2) rad, not wrapped -> int64 (…)."""
        index = (angles / (2 * math.pi) % 1 * NUM_GRID).long().clamp_max(NUM_GRID - 1)
        return self._rows[index[..., 0], index[..., 1]]


class OUViews:
    """Fresh views of OU poses for every run, whose rows are looked up in one grid: frames uint8 (E, V, B, 3, S, S).

    Any two views of a state are an exact pair; of several rhos a state has one, drawn at random.
    """

    def __init__(
        self, pixels: Pixels, scales_rad: Sequence[float], rhos: Sequence[Sequence[float]], size: tuple[int, int],
        device: torch.device,
    ) -> None:  # fmt: skip
        """size: V and B."""
        rows = pixels.split("train").rows()
        self._grid, self._frames, self._size = PoseGrid(pixels.z[rows], rows, device), pixels.frames, size
        self._scale = torch.tensor(scales_rad, device=device, dtype=torch.float32).view(-1, 1, 1, 1)
        # every list repeated to one length
        self._rhos = torch.tensor(
            np.stack([np.resize(several, MOST_LAGS) for several in rhos]), device=device, dtype=torch.float32
        )

    def __call__(self, generator: torch.Generator) -> Tensor:
        return self._frames.gather(self._grid(self.angles(generator)))

    def angles(self, generator: torch.Generator) -> Tensor:
        """(E, V, B, 2) rad, not wrapped."""
        (num_views, num_states), num, device = self._size, len(self._scale), generator.device
        lag = torch.randint(MOST_LAGS, (num, num_states), generator=generator, device=device)
        rho = self._rhos.gather(1, lag).view(num, 1, num_states, 1)
        parent = torch.randn(num, 1, num_states, 2, generator=generator, device=device)
        noise = torch.randn(num, num_views, num_states, 2, generator=generator, device=device)
        return self._scale * (rho.sqrt() * parent + (1 - rho).sqrt() * noise)


def train_encoders(
    cells: Sequence[Cell],
    runs: Sequence[PixelRun],
    pixels: Pixels,
    scales_rad: Sequence[float],
    rhos: Sequence[Sequence[float]],
    num_views: int,
    device: torch.device,
) -> list[Encoder]:
    """LeJEPA for every cell on pairs of its own scale and rhos; the runs share sizes and the number of steps."""
    first = runs[0]
    encoders = [new_encoder(run, pixels, cell.seed, device) for run, cell in zip(runs, cells, strict=True)]
    weights = SIGRegWeights(
        [run.sigreg_start for run in runs],
        [run.sigreg_end for run in runs],
        [1 - float(np.mean(several)) for several in rhos],
        device,
    )
    num_states = first.num_frames // num_views
    draw = OUViews(pixels, scales_rad, rhos, (num_views, num_states), device)

    def loss(latents: Tensor, progress: float, generator: torch.Generator) -> Tensor:
        return lejepa_each(latents, weights(progress), first.num_slices, generator)

    optim = OptimConfig(steps=first.steps, batch_size=num_states, lr=first.lr)
    train_together(cells, encoders, draw, loss, optim, half_precision=True)
    return encoders
