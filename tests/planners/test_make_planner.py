from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from worldmodel.planners import PLANNERS, make_planner


@pytest.mark.parametrize("name", list(PLANNERS))
def test_planners_are_made_by_name_with_defaults_and_are_frozen(name):
    planner = make_planner(name)
    assert planner.horizon == 15
    with pytest.raises(FrozenInstanceError):
        planner.horizon = 3  # type: ignore[misc]


def test_numbers_of_numpy_are_numbers():
    assert make_planner("cem", horizon=np.int64(5), init_std=np.float32(0.5)).horizon == 5


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("icme", {}, "unknown planner 'icme'; did you mean 'icem'\\? choose from cem, icem, mppi"),
        ("cem", {"num_sample": 3}, "unknown parameter of planner cem 'num_sample'; did you mean 'num_samples'\\?"),
        ("cem", {"horizon": 0}, "horizon must be >= 1, got 0; set planner.horizon"),
        ("cem", {"horizon": 5, "action_block": 2}, "horizon must be a multiple of action_block = 2, got 5"),
        ("cem", {"num_elites": 65}, "num_elites must be <= num_samples = 64, got 65; set planner.num_elites"),
        ("cem", {"num_kept_elites": 9}, "num_kept_elites must be <= num_elites = 8, got 9"),
        ("cem", {"momentum": 1.0}, "momentum must be in \\[0, 1\\), got 1.0"),
        ("icem", {"population_decay": 0.5}, "population_decay must be >= 1, got 0.5"),
        ("mppi", {"temperature": 0.0}, "temperature must be > 0, got 0.0; set planner.temperature"),
        ("gradient", {"projection": "fold"}, "projection must be one of tanh, clamp, got 'fold'"),
        ("random_shooting", {"num_samples": 0}, "num_samples must be >= 1, got 0"),
        ("cem", {"num_samples": 2.5}, "num_samples must be a whole number, got 2.5; set planner.num_samples"),
        ("cem", {"num_samples": True}, "num_samples must be a whole number, got True"),
        ("cem", {"init_std": "wide"}, "init_std must be a number, got 'wide'; set planner.init_std"),
        (3, {}, "unknown planner 3; choose from cem"),
    ],
)
def test_errors_are_one_line_with_the_remedy(name, params, message):
    with pytest.raises(ValueError, match=message) as error:
        make_planner(name, **params)
    assert "\n" not in str(error.value)
