"""Methods: each trains by name, its loss is its formula, targets follow their rule, errors are one line."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from worldmodel_fakes import KINEMATIC, A, S, fake_episode, seeded, write_fake_data

from worldmodel.data.frames import MemoryFrames, load_frames
from worldmodel.data.store import DataSet
from worldmodel.learning.loop import Trainer
from worldmodel.learning.losses import alignment, infonce, sigreg, stillness, whiten, without_explained
from worldmodel.learning.methods import Views, encoder_objective, encoder_stage
from worldmodel.learning.methods.jepa import JEPA
from worldmodel.learning.methods.lejepa import LeJEPA, SIGRegWeight
from worldmodel.learning.methods.lewm import Clips
from worldmodel.learning.methods.reconstruction import VAE, Autoencoder
from worldmodel.learning.methods.vicreg import VICReg, Whitening
from worldmodel.learning.methods.views import MovingAverage, without_some_pixels
from worldmodel.models.encoders import Encoder
from worldmodel.models.glimpse import Glimpse, LocationLatents
from worldmodel.runs.run_directory import RunDirectory
from worldmodel.settings import (
    METHODS,
    EncoderConfig,
    InfoNCEConfig,
    JEPAConfig,
    MethodConfig,
    OptimConfig,
    ReconstructionConfig,
    VICRegConfig,
    WhiteningConfig,
)
from worldmodel.system.errors import TrainingError, UserError

pytestmark = pytest.mark.numerics

B, D, STEPS = 9, 4, 6
CPU = torch.device("cpu")
OPTIM = OptimConfig(steps=STEPS, batch_size=B, lr=0.01)


def encoder(latent_dim: int = D) -> Encoder:
    torch.manual_seed(0)
    return Encoder(EncoderConfig(input_size=S, latent_dim=latent_dim, hidden=11, depth=1))


def views(progress: float = 0.0, num_views: int = 2) -> Views:
    rows = torch.arange(num_views * B).view(num_views, B)
    frames = torch.randint(256, (num_views, B, 3, S, S), generator=seeded(1)).to(torch.uint8)
    latents = torch.randn(num_views, B, D, generator=seeded(2), requires_grad=True)
    return Views(rows, frames, latents, latents, progress, seeded(3))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Twenty episodes of a world that is a kinematic and a dynamic one at once: OU pairs, lag pairs and actions."""
    folder = tmp_path_factory.mktemp("data")
    write_fake_data(folder, [fake_episode(i, 9) for i in range(20)], KINEMATIC)
    return DataSet(folder)


# ---------------------------------------------------------------------------------------------------------------------
# all of them


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("pairs", ["ou", "lag"])
def test_every_method_trains_the_encoder_and_what_it_brings_along(name: str, pairs: str, data: DataSet, tmp_path: Path):
    options = {"block": 3} if name == "lewm" else {}
    method = MethodConfig(name=name, pairs=pairs, lag=2, options=options, optim=OPTIM, on_collapse="report")
    body = encoder()
    before = {key: value.clone() for key, value in body.named_parameters()}
    objective = encoder_objective(method, body, data, data.split("train"), seed=0)
    stage = encoder_stage(objective, body, load_frames(data, S, CPU), OPTIM, method.on_collapse)
    Trainer(RunDirectory(tmp_path), nn.ModuleDict({"encoder": body}), {"encoder": {}}, 1).fit(stage)
    assert all(not torch.equal(value, before[key]) for key, value in body.named_parameters() if key != "body.1.0.bias")
    lines = RunDirectory(tmp_path).read_metrics()
    assert len(lines) == STEPS
    for line in lines:
        assert len(line["latent_variance"]) == D and line["effective_rank"] >= 1 and line["collapsed"] in (0, 1)


class _Counting(nn.Module):
    """Counts the calls of an encoder."""

    def __init__(self, inner: Encoder) -> None:
        super().__init__()
        self.inner, self.mean, self.config, self.calls = inner, inner.mean, inner.config, 0

    def forward(self, frames: Tensor) -> Tensor:
        self.calls += 1
        return self.inner(frames)


