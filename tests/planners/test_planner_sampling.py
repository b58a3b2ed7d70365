import math

import pytest
import torch
from planner_fakes import A, B, H, seeded

from worldmodel.planners.mppi import boltzmann_weights
from worldmodel.planners.sampling import coloured, refit, shift

pytestmark = pytest.mark.numerics


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_coloured_noise_keeps_its_variance_and_has_the_asked_spectrum(exponent):
    length = 16
    noise = coloured(torch.randn(20_000, length, A, generator=seeded(), dtype=torch.float64), exponent)
    assert noise.std().item() == pytest.approx(1, abs=0.01)
    power = torch.fft.rfft(noise, dim=-2).abs().square().mean((0, 2))[1:]
    frequency = torch.fft.rfftfreq(length, dtype=torch.float64)[1:]
    slope = torch.cov(torch.stack([frequency.log(), power.log()]))
    assert -slope[0, 1] / slope[0, 0] == pytest.approx(exponent, abs=0.03)


def test_coloured_noise_of_one_step_is_the_noise():
    noise = torch.randn(7, 1, A, generator=seeded())
    torch.testing.assert_close(coloured(noise, 2.0), noise)


def test_shift_drops_the_executed_steps():
    actions = torch.arange(1.0, 1 + B * H * A).view(B, H, A)
    zero, repeat = shift(actions, 2), shift(actions, 2, "repeat")
    assert torch.equal(zero[:, :3], actions[:, 2:])
    assert torch.equal(zero[:, 3:], torch.zeros(B, 2, A))
    assert torch.equal(repeat[:, :3], actions[:, 2:])
    assert torch.equal(repeat[:, 3:], actions[:, -1:].expand(B, 2, A))
    assert torch.equal(shift(actions, 0), actions)
    assert torch.equal(shift(actions, H + 3), torch.zeros(B, H, A))


def test_refit_is_the_unbiased_weighted_fit():
    candidates = torch.randn(B, 7, H, A, generator=seeded())
    weights = torch.tensor([1.0, 1, 0, 1, 1, 0, 1]).expand(B, 7)
    old = torch.zeros(B, H, A)
    mean, std = refit(candidates / 4, weights, old, old + 1, momentum=0.0, min_std=1e-6)
    chosen = candidates[:, [0, 1, 3, 4, 6]] / 4
    torch.testing.assert_close(mean, chosen.mean(1))
    torch.testing.assert_close(std, chosen.std(1))


def test_refit_without_weight_changes_nothing():
    old_mean, old_std = torch.full((B, H, A), 0.3), torch.full((B, H, A), 0.2)
    mean, std = refit(torch.ones(B, 7, H, A), torch.zeros(B, 7), old_mean, old_std, momentum=0.0, min_std=0.5)
    assert torch.equal(mean, old_mean)
    assert torch.equal(std, old_std)


def test_boltzmann_weights_follow_the_formula_and_survive_infinity():
    cost = torch.tensor([[1.0, 3.0, math.inf], [math.inf] * 3])
    expected = torch.tensor([[1.0, math.exp(-2 / 0.5), 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(boltzmann_weights(cost, 0.5), expected)
