"""Learning on frozen latents: windows stay in their half episode, and measures give known answers."""

from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from rounding import assert_same_up_to_rounding, rounding
from torch import Tensor, nn
from worldmodel_fakes import RowEncoder, seeded

from worldmodel.data.pairs import window_starts
from worldmodel.data.store import EpisodeIndex
from worldmodel.data.table import LatentTable
from worldmodel.learning.constants import (
    SIGREG_WEIGHT,
    Contexts,
    MotionHead,
    PastContexts,
    Windows,
    context_stage,
    fit_context_scale,
    linear_contexts,
)
from worldmodel.learning.dynamics import prediction_errors, predictor_stage
from worldmodel.learning.imagining import with_past
from worldmodel.learning.loop import fit_quietly
from worldmodel.models.context_encoder import ContextEncoder
from worldmodel.models.predictor import Predictor
from worldmodel.settings import CONTEXT_METHODS, ContextConfig, ContextTraining, OptimConfig, PredictorConfig
from worldmodel.system.errors import UserError

pytestmark = pytest.mark.numerics

W, D, A, C = 4, 3, 2, 5
LENGTHS = np.array([13, 11, 12, 20])
OFFSET = np.array([2, 15, 30, 42])  # rows of other splits lie around them
EPISODES = EpisodeIndex(OFFSET, LENGTHS)
ROWS = 66
HALVES = EPISODES.halves()


def rows_table() -> LatentTable:
    """Latents that are the number of their row."""
    return LatentTable(torch.arange(ROWS)[:, None].repeat(1, D).float(), torch.zeros(ROWS, A))


def contexts() -> tuple[Contexts, RowEncoder]:
    encoder = RowEncoder(W)
    stand_in = cast(Any, encoder)
    return Contexts(stand_in, Windows(stand_in, rows_table()), EPISODES, ROWS), encoder


def past_contexts(encoder: RowEncoder, table: LatentTable, stretches: EpisodeIndex, num_seen: int) -> PastContexts:
    stand_in = cast(Any, encoder)
    return PastContexts(stand_in, Windows(stand_in, table), stretches, num_seen)


def assert_inside(starts: np.ndarray, half: EpisodeIndex, episode: int) -> None:
    """All W + 1 frames of windows that begin at these rows lie in the half episode."""
    low, high = half.offset[episode], half.offset[episode] + half.length[episode] - 1
    assert (starts >= low).all()
    assert (starts + W <= high).all()


# ---------------------------------------------------------------------------------------------------------------------
# half episodes and contexts


