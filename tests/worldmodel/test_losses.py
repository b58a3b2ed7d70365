"""The other losses: contrastive, variance and covariance, whitening; each is what its formula says."""

import math

import numpy as np
import pytest
import torch
from worldmodel_fakes import seeded

from worldmodel.learning.losses import (
    alignment,
    covariance,
    decorrelation,
    infonce,
    similarity_logits,
    stillness,
    variance_hinge,
    whiten,
    whitening_penalty,
)
from worldmodel.system.errors import UserError

pytestmark = pytest.mark.numerics

B, C, D = 7, 5, 3


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=seeded(seed))


# ---------------------------------------------------------------------------------------------------------------------
# contrastive


def test_similarities_are_what_they_are_called():
    first, second = normal(B, D), normal(C, D, seed=1)
    gaussian = similarity_logits(first, second, "gaussian", 0.3)
    torch.testing.assert_close(gaussian, -torch.cdist(first, second).square() / 0.3)
    cosine = similarity_logits(first, second, "cosine", 0.3)
    expected = torch.cosine_similarity(first[:, None], second[None], dim=-1) / 0.3
    torch.testing.assert_close(cosine, expected)


@pytest.mark.parametrize("similarity", ["gaussian", "cosine"])
def test_infonce_is_the_mean_surprise_at_the_partner(similarity):
    first, second = normal(B, D).float(), normal(B, D, seed=1).float()
    logits = similarity_logits(first, second, similarity, 0.5)
    forward = (logits.logsumexp(1) - logits.diagonal()).mean()
    backward = (logits.logsumexp(0) - logits.diagonal()).mean()
    torch.testing.assert_close(infonce(first, second, similarity, 0.5), (forward + backward) / 2)
    torch.testing.assert_close(infonce(second, first, similarity, 0.5), infonce(first, second, similarity, 0.5))


@pytest.mark.parametrize("similarity", ["gaussian", "cosine"])
def test_infonce_ranges_from_zero_to_that_of_guessing(similarity):
    same = torch.ones(B, D)
    assert infonce(same, same, similarity).item() == pytest.approx(math.log(B), abs=1e-5)
    apart = torch.eye(B)
    assert infonce(apart, apart, similarity, 0.01).item() == pytest.approx(0, abs=1e-5)
    assert infonce(same[:1], same[:1], similarity).item() == 0


def test_the_critic_of_a_gaussian_pair_is_optimal_at_its_own_width():
    """For z' = rho z + noise the log density ratio is that of exp(-|z - z'|^2 / temperature) at 2 (1 - rho^2) / rho,
    but for terms of one end alone, which a batch's softmax sees only through the other end's norm."""
    rho, num = 0.9, 512
    z = normal(num, 2).float()
    other = rho * z + math.sqrt(1 - rho**2) * normal(num, 2, seed=1).float()
    best = 2 * (1 - rho**2) / rho
    losses = [infonce(z, other, "gaussian", scale * best).item() for scale in (0.3, 1.0, 4.0)]
    assert losses[1] < losses[0] and losses[1] < losses[2]


# ---------------------------------------------------------------------------------------------------------------------
# second moments


def test_covariance_and_vicreg_terms_are_their_formulas():
    x = normal(40, D) @ normal(D, D, seed=1)
    expected = np.cov(x.numpy().T)
    np.testing.assert_allclose(covariance(x).numpy(), expected)
    off = expected - np.diag(np.diag(expected))
    assert decorrelation(x).item() == pytest.approx((off**2).sum() / D)
    assert whitening_penalty(x.float()).item() == pytest.approx(((expected - np.eye(D)) ** 2).mean(), rel=1e-5)
    short = np.maximum(0, 1 - np.sqrt(np.diag(expected) + 1e-4)).mean()
    assert variance_hinge(x).item() == pytest.approx(short)


def test_the_hinge_asks_for_no_more_than_its_target_and_pulls_collapsed_latents_apart():
    assert variance_hinge(3 * normal(400, D)).item() == 0
    x = (1e-3 * normal(40, D)).requires_grad_()
    variance_hinge(x).backward()
    assert x.grad is not None
    assert ((x.grad * (x - x.mean(0))).sum(0) < 0).all()  # a descent step widens every dimension


def test_whitened_latents_are_white_whatever_linear_map_came_before():
    x = normal(200, D) @ normal(D, D, seed=1) + 5
    white = whiten(x, eps=0.0)
    torch.testing.assert_close(covariance(white), torch.eye(D, dtype=x.dtype))
    torch.testing.assert_close(white.mean(0), torch.zeros(D, dtype=x.dtype))
    again = whiten(x @ normal(D, D, seed=2), eps=0.0)
    # two whitenings of one cloud differ by a rotation: their Gram matrices agree
    torch.testing.assert_close(again @ again.T, white @ white.T)


def test_whitening_does_not_pull_on_the_scale_nor_break_on_collapsed_latents():
    x, target = normal(50, D).requires_grad_(), normal(50, D, seed=1)
    (whiten(x, eps=0.0) - target).square().mean().backward()
    assert x.grad is not None
    assert (x.grad * (x - x.mean(0))).sum().item() == pytest.approx(0, abs=1e-9)
    collapsed = torch.ones(50, D, requires_grad=True)
    whiten(collapsed).square().mean().backward()
    assert collapsed.grad is not None and torch.isfinite(collapsed.grad).all()


def test_a_batch_smaller_than_the_latents_cannot_be_whitened():
    with pytest.raises(UserError, match="more than 8 rows, got 8"):
        whiten(torch.randn(8, 8, generator=seeded()))


# ---------------------------------------------------------------------------------------------------------------------
# stillness


def test_stillness_is_the_mean_distance_of_pairs_whichever_way_the_axes_point():
    first, second = normal(B, D), normal(B, D, seed=1)
    expected = (second - first).norm(dim=-1).mean()
    pairs = torch.stack([first, second])
    torch.testing.assert_close(stillness(pairs), expected, rtol=1e-3, atol=0)
    rotation = torch.linalg.qr(normal(D, D, seed=2)).Q
    torch.testing.assert_close(stillness(pairs @ rotation), stillness(pairs))
    still = normal(B, D).requires_grad_()
    stillness(torch.stack([still, still])).backward()
    assert still.grad is not None and still.grad.abs().max() < 1e-9


def test_the_stillest_mixture_of_a_block_and_the_hand_that_pushes_it_is_the_block_and_the_best_aligned_is_not():
    num = 20_000
    hand = normal(num, 2)
    block = 0.9 * hand + 0.45 * normal(num, 2, seed=1)
    moves = 0.3 * normal(num, 2, seed=2)
    pushed = (torch.rand(num, 1, dtype=torch.float64, generator=seeded(3)) < 0.5).double()
    shares = [-0.3, -0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2]

    def best(criterion):
        mixtures = [torch.stack([block + s * hand, block + s * hand + (pushed + s) * moves]) for s in shares]
        return shares[min(range(len(shares)), key=lambda i: criterion(mixtures[i] / mixtures[i][0].std()))]

    assert best(stillness) == 0.0
    assert best(alignment) <= -0.1
