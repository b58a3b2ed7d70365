"""The decoder: frames from latents, which nothing else depends on; and the measures of how alike pictures are."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from worldmodel_fakes import seeded

from worldmodel.cli.main import main
from worldmodel.learning.decoding import Pictures, decoder_stage, fit_normalization
from worldmodel.learning.loop import fit_quietly
from worldmodel.learning.train import train
from worldmodel.measures.pictures import psnr, ssim
from worldmodel.models import ModelConfig, WorldModel
from worldmodel.models.decoder import Decoder, decoded_side
from worldmodel.models.world_model import read_weights
from worldmodel.runs import Run
from worldmodel.settings import DecoderConfig, EncoderConfig, TrainConfig
from worldmodel.settings.arguments import configure
from worldmodel.system.digest import CHECKSUM
from worldmodel.system.errors import CheckpointError, UserError

D, SIDE = 3, 12
CONFIG = DecoderConfig(image_size=SIDE, hidden=16, channels=[8, 6])
ENCODER = EncoderConfig(input_size=4, latent_dim=D, hidden=8)
SMALL = {
    "env": "reacher",
    "episodes": 12,
    "episode_steps": 12,
    "workers": 1,
    "env.image_size": 16,
    "env.supersample": 1,
    "encoder.input_size": 16,
    "encoder.hidden": 8,
    "method.optim.steps": 3,
    "method.optim.batch_size": 8,
    "predictor.horizon": 2,
    "predictor.history": [0, 1],
    "predictor.hidden": 8,
    "predictor_training.steps": 3,
    "predictor_training.batch_size": 8,
    "decoder_training.steps": 3,
    "distillation.optim.steps": 2,
}


def model(decoder: DecoderConfig | None = CONFIG) -> WorldModel:
    torch.manual_seed(0)
    return WorldModel(ModelConfig(ENCODER, decoder=decoder)).eval()


# ---------------------------------------------------------------------------------------------------------------------
# decode


@pytest.mark.parametrize("lead", [(), (5,), (2, 7), (0,), (2, 300)])
def test_latents_of_any_shape_become_frames_of_the_world_s_size(lead: tuple[int, ...]):
    frames = model().decode(torch.randn(*lead, D, generator=seeded()))
    assert frames.shape == (*lead, SIDE, SIDE, 3) and frames.dtype == torch.uint8


def test_what_is_decoded_together_is_what_is_decoded_one_by_one():
    latents = torch.randn(6, D, generator=seeded())
    together, alone = model().decode(latents), torch.stack([model().decode(latent) for latent in latents])
    assert (together.int() - alone.int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("image_size", "side"), [(16, 16), (63, 63), (64, 64), (84, 42), (96, 48), (128, 64), (224, 56), (97, 97), (20, 20)]
)
def test_frames_are_decoded_at_their_size_or_a_divisor_and_enlarged(image_size: int, side: int):
    assert decoded_side(image_size) == side
    decoder = Decoder(DecoderConfig(image_size, hidden=4, channels=[4, 3]), D)
    assert decoder(torch.zeros(2, D)).shape == (2, 3, side, side)
    assert decoder.decode(torch.zeros(2, D)).shape == (2, image_size, image_size, 3)


@pytest.mark.parametrize("latents", [torch.zeros(4, D + 1), torch.zeros(4, D, dtype=torch.int64), torch.tensor(1.0)])
def test_other_latents_are_refused_in_one_line(latents: torch.Tensor):
    with pytest.raises(UserError, match=r"^latents must be floating-point \(…, 3\), got .*$"):
        model().decode(latents)


def test_a_model_without_a_decoder_says_how_to_add_one():
    with pytest.raises(CheckpointError, match=r"no decoder; give the `worldmodel train` command of its run again"):
        model(None).decode(torch.zeros(D))


def test_a_decoder_is_saved_and_opened_with_its_model(tmp_path: Path):
    whole = model()
    whole.save(tmp_path)
    latents = torch.randn(4, D, generator=seeded())
    assert torch.equal(WorldModel.load(tmp_path).decode(latents), whole.decode(latents))


# ---------------------------------------------------------------------------------------------------------------------
# training


class Lights:
    """Frames lit at the left or the right, which the first latent tells; nothing tells how bright below."""

    size, place = SIDE, "made up"

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.left = rng.integers(0, 2, 400).astype(bool)
        self.frames = np.full((400, 3, SIDE, SIDE), 20, np.uint8)
        self.frames[self.left, :, :, : SIDE // 2] = 220
        self.frames[~self.left, :, :, SIDE // 2 :] = 220
        self.frames[:, :, SIDE // 2 :] = rng.choice([50, 150], (400, 1, 1, 1), p=[0.25, 0.75])

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.frames[rows.numpy()])


@pytest.mark.numerics
def test_it_learns_what_the_latent_tells_and_the_mean_of_what_it_does_not():
    lights = Lights()
    latents = torch.zeros(400, D)
    latents[:, 0] = torch.from_numpy(lights.left).float()
    torch.manual_seed(0)
    decoder = Decoder(CONFIG, D)
    pictures = Pictures(latents, torch.arange(400), lights)
    fit_normalization(decoder, pictures)
    fit_quietly(decoder_stage(decoder, pictures, 300, 32), 0)
    with torch.no_grad():
        decoded, frames = decoder(latents), torch.from_numpy(lights.frames).float()
    told, untold = slice(0, SIDE // 2 - 2), slice(SIDE // 2 + 2, None)
    assert (decoded - frames)[:, :, told].abs().mean() < 10
    assert (decoded[:, :, untold] - frames[:, :, untold].mean()).abs().mean() < 10


def test_few_frames_are_passed_over_forty_times():
    pictures = Pictures(torch.zeros(8, D), torch.arange(8), Lights())
    stage = decoder_stage(Decoder(CONFIG, D), pictures, 500, 4)
    assert stage.optim.steps == 80


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, more in (("with", {}), ("without", {"decoder": False}), ("later", {"decoder": False}), ("later", {})):
            train(configure(TrainConfig, {**SMALL, "name": name, "goal_heads": False, **more}))
        yield folder


def test_nothing_else_depends_on_the_decoder(home: Path):
    having, lacking = (read_weights(Path("runs", name, "model.safetensors")) for name in ("with", "without"))
    assert lacking.keys() == {name for name in having if not name.startswith("decoder.")} != having.keys()
    assert all(torch.equal(value, having[name]) for name, value in lacking.items())
    assert Run("runs/with").train.prediction == Run("runs/without").train.prediction
    assert Run("runs/without").train.decoding is None


def test_a_decoder_added_later_is_the_one_trained_at_once(home: Path):
    once, later = (Path("runs", name, "model.safetensors").read_bytes() for name in ("with", "later"))
    assert once == later


def test_a_run_of_an_earlier_version_gets_one_from_its_own_command(home: Path):
    """Whose checkpoint knows of no such stage: neither among its settings nor its weights."""
    path = Path("runs/without/trainer.pt")
    saved = torch.load(path, weights_only=True)
    del saved["settings"]["decoder"]
    saved.pop(CHECKSUM)
    torch.save(saved, path)
    train(configure(TrainConfig, {**SMALL, "name": "without", "goal_heads": False}))
    once, later = (Path("runs", name, "model.safetensors").read_bytes() for name in ("with", "without"))
    assert once == later


def test_quality_is_reported_beside_the_nearest_frame_and_the_camera(home: Path):
    found = Run("runs/with").train.decoding
    assert found and found.image_size == 16 and found.num_frames == 13
    for quality in (found.decoded, found.nearest):
        assert quality.psnr_db and 5 < quality.psnr_db < 60 and -1 <= quality.ssim <= 1
        assert quality.state_r2 and found.camera_r2 and quality.state_r2.keys() == found.camera_r2.keys()
    assert Path("runs/with/figures/decoded.png").exists()
    assert json.loads(Path("runs/with/summary.json").read_text())["train"]["decoding"]["decoded"]["psnr_db"]


# ---------------------------------------------------------------------------------------------------------------------
# measures


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


VIEW = ["view", "serve=false", "steps=1", "save=view.html"]


@pytest.mark.parametrize("command", [["control", "tasks=1"], ["robust"], ["imagine"], ["surprise"], VIEW], ids=str)
def test_a_decoder_of_other_frames_than_the_world_s_is_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], command: list[str]
):
    if not Path("runs/foreign").exists():
        shutil.copytree("runs/with", "runs/foreign")
        config = Run("runs/with").model().config
        assert config.decoder
        WorldModel(replace(config, decoder=replace(config.decoder, image_size=SIDE))).save(Path("runs/foreign"))
    assert main([*command, "run=runs/foreign"]) == 1
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert "decodes frames of 12 x 12 pixels, those of " in line and "have 16 x 16" in line


def test_psnr_is_that_of_the_mean_squared_error():
    truth = noise(0, 3, 8, 9, 3) // 2
    assert psnr(truth, truth) is None
    found = psnr(truth, truth + np.uint8(5))
    assert found is not None and math.isclose(found, 20 * math.log10(255 / 5))
    assert math.isclose(psnr(truth[:1], truth[:1] + np.uint8(255 - 127)) or 0.0, 20 * math.log10(255 / 128))


def test_ssim_of_equal_pictures_is_one_and_of_flat_ones_is_that_of_their_means():
    """Equation 6 of Wang et al.: two flat pictures differ in luminance alone."""
    truth = noise(1, 2, 16, 15, 3)
    assert math.isclose(ssim(truth, truth), 1.0)
    one, other = (np.full((1, 12, 12, 3), value, np.uint8) for value in (60, 90))
    c1 = (0.01 * 255) ** 2
    assert math.isclose(ssim(one, other), (2 * 60 * 90 + c1) / (60**2 + 90**2 + c1), rel_tol=1e-6)


def test_ssim_is_symmetric_and_negative_where_structure_is_reversed():
    one, other = noise(2, 2, 16, 16, 3), noise(3, 2, 16, 16, 3)
    assert math.isclose(ssim(one, other), ssim(other, one)) and ssim(one, 255 - one) < -0.5 < abs(ssim(one, other)) < 1
