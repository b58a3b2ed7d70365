"""Alignment: positive pairs should have the same latent."""

import torch
from torch import Tensor

_RIDGE = 1e-3
"""Ridge of the regression, as a share of the regressors' mean square; keeps it well posed where columns are alike or
never change."""
_LEAST_SQUARE = 1e-12
"""Lower bound of that mean square."""
_LEAST_DISTANCE = 1e-2
"""Keeps the norm differentiable at zero; far below the standard deviation of a latent, which is about 1."""


def alignment(views: Tensor) -> Tensor:
    """Mean squared distance of views to their mean: V views of B states (V, B, D) -> scalar (arXiv:2605.26379)."""
    return (views - views.mean(0)).square().mean()


def stillness(views: Tensor) -> Tensor:
    """Mean Euclidean distance between the views of pairs (2, B, D) -> scalar.

    It prefers what is still most of the time to what always moves. Mean squares, which alignment takes, are indifferent
    to how change is spread over time: of a block and the pusher that moves it, the best aligned mixture is the block
    minus some of the pusher, while the one of least mean distance is the block alone.
    """
    return ((views[1] - views[0]).square().sum(-1) + _LEAST_DISTANCE**2).sqrt().mean()


def without_explained(views: Tensor, given: Tensor) -> Tensor:
    """Pairs (2, B, D) without the part of their change that is linear in `given` (B, C) -> (2, B, D).

    A ridge regression of this batch; the explained part is subtracted from the second view, and gradients reach both.
    Where z' = A z + B a + noise and a is given, alignment of the result sees A and the noise, however far the actions
    move z.
    """
    given = (given - given.mean(0)).float()
    change = (views[1] - views[0]).float()
    ridge = _RIDGE * given.square().mean().clamp_min(_LEAST_SQUARE) * len(given)
    gram = given.T @ given + ridge * torch.eye(given.shape[1], device=given.device)
    explained = given @ torch.linalg.solve(gram, given.T @ change)
    return torch.stack([views[0], views[1] - explained.to(views.dtype)])
