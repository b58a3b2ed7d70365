import math

import pytest
import torch
from planner_fakes import A, B, H, linear_problem, seeded

from worldmodel.planners import CEM, Problem, make_planner
from worldmodel.planners.mppi import boltzmann_weights
from worldmodel.planners.sampling import Incumbent, candidates_around, coloured, refit, shift

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


def test_candidates_are_the_mean_then_the_kept_then_drawn_ones_in_the_box():
    mean, std, kept = torch.rand(B, H, A), torch.rand(B, H, A), torch.rand(B, 2, H, A)
    noise = 2 * torch.randn(7, H, A, generator=seeded())
    drawn = mean[:, None] + std[:, None] * noise
    expected = torch.cat([mean[:, None], kept, drawn[:, 3:]], 1).clamp(-1, 1)
    torch.testing.assert_close(candidates_around(mean, std, noise, kept), expected)
    torch.testing.assert_close(candidates_around(mean, std, noise[:2], kept), expected[:, :2])


def test_the_incumbent_is_the_first_of_the_lowest_cost_and_the_start_until_one_is_finite():
    """Of four environments the first never has a finite cost; the others are best in iteration 1, in 2, in both."""
    blocks = torch.arange(3.0)[:, None, None, None].expand(3, 4, H, A)
    costs = torch.tensor([[math.inf] * 4, [math.inf, 1.0, 3.0, 2.0], [math.inf, 2.0, 1.0, 2.0]])
    best = Incumbent.at(blocks[0])
    for found, cost in zip(blocks[1:], costs[1:], strict=True):
        best = best.update(torch.stack([found + 7, found], 1), torch.stack([cost + 1, cost], 1))
    actions, cost, curve = best.settle()
    assert actions[:, 0, 0].tolist() == [0, 1, 2, 1]
    assert cost.tolist() == [math.inf, 1, 1, 2]
    assert curve.tolist() == [[math.inf, 1, 3, 2], [math.inf, 1, 1, 2]]
    assert best.num_rollouts == 4


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


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("cem", {"num_samples": 10**9, "num_elites": 4}),
        ("icem", {"num_samples": 10**9}),
        ("icem", {"num_iterations": 10**9}),
        ("mppi", {"num_iterations": 10**9}),
        ("random_shooting", {"num_samples": 10**9}),
        ("gradient", {"num_restarts": 10**9}),
        ("gradient", {"num_iterations": 10**9}),
        ("follow", {"horizon": 10**9}),
    ],
)
def test_a_planner_of_enormous_size_is_refused_before_it_is_asked(name: str, params: dict[str, int]):
    with pytest.raises(ValueError, match=r"lower planner\.num_samples|set planner\.horizon"):
        make_planner(name, **params)


def test_few_numbers_that_are_held_for_long_are_many():
    planner = CEM(num_samples=5 * 10**5, horizon=10_000, action_block=10_000)
    with pytest.raises(ValueError, match=r"numbers of actions at once.*lower planner\.num_samples"):
        planner.plan(Problem(*linear_problem()), seeded())
