"""Frame encoders, uint8 frames to latents: one module, four bodies (MLP on 16 pixels, keypoints on 32, CNN, ViT)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from worldmodel.data.frames import box_resize
from worldmodel.errors import UserError


@dataclass
class EncoderConfig:
    """What a frame encoder is made of.

    kind: "mlp", "keypoints" (where things are: a spatial softmax), "cnn" or "vit" (extra `vit`). input_size: side in
    pixels that frames are box-averaged to.
    latent_dim: D; 0 chooses it from the world: as many as it has OU latents where it is kinematic, else 16.
    num_keypoints: places that kind=keypoints finds, and the channels that find them.
    vit_patch: of a ViT, side in pixels of what becomes one token; 0 takes what vit_name says.
    normalize: "dataset" (one mean and scale per channel) or "image" (every image less its channel means, over its own
    RMS: light and colour drop out to first order).
    """

    kind: str = "mlp"
    input_size: int = 16
    latent_dim: int = 0
    hidden: int = 256
    depth: int = 3
    channels: list[int] = field(default_factory=lambda: [32, 64, 128, 256])
    vit_name: str = "vit_tiny_patch16_224"
    normalize: str = "dataset"
    vit_patch: int = 0
    num_keypoints: int = 32

    def __post_init__(self) -> None:
        if self.kind not in _BODIES:
            raise UserError(f"encoder.kind is one of {', '.join(_BODIES)}, got {self.kind!r}")
        if self.normalize not in ("dataset", "image"):
            raise UserError(f"encoder.normalize is one of dataset, image, got {self.normalize!r}")
        for name in ("input_size", "hidden", "depth", "num_keypoints"):
            if getattr(self, name) < 1:
                raise UserError(f"encoder.{name} must be >= 1, got {getattr(self, name)}")
        if self.vit_patch < 0 or (self.vit_patch and self.input_size % self.vit_patch):
            raise UserError(
                f"encoder.vit_patch must divide encoder.input_size={self.input_size}, or be 0 for vit_name's own, got "
                f"{self.vit_patch}"
            )
        if self.kind == "keypoints" and self.input_size % 2:
            raise UserError(
                f"keypoints are sought at half size: encoder.input_size must be even, got {self.input_size}"
            )
        if self.latent_dim < 0:
            raise UserError(f"encoder.latent_dim must be >= 0 (0 chooses it), got {self.latent_dim}")
        if self.kind == "cnn" and self.input_size % 2 ** len(self.channels):
            raise UserError(
                f"a CNN of {len(self.channels)} halvings takes a multiple of {2 ** len(self.channels)} pixels, got "
                f"encoder.input_size={self.input_size}; use {2 ** len(self.channels)} x n or fewer encoder.channels"
            )


class Encoder(nn.Module):
    """Frames uint8 (…, 3, S, S) to latents float (…, D); S is the input size or a multiple of it.

    BatchNorm is not a detail: with LayerNorm or no norm LeJEPA recovers the latents far worse (arXiv:2605.26379 sees
    36 % of such runs collapse).
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(3, 1, 1))
        self.register_buffer("scale", torch.ones(3, 1, 1))
        self.body = _BODIES[config.kind](config)

    def fit_normalization(self, frames: Tensor) -> None:
        """Take channel means and scales from sample frames, uint8 (n, 3, s, s); "image" normalisation needs none."""
        if self.config.normalize == "dataset":
            x = frames.float()
            self.mean.copy_(x.mean((0, 2, 3)).view(3, 1, 1))
            self.scale.copy_(x.std((0, 2, 3)).clamp_min(1.0).view(3, 1, 1))

    def forward(self, frames: Tensor) -> Tensor:
        _check_frames(frames)
        lead = frames.shape[:-3]
        flat = frames.flatten(0, -4) if lead else frames[None]
        if flat.shape[-1] != self.config.input_size:
            flat = box_resize(flat.movedim(-3, -1), self.config.input_size).movedim(-1, -3)
        return self.body(self.normalize(flat)).float().view(*lead, -1)

    def normalize(self, frames: Tensor) -> Tensor:
        """Frames uint8 (n, 3, S, S) as the body sees them, float (n, 3, S, S)."""
        x = frames.float()
        if self.config.normalize == "image":
            x = x - x.mean((-2, -1), keepdim=True)
            # two grey levels keep an almost uniform image from being blown up to noise
            return x / (x.square().mean((-3, -2, -1), keepdim=True).sqrt() + 2.0)
        return (x - self.mean) / self.scale