def test_the_latents_of_a_batch_are_made_once(data: DataSet):
    objective = encoder_objective(MethodConfig(optim=OPTIM), encoder(), data, data.split("train"), seed=0)
    counting = _Counting(encoder())
    stage = encoder_stage(objective, counting, load_frames(data, S, CPU), OPTIM)  # type: ignore[arg-type]
    values = stage.loss(0.0, seeded())
    assert counting.calls == 1 and values["latents"].shape == (2 * B, D)


# ---------------------------------------------------------------------------------------------------------------------
# losses, one by one


def test_the_weight_of_sigreg_is_geometric_over_seven_tenths_of_training():
    weight = SIGRegWeight(0.01, 1.0, unit=0.1)
    assert [weight(p) for p in (0.0, 0.35, 0.7, 1.0)] == pytest.approx([0.001, 0.01, 0.1, 0.1])


def test_lejepa_weighs_alignment_and_sigreg():
    seen = views(progress=0.7)
    values = LeJEPA(SIGRegWeight(0.01, 0.3), 5)(seen)
    gaussian = sigreg(seen.latents.flatten(0, 1), 5, seeded(3))
    torch.testing.assert_close(values["loss"], 0.7 * alignment(seen.latents) + 0.3 * gaussian)


def test_lejepa_counts_how_far_a_location_moves_too():
    seen = views(progress=0.7)
    located = LeJEPA(SIGRegWeight(0.01, 0.3), 5, LocationLatents(count=2, weight=0.1))(seen)
    seen = views(progress=0.7)
    plain = LeJEPA(SIGRegWeight(0.01, 0.3), 5)(seen)
    extra = 0.1 * stillness(seen.latents[..., :2])
    torch.testing.assert_close(located["alignment"], plain["alignment"])
    torch.testing.assert_close(located["loss"], plain["loss"] + 0.7 * extra)


def test_lejepa_asks_the_encoder_which_latents_are_a_location(data: DataSet):
    glimpse = Encoder(EncoderConfig("glimpse", S, 5, hidden=11, num_keypoints=3, glimpse_size=4))
    for body, location in ((glimpse, Glimpse.LOCATION), (encoder(), None)):
        objective = encoder_objective(MethodConfig(pairs="lag", lag=2), body, data, data.split("train"), seed=0).loss
        assert isinstance(objective, LeJEPA) and objective.location is location


@pytest.mark.parametrize("similarity", ["gaussian", "cosine"])
def test_infonce_is_that_of_its_settings(similarity: str):
    from worldmodel.learning.methods.infonce import InfoNCE

    seen = views()
    values = InfoNCE(InfoNCEConfig(similarity, 0.3))(seen)
    torch.testing.assert_close(values["loss"], infonce(*seen.latents, similarity, 0.3))


def test_vicreg_weighs_its_three_terms():
    seen = views()
    values = VICReg(VICRegConfig(2.0, 3.0, 5.0))(seen)
    parts = 2 * values["invariance"] + 3 * values["variance"] + 5 * values["covariance"]
    torch.testing.assert_close(values["loss"], parts)
    first, second = seen.latents
    torch.testing.assert_close(values["invariance"], (first - second).square().mean())


def test_whitening_sees_no_linear_map():
    seen = views()
    skewed = seen.latents @ torch.randn(D, D, generator=seeded(5))
    other = Views(seen.rows, seen.frames, skewed, skewed, 0.0, seeded())
    loss = Whitening(WhiteningConfig(penalty=0.0))
    torch.testing.assert_close(loss(other)["loss"], loss(seen)["loss"], rtol=0.02, atol=0)
    expected = alignment(whiten(seen.latents.flatten(0, 1)).view(2, B, D))
    torch.testing.assert_close(loss(seen)["loss"], expected)


