"""The encoder and the robust encoder together, each used where it is the better one."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from worldmodel.data.frames import box_resize
from worldmodel.models.decoder import Decoder
from worldmodel.models.encoders import Encoder
from worldmodel.models.likeness import likeness
from worldmodel.settings import EncoderConfig

_SLIGHTLY, _CLEARLY = 0.05, 0.15
"""How much more like the frame the picture of the encoder's latent is than that of the robust one's, where the encoder
begins to be believed, and where it alone is."""
_DECODED_AT_ONCE = 256


class BothEncoders(nn.Module):
    """The encoder's latent where the robust encoder reads nearly the same, or less likely; else the robust one's.

    On frames as they are the two agree, and the encoder, which the robust one learned from, is the better of them.
    Where the world looks different, it is the encoder that goes wrong, and the robust one is believed. But looks that
    its training never showed may mislead it more. So the encoder is believed nevertheless where the decoded picture of
    its latent has its edges clearly more where the frame has them (see `likeness`). Without a decoder it is not.

    In between the latent is a mixture: of squared differences up to a third of `agreement` the encoder's, from
    `agreement` on the believed one's, and linear between; and alike of differences between two likenesses. A sudden
    change from one to the other would move the robot from a goal that it holds.
    """

    def __init__(self, encoder: Encoder, robust: Encoder, agreement: float, decoder: Decoder | None = None) -> None:
        """
        Args:
            encoder, robust: the two.
            agreement: the mean squared difference of two latents from which on the encoder's is not simply taken.
            decoder: draws what their latents mean.
        """
        super().__init__()
        self.encoder, self.robust, self.agreement, self.decoder = encoder, robust, agreement, decoder

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
        share = (1.5 * difference - 0.5).clamp(0, 1)
        apart = share[..., 0] > 0
        if self.decoder is not None and apart.any():
            share[apart] *= _explained(self.decoder, frames[apart], latents[apart], robust[apart])
        return torch.lerp(latents, robust, share)


def _explained(decoder: Decoder, frames: Tensor, latents: Tensor, robust: Tensor) -> Tensor:
    """How far the robust latents count, and not the others (n, D), for frames uint8 (n, 3, S, S): 0 to 1, (n, 1)."""
    parts = zip(*(of.split(_DECODED_AT_ONCE) for of in (frames, latents, robust)), strict=True)
    against = torch.cat([_likeness(decoder, seen, one) - _likeness(decoder, seen, other) for seen, one, other in parts])
    return ((_CLEARLY - against) / (_CLEARLY - _SLIGHTLY)).clamp(0, 1)[:, None]


def _likeness(decoder: Decoder, frames: Tensor, latents: Tensor) -> Tensor:
    """Likeness of frames uint8 (n, 3, S, S) to the pictures of latents (n, D), at the smaller of their sides, (n,)."""
    side = min(decoder.side, frames.shape[-1])
    seen, drawn = (interpolate(of, size=side, mode="area") for of in (frames.float(), decoder(latents)))
    return likeness(seen, drawn)
