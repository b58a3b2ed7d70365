"""The transformer predictor: causal over blocks, exact in its cache and its files, trainable alone and jointly."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rounding import assert_same_up_to_rounding
from torch import Tensor, nn
from torch.nn import functional as F
from worldmodel_fakes import fake_episode, seeded, write_fake_data

from worldmodel.data.frames import load_frames
from worldmodel.data.store import DataSet, EpisodeIndex
from worldmodel.data.table import LatentTable
from worldmodel.learning.dynamics import predictor_stage
from worldmodel.learning.loop import fit_quietly
from worldmodel.learning.methods import encoder_objective, encoder_stage
from worldmodel.models import ModelConfig, PlanningModel, WorldModel, transformer
from worldmodel.models.encoders import Encoder
from worldmodel.models.transformer import TransformerPredictor, few_tokens_attended
from worldmodel.planners import CEM, GoalDistance, Problem
from worldmodel.settings import EncoderConfig, MethodConfig, OptimConfig, PredictorConfig, TransformerConfig, ViTConfig
from worldmodel.system.errors import UserError

pytestmark = pytest.mark.numerics

B, N, D, A, C, BLOCK, WINDOW, G = 3, 5, 7, 2, 4, 2, 3, 6
H = G * BLOCK
CONFIG = PredictorConfig(
    kind="transformer",
    history=[0],
    horizon=4,
    hidden=22,
    width=12,
    transformer=TransformerConfig(block=BLOCK, window=WINDOW, heads=3, head_dim=8),
)
HISTORIES = [[0], [0, 2], [0, 2, 4]]
SUMS_OF_A_LAYER = 4  # queries and keys, attention, its output, the MLP


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


def predictor(context_dim: int = 0, **changes: Any) -> TransformerPredictor:
    """With gates that are open: fresh ones are closed, and no token would see another."""
    torch.manual_seed(1)
    model = TransformerPredictor(replace(CONFIG, **changes), D, A, context_dim)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.3)
    return model.eval()


def assert_same_rollout(actual: Tensor, expected: Tensor) -> None:
    """Latents of a rollout of G blocks, each through all layers."""
    assert_same_up_to_rounding(actual, expected, terms=CONFIG.hidden, depth=G * CONFIG.depth * SUMS_OF_A_LAYER)


def planning_state(model: TransformerPredictor, batch: int = B) -> Tensor:
    frames = model.config.num_context_frames
    return model.planning_state(normal(batch, frames, D, seed=2), normal(batch, frames - 1, A, seed=3))


# ---------------------------------------------------------------------------------------------------------------------
# rollouts


@pytest.mark.parametrize("history", HISTORIES)
@torch.no_grad()
def test_a_rollout_is_the_window_computed_anew_after_every_block(history: list[int]):
    model = predictor(history=history)
    frames = model.config.num_context_frames
    seen, past = normal(B, frames, D, seed=2), normal(B, frames - 1, A, seed=3)
    actions = normal(B, N, H, A, seed=5)
    rolled = model.rollout(model.planning_state(seen, past), actions)
    assert rolled.shape == (B, N, H, D)
    for n in range(N):
        latents = seen[:, ::BLOCK]
        blocks = torch.cat([past, actions[:, n]], 1).reshape(B, -1, BLOCK * A)
        for end in range(len(history), len(history) + G):
            window = slice(max(0, end - WINDOW), end)
            latents = torch.cat([latents, model.next(latents[:, window], blocks[:, window])[:, -1:]], 1)
        ends = rolled[:, n, BLOCK - 1 :: BLOCK]
        assert_same_rollout(ends, latents[:, len(history) :])


@torch.no_grad()
def test_latents_within_a_block_lie_on_the_straight_line_to_its_end():
    model = predictor()
    state = planning_state(model)
    latents = model.rollout(state, normal(B, N, H, A, seed=5))
    ends = torch.cat([state[:, None, None].expand(-1, N, -1, -1), latents[:, :, 1::2]], 2)
    torch.testing.assert_close(latents[:, :, ::2], (ends[:, :, 1:] + ends[:, :, :-1]) / 2)


@torch.no_grad()
def test_it_is_causal_over_blocks():
    model = predictor(history=[0, 2])
    state, actions = planning_state(model), normal(B, N, H, A, seed=5)
    before = model.rollout(state, actions)
    for block in range(G):
        changed = actions.clone()
        changed[:, :, block * BLOCK :] += 1
        after = model.rollout(state, changed)
        torch.testing.assert_close(after[:, :, : block * BLOCK], before[:, :, : block * BLOCK])
        assert ((after - before).abs().amax(-1)[:, :, block * BLOCK :] > 1e-4).all()


@torch.no_grad()
def test_plans_and_batch_elements_do_not_mix_whatever_is_computed_at_once(monkeypatch: pytest.MonkeyPatch):
    model = predictor(C)
    state, actions, context = planning_state(model), normal(B, N, H, A, seed=5), normal(B, C, seed=6)
    whole = model.rollout(state, actions, context)
    for b, n in ((0, 0), (2, 4), (1, 3)):
        alone = model.rollout(state[b : b + 1], actions[b : b + 1, n : n + 1], context[b : b + 1])
        assert_same_rollout(whole[b, n], alone[0, 0])
    monkeypatch.setitem(transformer._ROWS_AT_ONCE, "cpu", 4)
    assert_same_rollout(model.rollout(state, actions, context), whole)


@torch.no_grad()
def test_constants_and_history_count():
    model = predictor(C, history=[0, 2])
    state, actions = planning_state(model), normal(B, N, H, A, seed=5)
    one, other = (model.rollout(state, actions, normal(B, C, seed=seed)) for seed in (1, 2))
    assert (one != other).all()
    earlier = state.clone()
    earlier[:, D : 2 * D] += 1
    assert (model.rollout(earlier, actions, normal(B, C, seed=1)) != one).all()


@torch.no_grad()
def test_a_fresh_network_predicts_from_the_latent_it_sees_and_residual_adds_it():
    torch.manual_seed(0)
    model = TransformerPredictor(CONFIG, D, A)
    latents, blocks = normal(B, 1, D), normal(B, 1, BLOCK * A)
    change = model.next(latents, blocks) - latents
    torch.testing.assert_close(model.next(latents, -blocks) - latents, change)  # gates are closed
    plain = replace(CONFIG.transformer_or_default, residual=False)
    direct = TransformerPredictor(replace(CONFIG, transformer=plain), D, A)
    direct.load_state_dict(model.state_dict())
    torch.testing.assert_close(direct.next(latents, blocks), change)


# ---------------------------------------------------------------------------------------------------------------------
# as part of a world model


def world_model(history: list[int]) -> WorldModel:
    encoder = EncoderConfig(input_size=8, latent_dim=D, hidden=11, depth=1)
    model = WorldModel(ModelConfig(encoder, A, replace(CONFIG, history=history)))
    model.predictor = predictor(history=history)
    return model.eval()


@pytest.mark.parametrize("history", HISTORIES)
@torch.no_grad()
def test_saved_and_loaded_it_answers_to_the_bit(history: list[int], tmp_path: Path):
    model = world_model(history)
    model.save(tmp_path)
    loaded = WorldModel.load(tmp_path)
    frames = model.num_context_frames
    assert frames == history[-1] + 1
    state = model.encode(normal(B, frames, D, seed=2), normal(B, frames - 1, A, seed=3))
    actions = normal(B, N, H, A, seed=5)
    assert torch.equal(loaded.rollout(state, actions), model.rollout(state, actions))


@torch.no_grad()
def test_ready_for_planning_it_answers_as_before_and_a_planner_drives_it():
    model = world_model([0, 2])
    ready = PlanningModel(model)
    latents, past = normal(B, 3, D, seed=2), normal(B, 2, A, seed=3)
    state, actions = ready.encode(latents, past), normal(B, N, H, A, seed=5)
    assert torch.equal(state, model.encode(latents, past))
    assert_same_rollout(ready.rollout(state, actions), model.rollout(state, actions))
    planner = CEM(horizon=H, num_samples=16, num_iterations=2, num_elites=4)
    plan = planner.plan(Problem(ready, GoalDistance(normal(B, D), "terminal"), state), seeded())
    assert plan.actions.shape == (B, H, A) and plan.valid.all()


@torch.no_grad()
def test_in_bfloat16_it_answers_to_its_rounding():
    model = predictor()
    coarse = model.for_planning(torch.bfloat16)
    assert coarse.position.dtype == torch.bfloat16 and model.position.dtype == torch.float32
    state, actions = planning_state(model), normal(B, N, H, A, seed=5)
    exact, rounded = model.rollout(state, actions), coarse.rollout(state, actions)
    assert rounded.dtype == torch.float32
    assert (exact - rounded).square().mean() < 1e-3 * exact.var()


# ---------------------------------------------------------------------------------------------------------------------
# training


def test_it_learns_what_blocks_of_actions_add_up_to():
    torch.manual_seed(0)
    actions = torch.rand(400, A, generator=seeded()) * 2 - 1
    position = torch.cat([torch.zeros(1, A), actions.cumsum(0)[:-1]]) * 0.3
    table = LatentTable(torch.nn.functional.pad(position.sin(), (0, D - A)), actions)
    model = TransformerPredictor(CONFIG, D, A)
    episodes = EpisodeIndex(torch.arange(0, 400, 20).numpy(), torch.full((20,), 20).numpy())
    stage = predictor_stage(model, table, episodes, OptimConfig(steps=150, batch_size=64, lr=3e-3), None)
    before = stage.loss(0.0, seeded(1))["loss"].item()
    fit_quietly(stage, 0)
    assert stage.loss(1.0, seeded(1))["loss"].item() < 0.2 * before


def test_lewm_trains_the_predictor_that_plans_together_with_the_encoder(tmp_path: Path):
    write_fake_data(tmp_path, [fake_episode(i, 9) for i in range(20)])
    data = DataSet(tmp_path)
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(input_size=8, latent_dim=D, hidden=11, depth=1))
    model = predictor()
    optim = OptimConfig(steps=2, batch_size=16)
    objective = encoder_objective(MethodConfig("lewm", optim=optim), encoder, data, data.split("train"), 0, None, model)
    rows = objective.sampler.sample(16, seeded())
    assert (rows.diff(dim=0) == BLOCK).all() and len(rows) == WINDOW + 1
    before = {name: value.clone() for name, value in model.named_parameters()}
    fit_quietly(encoder_stage(objective, encoder, load_frames(data, 8, torch.device("cpu")), optim), 0)
    assert all(not torch.equal(value, before[name]) for name, value in model.named_parameters())


# ---------------------------------------------------------------------------------------------------------------------
# bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "rnn"}, "mlp, recurrent, transformer"),
        ({"horizon": 5}, "multiple of predictor.transformer.block=2"),
        ({"history": [0, 1]}, r"\[0, 2, 4\]"),
        ({"history": [0, 2, 4, 6]}, r"\[0, 2, 4\]"),
        ({"transformer": {"window": 0}}, "transformer must be a group of options or null"),
    ],
)
def test_settings_that_cannot_be_are_one_line(changes: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message) as error:
        replace(CONFIG, **changes)
    assert "\n" not in str(error.value)


def test_actions_that_do_not_fit_are_one_line():
    model = predictor(C)
    state, context = planning_state(model), normal(B, C)
    with pytest.raises(UserError, match=r"planner\.horizon to a multiple of 2"):
        model.rollout(state, normal(B, N, 5, A), context)
    with pytest.raises(UserError, match="actions have 2 numbers"):
        model.rollout(state, normal(B, N, H, A + 1), context)
    with pytest.raises(UserError, match=r"pass context=\(B, C\)"):
        model.rollout(state, normal(B, N, H, A))


def test_a_patch_that_does_not_divide_the_frame_is_one_line():
    with pytest.raises(UserError, match=r"vit\.patch must divide"):
        EncoderConfig(kind="vit", input_size=64, vit=ViTConfig(patch=7))


@pytest.mark.parametrize(("new", "all_"), [(4, 4), (1, 4), (1, 2)])
def test_attention_written_out_is_attention(new, all_):
    q, k, v = (torch.randn(B, 3, tokens, 7, dtype=torch.float64) for tokens in (new, all_, all_))
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=new > 1)
    assert_same_up_to_rounding(few_tokens_attended(q, k, v), expected, terms=7, depth=2)
