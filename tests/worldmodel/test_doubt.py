"""Doubt: a model that is shown what it knows, what it never saw, and what it misreads."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from worldmodel.evaluation.doubting import Doubter, Doubts, doubt_result
from worldmodel.measures.statistics import auroc, auroc_interval
from worldmodel.models.doubt import unlikeness


class Painter:
    """Latents are the means of the upper and of the lower half of a frame. It draws no half darker than 100, and so
    reads a dark half of its own pictures wrongly."""

    device = torch.device("cpu")

    def embed(self, frames: Tensor) -> Tensor:
        return frames.float().mean(1).unflatten(-2, (2, -1)).mean((-2, -1))

    def decode(self, latents: Tensor) -> Tensor:
        rows = latents.clamp(100, 255).repeat_interleave(2, -1)
        return rows[:, :, None, None].expand(-1, 4, 4, 3).to(torch.uint8)


def halves(upper: float, lower: float) -> np.ndarray:
    frame = np.full((1, 4, 4, 3), upper, np.uint8)
    frame[:, 2:] = lower
    return frame


MODEL: Any = Painter()


def test_what_is_drawn_and_read_alike_is_like_training():
    known = unlikeness(MODEL, torch.from_numpy(halves(120, 200)).movedim(-1, -3))
    assert known.picture.item() == 0 and known.reading.item() == 0


def test_a_thing_that_the_latent_does_not_tell_is_novel_and_one_that_it_misreads_is_doubted():
    striped = halves(120, 200)
    striped[:, :, ::2] += 20
    striped[:, :, 1::2] -= 20
    found = unlikeness(MODEL, torch.from_numpy(np.concatenate([striped, halves(120, 40)])).movedim(-1, -3))
    assert found.picture.tolist() == [400, 1800] and found.reading.tolist() == [0, 1800]


def test_a_task_counts_by_the_worse_of_its_frames_beside_99_of_100_usual_ones():
    usual = np.concatenate([halves(100 - shade, 200) for shade in range(1, 101)])
    doubter = Doubter(MODEL, usual)
    starts, goals = np.concatenate([halves(120, 200)] * 2), np.concatenate([halves(120, 200), halves(40, 20)])
    found = doubter.of_tasks(starts, goals)
    bound = 100**2 / 2  # a half that is too bright by 100; of 100 frames, the largest error bounds 99 %
    assert found.doubt == pytest.approx([0, (60**2 + 80**2) / 2 / bound])
    assert found.novelty == pytest.approx(found.doubt), "what it draws too bright is half of the picture"


def test_doubt_is_compared_with_what_came_of_the_tasks():
    doubts = Doubts(np.array([0.5, 3.0, 0.2, 2.0]), np.zeros(4))
    solved = np.array([True, False, True, True])
    found = doubt_result([doubts, doubts], [solved, solved])
    assert (found.auroc, found.doubted, found.success_doubted, found.success_trusted) == (1.0, 0.5, 0.5, 1.0)
    nothing = doubt_result([doubts], [np.ones(4, bool)])
    assert nothing.auroc is None and nothing.auroc_interval is None


def test_the_area_counts_pairs_and_its_interval_is_that_of_hanley_and_mcneil():
    assert auroc(np.array([1.0, 2.0, 2.0]), np.array([0.0, 2.0])) == pytest.approx((1 + 0 + 1 + 0.5 + 1 + 0.5) / 6)
    assert auroc(np.array([]), np.array([1.0])) is None
    # their example of two modalities: area .893 with a standard error of .032, of 51 and 58 patients
    low, high = auroc_interval(0.893, 51, 58)
    assert (high - 0.893) / 1.96 == pytest.approx(0.032, abs=0.001) and low + high == pytest.approx(2 * 0.893)
    # an area of 0 or 1 is no certainty: the fewer the pairs, the wider the interval
    variance_of_one_sixth = (5 / 36 + 2 * (1 / 11 - 1 / 36)) / 3
    assert auroc_interval(0.0, 3, 1) == pytest.approx((0.0, 1.96 * variance_of_one_sixth**0.5), abs=1e-3)
    assert auroc_interval(1.0, 3, 1)[0] < auroc_interval(1.0, 10, 90)[0] < 1.0 == auroc_interval(1.0, 10, 90)[1]
