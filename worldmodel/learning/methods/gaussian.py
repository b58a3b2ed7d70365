"""Methods that keep latents Gaussian by SIGReg: LeJEPA and LeWM."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from worldmodel.data.pairs import window_starts
from worldmodel.data.store import EpisodeIndex
from worldmodel.learning.losses import alignment, sigreg, stillness, without_explained
from worldmodel.learning.methods.views import CLOSER_FROM, Views
from worldmodel.models.cuda_graphs import Captured
from worldmodel.models.glimpse import LocationLatents
from worldmodel.models.layers import mlp
from worldmodel.models.transformer import TransformerPredictor


class SIGRegWeight:
    """Lambda over training: geometric from `start` to `end` over the first 70 %, times `unit`.

    closer: a further factor from when pairs become closer, in proportion to what alignment's optimum then is.
    """

    def __init__(self, start: float, end: float, unit: float = 1.0, closer: float = 1.0) -> None:
        self.start, self.end, self.unit, self.closer = start, end, unit, closer

    def __call__(self, progress: float) -> float:
        ramp = min(1.0, progress / 0.7)
        unit = self.unit if progress < CLOSER_FROM else self.unit * self.closer
        return unit * self.start ** (1 - ramp) * self.end**ramp


class LeJEPA(nn.Module):
    """(1 - lambda) alignment + lambda SIGReg on positive pairs (arXiv:2511.08544).

    The sum over latents does not care which of them holds the slowest variable. Where the encoder has `location`
    latents, it should: their mean distance between the views is counted too.

    With the data set's `actions` (rows, A), pairs are frames of one episode, and alignment counts of a latent's change
    only what the actions between them do not explain.
    """

    def __init__(
        self,
        weight: SIGRegWeight,
        num_slices: int,
        location: LocationLatents | None = None,
        actions: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.weight, self.num_slices, self.location, self.actions = weight, num_slices, location, actions

    def forward(self, views: Views) -> dict[str, Tensor]:
        weight = self.weight(views.progress)
        pairs = views.latents
        if self.actions is not None:
            first, second = views.rows
            between = _actions_from(self.actions, first, int(second[0] - first[0]))
            pairs = without_explained(pairs, between.to(pairs.device))
        align = alignment(pairs)
        gaussian = sigreg(views.latents.flatten(0, 1), self.num_slices, views.generator)
        aligned = align
        if self.location is not None:
            aligned = align + self.location.weight * stillness(views.latents[..., : self.location.count])
        loss = (1 - weight) * aligned + weight * gaussian
        return {"loss": loss, "alignment": align, "sigreg": gaussian}


class Clips:
    """Clips for LeWM: rows of one episode at these offsets, which rise from 0."""

    def __init__(self, episodes: EpisodeIndex, offsets: Sequence[int]) -> None:
        self._starts = window_starts(episodes, offsets[-1] + 1)
        self._offsets = torch.tensor(offsets)

    def sample(self, num_pairs: int, generator: torch.Generator) -> Tensor:
        """int64 (offsets, clips), with about as many frames as `num_pairs` pairs have."""
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
        steps = _actions_from(self.actions, views.rows[-2], self.block).to(now.device)
        prediction = (now + self.head(torch.cat([now, earlier, steps], -1)) - target).square().mean()
        gaussian = sum(sigreg(part, self.num_slices, views.generator) for part in (now, target)) / 2
        return {
            "loss": prediction + self.weight(views.progress) * gaussian,
            "prediction": prediction,
            "sigreg": torch.as_tensor(gaussian),
        }


class JointLeWM(nn.Module):
    """LeWM as published: the transformer that will plan is trained with the encoder (arXiv:2603.19312, section 3).

    From every token of a window it predicts the latent a block of actions later; SIGReg keeps the latents of each time
    Gaussian. `actions` (rows, A) of the data set.
    """

    def __init__(self, weight: SIGRegWeight, num_slices: int, predictor: TransformerPredictor, actions: Tensor) -> None:
        super().__init__()
        self.weight, self.num_slices, self.predictor, self.actions = weight, num_slices, predictor, actions
        self._next = Captured(predictor, predictor.next)

    def forward(self, views: Views) -> dict[str, Tensor]:
        blocks = _actions_from(self.actions, views.rows[:-1].T, self.predictor.block).to(views.latents.device)
        latents = views.latents.transpose(0, 1)
        prediction = (self._next(latents[:, :-1], blocks) - latents[:, 1:]).square().mean()
        gaussian = torch.stack([sigreg(part, self.num_slices, views.generator) for part in views.latents]).mean()
        loss = prediction + self.weight(views.progress) * gaussian
        return {"loss": loss, "prediction": prediction, "sigreg": gaussian}


def _actions_from(actions: Tensor, rows: Tensor, steps: int) -> Tensor:
    """Of actions (rows, A), those of `steps` rows from each of `rows` (…) on, side by side: (…, steps A)."""
    return actions[rows[..., None] + torch.arange(steps)].flatten(-2)
