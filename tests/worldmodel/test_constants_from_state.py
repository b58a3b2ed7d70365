"""Constants without pixels: how many there are, and forces that depend on the place."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from worldmodel.data.index import FactorRecord, WorldRecord
from worldmodel.data.store import EpisodeIndex
from worldmodel.data.truth import physical_constants
from worldmodel.evaluation.probing.count import count_constants
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
    assert found.num_constants == num_constants
    for value, (low, high) in zip(found.values[:num_constants], found.interval, strict=False):
        assert low - 0.02 < value < high + 0.02
    # a window that errs by .35 of a standard deviation correlates by .9 / (1 + .35^2), below the square's .9^2 = .81
    if noise == 0.35:
        assert max(found.values) < 0.855


def test_unrelated_windows_hold_no_constant():
    first, second = np.random.default_rng(0).standard_normal((2, 200, 3))
    assert count_constants(first, second).num_constants == 0


# ---------------------------------------------------------------------------------------------------------------------
# halves of episodes


def test_halves_that_start_afresh_do_not_share_the_frame_between_them():
    together, apart = (EpisodeIndex(np.array([0, 7]), np.array([7, 7]), restart) for restart in (False, True))
    assert [half.length.tolist() for half in together.halves()] == [[4, 4], [4, 4]]
    assert [half.length.tolist() for half in apart.halves()] == [[3, 3], [4, 4]]
    assert [half.offset.tolist() for half in apart.halves()] == [[0, 7], [3, 10]]


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
    factor = FactorRecord("mass", "kg", 1.0, (0.1, 10.0), "log", 0.3, "physical")
    world = WorldRecord(
        name="puck", image_size=16, control_dt_s=0.05, state_names=("x",), angle_names=(), factors=(factor,),
        randomize=("mass",), factor_rho={"mass": 1.0}, kinematic=None,
    )  # fmt: skip
    data = SimpleNamespace(
        index=SimpleNamespace(world=world),
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
