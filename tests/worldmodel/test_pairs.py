"""Frames and pairs: exact reduction, exact OU statistics, and windows that stay inside their episode."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from worldmodel_fakes import A, S, fake_episode, seeded, write_fake_data

from worldmodel.data import frames as frames_module
from worldmodel.data.frames import DiskFrames, MemoryFrames, box_resize, check_frame_size, load_frames
from worldmodel.data.pairs import LagPairs, OUPairs, nearest_poses, window_starts
from worldmodel.data.store import DataSet, EpisodeIndex
from worldmodel.system.errors import UserError

CPU = torch.device("cpu")
LENGTHS = np.array([7, 3, 1, 11])
GAPS = np.array([0, 2, 0, 5])  # rows of episodes of other splits in between
EPISODES = EpisodeIndex(np.cumsum(GAPS + np.concatenate([[0], LENGTHS[:-1]])), LENGTHS)


def episode_of(rows: np.ndarray) -> np.ndarray:
    inside = (rows[..., None] >= EPISODES.offset) & (rows[..., None] < EPISODES.offset + EPISODES.length)
    assert (inside.sum(-1) == 1).all()
    return inside.argmax(-1)


# ---------------------------------------------------------------------------------------------------------------------
# frames


@pytest.mark.parametrize(("side", "size"), [(6, 3), (12, 4), (12, 3), (10, 2), (7, 1), (5, 5)])
def test_box_resize_is_the_mean_rounded_half_up(side, size):
    frames = np.random.default_rng(side).integers(0, 256, (9, side, side, 3), dtype=np.uint8)
    block = side // size
    mean = frames.reshape(9, size, block, size, block, 3).mean((2, 4), dtype=np.float64)
    np.testing.assert_array_equal(box_resize(torch.from_numpy(frames), size).numpy(), np.floor(mean + 0.5))


def test_box_resize_rounds_halves_up_and_does_not_overflow():
    ties = torch.tensor([[[0, 1], [0, 1]], [[254, 255], [255, 254]], [[255, 255], [255, 255]]], dtype=torch.uint8)
    small = box_resize(ties[..., None].repeat(1, 1, 1, 3), 1)
    assert small[:, 0, 0, 1].tolist() == [1, 255, 255]


def test_a_size_that_does_not_divide_is_one_line():
    with pytest.raises(UserError, match=r"10 x 10 pixels.* 4 x 4") as caught:
        box_resize(torch.zeros(2, 10, 10, 3, dtype=torch.uint8), 4)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="to a multiple of 16, or encoder"):
        check_frame_size(63, 16)
    check_frame_size(64, 16)


@pytest.mark.parametrize("size", [S, S // 2, 1])
@pytest.mark.parametrize("shape", [(5,), (2, 3), (1, 2, 4)])
def test_streamed_frames_equal_frames_in_memory(tmp_path: Path, monkeypatch, size, shape):
    write_fake_data(tmp_path, [fake_episode(i, 3 + i) for i in range(12)])
    data = DataSet(tmp_path)
    in_memory = load_frames(data, size, CPU)
    monkeypatch.setattr(frames_module, "_fits", lambda num_bytes, device: False)
    on_disk = load_frames(data, size, CPU)
    assert isinstance(in_memory, MemoryFrames)
    assert isinstance(on_disk, DiskFrames)
    assert in_memory.size == on_disk.size == size
    rows = torch.randint(data.num_rows, shape, generator=seeded(1))
    picked = in_memory.gather(rows)
    assert picked.shape == (*shape, 3, size, size)
    assert picked.dtype == torch.uint8
    assert torch.equal(on_disk.gather(rows), picked)
    first = data.frames(slice(int(rows.flatten()[0]), int(rows.flatten()[0]) + 1))
    expected = box_resize(torch.from_numpy(first), size)[0].permute(2, 0, 1)
    assert torch.equal(picked.flatten(0, -4)[0], expected)


# ---------------------------------------------------------------------------------------------------------------------
# OU pairs

VIEWS, NUM_PAIRS, SPACING = 3, 100_000, 0.05


def atlas() -> tuple[np.ndarray, np.ndarray]:
    """A dense square grid of two latents, and shuffled rows of three renderings of each pose."""
    axis = np.arange(-4.5, 4.5 + SPACING / 2, SPACING)
    latents = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    rows = np.random.default_rng(2).permutation(len(latents) * VIEWS).reshape(len(latents), VIEWS)
    return latents, rows


def drawn(rho: float, same: float) -> tuple[np.ndarray, np.ndarray]:
    """Pose and view, each int (2, n), of every pair."""
    latents, rows = atlas()
    pairs = OUPairs(latents, rows, rho, same, num_pairs=NUM_PAIRS).sample(NUM_PAIRS, seeded(3)).numpy()
    place = np.empty(rows.size, np.int64)
    place[rows.ravel()] = np.arange(rows.size)
    return place[pairs] // VIEWS, place[pairs] % VIEWS


@pytest.mark.parametrize("rho", [0.3, 0.95])
def test_ou_pairs_have_unit_variance_and_autocorrelation_rho(rho):
    pose, _ = drawn(rho, 0.0)
    first, second = (atlas()[0][p] for p in pose)
    # pairs are drawn with replacement from NUM_PAIRS prepared ones: twice the variance. Rounding to the grid adds
    # SPACING^2 / 12 = 0.0002.
    sampling = 5 * math.sqrt(2 / NUM_PAIRS)
    for z in (first, second):
        np.testing.assert_allclose(z.mean(0), 0, atol=sampling)
        np.testing.assert_allclose(np.cov(z.T), np.eye(2), atol=math.sqrt(2) * sampling + SPACING**2 / 12)
    cross = first.T @ second / NUM_PAIRS
    np.testing.assert_allclose(cross, rho * np.eye(2), atol=math.sqrt(1 + rho**2) * sampling + SPACING**2 / 12)


def test_every_view_of_a_pose_is_drawn():
    _, view = drawn(0.9, 0.0)
    for end in view:
        share = np.bincount(end, minlength=VIEWS) / NUM_PAIRS
        np.testing.assert_allclose(share, 1 / VIEWS, atol=5 * math.sqrt(2 * 2 / 9 / NUM_PAIRS))


def test_same_pose_pairs_are_two_different_renderings_of_one_pose():
    pose, view = drawn(0.9, 1.0)
    np.testing.assert_array_equal(pose[0], pose[1])
    assert (view[0] != view[1]).all()
    step = np.bincount((view[1] - view[0]) % VIEWS, minlength=VIEWS) / NUM_PAIRS
    np.testing.assert_allclose(step, [0, 1 / 2, 1 / 2], atol=5 * math.sqrt(2 / 4 / NUM_PAIRS))


def test_same_pose_fraction_is_the_share_of_such_pairs():
    pose, view = drawn(0.1, 0.3)  # at this rho, hardly any other pair falls on one pose
    same = (pose[0] == pose[1]) & (view[0] != view[1])
    assert same.mean() == pytest.approx(0.3, abs=5 * math.sqrt(2 * 0.21 / NUM_PAIRS) + 0.001)


def test_ou_pairs_depend_on_their_seeds_alone():
    latents, rows = atlas()

    def sample(seed: int, draw: int) -> torch.Tensor:
        return OUPairs(latents, rows, 0.5, 0.2, num_pairs=500, seed=seed).sample(40, seeded(draw))

    assert torch.equal(sample(1, 2), sample(1, 2))
    assert not torch.equal(sample(1, 2), sample(2, 2))
    assert not torch.equal(sample(1, 2), sample(1, 3))


@pytest.mark.parametrize("rho", [0.0, 1.0, -0.5, 1.5, math.nan])
def test_rho_outside_the_open_interval_is_an_error(rho):
    with pytest.raises(UserError, match=r"strictly between 0 and 1"):
        OUPairs(*atlas(), rho)


def test_pairs_of_several_rhos_have_their_mean_and_are_drawn_from_each():
    latents, rows = atlas()
    sampler = OUPairs(latents, np.arange(len(rows))[:, None], (0.2, 0.9), num_pairs=NUM_PAIRS)
    first, second = latents[sampler.sample(NUM_PAIRS, seeded(3)).numpy()]
    sampling = 5 * math.sqrt(2 / NUM_PAIRS)
    assert (first * second).mean(0) == pytest.approx([0.55, 0.55], abs=math.sqrt(1.5) * sampling)
    # a bivariate normal of rho has E (z z')^2 = 1 + 2 rho^2; its sampling sd is about 10 / sqrt(n)
    assert ((first * second) ** 2).mean() == pytest.approx(1 + 0.2**2 + 0.9**2, abs=5 * 10 / math.sqrt(NUM_PAIRS))


def test_poses_are_looked_up_on_the_circle():
    rng = np.random.default_rng(1)
    latents, z, period = rng.uniform(-9, 9, (70, 2)), rng.uniform(-20, 20, (3, 11, 2)), 2.5
    latents[0] = -1e-20  # its remainder rounds to the period itself
    gap = np.abs((z[..., None, :] - latents + period / 2) % period - period / 2)
    np.testing.assert_array_equal(nearest_poses(latents, z, period), (gap**2).sum(-1).argmin(-1))


def test_same_pose_pairs_need_two_renderings():
    latents, rows = atlas()
    with pytest.raises(UserError, match="rendered at least twice"):
        OUPairs(latents, rows[:, :1], 0.5, same_pose_fraction=0.1)


# ---------------------------------------------------------------------------------------------------------------------
# windows and lags


@pytest.mark.parametrize("num_rows", [1, 2, 4, 7, 11])
def test_windows_are_all_those_inside_one_episode(num_rows):
    starts = window_starts(EPISODES, num_rows).numpy()
    episodes = episode_of(starts[:, None] + np.arange(num_rows))
    assert (episodes == episodes[:, :1]).all()
    assert len(np.unique(starts)) == len(starts) == np.maximum(LENGTHS - num_rows + 1, 0).sum()


def test_windows_longer_than_every_episode_are_one_line():
    with pytest.raises(UserError, match=r"windows of 11 steps .* at most 10 steps") as caught:
        window_starts(EPISODES, 12)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="windows of 11 steps"):
        LagPairs(EPISODES, 11)
    none = EPISODES.at_least(1000)
    assert none.rows().tolist() == []
    with pytest.raises(UserError, match="no episode to take windows of 11 steps from; collect more"):
        LagPairs(none, 11)


@pytest.mark.parametrize("lag", [1, 5, 10])
def test_lag_pairs_stay_inside_one_episode(lag):
    first, second = LagPairs(EPISODES, lag).sample(2000, seeded()).numpy()
    np.testing.assert_array_equal(second - first, lag)
    np.testing.assert_array_equal(episode_of(first), episode_of(second))
    assert set(first) == set(window_starts(EPISODES, lag + 1).tolist())


def test_windows_never_hold_an_action_that_was_not_taken(tmp_path: Path):
    write_fake_data(tmp_path, [fake_episode(i, 3 + i) for i in range(12)])
    data = DataSet(tmp_path)
    starts = window_starts(data.split("train"), 4).numpy()
    actions = data.actions[starts[:, None] + np.arange(3)]
    assert actions.shape == (len(starts), 3, A)
    assert np.isfinite(actions).all()
