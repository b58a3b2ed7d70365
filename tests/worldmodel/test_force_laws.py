"""Force laws: each reads the constants of a simulated body out of its motion."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from worldmodel.models.context_encoder import ContextEncoder
from worldmodel.models.weak_form import (
    fit_circle,
    hinge_balance,
    placed_terms,
    power_balance,
    torque_balance,
    weak_form,
)
from worldmodel.settings import ContextConfig
from worldmodel.system.errors import UserError


def pendulum(num_steps: int = 400, dt_s: float = 0.04) -> tuple[Tensor, Tensor]:
    """Cosine and sine (T+1, 2) of a driven, damped pendulum, theta'' = 6 sin theta - .4 theta' + 3 a, and a (T, 1)."""
    rng, fine = np.random.default_rng(0), 200
    angle, speed, angles, actions = 2.0, 0.0, [2.0], rng.uniform(-1, 1, (num_steps, 1))
    for (action,) in actions:
        for _ in range(fine):
            speed += dt_s / fine * (6 * math.sin(angle) - 0.4 * speed + 3 * action)
            angle += dt_s / fine * speed
        angles.append(angle)
    return torch.tensor([[math.cos(x), math.sin(x)] for x in angles]), torch.from_numpy(actions).float()


@pytest.mark.parametrize("stride", [1, 2])
def test_places_explain_the_motion_of_a_pendulum_that_free_forces_cannot(stride):
    latents, actions = pendulum()
    *free, change = weak_form(latents, actions, stride)
    placed = placed_terms(latents, actions, stride)
    assert [x.shape for x in placed] == [(len(change), width) for width in (2, 3, 2, 2)]

    def unexplained(regressors: list[Tensor]) -> float:
        x = torch.cat(regressors, -1).double()
        residual = change.double() - x @ torch.linalg.lstsq(x, change.double()).solution
        return float(residual.square().sum() / change.double().square().sum())

    assert unexplained([*free, *placed]) < 2e-3 * stride**2 < 0.1 < unexplained(free)


@pytest.mark.parametrize("stride", [2, 6])
def test_the_action_balances_inertia_damping_and_weight_of_a_pendulum(stride):
    """a = (theta'' + .4 theta' - 6 sin theta) / 3, whatever way the latents are turned."""
    dt_s = 0.04
    latents, actions = pendulum()
    turned = latents @ torch.tensor([[0.6, 0.8], [-0.8, 0.6]])
    acceleration, turn, place, action = torque_balance(turned, actions, stride)
    x = torch.cat([acceleration / (stride * dt_s) ** 2, turn / dt_s, place], -1).double()
    found = torch.linalg.lstsq(x, action.double()).solution.flatten()
    expected = torch.tensor([1 / 3, 0.4 / 3, -2 * -0.8, -2 * 0.6], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0.03, atol=0.03)


def test_directions_are_brought_back_from_the_ellipse_that_they_lie_on():
    angle = 2 * torch.rand(500, generator=torch.Generator().manual_seed(0)).sqrt() * math.pi  # not evenly spread
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    ellipse = circle @ torch.tensor([[1.4, 0.3], [0.1, 0.6]]) + torch.tensor([0.5, -0.2])
    found = fit_circle(ellipse)
    rounded = (ellipse - found[0]) @ found[1:]
    torch.testing.assert_close(rounded.norm(dim=1), torch.ones(500), rtol=0, atol=1e-4)
    scattered = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    assert torch.isfinite(fit_circle(scattered)).all() and torch.isfinite(fit_circle(torch.zeros(9, 2))).all()


def cart_pole(num_steps: int = 400, dt_s: float = 0.04) -> tuple[Tensor, Tensor]:
    """Place, cosine and sine (T+1, 3) of a cart and pole under forces a (T, 1).

    2 x'' + .3 (sin theta)'' + .6 x' = 4 a and theta'' = -1.5 x'' cos theta + 9 sin theta - .2 theta'.
    """
    rng, fine = np.random.default_rng(1), 200
    x, v, angle, speed, seen, actions = (
        0.0,
        0.0,
        2.0,
        0.0,
        [(0.0, 2.0)],
        np.repeat(rng.uniform(-1, 1, num_steps // 5), 5),
    )
    for action in actions:
        for _ in range(fine):
            cos, sin = math.cos(angle), math.sin(angle)
            free = 9 * sin - 0.2 * speed
            acceleration = (4 * action - 0.6 * v - 0.3 * (free * cos - speed**2 * sin)) / (2 - 0.3 * 1.5 * cos**2)
            v += dt_s / fine * acceleration
            speed += dt_s / fine * (free - 1.5 * cos * acceleration)
            x, angle = x + dt_s / fine * v, angle + dt_s / fine * speed
        seen.append((x, angle))
    return torch.tensor([[x, math.cos(angle), math.sin(angle)] for x, angle in seen]), torch.tensor(actions)[:, None]


def test_a_cart_and_the_pole_it_carries_obey_two_balances():
    dt_s, stride = 0.04, 4
    latents, actions = cart_pole()
    carried, direction, turn, change, velocity, turned, action = (
        x.double() for x in hinge_balance(latents, actions.float(), stride)
    )
    span = (stride * dt_s) ** 2
    pole = torch.cat([carried / span, direction, turn / dt_s], -1)
    found = torch.linalg.lstsq(pole, turned / span).solution.flatten()
    torch.testing.assert_close(found, torch.tensor([-1.5, 0, 0, 9, -0.2]).double(), rtol=0.05, atol=0.1)
    cart = torch.cat([change / span, velocity / dt_s], -1)
    found = torch.linalg.lstsq(cart, 4 * action).solution.flatten()
    torch.testing.assert_close(found, torch.tensor([2, 0, 0.3, 0.6, 0, 0]).double(), rtol=0.05, atol=0.03)
    with pytest.raises(UserError, match=r"context\.forces=hinged takes 3 latents or more"):
        ContextEncoder(ContextConfig(forces="hinged"), 2, 1)


def test_power_balances_thrust_and_both_frictions_of_a_sliding_body():
    """v' = 2 a - .3 v/|v| - .5 v: the energy changes by thrust 2, dry friction .3 and viscous friction .5."""
    rng, dt_s, fine, stride = np.random.default_rng(0), 0.05, 100, 4
    place, v = np.zeros(2), np.array([1.0, 0.5])
    places, actions = [place], np.repeat(rng.uniform(-1, 1, (80, 2)), 5, 0)
    for action in actions:
        for _ in range(fine):
            v = v + dt_s / fine * (2 * action - 0.3 * v / np.linalg.norm(v) - 0.5 * v)
            place = place + dt_s / fine * v
        places.append(place)
    latents, held = torch.from_numpy(np.stack(places)), torch.from_numpy(actions)
    work, change = power_balance(latents, held, stride)
    assert work.shape == (len(held) + 1 - 2 * stride, 6)
    # n^2 steps' worth of work; energies are of differences, dt^2 times those of speeds
    scale = torch.tensor([dt_s] * 5 + [1.0]) * stride**2 * dt_s
    found = torch.linalg.lstsq(work * scale, change).solution.flatten()
    torch.testing.assert_close(found, torch.tensor([2, 0, 0, 2, -0.3, -0.5]).double(), rtol=0.1, atol=0.03)
