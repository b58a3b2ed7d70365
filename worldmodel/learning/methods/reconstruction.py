"""Methods that reconstruct the frame: autoencoder and variational autoencoder."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from worldmodel.learning.methods.views import Views
from worldmodel.models.encoders import Encoder
from worldmodel.models.layers import mlp
from worldmodel.settings import ReconstructionConfig

MAX_SIDE = 64
"""Side in pixels of the largest frame that is reconstructed at full size; larger ones are box-averaged first."""


class PixelDecoder(nn.Module):
    """Latents (n, D) to normalised frames, by an MLP."""

    def __init__(self, config: ReconstructionConfig, encoder: Encoder) -> None:
        super().__init__()
        side = encoder.config.input_size
        self._block = next(block for block in range(1, side + 1) if side % block == 0 and side // block <= MAX_SIDE)
        self._normalize = encoder.normalize
        num_pixels = 3 * (side // self._block) ** 2
        hidden = [config.hidden] * config.depth
        self.body = mlp(encoder.config.num_latents, hidden, num_pixels, batch_norm=True)

    def error(self, latents: Tensor, frames: Tensor) -> Tensor:
        """Mean squared error per pixel of frames uint8 (n, 3, S, S) reconstructed from latents (n, D): scalar.

        In units of the encoder's normalisation.
        """
        target = functional.avg_pool2d(self._normalize(frames), self._block)
        return (self.body(latents) - target.flatten(1)).square().mean()


class Autoencoder(nn.Module):
    """Mean squared error of the decoded frame."""

    def __init__(self, config: ReconstructionConfig, encoder: Encoder) -> None:
        super().__init__()
        self.decoder = PixelDecoder(config, encoder)

    def forward(self, views: Views) -> dict[str, Tensor]:
        """Any number of views -> named scalars."""
        error = self.decoder.error(views.latents.flatten(0, 1), views.frames.flatten(0, 1))
        return {"loss": error, "reconstruction": error}


class VAE(nn.Module):
    """Autoencoder with a Gaussian posterior (arXiv:1312.6114): latents are its mean, an MLP on them gives its log
    variance."""

    def __init__(self, config: ReconstructionConfig, encoder: Encoder) -> None:
        super().__init__()
        self.kl_weight = config.kl_weight
        self.decoder = PixelDecoder(config, encoder)
        self.log_variance = mlp(encoder.config.num_latents, [64], encoder.config.num_latents)

    def forward(self, views: Views) -> dict[str, Tensor]:
        """Any number of views -> named scalars."""
        mean = views.latents.flatten(0, 1)
        log_variance = self.log_variance(mean).clamp(-12.0, 6.0)
        noise = torch.randn(mean.shape, generator=views.generator).to(mean.device)
        error = self.decoder.error(mean + noise * (log_variance / 2).exp(), views.frames.flatten(0, 1))
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return {"loss": error + self.kl_weight * divergence, "reconstruction": error, "divergence": divergence}
