"""LeJEPA: positive pairs are aligned, and SIGReg keeps the latents Gaussian."""

import torch
from torch import Tensor, nn

from worldmodel.learning.losses import alignment, sigreg, stillness, without_explained
from worldmodel.learning.methods.views import CLOSER_FROM, Views
from worldmodel.models.glimpse import LocationLatents


class SIGRegWeight:
    """Lambda as a function of training progress: geometric from `start` to `end` over the first 70 %, then constant."""

    def __init__(self, start: float, end: float, unit: float = 1.0, closer: float = 1.0) -> None:
        """
        Args:
            start: lambda at progress 0.
            end: lambda from progress .7 on.
            unit: factor on both, such as 1 - rho of OU pairs, to which their alignment is proportional.
            closer: further factor from the moment on at which pairs become closer, since the alignment of closer pairs
                is smaller in proportion.
        """
        self.start, self.end, self.unit, self.closer = start, end, unit, closer

    def __call__(self, progress: float) -> float:
        """Lambda at a progress in [0, 1]."""
        ramp = min(1.0, progress / 0.7)
        unit = self.unit if progress < CLOSER_FROM else self.unit * self.closer
        return unit * self.start ** (1 - ramp) * self.end**ramp


class LeJEPA(nn.Module):
    """(1 - lambda) alignment + lambda SIGReg on positive pairs (arXiv:2511.08544)."""

    def __init__(
        self,
        weight: SIGRegWeight,
        num_slices: int,
        location: LocationLatents | None = None,
        actions: Tensor | None = None,
    ) -> None:
        """
        Args:
            weight: lambda over training.
            num_slices: directions on which SIGReg projects.
            location: latents whose mean distance between the views is added to alignment; None for no such latents.
            actions: actions of the data set, float (rows, A), for pairs of frames of one episode: alignment then counts
                only the change that the actions between the frames do not explain. None counts all of it.
        """
        super().__init__()
        self.weight, self.num_slices, self.location, self.actions = weight, num_slices, location, actions

    def forward(self, views: Views) -> dict[str, Tensor]:
        """Views of one state each (two, where actions are explained away) -> named scalars."""
        weight = self.weight(views.progress)
        pairs = views.latents
        if self.actions is not None:
            first, second = views.rows
            between = actions_from(self.actions, first, int(second[0] - first[0]))
            pairs = without_explained(pairs, between.to(pairs.device))
        align = aligned = alignment(pairs)
        gaussian = sigreg(views.latents.flatten(0, 1), self.num_slices, views.generator)
        if self.location is not None:
            aligned = align + self.location.weight * stillness(views.latents[..., : self.location.count])
        loss = (1 - weight) * aligned + weight * gaussian
        return {"loss": loss, "alignment": align, "sigreg": gaussian}


def actions_from(actions: Tensor, rows: Tensor, steps: int) -> Tensor:
    """The `steps` actions from each of `rows` int64 (…) on, side by side: of actions (rows, A) -> (…, steps A)."""
    return actions[rows[..., None] + torch.arange(steps)].flatten(-2)
