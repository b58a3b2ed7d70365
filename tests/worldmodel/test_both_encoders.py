"""Which of two encoders is believed: the one whose decoded picture has its edges where the frame has them."""

from itertools import product

import torch
from torch import Tensor, nn
from worldmodel_fakes import seeded

from worldmodel.models import ModelConfig, WorldModel
from worldmodel.models.both_encoders import BothEncoders
from worldmodel.models.decoder import Decoder
from worldmodel.models.encoders import Encoder
from worldmodel.models.inference import fold_batch_norm
from worldmodel.models.likeness import likeness
from worldmodel.settings import DecoderConfig, EncoderConfig

SIDE = 32


class Reads(Encoder):
    """Reads given latents (n, D) from n frames, whatever these show."""

    def __init__(self, latents: Tensor) -> None:
        nn.Module.__init__(self)
        self.latents = latents

    def forward(self, frames: Tensor, reference: Tensor | None = None) -> Tensor:
        return self.latents


class Draws(Decoder):
    """Draws a bright square at the place (row, column) that a latent (n, 2) tells, as a share of the side."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.side = SIDE

    def forward(self, latents: Tensor) -> Tensor:
        return squares(latents).float()


def squares(places: Tensor) -> Tensor:
    """Frames uint8 (n, 3, S, S) of a square of 5 pixels on grey, at places (n, 2) as shares of the side."""
    frames = torch.full((len(places), 3, SIDE, SIDE), 60, dtype=torch.uint8)
    for frame, (row, column) in zip(frames, (places * SIDE).round().int().tolist(), strict=True):
        frame[:, row - 2 : row + 3, column - 2 : column + 3] = 200
    return frames


def places_apart() -> tuple[Tensor, Tensor]:
    """Two places for each of nine frames, (9, 2) each; the two are more than a moved camera apart."""
    right = torch.tensor([*product((0.25, 0.375, 0.5), repeat=2)])
    return right, right + 0.25


def test_likeness_sees_neither_colours_nor_a_camera_that_moved():
    right, wrong = places_apart()
    frames, others = squares(right).float(), squares(wrong).float()
    darker = 250 - 0.4 * frames
    blue = frames * torch.tensor([0.1, 0.2, 0.9])[:, None, None]
    moved = frames.roll((2, -1), (2, 3))  # a sixteenth of the side, and less
    for seen in (frames, darker, blue):
        torch.testing.assert_close(likeness(seen, frames), torch.ones(9))
    torch.testing.assert_close(likeness(moved, frames), torch.ones(9), rtol=0, atol=0.01)
    assert (likeness(frames.roll(4, 2), frames) < 0.9).all() and (likeness(others, frames) < 0.2).all()
    assert (likeness(torch.full_like(frames, 9.0), frames).abs() < 1e-4).all(), "an empty picture is like none"


def test_that_latent_is_believed_whose_picture_shows_the_frame():
    right, wrong = places_apart()
    frames = 255 - squares(right)  # other colours than the decoder draws
    for decoder, encoder_is_right in product((Draws(), None), (True, False)):
        read = (right, wrong) if encoder_is_right else (wrong, right)
        believed = BothEncoders(Reads(read[0]), Reads(read[1]), 0.01, decoder)(frames)
        torch.testing.assert_close(believed, right if decoder else read[1])


def test_a_moved_camera_does_not_speak_for_the_encoder_that_sees_a_moved_robot():
    right, _ = places_apart()
    as_seen = right + torch.tensor([2 / SIDE, 0])
    believed = BothEncoders(Reads(as_seen), Reads(right), 0.0001, Draws())(squares(right).roll(2, 2))
    torch.testing.assert_close(believed, right)


def test_only_frames_on_which_the_two_disagree_are_decoded():
    torch.manual_seed(0)
    robust = EncoderConfig("strided", 8, 3, 8, channels=[4])
    frames = torch.randint(0, 256, (9, 3, 8, 8), dtype=torch.uint8, generator=seeded(1))
    for agreement, times in ((1e-6, 2), (1e6, 0)):
        parts = {"robust": robust, "decoder": DecoderConfig(8, 8, [4])}
        config = ModelConfig(EncoderConfig("mlp", 4, 3, 8), **parts, sees_by="both", agreement=agreement)
        model, decoded = WorldModel(config).eval(), []
        assert model.decoder is not None
        latents = model.embed(frames)
        torch.testing.assert_close(fold_batch_norm(model.eye)(frames), latents, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(model.embed(frames[0]), latents[0], rtol=1e-3, atol=1e-3)
        model.decoder.register_forward_hook(lambda *_, into=decoded: into.append(1))
        model.embed(frames)
        assert len(decoded) == times