@pytest.mark.parametrize(("target", "reaches"), [("none", True), ("stop_gradient", False)])
def test_the_target_rule_says_whether_gradients_reach_the_target(target: str, reaches: bool):
    seen = views()
    targets = torch.randn(2, B, D, generator=seeded(4), requires_grad=True)
    JEPA(JEPAConfig(target), D)(Views(seen.rows, seen.frames, seen.latents, targets, 0.0, seeded()))["loss"].backward()
    assert (targets.grad is not None) == reaches


def test_each_view_is_predicted_from_the_other():
    seen = views()
    jepa = JEPA(JEPAConfig("stop_gradient"), D)
    jepa.head = nn.Identity()  # type: ignore[assignment]
    first, second = seen.latents
    torch.testing.assert_close(jepa(seen)["loss"], (first - second).square().mean())


def test_a_vae_without_divergence_and_noise_is_an_autoencoder():
    config = ReconstructionConfig(kl_weight=0.0)
    torch.manual_seed(0)
    vae, plain = VAE(config, encoder()), Autoencoder(config, encoder())
    plain.load_state_dict({key: value for key, value in vae.state_dict().items() if key.startswith("decoder")})
    nn.init.constant_(vae.log_variance[-1].bias, -1e3)  # type: ignore[arg-type]
    torch.testing.assert_close(vae(views())["loss"], plain(views())["loss"], rtol=0.05, atol=0)


