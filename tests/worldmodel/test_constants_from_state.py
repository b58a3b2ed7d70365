"""Constants without pixels: how many there are, forces that depend on the place, and `probe mode=state`."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from worldmodel.cli.main import main
from worldmodel.data.store import EpisodeIndex
from worldmodel.data.truth import physical_constants
from worldmodel.evaluation.probing.count import count_constants
from worldmodel.models.context_encoder import (
    ContextEncoder,
    fit_circle,
    hinge_balance,
    placed_terms,
    power_balance,
    torque_balance,
    weak_form,
)
from worldmodel.settings import ContextConfig
from worldmodel.system.errors import UserError

# ---------------------------------------------------------------------------------------------------------------------
# how many constants


def contexts(num_constants: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Contexts (n, P + 3) of windows before and after a drift of .9: P constants, each read with `noise`, a square, a
    product and a dimension of nothing, mixed."""
    rng = np.random.default_rng(seed)
    num, rho = 300, 0.9
    before = rng.standard_normal((num, num_constants))
    after = rho * before + math.sqrt(1 - rho**2) * rng.standard_normal(before.shape)
    mixing = rng.standard_normal((num_constants + 3, num_constants + 3)) + 2 * np.eye(num_constants + 3)

    def seen(constants: np.ndarray) -> np.ndarray:
        read = constants + noise * rng.standard_normal(constants.shape)
        square, product = read[:, :1] ** 2, read[:, :1] * read[:, -1:] + 0.5 * rng.standard_normal((num, 1))
        return np.concatenate([read, square, product, rng.standard_normal((num, 1))], 1) @ mixing

    return seen(before), seen(after)


@pytest.mark.parametrize(("num_constants", "noise"), [(1, 0.2), (2, 0.1), (2, 0.35), (3, 0.1)])
def test_constants_are_counted_though_windows_err_and_squares_correlate(num_constants, noise, monkeypatch):
    for name in ("NUM_SHUFFLES", "NUM_RESAMPLES"):
        monkeypatch.setattr(f"worldmodel.evaluation.probing.count.{name}", 20)
    found = count_constants(*contexts(num_constants, noise, seed=num_constants))
    assert found["num_constants"] == num_constants
    for value, (low, high) in zip(found["values"][:num_constants], found["interval"], strict=False):
        assert low - 0.02 < value < high + 0.02
    # a window that errs by .35 of a standard deviation correlates by .9 / (1 + .35^2), below the square's .9^2 = .81
    if noise == 0.35:
        assert max(found["values"]) < 0.855


def test_unrelated_windows_hold_no_constant():
    first, second = np.random.default_rng(0).standard_normal((2, 200, 3))
    assert count_constants(first, second)["num_constants"] == 0


# ---------------------------------------------------------------------------------------------------------------------
# forces that depend on the place


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


def test_halves_that_start_afresh_do_not_share_the_frame_between_them():
    together, apart = (EpisodeIndex(np.array([0, 7]), np.array([7, 7]), restart) for restart in (False, True))
    assert [half.length.tolist() for half in together.halves()] == [[4, 4], [4, 4]]
    assert [half.length.tolist() for half in apart.halves()] == [[3, 3], [4, 4]]
    assert [half.offset.tolist() for half in apart.halves()] == [[0, 7], [3, 10]]


# ---------------------------------------------------------------------------------------------------------------------
# the command

COMMAND = ["probe", "mode=state", "env=varied_pendulum", "runs=runs"]
SMALL = [
    "episodes=40", "episode_steps=40", "context.window=14", "context.strides=[1,2,4]", "num_seeds=2",
    "context_training.optim.steps=8", "context_training.optim.batch_size=32", "shift_episodes=4",
    "bound_trajectories=2",
]  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("probe.count.NUM_SHUFFLES", "probe.count.NUM_RESAMPLES"):
        monkeypatch.setattr(f"worldmodel.{name}", 3)
    monkeypatch.setattr("worldmodel.measures.regression.MLP_STEPS", 50)
    return tmp_path


@pytest.mark.parametrize("forces", ["placed", "turning"])
def test_probe_from_state(home: Path, capsys: pytest.CaptureFixture[str], forces: str):
    chosen = ["methods=[lejepa,supervised]", f"context.forces={forces}", "tune=false", "out=found.json"]
    assert main([*COMMAND, *SMALL, *chosen]) == 0
    printed = capsys.readouterr().out
    assert "supervised" in printed and "bound" in printed
    found = json.loads(Path("found.json").read_text())
    assert found["constants"] == ["mass", "damping", "gravity"] == list(found["r2_bound"])
    for method in ("lejepa", "supervised"):
        values = found["methods"][method]["constants"]["gravity"]
        assert set(values) == {"r2_linear", "r2_mlp", "r2_out_of_range", "r2_out_of_range_averaged"}
        assert len(values["r2_linear"]["values"]) == 2
    summary = json.loads(Path("runs/varied_pendulum-from_state/summary.json").read_text())
    assert summary["state"] == found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["env=two_room"], "no physical constant varies in env=two_room"),
        (["methods=[magic]"], "methods is one of lejepa, infonce, vicreg, prediction, supervised, got 'magic'"),
        (
            ["context.window=20"],
            "two windows of 20 steps do not fit into episodes of 40 steps",
        ),  # halves share no frame
        (["context.window=30"], "two windows of 30 steps do not fit into episodes of 40 steps"),
        (["episodes=5"], "episodes must be >= 10"),
        (["noise_rad=0"], "noise_rad must be > 0"),
        (["windowz=3"], "unknown option 'windowz' of worldmodel probe mode=state"),
    ],
)
def test_bad_input_is_one_line(home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str):
    assert main([*COMMAND, *SMALL, *arguments]) == 1
    printed = capsys.readouterr().err.strip().splitlines()[-1]
    assert printed.startswith("error: ") and message in printed


# ---------------------------------------------------------------------------------------------------------------------
# labels that cannot teach


@pytest.mark.parametrize(
    ("mass", "message"),
    [
        ([1.0, 2.0, math.nan, 1.5, 1.5, 1.5], "mass is not a finite number in episode 1 of data/puck"),
        ([0.8] * 6, "mass is the same in all 3 episodes of data/puck"),
    ],
)
def test_constants_that_cannot_teach_are_named(mass: list[float], message: str):
    factor = {"name": "mass", "unit": "kg", "kind": "physical", "transform": "log", "nominal": 1.0, "prior_scale": 0.3}
    data = SimpleNamespace(
        info={"world": {"factors": [factor], "randomize": ["mass"]}},
        factors=np.array(mass)[:, None],
        factor_names=["mass"],
        offset=np.array([0, 2, 4]),
        num_episodes=3,
        num_rows=6,
        directory=Path("data/puck"),
    )
    with pytest.raises(UserError, match=message) as caught:
        physical_constants(cast(Any, data))
    assert "\n" not in str(caught.value)