def test_halves_share_the_middle_frame_and_nothing_else():
    first, second = HALVES
    np.testing.assert_array_equal(first.offset, OFFSET)
    np.testing.assert_array_equal(first.offset + first.length - 1, second.offset)
    np.testing.assert_array_equal(second.offset + second.length, OFFSET + LENGTHS)
    # the drift falls on the action at half of the steps
    np.testing.assert_array_equal(second.offset - OFFSET, (LENGTHS - 1) // 2)
    for offset, length, a, b in zip(OFFSET, LENGTHS, *(h.length for h in HALVES), strict=True):
        assert abs(a - b) <= 1
        assert len({*range(offset, offset + a), *range(offset + a - 1, offset + length)}) == length


def test_contexts_of_halves_come_from_windows_inside_them():
    source, encoder = contexts()
    drawn = source.of_halves(50, seeded())
    assert drawn.shape == (len(EPISODES), 2, 50, 1)
    for episode in range(len(EPISODES)):
        for h, half in enumerate(HALVES):
            starts = encoder.starts(drawn[episode, h])
            assert_inside(starts, half, episode)
            assert len(set(starts)) == half.length[episode] - W  # every window that fits is drawn


def test_the_context_of_a_row_comes_from_its_half_episode():
    source, encoder = contexts()
    rows = torch.from_numpy(EPISODES.rows()).repeat(20)
    drawn = source.of_rows(rows, seeded())
    assert drawn.shape == (len(rows), 1)
    starts = encoder.starts(drawn)
    for row, start in zip(rows.tolist(), starts, strict=True):
        episode = int(np.searchsorted(OFFSET, row, side="right")) - 1
        assert_inside(start, HALVES[int(row >= HALVES[1].offset[episode])], episode)


def test_windows_that_are_judged_have_a_whole_context_window_before_them_where_there_is_room():
    stretches, num_rows = EpisodeIndex(np.array([0, 20, 40]), np.array([15, 8, 6])), 7
    model: Any = SimpleNamespace(context_encoder=RowEncoder(W), num_context_frames=3)
    starts = window_starts(with_past(model, stretches, num_rows), num_rows).tolist()
    # W steps end at the last of three frames seen; the second stretch has 3 of them at most, the third no window at all
    assert starts == [*range(2, 9), 21]
    model.context_encoder = None
    assert with_past(model, stretches, num_rows) is stretches


def test_windows_of_other_lengths_are_made_of_the_same_sums():
    encoder = cast(Any, RowEncoder(W))
    windows, start = Windows(encoder, rows_table()), torch.arange(20)
    for steps in (3, W, 9):
        expected = Windows(cast(Any, RowEncoder(steps)), rows_table()).moments(start)
        assert torch.equal(windows.of_length(steps).moments(start), expected)
        assert torch.equal(windows.moments_of(start, torch.full_like(start, steps)), expected)


def test_held_out_contexts_see_no_frame_after_the_last_one_seen():
    """And not the motion before a restart, nor constants before a drift; where too few steps are seen, the mean is."""
    encoder, num_seen, torn = RowEncoder(W), 3, 1000.0
    stretches = EpisodeIndex(np.array([2, 30, 15]), np.array([13, 12, 11]))  # in any order
    start = torch.cat(
        [torch.arange(o, o + n - num_seen) for o, n in zip(stretches.offset, stretches.length, strict=True)]
    )
    for row, context in zip(start, past_contexts(encoder, rows_table(), stretches, num_seen)(start), strict=True):
        latents = rows_table().latents
        latents[row + num_seen :] = torn
        latents[: stretches.offset[(stretches.offset <= int(row))].max()] = torn
        told = past_contexts(encoder, LatentTable(latents, rows_table().actions), stretches, num_seen)(row[None])
        assert torch.equal(told[0], context)
        steps = int(min(W, row + num_seen - 1 - stretches.offset[stretches.offset <= int(row)].max()))
        middle = float(row) + num_seen - 1 - steps + (steps - 2) / 2  # see RowEncoder
        assert float(context) == (middle if steps >= encoder.min_steps else 0)


def test_windows_that_do_not_fit_into_half_an_episode_are_one_line():
    encoder = cast(Any, RowEncoder(6))  # the shortest half has 6 rows, 5 steps
    with pytest.raises(UserError, match=r"two windows of 6 steps .* episodes of 10 steps") as caught:
        Contexts(encoder, Windows(encoder, rows_table()), EPISODES, ROWS)
    assert "\n" not in str(caught.value)


def test_context_training_pairs_the_two_halves_of_one_episode():
    encoder = RowEncoder(W)
    seen: list[Tensor] = []

    def remember(moments: Tensor) -> Tensor:
        seen.append(moments)
        return moments

    stand_in = cast(Any, encoder)
    stand_in.from_features = remember
    training = ContextTraining(optim=OptimConfig(steps=5, batch_size=300))
    values = context_stage(stand_in, Windows(stand_in, rows_table()), EPISODES, training).loss(0.0, seeded())
    first, second = encoder.starts(seen[0]).reshape(2, 300)
    episode = np.searchsorted(OFFSET, first, side="right") - 1
    for half, starts in zip(HALVES, (first, second), strict=True):
        for e in range(len(EPISODES)):
            assert_inside(starts[episode == e], half, e)
    assert set(episode) == set(range(len(EPISODES)))
    weight = SIGREG_WEIGHT
    assert float(values["loss"]) == pytest.approx(
        float((1 - weight) * values["alignment"] + weight * values["sigreg"]), rel=1e-6
    )
    assert values["latents"].shape == (600, 1)


def test_the_scale_of_a_context_encoder_comes_from_its_episodes():
    generator = seeded(4)
    table = LatentTable(torch.randn(ROWS, D, generator=generator), torch.randn(ROWS, A, generator=generator))
    encoder = ContextEncoder(ContextConfig(dim=C, window=W, strides=[1], hidden=6), D, A)
    fit_context_scale(encoder, table, EPISODES)
    shortest = int(LENGTHS.min())
    change = [table.latents[o : o + shortest].diff(n=2, dim=0) for o in OFFSET]
    assert float(encoder.scale[0, 2]) == pytest.approx(float(torch.cat(change).std()), rel=1e-5)


# ---------------------------------------------------------------------------------------------------------------------
# context methods


def sliding_bodies(num: int = 60) -> tuple[LatentTable, EpisodeIndex, np.ndarray]:
    """Bodies z'' = gain a with a log-normal gain of their own, one an episode: table, episodes, log gain (E, 2, 1)."""
    generator, steps = seeded(5), 24
    log_gain = torch.randn(num, 1, 1, generator=generator)
    actions = torch.randn(num, steps + 1, A, generator=generator)
    force = (0.5 * log_gain).exp() * actions @ torch.ones(A, D)
    velocity = force.cumsum(1)
    latents = torch.cat([torch.zeros(num, 1, D), (velocity - force / 2)[:, :-1]], 1).cumsum(1)
    offset = np.arange(num) * (steps + 1)
    table = LatentTable(latents.reshape(-1, D), actions.reshape(-1, A))
    return table, EpisodeIndex(offset, np.full(num, steps + 1)), log_gain.expand(num, 2, 1).numpy()


@pytest.mark.parametrize("method", CONTEXT_METHODS)
def test_every_context_method_finds_the_constant(method: str):
    table, episodes, constants = sliding_bodies()
    torch.manual_seed(0)
    encoder = ContextEncoder(ContextConfig(dim=1, window=10, strides=[1, 2], hidden=16), D, A)
    fit_context_scale(encoder, table, episodes)
    windows = Windows(encoder, table)
    optim = OptimConfig(steps=150, batch_size=64, lr=5e-3)
    training = ContextTraining(method=method, optim=optim)
    truth = torch.from_numpy(constants)
    fit_quietly(context_stage(encoder, windows, episodes, training, truth), seed=0)
    halves = Contexts(encoder, windows, episodes, len(table.latents)).of_halves(1, seeded())[:, :, 0, 0]
    found = np.corrcoef(halves.numpy().ravel(), constants.ravel())[0, 1]
    assert abs(found) > 0.9


def test_what_motion_leaves_unexplained_is_that_of_least_squares():
    table, episodes, _ = sliding_bodies(12)
    encoder = ContextEncoder(ContextConfig(dim=1, window=10, strides=[2], hidden=6), D, A)
    fit_context_scale(encoder, table, episodes)
    features = encoder.step_features(table.latents[:11], table.actions[:10])[:, : encoder.num_inputs + D]
    inputs, change = features.split([encoder.num_inputs, D], 1)
    head = MotionHead(encoder)
    coefficients = torch.randn(encoder.num_inputs, D, generator=seeded(1))
    head.head = torch.nn.Linear(1, coefficients.numel())
    torch.nn.init.zeros_(head.head.weight)
    head.head.bias.data = coefficients.flatten()
    moments = Windows(encoder, table).moments(torch.tensor([0]))
    direct = (change - inputs @ coefficients).square().sum() / change.square().sum()
    assert head(torch.zeros(1, 1), moments).item() == pytest.approx(float(direct), rel=1e-4)


def test_linear_contexts_undo_a_linear_encoder():
    table, episodes, constants = sliding_bodies()
    stand_in = cast(Any, RowEncoder(10))
    stand_in.from_moments = lambda moments: 3 * torch.from_numpy(constants[:, 0]).repeat(1, 2).view(-1, 1) - 2
    to_context = linear_contexts(stand_in, Windows(stand_in, table), episodes, constants)
    known = torch.tensor([[0.0], [2.0]])
    torch.testing.assert_close(to_context(known), 3 * known - 2, rtol=0, atol=1e-4)


# ---------------------------------------------------------------------------------------------------------------------
# prediction

HORIZON = 4
CONFIG = PredictorConfig(history=[0, 2], horizon=HORIZON, hidden=9, depth=1)
GAIN = torch.tensor([[1.0, -2.0, 0.5], [0.0, 1.0, 3.0]])


def integrated() -> LatentTable:
    """z' = z + a GAIN within every episode."""
    actions = torch.randn(ROWS, A, generator=seeded(5))
    latents = torch.zeros(ROWS, D)
    for offset, length in zip(OFFSET, LENGTHS, strict=True):
        steps = actions[offset : offset + length - 1] @ GAIN
        latents[offset : offset + length] = torch.cat([torch.ones(1, D), 1 + steps.cumsum(0)])
    return LatentTable(latents, actions)


class Integrator:
    """Knows the dynamics of `integrated`; wrong by a lot as soon as actions and latents are out of step."""

    config = SimpleNamespace(num_context_frames=3, horizon=HORIZON, stride=1)

    def planning_state(self, latents: Tensor, actions: Tensor) -> Tensor:
        steps, size = latents[:, 1:] - latents[:, :-1], float(latents.abs().max())
        assert_same_up_to_rounding(steps, actions @ GAIN, terms=int(LENGTHS.max()), size=size)
        return latents[:, -1]

    def __call__(self, state: Tensor, actions: Tensor, context: Tensor | None) -> Tensor:
        return state[:, None, None] + (actions @ GAIN).cumsum(2)

    def eval(self) -> "Integrator":
        return self


def test_a_predictor_that_knows_the_dynamics_has_no_error():
    table = integrated()
    model, persistence = prediction_errors(cast(Any, Integrator()), table, EPISODES, None)
    assert model.max() < rounding(torch.float32, terms=int(LENGTHS.max()), size=float(table.latents.abs().max()))
    assert (persistence > 1).all()


def test_a_predictor_of_no_change_is_persistence():
    torch.manual_seed(0)
    predictor = Predictor(CONFIG, D, A)
    nn.init.zeros_(predictor.out.weight)
    nn.init.zeros_(predictor.out.bias)
    model, persistence = prediction_errors(predictor, integrated(), EPISODES, None)
    assert model.shape == (HORIZON,)
    np.testing.assert_array_equal(model, persistence)


def test_persistence_on_a_straight_line_errs_by_the_distance_covered():
    velocity = torch.tensor([2.0, -1.0, 2.0])  # of length 3
    table = LatentTable(torch.arange(ROWS)[:, None] * velocity, torch.zeros(ROWS, A))
    _, persistence = prediction_errors(Predictor(CONFIG, D, A), table, EPISODES, None)
    np.testing.assert_allclose(persistence, 3 * np.arange(1, HORIZON + 1), rtol=1e-6)


def test_the_predictor_s_loss_is_the_error_of_all_steps_and_falls():
    torch.manual_seed(0)
    predictor, table = Predictor(CONFIG, D, A), integrated()
    optim = OptimConfig(steps=5, batch_size=64)
    stage = predictor_stage(predictor, table, EPISODES, optim, None)
    exact = predictor_stage(cast(Any, Integrator()), table, EPISODES, optim, None)
    assert float(exact.loss(0.0, seeded())["loss"]) == pytest.approx(0, abs=1e-9)
    optimizer = torch.optim.Adam(predictor.parameters(), 0.02)
    losses = []
    for step in range(60):
        loss = stage.loss(step / 60, seeded(step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])


def test_a_conditioned_predictor_is_given_the_contexts_of_its_windows():
    source, encoder = contexts()
    seen: list[np.ndarray] = []

    class Conditioned(Integrator):
        def __call__(self, state: Tensor, actions: Tensor, context: Tensor | None) -> Tensor:
            assert context is not None
            seen.append(np.stack([state[:, 0].numpy(), encoder.starts(context)]))
            return state[:, None, None].expand(-1, 1, HORIZON, -1)

        def planning_state(self, latents: Tensor, actions: Tensor) -> Tensor:
            return latents[:, 0]  # the row at which the window begins

    context_of = partial(source.of_rows, generator=seeded())
    prediction_errors(cast(Any, Conditioned()), rows_table(), EPISODES, context_of)
    for row, start in seen[0].T.astype(int):
        episode = int(np.searchsorted(OFFSET, row, side="right")) - 1
        assert_inside(start, HALVES[int(row >= HALVES[1].offset[episode])], episode)