def test_a_vae_s_divergence_is_that_of_two_gaussians():
    vae = VAE(ReconstructionConfig(kl_weight=2.0), encoder())
    seen = views()
    values = vae(seen)
    mean = seen.latents.flatten(0, 1)
    posterior = torch.distributions.Normal(mean, (vae.log_variance(mean) / 2).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(values["divergence"], expected)
    torch.testing.assert_close(values["loss"], values["reconstruction"] + 2 * expected)


@pytest.mark.parametrize(("side", "rebuilt"), [(S, S), (160, 40)])
def test_wide_frames_are_rebuilt_small(side: int, rebuilt: int):
    config = EncoderConfig(input_size=side, latent_dim=D, hidden=3, depth=1)
    decoder = Autoencoder(ReconstructionConfig(hidden=3), Encoder(config)).decoder
    assert decoder.body(torch.zeros(2, D)).shape == (2, 3 * rebuilt**2)
    assert decoder.error(torch.zeros(2, D), torch.zeros(2, 3, side, side, dtype=torch.uint8)).isfinite()


def test_supervised_latents_are_the_variables_and_zeros(data: DataSet):
    objective = encoder_objective(MethodConfig("supervised"), encoder(), data, data.split("train"), seed=0)
    rows = torch.tensor([[3, 17], [40, 8]])
    truth = torch.zeros(2, 2, D)
    truth[..., :2] = torch.from_numpy(data.states[rows.numpy()][..., :2])
    seen = views()
    values = objective.loss(Views(rows, seen.frames, truth, truth, 0.0, seeded()))
    assert values["loss"].item() == pytest.approx(0, abs=1e-12)
    values = objective.loss(Views(rows, seen.frames, truth + 2, truth, 0.0, seeded()))
    assert values["loss"].item() == pytest.approx(4)


def test_pairs_are_closer_in_the_second_half_and_lambda_less(data: DataSet):
    method = MethodConfig("lejepa", pairs="lag", lag=3, lag_end=1, sigreg_start=0.2, sigreg_end=0.05)
    objective = encoder_objective(method, encoder(), data, data.split("train"), seed=0)
    for progress, lag, part in ((0.0, 3, 1), (0.49, 3, 1), (0.5, 1, 3), (0.9, 1, 3)):
        first, second = objective.sampler_at(progress).sample(40, seeded())
        assert (second - first == lag).all()
        assert isinstance(objective.loss, LeJEPA)
        assert objective.loss.weight(progress) == pytest.approx(SIGRegWeight(0.2, 0.05)(progress) / part)
    same = encoder_objective(replace(method, lag_end=None), encoder(), data, data.split("train"), seed=0)
    assert same.sampler_at(0.9) is same.sampler


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lag": 3, "lag_end": 3}, "lag_end must be less than method.lag=3, .* got 3"),
        ({"lag_end": -1}, "lag_end must be a whole number >= 1 or null, got -1"),
        ({"name": "lewm", "lag_end": 2}, "method=lewm has none"),
    ],
)
def test_wrong_closer_pairs_are_one_line(settings: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        MethodConfig(**settings)


def test_exact_pairs_have_no_lag_to_end_with(data: DataSet):
    with pytest.raises(UserError, match=r"set method\.pairs=lag, or leave it null"):
        encoder_objective(MethodConfig(pairs="ou", rho=0.5, lag_end=2), encoder(), data, data.split("train"), seed=0)


def test_clips_are_history_and_the_row_a_block_ahead(data: DataSet):
    rows = Clips(data.split("train"), [0, 1, 2, 6]).sample(40, seeded())
    assert rows.shape == (4, 2 * 40 // 4)
    assert (rows[1] - rows[0] == 1).all() and (rows[2] - rows[1] == 1).all() and (rows[3] - rows[2] == 4).all()
    assert A == data.actions.shape[1]


# ---------------------------------------------------------------------------------------------------------------------
# the moving average


def test_the_moving_average_follows_by_its_momentum():
    online = encoder()
    average = MovingAverage(online, 0.75)
    old = [value.clone() for value in average.encoder.parameters()]
    with torch.no_grad():
        for value in online.parameters():
            value.add_(1.0)
    average.follow(online)
    for own, before in zip(average.encoder.parameters(), old, strict=True):
        torch.testing.assert_close(own, before + 0.25)
        assert not own.requires_grad


def _ema_stage(body: Encoder, data: DataSet):
    method = MethodConfig("jepa", {"target": "ema", "momentum": 0.5}, optim=OPTIM)
    torch.manual_seed(1)
    objective = encoder_objective(method, body, data, data.split("train"), seed=0)
    return encoder_stage(objective, body, load_frames(data, S, CPU), OPTIM, "report")


def test_a_target_that_was_cut_off_goes_on_to_the_bit(data: DataSet, tmp_path: Path):
    def train(path: Path, stop_at: int | None) -> nn.Module:
        stage = _ema_stage(encoder(), data)
        whole = stage.loss

        def cut(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
            if stop_at is not None and round(progress * STEPS) == stop_at:
                raise KeyboardInterrupt
            return whole(progress, generator)

        object.__setattr__(stage, "loss", cut)
        Trainer(RunDirectory(path), stage.module, {"encoder": {}}, 1, checkpoint_every_s=0.0).fit(stage)
        return stage.module

    never = train(tmp_path / "never", None).state_dict()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", 3)
    again = train(tmp_path / "cut", None).state_dict()
    assert any(key.startswith("target.") for key in never) and any(key.startswith("objective.") for key in never)
    for key, value in never.items():
        assert torch.equal(value, again[key]), key


# ---------------------------------------------------------------------------------------------------------------------
# collapse and bad input


class _Constant(nn.Module):
    """A loss that wants all latents to be one point."""

    def forward(self, seen: Views) -> dict[str, Tensor]:
        return {"loss": 100 * seen.latents.square().mean()}


@pytest.mark.parametrize("on_collapse", ["stop", "report"])
def test_collapse_stops_or_is_reported(on_collapse: str, data: DataSet, tmp_path: Path):
    optim = OptimConfig(steps=60, batch_size=B, lr=0.05)
    body = encoder()
    objective = encoder_objective(MethodConfig(optim=optim), body, data, data.split("train"), seed=0)
    objective = type(objective)(objective.sampler, _Constant())
    stage = encoder_stage(objective, body, load_frames(data, S, CPU), optim, on_collapse)
    trainer = Trainer(RunDirectory(tmp_path), body, {"encoder": {}}, 1)
    if on_collapse == "stop":
        with pytest.raises(TrainingError, match=r"have collapsed .*on_collapse=report"):
            trainer.fit(stage)
    else:
        trainer.fit(stage)
        assert RunDirectory(tmp_path).read_metrics()[-1]["collapsed"] == 1


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: MethodConfig("lejepaa"), "one of lejepa, lewm,"),
        (lambda: MethodConfig(num_slices=0), "num_slices"),
        (lambda: MethodConfig(rho=1.0), "rho"),
        (lambda: MethodConfig(rho=-0.5), "rho"),
        (lambda: MethodConfig(on_collapse="hope"), "one of stop, report, got 'hope'"),
        (lambda: MethodConfig("infonce", controlled=True), "method=infonce has none"),
        (lambda: OptimConfig(batch_size=1), "batch_size must be >= 2"),
        (lambda: JEPAConfig(target="both"), "ema, stop_gradient, none"),
        (lambda: JEPAConfig(momentum=1.0), "momentum"),
        (lambda: JEPAConfig(hidden=0), "hidden"),
        (lambda: InfoNCEConfig(similarity="euclid"), "gaussian, cosine"),
        (lambda: InfoNCEConfig(temperature=0.0), "temperature"),
        (lambda: VICRegConfig(variance=-1.0), "variance"),
        (lambda: WhiteningConfig(penalty=-1.0), "penalty"),
        (lambda: ReconstructionConfig(kl_weight=-1.0), "kl_weight"),
        (lambda: ReconstructionConfig(depth=0), "depth"),
    ],
)
def test_settings_out_of_range_are_one_line(make, named: str):
    with pytest.raises(UserError, match=named) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_latents_that_a_method_cannot_use_are_one_line(data: DataSet):
    episodes = data.split("train")
    with pytest.raises(UserError, match="raise it to at least 2") as caught:
        encoder_objective(MethodConfig("supervised"), encoder(1), data, episodes, seed=0)
    with pytest.raises(UserError, match="controlled=true applies to pairs a lag apart"):
        encoder_objective(MethodConfig(controlled=True, pairs="ou"), encoder(), data, episodes, seed=0)
    assert "\n" not in str(caught.value)
    body = encoder(2 * B)
    objective = encoder_objective(MethodConfig("whitening", optim=OPTIM), body, data, episodes, seed=0)
    stage = encoder_stage(objective, body, load_frames(data, S, CPU), OPTIM)
    with pytest.raises(UserError, match=r"needs a batch of more than 18 rows"):
        stage.loss(0.0, seeded())


