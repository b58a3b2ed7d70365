"""Alignment: positive pairs should have the same latent."""

from torch import Tensor


def alignment(views: Tensor) -> Tensor:
    """Mean squared distance of every view to the mean of its views: (V, B, D) -> scalar (arXiv:2605.26379)."""
    return (views - views.mean(0)).square().mean()