def _check_frames(frames: Tensor) -> None:
    square = frames.ndim >= 3 and frames.shape[-3] == 3 and frames.shape[-2] == frames.shape[-1]
    if not square or frames.dtype != torch.uint8:
        raise UserError(
            f"frames must be uint8 (…, 3, S, S), got {str(frames.dtype).removeprefix('torch.')} {tuple(frames.shape)}; "
            "worlds render (…, S, S, 3): frames.movedim(-1, -3)"
        )


def mlp(num_inputs: int, hidden: Sequence[int], num_outputs: int, batch_norm: bool = False) -> nn.Sequential:
    """A plain MLP with GELU."""
    layers: list[nn.Module] = []
    width = num_inputs
    for units in hidden:
        layers += [nn.Linear(width, units), *([nn.BatchNorm1d(units)] if batch_norm else []), nn.GELU()]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, num_outputs))


def _mlp_body(config: EncoderConfig) -> nn.Module:
    head = mlp(3 * config.input_size**2, [config.hidden] * config.depth, config.latent_dim, batch_norm=True)
    return nn.Sequential(nn.Flatten(), head)


class SpatialSoftmax(nn.Module):
    """Maps (n, K, H, W) to the mean place under the softmax of each: (n, 2 K), x before y, from -1 to 1.

    Places move in proportion to the things in an image, to a fraction of a pixel (arXiv:1504.00702, Section 5.1).
    """

    def forward(self, maps: Tensor) -> Tensor:
        height, width = maps.shape[-2:]
        weight = maps.flatten(2).softmax(-1).unflatten(-1, (height, width))
        across, down = (torch.linspace(-1, 1, size, device=maps.device) for size in (width, height))
        return torch.cat([weight.sum(-2) @ across, weight.sum(-1) @ down], -1)


def _keypoints_body(config: EncoderConfig) -> nn.Module:
    """Three convolutions at half the size, places, an MLP: with labels, reads an angle that an MLP on pixels loses."""
    maps: list[nn.Module] = []
    width = 3
    for kernel, stride in ((4, 2), (3, 1)):
        maps += [nn.Conv2d(width, config.num_keypoints, kernel, stride, padding=1)]
        maps += [nn.BatchNorm2d(config.num_keypoints), nn.GELU()]
        width = config.num_keypoints
    maps += [nn.Conv2d(width, width, 3, padding=1), SpatialSoftmax()]
    return nn.Sequential(
        *maps, mlp(2 * width, [config.hidden] * (config.depth - 1), config.latent_dim, batch_norm=True)
    )


def _cnn_body(config: EncoderConfig) -> nn.Module:
    """Strided convolutions, average pool, one hidden layer: the encoder of arXiv:2605.26379 (1.1 M weights at D=2)."""
    layers: list[nn.Module] = []
    width = 3
    for channels in config.channels:
        layers += [nn.Conv2d(width, channels, 4, stride=2, padding=1), nn.BatchNorm2d(channels), nn.GELU()]
        width = channels
    head = mlp(width, [config.hidden], config.latent_dim, batch_norm=True)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def _vit_body(config: EncoderConfig) -> nn.Module:
    try:
        import timm  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError("encoder.kind=vit needs timm; install it with: pip install 'worldmodel[vit]'") from error
    patch = {"patch_size": config.vit_patch} if config.vit_patch else {}
    vit = timm.create_model(config.vit_name, img_size=config.input_size, num_classes=0, **patch)
    head = mlp(vit.num_features, [config.hidden], config.latent_dim, batch_norm=True)
    return nn.Sequential(vit, nn.BatchNorm1d(vit.num_features), head)


_BODIES = {"mlp": _mlp_body, "keypoints": _keypoints_body, "cnn": _cnn_body, "vit": _vit_body}
