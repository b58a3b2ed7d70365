"""Methods that keep latents Gaussian by SIGReg: LeJEPA and LeWM."""

import torch
from torch import Tensor, nn

from worldmodel.data.pairs import window_starts
from worldmodel.data.store import EpisodeIndex
from worldmodel.losses import alignment, sigreg
from worldmodel.methods.views import Views
from worldmodel.models.encoders import mlp


class SIGRegWeight:
    """Lambda over training: geometric from `start` to `end` over the first 70 %, times `unit`."""

    def __init__(self, start: float, end: float, unit: float = 1.0) -> None:
        self.start, self.end, self.unit = start, end, unit

    def __call__(self, progress: float) -> float:
        ramp = min(1.0, progress / 0.7)
        return self.unit * self.start ** (1 - ramp) * self.end**ramp


class LeJEPA(nn.Module):
    """(1 - lambda) alignment + lambda SIGReg on positive pairs (arXiv:2511.08544)."""

    def __init__(self, weight: SIGRegWeight, num_slices: int) -> None:
        super().__init__()
        self.weight, self.num_slices = weight, num_slices

    def forward(self, views: Views) -> dict[str, Tensor]:
        weight = self.weight(views.progress)
        align = alignment(views.latents)
        gaussian = sigreg(views.latents.flatten(0, 1), self.num_slices, views.generator)
        return {"loss": (1 - weight) * align + weight * gaussian, "alignment": align, "sigreg": gaussian}


class Clips:
    """Clips for LeWM: `history` successive rows of one episode and the row `block` steps after the last of them."""

    def __init__(self, episodes: EpisodeIndex, history: int, block: int) -> None:
        self._starts = window_starts(episodes, history + block)
        self._offsets = torch.tensor([*range(history), history - 1 + block])

    def sample(self, num_pairs: int, generator: torch.Generator) -> Tensor:
        """int64 (history + 1, clips), with about as many frames as `num_pairs` pairs have."""
        num = max(2, 2 * num_pairs // len(self._offsets))
        start = self._starts[torch.randint(len(self._starts), (num,), generator=generator)]
        return self._offsets[:, None] + start


class LeWM(nn.Module):
    """Joint training: an MLP predicts the latent one block of actions ahead, SIGReg keeps latents Gaussian.

    `actions` (rows, A) of the data set. The predictor trained here is dropped: planning uses the multi-step predictor,
    trained on the frozen latents like for every method.
    """

    def __init__(
        self, weight: SIGRegWeight, num_slices: int, latent_dim: int, actions: Tensor, block: int, history: int
    ):
        super().__init__()
        self.weight, self.num_slices, self.actions, self.block = weight, num_slices, actions, block
        self.head = mlp(history * latent_dim + block * actions.shape[1], [256, 256], latent_dim)

    def forward(self, views: Views) -> dict[str, Tensor]:
        now, target = views.latents[-2], views.latents[-1]
        earlier = (views.latents[:-2] - now).movedim(0, 1).flatten(1)
        rows = views.rows[-2][:, None] + torch.arange(self.block)
        steps = self.actions[rows].flatten(1).to(now.device)
        prediction = (now + self.head(torch.cat([now, earlier, steps], -1)) - target).square().mean()
        gaussian = sum(sigreg(part, self.num_slices, views.generator) for part in (now, target)) / 2
        return {
            "loss": prediction + self.weight(views.progress) * gaussian,
            "prediction": prediction,
            "sigreg": torch.as_tensor(gaussian),
        }