def test_what_actions_explain_does_not_count_as_change(data: DataSet):
    """Latents that differ by what actions did are aligned, those that differ otherwise are not."""
    method = MethodConfig(pairs="lag", lag=3, controlled=True, optim=OPTIM)
    objective = encoder_objective(method, encoder(), data, data.split("train"), seed=0)
    rows = objective.sampler.sample(200, seeded())
    actions = torch.from_numpy(data.actions)[rows[0][:, None] + torch.arange(3)]
    moved = actions.flatten(1) @ torch.randn(3 * A, D)
    moved = moved - moved.mean(0)
    first, noise = torch.randn(200, D), torch.randn(200, D)

    def measured(change: Tensor) -> Tensor:
        latents = torch.stack([first, first + change])
        return objective.loss(Views(rows, rows, latents, latents, 0.7, seeded(3)))["alignment"]

    still = torch.stack([first, first + moved])
    assert torch.equal(without_explained(still, torch.ones(200, 3)), still)  # actions that never change explain nothing
    plain = alignment(still)
    assert measured(moved) < 1e-4 * plain
    # least squares with c regressors leaves 1 - c / n of pure noise's squares
    left = float(measured(moved + noise) / alignment(torch.stack([first, first + noise])))
    assert left == pytest.approx(1 - 3 * A / 200, abs=0.03)


