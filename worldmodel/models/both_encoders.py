"""The encoder and the robust encoder together, each used where it is the better one."""

import torch
from torch import Tensor, nn

from worldmodel.data.frames import box_resize
from worldmodel.models.encoders import Encoder
from worldmodel.settings import EncoderConfig


class BothEncoders(nn.Module):
    """The encoder's latent of a frame where the robust encoder reads nearly the same, else that of the robust encoder.

    On frames as they are the two agree, and the encoder, which the robust one learned from, is the better of them.
    Where the world looks different, it is the encoder that goes wrong. In between the latent is a mixture: of squared
    differences up to a third of `agreement` the encoder's, from `agreement` on the robust one's, and linear between. A
    sudden change from one to the other would move the robot from a goal that it holds.
    """

    def __init__(self, encoder: Encoder, robust: Encoder, agreement: float) -> None:
        """agreement: the mean squared difference of two latents from which on the encoder is not believed."""
        super().__init__()
        self.encoder, self.robust, self.agreement = encoder, robust, agreement

    @property
    def config(self) -> EncoderConfig:
        """The robust encoder's, which sees frames of the larger size."""
        return self.robust.config

    def fit_normalization(self, frames: Tensor) -> None:
        """As `Encoder.fit_normalization`, of frames uint8 (n, 3, S, S) of the larger size."""
        self.robust.fit_normalization(frames)
        reduced = box_resize(frames.movedim(-3, -1), self.encoder.config.input_size).movedim(-1, -3)
        self.encoder.fit_normalization(reduced)

    def forward(self, frames: Tensor, reference: Tensor | None = None) -> Tensor:
        """Frames uint8 (…, 3, S, S) -> latents float32 (…, D); reference: as in `Encoder.forward`."""
        latents, robust = self.encoder(frames), self.robust(frames, reference)
        difference = (latents - robust).square().mean(-1, keepdim=True) / self.agreement
        return torch.lerp(latents, robust, (1.5 * difference - 0.5).clamp(0, 1))
