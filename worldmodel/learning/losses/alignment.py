"""Alignment: positive pairs should have the same latent."""

import torch
from torch import Tensor

# of the mean square of what is given: columns that are alike, or never change, leave the regression well defined
_RIDGE = 1e-3
_LEAST_SQUARE = 1e-12
# in standard deviations of a latent, below what an encoder resolves: distances are smooth at nought
_LEAST_DISTANCE = 1e-2


def alignment(views: Tensor) -> Tensor:
    """Mean squared distance of every view to the mean of its views: (V, B, D) -> scalar (arXiv:2605.26379)."""
    return (views - views.mean(0)).square().mean()


def stillness(views: Tensor) -> Tensor:
    """Mean Euclidean distance of pairs (2, B, D): what is still most of the time has less of it than what always moves.

    Squares, which alignment averages, do not care how change is spread over time: of a block and the hand that pushes
    it, which move together, their optimum is the block less some of the hand. That of distances is the block alone.
    """
    return ((views[1] - views[0]).square().sum(-1) + _LEAST_DISTANCE**2).sqrt().mean()


def without_explained(views: Tensor, given: Tensor) -> Tensor:
    """Pairs (2, B, D) whose second view has lost what is linear in `given` (B, C) of its change from the first.

    The regression is of this batch, by least squares with a small ridge; its gradient reaches both views. Where
    z' = A z + B a + noise, alignment of what is returned sees A and the noise, however far the actions a move z.
    """
    given = (given - given.mean(0)).float()
    change = (views[1] - views[0]).float()
    ridge = _RIDGE * given.square().mean().clamp_min(_LEAST_SQUARE) * len(given)
    gram = given.T @ given + ridge * torch.eye(given.shape[1], device=given.device)
    explained = given @ torch.linalg.solve(gram, given.T @ change)
    return torch.stack([views[0], views[1] - explained.to(views.dtype)])
