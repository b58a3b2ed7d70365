"""LeWM: predict the next latent, with SIGReg (arXiv:2603.19312)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from worldmodel.data.pairs import window_starts
from worldmodel.data.store import EpisodeIndex
from worldmodel.learning.losses import sigreg
from worldmodel.learning.methods.lejepa import SIGRegWeight, actions_from
from worldmodel.learning.methods.views import Views
from worldmodel.models.cuda_graphs import Captured
from worldmodel.models.layers import mlp
from worldmodel.models.transformer import TransformerPredictor


class Clips:
    """Clips of an episode: rows at fixed offsets from a random start."""

    def __init__(self, episodes: EpisodeIndex, offsets: Sequence[int]) -> None:
        """offsets: in rows, rising from 0."""
        self._starts = window_starts(episodes, offsets[-1] + 1)
        self._offsets = torch.tensor(offsets)

    def sample(self, num_pairs: int, generator: torch.Generator) -> Tensor:
        """Rows int64 (offsets, clips), with about as many frames as `num_pairs` pairs have."""
        num = max(2, 2 * num_pairs // len(self._offsets))
        start = self._starts[torch.randint(len(self._starts), (num,), generator=generator)]
        return self._offsets[:, None] + start


class LeWM(nn.Module):
    """Joint training: an MLP predicts the latent one block of actions ahead, and SIGReg keeps latents Gaussian.

    The MLP is dropped after training. Planning uses the multi-step predictor, which is trained on the frozen latents as
    with every method.
    """

    def __init__(
        self, weight: SIGRegWeight, num_slices: int, latent_dim: int, actions: Tensor, block: int, history: int
    ) -> None:
        """actions: float (rows, A) of the data set. block: control steps to the target. history: latents seen."""
        super().__init__()
        self.weight, self.num_slices, self.actions, self.block = weight, num_slices, actions, block
        self.head = mlp(history * latent_dim + block * actions.shape[1], [256, 256], latent_dim)

    def forward(self, views: Views) -> dict[str, Tensor]:
        """Clips of `history` latents and the latent `block` steps after the last of them -> named scalars."""
        now, target = views.latents[-2], views.latents[-1]
        earlier = (views.latents[:-2] - now).movedim(0, 1).flatten(1)
        steps = actions_from(self.actions, views.rows[-2], self.block).to(now.device)
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
    Gaussian.
    """

    def __init__(self, weight: SIGRegWeight, num_slices: int, predictor: TransformerPredictor, actions: Tensor) -> None:
        """actions: float (rows, A) of the data set."""
        super().__init__()
        self.weight, self.num_slices, self.predictor, self.actions = weight, num_slices, predictor, actions
        self._next = Captured(predictor, predictor.next)

    def forward(self, views: Views) -> dict[str, Tensor]:
        """Clips of latents one block of actions apart -> named scalars."""
        blocks = actions_from(self.actions, views.rows[:-1].T, self.predictor.block).to(views.latents.device)
        latents = views.latents.transpose(0, 1)
        prediction = (self._next(latents[:, :-1], blocks) - latents[:, 1:]).square().mean()
        gaussian = torch.stack([sigreg(part, self.num_slices, views.generator) for part in views.latents]).mean()
        loss = prediction + self.weight(views.progress) * gaussian
        return {"loss": loss, "prediction": prediction, "sigreg": gaussian}
