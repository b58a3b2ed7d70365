"""Violation of expectation: pairs differ by the event alone, and the tests know known answers."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from worldmodel import envs
from worldmodel.envs.excitation import OU
from worldmodel.evaluation.surprise import (
    _change_of_context,
    _context_steps,
    available_events,
    paired_test,
    record,
    score,
)
from worldmodel.settings import ContextConfig, SurpriseConfig
from worldmodel.system.errors import UserError

pytestmark = pytest.mark.numerics

CONFIG = SurpriseConfig(episode_steps=9, event_step=5)


@pytest.fixture(scope="module")
def puck():
    world = envs.make("puck", image_size=16)
    yield world
    world.close()


def test_worlds_offer_the_events_they_have(puck):
    assert available_events(puck) == ["teleport", "colour", "mass"]
    reacher = envs.make("reacher", image_size=8)
    assert available_events(reacher) == ["teleport", "colour", "mass"]
    drawn = SimpleNamespace(name="drawn", scene=SimpleNamespace(draws_itself=True))
    with pytest.raises(UserError, match="events happen in a MuJoCo model, and drawn holds none"):
        available_events(drawn)  # type: ignore[arg-type]


@pytest.mark.parametrize("event", ["teleport", "colour", "mass"])
def test_a_pair_is_the_same_up_to_the_event(puck, event):
    plain = record(puck, OU(), 3, CONFIG)
    again = record(puck, OU(), 3, CONFIG, "none", plain.actions)
    changed = record(puck, OU(), 3, CONFIG, event, plain.actions)
    assert np.array_equal(plain.frames, again.frames) and np.array_equal(plain.actions, changed.actions)
    assert np.array_equal(plain.frames[:5], changed.frames[:5])
    # a mass shows in the motion after it only
    first = 6 if event == "mass" else 5
    assert not np.array_equal(plain.frames[first:], changed.frames[first:])
    assert (event == "mass") == np.array_equal(plain.frames[5], changed.frames[5])


def test_ordinary_errors_score_one_and_larger_ones_more():
    rng = np.random.default_rng(0)
    scale = np.array([1.0, 0.01, 5.0])
    plain = rng.standard_normal((60, 7, 2, 3)) * scale
    changed = plain.copy()
    changed[:, 4, :, 1] += 0.05
    scores = score({"none": plain, "odd": changed})
    assert scores["none"].mean() == pytest.approx(1, abs=0.1)
    assert (scores["odd"][:, 4] > scores["none"][:, 4]).mean() > 0.9, "five deviations in the finest direction"
    assert np.array_equal(np.delete(scores["odd"], 4, 1), np.delete(scores["none"], 4, 1))


def test_the_paired_test_tells_something_from_nothing():
    rng = np.random.default_rng(0)
    plain = rng.random((80, 5))
    nothing, something = paired_test(plain, plain), paired_test(plain, plain + 0.1)
    assert nothing.p_wilcoxon == 1 and nothing.auroc == pytest.approx(0.5) and nothing.mean_gain == 0
    assert something.p_wilcoxon < 1e-6 and something.more_surprised == 1
    assert something.mean_gain == pytest.approx(0.1)
    assert something.noticed and not nothing.noticed


def test_a_change_of_mass_shows_in_the_constants_that_are_read_before_and_after():
    """A model that reads the size of the mean action as its context, and so knows the steps that it was given."""

    class Reader:
        config = ContextConfig(window=12)
        min_steps = 3

        def __call__(self, latents, actions):
            assert latents.shape == (2, 4 + 1, 2) and actions.shape == (2, 4, 1)
            return actions.mean(1)

    model = SimpleNamespace(context_encoder=Reader())
    config = SurpriseConfig(episode_steps=9, event_step=5)
    steps = _context_steps(config, model)  # type: ignore[arg-type]
    assert steps is not None and steps == 4
    actions = torch.tensor([9.0, 1, 1, 1, 1, 3, 3, 3, 3])[:, None]
    change = _change_of_context(model, torch.zeros(10, 2), actions, 5, steps)  # type: ignore[arg-type]
    assert change.tolist() == [[[2.0]]]
    assert _context_steps(SurpriseConfig(episode_steps=9, event_step=7), model) is None  # type: ignore[arg-type]
