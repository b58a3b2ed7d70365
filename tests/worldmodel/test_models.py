"""Models: causal in time, exact in their files, and clear about files that are not theirs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rounding import assert_same_up_to_rounding
from torch import Tensor, nn
from worldmodel_fakes import seeded

from worldmodel.data.table import LatentTable
from worldmodel.learning.constants import Windows
from worldmodel.models import ModelConfig, PlanningModel, WorldModel
from worldmodel.models.context_encoder import ContextEncoder
from worldmodel.models.encoders import Encoder
from worldmodel.models.glimpse import Glimpse
from worldmodel.models.keypoints import SpatialSoftmax
from worldmodel.models.kinds import AnyPredictor, make_predictor
from worldmodel.models.layers import InferenceLinear, PlainLinear, for_inference
from worldmodel.models.predictor import Predictor
from worldmodel.models.weak_form import weak_form
from worldmodel.planners import CEM, GoalDistance, Problem
from worldmodel.settings import ContextConfig, EncoderConfig, PredictorConfig, ViTConfig
from worldmodel.system.errors import CheckpointError, UserError

pytestmark = pytest.mark.numerics

B, N, H, D, A, C = 3, 6, 7, 5, 2, 4
HISTORY = [0, 1, 3]
K = HISTORY[-1] + 1
SIZE = 8
PREDICTOR = PredictorConfig(history=HISTORY, horizon=H, hidden=22, depth=3, width=13)
KINDS = ["mlp", "recurrent"]  # tests/worldmodel/test_transformer.py has the third
LAYERS = {"mlp": PREDICTOR.depth, "recurrent": H * PREDICTOR.depth}  # that follow one another in a rollout of H steps
PIXELS = 3 * SIZE**2
ENCODERS = {
    "mlp": EncoderConfig(kind="mlp", input_size=SIZE, latent_dim=D, hidden=11, depth=2),
    "cnn": EncoderConfig(kind="cnn", input_size=SIZE, latent_dim=D, hidden=11, channels=[6, 9], normalize="image"),
    "keypoints": EncoderConfig(kind="keypoints", input_size=SIZE, latent_dim=D, hidden=11, num_keypoints=7),
    "glimpse": EncoderConfig("glimpse", SIZE, D, hidden=11, num_keypoints=7, glimpse_size=5, normalize="background"),
}


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (*shape, 3, SIZE, SIZE), generator=seeded(seed), dtype=torch.uint8)


def world_model(kind: str = "mlp", context: bool = False, dynamics: str = "mlp") -> WorldModel:
    """Random weights, and statistics that no fresh model has."""
    torch.manual_seed(4)
    config = ContextConfig(dim=C, window=5, strides=[1, 2], hidden=10) if context else None
    model = WorldModel(ModelConfig(ENCODERS[kind], A, replace(PREDICTOR, kind=dynamics), config))
    model.encoder.fit_normalization(images(40))
    model.train()
    model.encoder(images(40))  # BatchNorm sees data
    if model.context_encoder is not None:
        model.context_encoder.fit_scale(normal(6, 9, D), normal(6, 8, A))
        model.context_encoder(normal(6, 9, D), normal(6, 8, A))
    return model.eval()


def predictor(context_dim: int = 0, **changes: Any) -> AnyPredictor:
    torch.manual_seed(1)
    return make_predictor(PredictorConfig(**{**vars(PREDICTOR), **changes}), D, A, context_dim)


def assert_same_rollout(actual: Tensor, expected: Tensor, kind: str, passes: int = 1) -> None:
    """Latents of a rollout of H steps, or of several chained."""
    assert_same_up_to_rounding(actual, expected, terms=PREDICTOR.hidden, depth=passes * LAYERS[kind])


def planning_state(model: AnyPredictor, batch: int = B) -> Tensor:
    return model.planning_state(normal(batch, K, D, seed=2), normal(batch, K - 1, A, seed=3))


# ---------------------------------------------------------------------------------------------------------------------
# the predictor


@pytest.mark.parametrize("context_dim", [0, C])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("k", range(H))
@pytest.mark.parametrize("kind", KINDS)
def test_an_action_changes_no_latent_before_it_and_all_after_it(kind, k, depth, context_dim):
    model = predictor(context_dim, kind=kind, depth=depth)
    context = normal(B, context_dim, seed=8) if context_dim else None
    state, actions = planning_state(model), normal(B, N, H, A, seed=5)
    other = actions.clone()
    other[:, :, k] += 1
    before, after = model(state, actions, context), model(state, other, context)
    assert before.shape == (B, N, H, D)
    assert torch.equal(before[:, :, :k], after[:, :, :k])
    assert (before[:, :, k:] != after[:, :, k:]).any(-1).all()


@pytest.mark.parametrize("steps", [1, 4, H])
@pytest.mark.parametrize("kind", KINDS)
def test_a_shorter_rollout_is_the_start_of_a_longer_one(kind, steps):
    model = predictor(kind=kind)
    state, actions = planning_state(model), normal(B, N, H, A, seed=5)
    shorter, longer = model.rollout(state, actions[:, :, :steps]), model.rollout(state, actions)
    assert_same_rollout(shorter, longer[:, :, :steps], kind)


@pytest.mark.parametrize("context_dim", [0, C])
def test_a_longer_rollout_chains_passes_on_their_own_predictions(context_dim):
    model = predictor(context_dim)
    context = normal(B, context_dim, seed=8) if context_dim else None
    total = 2 * H + 3
    state, actions = planning_state(model), normal(B, N, total, A, seed=5)
    rolled = model.rollout(state, actions, context)
    assert rolled.shape == (B, N, total, D)
    for n in range(N):
        plan, own, parts = actions[:, n], state, []
        for start in range(0, total, H):
            latents = model(own, plan[:, None, start : start + H], context)[:, 0]
            parts.append(latents)
            if start + H < total:
                own = model.planning_state(latents[:, -K:], plan[:, start + H - K + 1 : start + H])
        assert_same_rollout(rolled[:, n], torch.cat(parts, 1), "mlp", passes=3)


def test_chaining_with_too_short_a_horizon_is_one_line():
    model = predictor(horizon=K - 1)
    state = planning_state(model)
    assert model.rollout(state, normal(B, N, K - 1, A)).shape == (B, N, K - 1, D)
    with pytest.raises(UserError, match=r"predictor\.horizon >= 4"):
        model.rollout(state, normal(B, N, K, A))


def test_a_recurrent_predictor_knows_one_law_for_any_horizon():
    short, long = (predictor(kind="recurrent", horizon=horizon) for horizon in (2, 9))
    long.load_state_dict(short.state_dict())
    state, actions = planning_state(short), normal(B, N, 9, A, seed=5)
    assert torch.equal(short.rollout(state, actions), long.rollout(state, actions))


@pytest.mark.parametrize("kind", KINDS)
def test_plans_and_batch_elements_do_not_mix(kind):
    model = predictor(kind=kind)
    state, actions = planning_state(model), normal(B, N, H, A, seed=5)
    whole = model.rollout(state, actions)
    for b, n in ((0, 0), (2, 5), (1, 3)):
        alone = model.rollout(state[b : b + 1], actions[b : b + 1, n : n + 1])
        assert_same_rollout(whole[b, n], alone[0, 0], kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_conditioned_predictor_asks_for_its_context_and_uses_it(kind):
    model = predictor(C, kind=kind)
    state, actions = planning_state(model), normal(B, N, H, A, seed=5)
    with pytest.raises(UserError, match=r"pass context=\(B, C\)"):
        model.rollout(state, actions)
    one, other = model(state, actions, normal(B, C, seed=1)), model(state, actions, normal(B, C, seed=2))
    assert (one != other).all()


@pytest.mark.parametrize("wrong", [{"history": []}, {"history": [1, 2]}, {"history": [0, 2, 2]}, {"horizon": 0}])
def test_wrong_predictor_settings(wrong):
    with pytest.raises(UserError, match=rf"\b{next(iter(wrong))} must"):
        PredictorConfig(**wrong)


# ---------------------------------------------------------------------------------------------------------------------
# encoders


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"kind": "resnet"}, "mlp, keypoints, glimpse, cnn, strided, paired, vit"),
        ({"normalize": "batch"}, "dataset, background, image"),
        ({"input_size": 0}, "input_size"),
        ({"hidden": 0}, "hidden"),
        ({"depth": 0}, "depth"),
        ({"latent_dim": -1}, "latent_dim"),
        ({"kind": "cnn", "input_size": 24}, "multiple of 16"),
        ({"kind": "cnn", "input_size": 6, "channels": [4, 5]}, "multiple of 4"),
        ({"kind": "keypoints", "input_size": 9}, "input_size must be even .*; got 9"),
        ({"kind": "keypoints", "num_keypoints": 0}, "num_keypoints must be a whole number >= 1"),
        ({"kind": "glimpse", "input_size": 9}, "input_size must be even .*; got 9"),
        ({"kind": "glimpse", "latent_dim": 3}, "latent_dim must be >= 4 .*, got 3"),
        ({"kind": "glimpse", "glimpse_size": 0}, "glimpse_size must be a whole number >= 1"),
        ({"kind": "vit", "vit": {"pool": "mean"}}, "vit must be a group of options"),
    ],
)
def test_wrong_encoder_settings_are_one_line(wrong, named):
    with pytest.raises(UserError, match=named) as caught:
        EncoderConfig(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("lead", [(), (B,), (B, 2), (1, B, 2)])
def test_an_encoder_takes_any_leading_dimensions(kind, lead):
    encoder = world_model(kind).encoder
    frames = images(*lead, seed=9)
    latents = encoder(frames)
    assert latents.shape == (*lead, D)
    assert latents.dtype == torch.float32
    last = encoder(frames[(-1,) * len(lead)][None])[0]
    assert_same_up_to_rounding(latents[(-1,) * len(lead)], last, terms=PIXELS, depth=3)


@pytest.mark.parametrize(("pool", "num_tokens"), [("class", 1), ("tokens", 16)])
def test_a_vit_s_latents_are_read_from_one_token_or_from_all(pool, num_tokens):
    pytest.importorskip("timm")
    encoder = Encoder(EncoderConfig(kind="vit", input_size=32, latent_dim=D, vit=ViTConfig(patch=8, pool=pool)))
    (head_norm,) = (layer for layer in encoder.body if isinstance(layer, torch.nn.BatchNorm1d))
    assert head_norm.num_features == 192 * num_tokens
    assert encoder(torch.zeros(B, 3, 32, 32, dtype=torch.uint8)).shape == (B, D)


def test_larger_frames_are_box_averaged_first():
    encoder = world_model().encoder
    frames = images(B)
    large = frames.repeat_interleave(3, -1).repeat_interleave(3, -2)
    assert torch.equal(encoder(large), encoder(frames))
    with pytest.raises(UserError, match="8 x 8"):
        encoder(torch.zeros(B, 3, SIZE + 1, SIZE + 1, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("shape", "dtype", "got"),
    [
        ((1, SIZE, SIZE, 3), torch.uint8, "uint8 (1, 8, 8, 3); worlds render"),
        ((1, 3, SIZE, 2 * SIZE), torch.uint8, "uint8 (1, 3, 8, 16)"),
        ((1, 3, SIZE, SIZE), torch.float32, "float32 (1, 3, 8, 8)"),
        ((SIZE, SIZE), torch.uint8, "uint8 (8, 8)"),
    ],
)
def test_what_is_no_frame_is_one_line(shape, dtype, got):
    with pytest.raises(UserError) as caught:
        world_model().embed(torch.zeros(shape, dtype=dtype))
    assert got in str(caught.value) and "\n" not in str(caught.value)


def test_actions_of_another_world_are_one_line():
    model = world_model()
    state = model.encode(normal(B, K, D), normal(B, K - 1, A))
    with pytest.raises(UserError, match=r"actions have 2 numbers, got actions \(B, N, H, A\) = \(3, 6, 7, 1\)"):
        model.rollout(state, normal(B, N, H, 1))


def test_normalisation_by_data_set_gives_every_channel_mean_0_and_variance_1():
    encoder = Encoder(ENCODERS["mlp"])
    frames = (images(500).float() * torch.tensor([1.0, 0.5, 0.25]).view(3, 1, 1)).to(torch.uint8)
    encoder.fit_normalization(frames)
    x = encoder.normalize(frames)
    terms, size = x[:, 0].numel(), float(x.abs().max())
    assert_same_up_to_rounding(x.mean((0, 2, 3)), torch.zeros(3), terms=terms, size=size)
    assert_same_up_to_rounding(x.std((0, 2, 3)), torch.ones(3), terms=terms)


def test_normalisation_by_image_is_blind_to_a_brighter_background():
    encoder = Encoder(ENCODERS["cnn"])
    frames = images(B) // 2
    assert_same_up_to_rounding(encoder.normalize(frames), encoder.normalize(frames + 40), terms=SIZE**2, depth=2)


def test_a_keypoint_is_the_mean_place_under_its_softmax():
    maps = torch.full((1, 2, 4, 5), -torch.inf)
    maps[0, 0, 3, 1] = 0.0  # all of it in the last row, second column
    maps[0, 1, 0, 0] = maps[0, 1, 2, 4] = 0.0  # half in the first corner, half at the right
    x, y = SpatialSoftmax()(maps).view(2, 2)  # (x or y, keypoint)
    torch.testing.assert_close(x, torch.tensor([-0.5, 0.0]))
    torch.testing.assert_close(y, torch.tensor([1.0, (-1 + 1 / 3) / 2]))


def test_keypoints_follow_what_moves_across_an_even_background():
    torch.manual_seed(0)
    body = Encoder(EncoderConfig(kind="keypoints", input_size=32, latent_dim=D, num_keypoints=6)).eval().body
    assert isinstance(body, nn.Sequential)
    frames = torch.zeros(2, 3, 32, 32)
    frames[0, :, 11:16, 9:14] = frames[1, :, 11:16, 13:18] = normal(3, 5, 5)  # the same thing, four pixels to the right
    weight = body[:7](frames).flatten(2).softmax(-1).unflatten(-1, (16, 16))
    torch.testing.assert_close(weight[0, :, 2:-2, 2:-4], weight[1, :, 2:-2, 4:-2], rtol=1e-4, atol=1e-8)


def test_a_glimpse_is_the_pixels_around_a_place():
    torch.manual_seed(0)
    body = Encoder(EncoderConfig("glimpse", 12, D, hidden=11, num_keypoints=3, glimpse_size=4)).body
    assert isinstance(body, Glimpse)
    images = normal(3, 3, 12, 12)
    maps = torch.full((3, 1, 6, 6), -torch.inf)
    maps[0, 0, 2, 3] = maps[1, 0, 0, 5] = maps[2, 0, 1, 1] = 0.0  # each the middle of four pixels
    glimpse = body.look(images, SpatialSoftmax()(maps))
    beyond = torch.cat([glimpse[1, :, 0], glimpse[1, :, :, 3]])  # the edge
    # each is a mean of four pixels, by weights as exact as a place among twelve
    exact = {"terms": 4, "depth": 12, "size": float(images.abs().max())}
    assert_same_up_to_rounding(glimpse[0], images[0, :, 3:7, 5:9], **exact)
    assert_same_up_to_rounding(glimpse[1, :, 1:, :3], images[1, :, :3, 9:], **exact)
    assert_same_up_to_rounding(beyond, torch.zeros_like(beyond), **exact)
    assert_same_up_to_rounding(glimpse[2], images[2, :, 1:5, 1:5], **exact)


def test_a_fresh_glimpse_is_of_what_differs_from_its_background():
    for seed in range(5):
        torch.manual_seed(seed)
        body = Encoder(EncoderConfig("glimpse", 32, D, hidden=11, num_keypoints=3, normalize="background")).body
        assert isinstance(body, Glimpse)
        images = torch.zeros(30, 3, 32, 32)
        corner = torch.randint(2, 24, (30, 2), generator=seeded(seed))
        for image, (x, y) in zip(images, corner.tolist(), strict=True):
            image[:, y : y + 6, x : x + 6] = 3.0
        place = body.find(images).view(30, 2, 4)[..., 0]
        together = torch.corrcoef(torch.cat([place.T, corner.T.float()]).detach())
        assert together[0, 2] > 0.95 and together[1, 3] > 0.95


def test_latents_of_a_glimpse_are_a_place_all_places_and_what_is_there():
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig("glimpse", 16, 7, hidden=11, num_keypoints=5, glimpse_size=4)).eval()
    body = encoder.body
    assert isinstance(body, Glimpse)
    images = normal(6, 3, 16, 16).requires_grad_()
    latents = body(images)
    place = body.find(images).view(6, 2, 6)[..., 0]
    scale = (body.place_norm.running_var + body.place_norm.eps).rsqrt()  # type: ignore[operator]
    torch.testing.assert_close(latents[:, :2], place * scale)
    assert latents[:, 2:].shape == (6, 2 + 3)  # of all places, and of the glimpse

    (of_glimpse,) = torch.autograd.grad(latents[:, 4:].sum(), images, retain_graph=True)
    assert ((of_glimpse != 0).any(1).sum((1, 2)) <= 25).all()  # no gradient through where it is taken
    (of_places,) = torch.autograd.grad(latents[:, 2:4].sum(), images)
    assert ((of_places != 0).any(1).sum((1, 2)) > 200).all()


def test_what_stands_still_is_zero_without_its_background():
    encoder = Encoder(EncoderConfig(input_size=SIZE, latent_dim=D, normalize="background"))
    scenery = images(1, seed=1)
    frames = scenery.repeat(9, 1, 1, 1)
    frames[torch.arange(9), :, torch.arange(9) % SIZE, 3] = 255  # something that moves
    encoder.fit_normalization(frames)
    assert torch.equal(encoder.normalize(scenery), torch.zeros(1, 3, SIZE, SIZE))
    seen = encoder.normalize(frames)
    assert ((seen != 0).any(1).sum((1, 2)) <= 1).all()
    torch.testing.assert_close(seen.square().mean((0, 2, 3)), torch.ones(3))


# ---------------------------------------------------------------------------------------------------------------------
# the context encoder

WINDOW, STRIDES, ROWS = 7, [1, 3], 40


def context_encoder() -> ContextEncoder:
    torch.manual_seed(3)
    encoder = ContextEncoder(ContextConfig(dim=C, window=WINDOW, strides=STRIDES, hidden=10), D, A)
    encoder.fit_scale(normal(4, 9, D), 3 * normal(4, 8, A))
    return encoder.eval()


def test_moments_are_the_mean_step_features_of_their_window():
    encoder = context_encoder()
    latents, actions = normal(ROWS, D, seed=1), normal(ROWS, A, seed=2)
    starts = torch.arange(ROWS - WINDOW)
    moments = Windows(encoder, LatentTable(latents, actions)).moments(starts)
    direct = [
        encoder.step_features(latents[s : s + WINDOW + 1], actions[s : s + WINDOW]).mean(0) for s in starts.tolist()
    ]
    assert_same_up_to_rounding(moments, torch.stack(direct), terms=WINDOW * max(STRIDES), depth=2)
    contexts = torch.cat([encoder(latents[None, s : s + WINDOW + 1], actions[None, s : s + WINDOW]) for s in starts])
    # least squares with a ridge pass roundings on, up to 1 / sqrt(ridge) times as large
    size, terms = float(contexts.detach().abs().max()) / encoder.config.ridge**0.5, encoder.features(moments).shape[1]
    assert_same_up_to_rounding(encoder.from_moments(moments), contexts, terms=terms, depth=2, size=size)
    assert contexts.shape == (len(starts), C)


def test_step_features_are_those_of_every_stride_and_their_products():
    encoder = context_encoder()
    encoder.scale.fill_(1)
    latents, actions = normal(B, 9, D, seed=1), normal(B, 8, A, seed=2)
    features = encoder.step_features(latents, actions)
    width = 3 * D + A
    per_stride = width + width * (width + 1) // 2
    assert features.shape == (B, 9 - 2 * STRIDES[-1], len(STRIDES) * per_stride)
    for stride, part in zip(STRIDES, features.split(per_stride, -1), strict=True):
        trim = STRIDES[-1] - stride
        terms = [x[:, trim : x.shape[1] - trim] for x in weak_form(latents, actions, stride)]
        u = torch.cat(terms, -1)
        assert_same_up_to_rounding(part[..., :width], u, terms=2 * stride)
        products = u[..., :, None] * u[..., None, :]
        expected = torch.stack([products[..., i, j] for i in range(width) for j in range(i, width)], -1)
        assert_same_up_to_rounding(part[..., width:], expected, terms=2 * stride, depth=2)


def test_at_stride_1_the_weak_form_is_central_differences():
    latents, actions = normal(B, 6, D, seed=1), normal(B, 5, A, seed=2)
    velocity, direction, action, change = weak_form(latents, actions, 1)
    torch.testing.assert_close(velocity, (latents[:, 2:] - latents[:, :-2]) / 2)
    torch.testing.assert_close(direction, velocity / (velocity.norm(dim=-1, keepdim=True) + 0.1))
    torch.testing.assert_close(action, (actions[:, 1:] + actions[:, :-1]) / 2)
    torch.testing.assert_close(change, latents[:, 2:] - 2 * latents[:, 1:-1] + latents[:, :-2])


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_the_weak_form_is_exact_for_a_body_under_held_forces(stride: int):
    """z'' = gain a, a held over each step: the second difference is gain n^2 times the weighted action, exactly."""
    gain = torch.linspace(0.5, 2, A * D, dtype=torch.float64).view(A, D)
    actions = normal(B, 20, A, seed=1).double()
    acceleration = actions @ gain
    velocity = torch.cat([normal(B, 1, D, seed=2).double(), acceleration], 1).cumsum(1)  # at the frames
    step = velocity[:, :-1] + acceleration / 2
    latents = torch.cat([normal(B, 1, D, seed=3).double(), step], 1).cumsum(1)
    _, _, action, change = weak_form(latents, actions, stride)
    torch.testing.assert_close(change, stride**2 * action @ gain, rtol=1e-9, atol=1e-9)


def test_regression_reads_gain_drag_and_friction_out_of_moments():
    """A second difference made of (v, v/|v|, a) by known coefficients gives those coefficients back."""
    encoder = context_encoder()
    inputs = 2 * D + A
    x, truth = normal(400, inputs, seed=1), normal(inputs, D, seed=2)
    u = torch.cat([x, x @ truth], -1)
    one_stride = torch.cat([u, u[:, encoder.pairs[0]] * u[:, encoder.pairs[1]]], -1).mean(0, keepdim=True)
    moments = one_stride.repeat(1, len(STRIDES))
    found = encoder._regress(encoder.grams(moments)[0])[0]
    torch.testing.assert_close(found[:-3].view(inputs, D), truth, rtol=0, atol=0.02)
    norms = [block.square().sum().log() for block in truth.split([D, D, A])]
    torch.testing.assert_close(found[-3:], torch.stack(norms), rtol=0, atol=0.02)


@pytest.mark.parametrize(
    "wrong",
    [{"dim": -1}, {"window": 8}, {"hidden": 0}, {"strides": [2, 1]}, {"strides": [0]}, {"ridge": 0}, {"forces": "x"}],
)
def test_wrong_context_settings(wrong):
    with pytest.raises(UserError, match=rf"\b{next(iter(wrong))} must"):
        ContextConfig(**wrong)


# ---------------------------------------------------------------------------------------------------------------------
# the world model


def test_encode_reads_latents_oldest_first():
    model = world_model()
    frames, actions = images(B, K), normal(B, K - 1, A)
    latents = model.embed(frames)
    assert torch.equal(latents, model.encoder(frames.flatten(0, 1)).view(B, K, D))
    state, now = model.encode(latents, actions), latents[:, -1]
    assert torch.equal(state[:, :D], now)
    for i, lag in enumerate(HISTORY[1:], 1):
        change = 4 * (latents[:, -1 - lag] - now)
        assert_same_up_to_rounding(state[:, i * D : (i + 1) * D], change, terms=2, size=4 * float(latents.abs().max()))
    assert torch.equal(state[:, len(HISTORY) * D :], actions.flatten(1))


def test_a_model_without_actions_says_so():
    model = WorldModel(ModelConfig(ENCODERS["mlp"]))
    for ask in (lambda: model.encode(normal(B, K, D), normal(B, K - 1, A)), lambda: PlanningModel(model)):
        with pytest.raises(CheckpointError, match="no dynamics predictor"):
            ask()


@pytest.mark.parametrize("dynamics", KINDS)
@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("context", [False, True])
def test_a_planning_model_answers_as_the_model_does(kind, context, dynamics):
    model = world_model(kind, context, dynamics)
    fast = PlanningModel(model)
    frames, actions, plans = images(B, K), normal(B, K - 1, A), normal(B, N, 2 * H + 3, A)
    known = normal(B, C, seed=6) if context else None
    latents = model.embed(frames)
    assert_same_up_to_rounding(fast.embed(frames), latents, terms=PIXELS, depth=3)
    state = model.encode(latents, actions)
    assert torch.equal(fast.encode(latents, actions), state)
    for steps in (1, H - 1, H, 2 * H + 3):
        expected = model.rollout(state, plans[:, :, :steps], known)
        assert_same_rollout(fast.rollout(state, plans[:, :, :steps], known), expected, dynamics, passes=3)
    assert (fast.num_context_frames, fast.action_dim, fast.latent_dim) == (K, A, D)


@pytest.mark.parametrize("dynamics", KINDS)
def test_rollouts_in_bfloat16_differ_by_its_rounding_and_start_from_exact_latents(dynamics):
    model = world_model(context=True, dynamics=dynamics)
    fast = PlanningModel(model, torch.bfloat16)
    state, plans, known = model.encode(normal(B, K, D), normal(B, K - 1, A)), normal(B, N, 2 * H, A), normal(B, C)
    exact, rounded = model.rollout(state, plans, known), fast.rollout(state, plans, known)
    assert rounded.dtype == torch.float32
    change = exact - state[:, None, None, :D]
    error = ((rounded - exact).norm() / change.norm()).item()
    assert 1e-4 < error < 2e-2  # 8 bits of mantissa, some layers


@pytest.mark.parametrize("steps", range(1, H + 1))
@pytest.mark.parametrize("layer_of", [PlainLinear, InferenceLinear])
def test_fewer_steps_are_computed_by_the_units_that_they_may_see(layer_of, steps):
    predictor = world_model().predictor
    assert isinstance(predictor, Predictor)
    with torch.no_grad():
        folded = predictor.fold(layer_of=layer_of)
    state, actions = normal(B, predictor.state_dim), normal(B, N, H, A)
    found, whole = folded(state, actions[:, :, :steps]), predictor(state, actions)[:, :, :steps]
    assert_same_rollout(found, whole, "mlp")
    units = predictor.num_units(steps)
    size = steps * predictor.latent_dim
    assert not predictor.causal_out[:size, units:].any() and predictor.causal_out[size - 1, :units].all()
    assert steps == H or folded.shorter[steps].out.weight.shape == (size, units)


@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("shape", [(1,), (5,), (3, 70), (2, 3, 4)])
def test_a_layer_for_inference_is_the_layer_to_rounding_and_has_its_gradient(shape, gelu):
    layer, x = nn.Linear(40, 24), normal(*shape, 40)
    quick, plain = (kind(layer.weight, layer.bias, gelu) for kind in (InferenceLinear, PlainLinear))
    with torch.no_grad():
        found, exact = quick(x), plain(x)
    assert found.shape == exact.shape == (*shape, 24)
    assert (found - exact).abs().max() < 40 * torch.finfo(torch.float32).eps * 8
    gradients = []
    for one in (quick, plain):
        given = x.clone().requires_grad_()
        one(given).sum().backward()
        gradients.append(given.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("rows", [(1, 1), (3, 1), (3, 5)])
def test_an_offset_is_added_before_gelu_to_all_rows_or_to_each(rows, gelu):
    layer, x, offset = nn.Linear(40, 24, bias=False), normal(3, 5, 40), normal(*rows, 24).requires_grad_()
    expected = layer(x) + offset
    expected = nn.functional.gelu(expected) if gelu else expected
    (gradient,) = torch.autograd.grad(expected.sum(), offset)
    for kind in (InferenceLinear, PlainLinear):
        one = kind(layer.weight, None, gelu)
        assert_same_up_to_rounding(one(x, offset), expected, terms=40)
        (found,) = torch.autograd.grad(one(x, offset).sum(), offset)
        assert_same_up_to_rounding(found, gradient, terms=15)
        with torch.no_grad():
            assert_same_up_to_rounding(one(x, offset), expected, terms=40)


def test_linear_layers_of_a_module_and_gelu_after_them_become_one():
    first, x = nn.Linear(6, 6), normal(7, 6)
    rest = nn.Sequential(nn.Linear(6, 5), nn.Identity(), nn.GELU(), nn.Linear(5, 5), nn.GELU("tanh"), nn.Linear(5, 2))
    expected = rest(first(x)).detach()
    module = nn.ModuleList([first, rest])
    for_inference(module)
    with torch.no_grad():
        assert_same_up_to_rounding(rest(module[0](x)), expected, terms=6, depth=4)
    assert [type(layer) for layer in rest] == [
        InferenceLinear, nn.Identity, nn.Identity, InferenceLinear, nn.GELU, InferenceLinear
    ]  # fmt: skip
    assert [layer.gelu for layer in rest if isinstance(layer, InferenceLinear)] == [True, False, False]


@pytest.mark.parametrize("horizon", [H - 2, H + 4])
@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize("dynamics", KINDS)
def test_cem_plans_with_a_world_model(dynamics, context, horizon):
    model = world_model(context=context, dynamics=dynamics)
    z0 = model.encode(model.embed(images(B, K)), normal(B, K - 1, A))
    known = normal(B, C, seed=6) if context else None
    goal = model.rollout(z0, torch.full((B, 1, horizon, A), 0.6), known)[:, 0, -1].detach()
    planner = CEM(horizon=horizon, num_samples=32, num_iterations=5)
    objective = GoalDistance(goal, "terminal")
    plan = planner.plan(Problem(model, objective, z0, known), seeded())
    assert plan.actions.shape == (B, horizon, A)
    zeros = torch.zeros(B, 1, horizon, A)
    still = objective(model.rollout(z0, zeros, known), zeros)[:, 0]
    assert (plan.cost < still).all()


# ---------------------------------------------------------------------------------------------------------------------
# files


@pytest.mark.parametrize("dynamics", KINDS)
@pytest.mark.parametrize("kind", ENCODERS)
@pytest.mark.parametrize("context", [False, True])
def test_a_saved_model_gives_the_same_bits(tmp_path, kind, context, dynamics):
    model = world_model(kind, context, dynamics)
    model.save(tmp_path)
    again = WorldModel.load(tmp_path)
    assert again.config == model.config
    assert not again.training
    frames, actions, plans = images(B, K), normal(B, K - 1, A), normal(B, N, H + 2, A)
    known = normal(B, C, seed=6) if context else None
    assert torch.equal(again.embed(frames), model.embed(frames))
    state = model.encode(model.embed(frames), actions)
    assert torch.equal(again.rollout(state, plans, known), model.rollout(state, plans, known))
    if context:
        assert model.context_encoder is not None
        assert again.context_encoder is not None
        window = normal(B, 6, D, seed=7), normal(B, 5, A, seed=8)
        assert torch.equal(again.context_encoder(*window), model.context_encoder(*window))
    assert not list(tmp_path.glob(".*"))


def test_a_model_of_an_encoder_alone_is_saved_too(tmp_path):
    model = WorldModel(ModelConfig(ENCODERS["mlp"])).eval()
    model.save(tmp_path)
    again = WorldModel.load(tmp_path)
    assert torch.equal(again.embed(images(B)), model.embed(images(B)))


def edit(directory: Path, *path: str, value: Any) -> None:
    file = directory / "model.json"
    content = json.loads(file.read_text())
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    file.write_text(json.dumps(content))


DAMAGE = {
    "no model.json": lambda d: (d / "model.json").unlink(),
    "no weights": lambda d: (d / "model.safetensors").unlink(),
    "empty model.json": lambda d: (d / "model.json").write_text(""),
    "foreign JSON": lambda d: (d / "model.json").write_text('{"layers": 3}'),
    "a list": lambda d: (d / "model.json").write_text("[1, 2]"),
    "binary model.json": lambda d: (d / "model.json").write_bytes(b"\xff\xfe\n\x00" * 30),
    "model is no dictionary": lambda d: edit(d, "model", value=[1]),
    "other schema": lambda d: edit(d, "schema", value=99),
    "unknown field": lambda d: edit(d, "model", "encoder", "patches", value=7),
    "unknown kind": lambda d: edit(d, "model", "encoder", "kind", value="transformer"),
    "no number": lambda d: edit(d, "model", "action_dim", value="two"),
    "text for a number": lambda d: edit(d, "model", "encoder", "hidden", value="wide"),
    "other width": lambda d: edit(d, "model", "encoder", "hidden", value=12),
    "other depth": lambda d: edit(d, "model", "predictor", "depth", value=2),
    "no context": lambda d: edit(d, "model", "context", value=None),
    "truncated weights": lambda d: (d / "model.safetensors").write_bytes((d / "model.safetensors").read_bytes()[:-50]),
    "empty weights": lambda d: (d / "model.safetensors").write_bytes(b""),
    "foreign weights": lambda d: torch.save({"weight": torch.zeros(2)}, d / "model.safetensors"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_files_that_are_not_a_model_are_one_line(tmp_path, damage):
    world_model(context=True).save(tmp_path)
    DAMAGE[damage](tmp_path)
    with pytest.raises(CheckpointError) as caught:
        WorldModel.load(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
