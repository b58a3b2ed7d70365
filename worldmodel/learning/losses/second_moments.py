"""Losses of second moments: the terms of VICReg, and whitening. They fix variances and correlations, nothing else."""

import torch
from torch import Tensor

from worldmodel.system.errors import UserError


def covariance(latents: Tensor) -> Tensor:
    """Unbiased covariance of latents (n, D) -> (D, D)."""
    centred = latents - latents.mean(0)
    return centred.T @ centred / (len(latents) - 1)


def variance_hinge(latents: Tensor, target_std: float = 1.0, eps: float = 1e-4) -> Tensor:
    """Mean shortfall of standard deviations below `target_std`: (n, D) -> scalar (VICReg, arXiv:2105.04906, eq. 1)."""
    return torch.relu(target_std - (latents.var(0) + eps).sqrt()).mean()


def decorrelation(latents: Tensor) -> Tensor:
    """Sum of squared off-diagonal covariances, divided by D: (n, D) -> scalar (VICReg, eq. 4)."""
    cov = covariance(latents)
    return (cov.square().sum() - cov.diagonal().square().sum()) / latents.shape[1]


def whitening_penalty(latents: Tensor) -> Tensor:
    """Mean squared entry of Cov - I: (n, D) -> scalar; 0 for white latents."""
    identity = torch.eye(latents.shape[1], device=latents.device)
    return (covariance(latents) - identity).square().mean()


def whiten(latents: Tensor, eps: float = 1e-4) -> Tensor:
    """Latents (n, D) centred and with covariance I, up to `eps` -> (n, D), differentiably.

    By the Cholesky factor of the batch's covariance (W-MSE, arXiv:2007.06346). Another whitening, such as ZCA, differs
    by a rotation, which leaves distances between latents as they are.

    Args:
        latents: (n, D).
        eps: added to the diagonal of the covariance, as a share of its mean.

    Raises:
        UserError: n <= D: so few latents do not span all D directions.
    """
    num, dim = latents.shape
    if num <= dim:
        raise UserError(
            f"whitening {dim} latents needs a batch of more than {dim} rows, got {num}; "
            "raise method.optim.batch_size or lower encoder.latent_dim"
        )
    cov = covariance(latents)
    ridge = eps * cov.diagonal().mean().clamp_min(1e-12) * torch.eye(dim, dtype=cov.dtype, device=cov.device)
    centred = latents - latents.mean(0)
    return torch.linalg.solve_triangular(torch.linalg.cholesky(cov + ridge), centred.T, upper=False).T
