"""Contrastive losses: a view should recognise its partner among the other views of the batch."""

import torch
from torch import Tensor
from torch.nn import functional

SIMILARITIES = ("gaussian", "cosine")


def similarity_logits(first: Tensor, second: Tensor, similarity: str, temperature: float) -> Tensor:
    """Similarity of every row of (B, D) to every row of (C, D), over `temperature`: (B, C).

    similarity: "gaussian" is minus the squared distance, for latents in R^D (Gaussian ones are then identifiable up to
    an affine map); "cosine" is the cosine of the angle, for latents on a sphere.
    """
    if similarity == "cosine":
        first, second = functional.normalize(first, dim=-1), functional.normalize(second, dim=-1)
        return first @ second.T / temperature
    # the expansion costs a matrix product instead of a (B, C, D) tensor
    cross = first @ second.T
    squared = first.square().sum(-1, keepdim=True) + second.square().sum(-1) - 2 * cross
    return -squared / temperature


def infonce(first: Tensor, second: Tensor, similarity: str = "gaussian", temperature: float = 1.0) -> Tensor:
    """InfoNCE (arXiv:1807.03748) of positive pairs (B, D), (B, D) -> scalar in nats, averaged over both directions.

    Negatives are the other rows of the batch, so that chance level is log B.
    """
    logits = similarity_logits(first.float(), second.float(), similarity, temperature)
    partner = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, partner) + functional.cross_entropy(logits.T, partner)) / 2