def test_methods_name_what_a_world_lacks(tmp_path: Path):
    write_fake_data(tmp_path, [fake_episode(i, 9) for i in range(10)])
    still = DataSet(tmp_path)
    with pytest.raises(UserError, match="pairs=ou needs a kinematic world"):
        encoder_objective(MethodConfig(pairs="ou"), encoder(), still, still.split("train"), seed=0)
    still.__dict__["actions"] = still.actions[:, :0]
    with pytest.raises(UserError, match="lewm predicts from actions"):
        encoder_objective(MethodConfig("lewm"), encoder(), still, still.split("train"), seed=0)
    with pytest.raises(UserError, match="controlled=true looks at actions"):
        encoder_objective(MethodConfig(controlled=True, lag=2), encoder(), still, still.split("train"), seed=0)
    still.__dict__["states"] = 0 * still.states
    with pytest.raises(UserError, match="no position varies"):
        encoder_objective(MethodConfig("supervised", lag=2), encoder(), still, still.split("train"), seed=0)


def views_that_a_loss_sees(method: MethodConfig, data: DataSet, progress: float) -> tuple[Views, Tensor]:
    """The views that reach the loss, and the frames of their rows as they were recorded."""
    objective = encoder_objective(method, encoder(), data, data.split("train"), seed=0)
    seen: list[Views] = []

    class Spy(nn.Module):
        def forward(self, views: Views) -> dict[str, Tensor]:
            seen.append(views)
            return {"loss": views.latents.sum()}

    frames = load_frames(data, S, CPU)
    assert isinstance(frames, MemoryFrames)
    encoder_stage(replace(objective, loss=Spy()), encoder(), frames, OPTIM).loss(progress, seeded())
    return seen[0], frames.gather(seen[0].rows)


def test_frames_reach_the_loss_as_they_are(data: DataSet):
    views, recorded = views_that_a_loss_sees(MethodConfig("autoencoder", optim=OPTIM), data, 0.3)
    assert torch.equal(views.frames, recorded) and views.progress == 0.3


@pytest.mark.parametrize("name", ["lejepa", "lewm", "supervised"])
def test_pixels_that_frames_lose_are_those_of_the_mean_frame(name: str, data: DataSet):
    method = MethodConfig(name, pairs="lag", lag=2, drop=0.4, options={"block": 3} if name == "lewm" else {})
    seen, recorded = views_that_a_loss_sees(method, data, 0.3)
    lost = (seen.frames != recorded).any(2)
    for pixel in lost.flatten(0, 1).any(0).nonzero():  # the same colour, wherever a frame has lost this pixel
        shown = seen.frames[..., *pixel.tolist()][lost[..., *pixel.tolist()]]
        assert (shown == shown[0]).all()
        assert (shown[0] - recorded[..., *pixel.tolist()].float().mean((0, 1))).abs().max() < 60
    assert 0.3 < float(lost.float().mean()) < 0.45


def test_a_share_of_the_pixels_is_lost_in_each_frame_anew():
    num, share = 3000, 0.3
    frames, mean = torch.full((num, 3, S, S), 7, dtype=torch.uint8), torch.arange(3 * S * S).view(3, S, S).byte() + 8
    seen = without_some_pixels(frames, share, mean, seeded())
    lost = (seen != 7).all(1)
    assert torch.equal(seen, torch.where(lost[:, None], mean, frames)), "all colours of a pixel go together"
    # of all pixels, and of neighbours in a frame and from frame to frame, which go together by chance alone: seven
    # standard deviations of a binomial count, since neighbouring pairs share a pixel
    for chance, count in ((share, lost), (share**2, lost[..., 1:] & lost[..., :-1]), (share**2, lost[1:] & lost[:-1])):
        assert abs(float(count.float().mean()) - chance) < 7 * (chance * (1 - chance) / count.numel()) ** 0.5
    assert torch.equal(without_some_pixels(frames, 0.0, mean, seeded()), frames)
