"""Frame encoders, uint8 frames to latents: one module with one of seven bodies."""

import importlib.util
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from worldmodel.data.frames import box_resize
from worldmodel.models.glimpse import Glimpse, LocationLatents
from worldmodel.models.keypoints import SpatialSoftmax, keypoint_maps
from worldmodel.models.layers import mlp
from worldmodel.settings import EncoderConfig
from worldmodel.system.errors import UserError

_FAINT, _CLEAR = 8.0, 32.0
"""Differences between frame and reference, in grey levels, at which the mask of what has moved is 0 and 1."""
_MOST_CHANGED = 0.25
"""Mean of that mask from which on a reference is not used."""


class Encoder(nn.Module):
    """Frames uint8 (…, 3, S, S) to latents float32 (…, D); S is the input size or a multiple of it.

    BatchNorm is not a detail: with LayerNorm or without a norm, LeJEPA recovers the latents far worse (in
    arXiv:2605.26379, 36 % of such runs collapse).
    """

    mean: Tensor
    """Subtracted from a frame, in grey levels: (3, 1, 1), or a whole frame (3, S, S)."""
    scale: Tensor
    """Divisor of each channel, in grey levels: (3, 1, 1)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        side = config.input_size if config.normalize == "background" else 1
        self.register_buffer("mean", torch.zeros(3, side, side))
        self.register_buffer("scale", torch.ones(3, 1, 1))
        self.body = _BODIES[config.kind](config)

    @property
    def location_latents(self) -> LocationLatents | None:
        """Which latents are the image position of one thing; None where none are."""
        return self.body.LOCATION if isinstance(self.body, Glimpse) else None

    def fit_normalization(self, frames: Tensor) -> None:
        """Take `mean` and `scale` from sample frames, uint8 (n, 3, S, S); normalize="image" needs neither."""
        x = frames.float()
        if self.config.normalize == "dataset":
            self.mean.copy_(x.mean((0, 2, 3)).view(3, 1, 1))
            self.scale.copy_(x.std((0, 2, 3)).clamp_min(1.0).view(3, 1, 1))
        elif self.config.normalize == "background":
            self.mean.copy_(frames.median(0).values)
            self.scale.copy_((x - self.mean).square().mean((0, 2, 3)).sqrt().clamp_min(1.0).view(3, 1, 1))

    def forward(self, frames: Tensor, reference: Tensor | None = None) -> Tensor:
        """Frames uint8 (…, 3, S, S) -> latents float32 (…, D).

        Args:
            frames: S is the input size or a multiple of it.
            reference: another frame of the same episode for each, or its static background, of the same shape; the
                frame itself where there is none. Only an encoder of kind `paired` uses it.

        Raises:
            UserError: frames of another dtype or shape, or S is no multiple of the input size.
        """
        _check_frames(frames)
        others = self._at_input_size(reference) if reference is not None and self.config.kind == "paired" else None
        return self.see(self._at_input_size(frames), others).float().view(*frames.shape[:-3], -1)

    def see(self, frames: Tensor, reference: Tensor | None = None) -> Tensor:
        """As `forward`, for frames (n, 3, S, S) of the input size, of any dtype."""
        seen = self.normalize(frames)
        if self.config.kind == "paired":
            others = frames if reference is None else reference
            changed = moved_mask(frames.float(), others.float())
            # where nearly everything differs, as under noise or before a film, that does not show where the robot is
            changed = changed * (changed.mean((-3, -2, -1), keepdim=True) < _MOST_CHANGED)
            seen = torch.cat([seen, changed * seen, changed * self.normalize(others)], 1)
        return self.body(seen)

    def _at_input_size(self, frames: Tensor) -> Tensor:
        """Frames (…, 3, S, S) -> (n, 3, S', S') with S' the input size."""
        flat = frames.flatten(0, -4) if frames.ndim > 3 else frames[None]
        if flat.shape[-1] == self.config.input_size:
            return flat
        return box_resize(flat.movedim(-3, -1), self.config.input_size).movedim(-1, -3)

    def normalize(self, frames: Tensor) -> Tensor:
        """Frames uint8 (n, 3, S, S) as the body sees them, float32 (n, 3, S, S)."""
        x = frames.float()
        if self.config.normalize == "image":
            x = x - x.mean((-2, -1), keepdim=True)
            # two grey levels keep an almost uniform image from being blown up to noise
            return x / (x.square().mean((-3, -2, -1), keepdim=True).sqrt() + 2.0)
        return (x - self.mean) / self.scale


def moved_mask(frames: Tensor, others: Tensor) -> Tensor:
    """Where frames differ from others, by grey levels: from 0 to 1, (n, 1, S, S), of float32 (n, 3, S, S) each."""
    difference = (frames - others).abs().amax(1, keepdim=True)
    return ((difference - _FAINT) / (_CLEAR - _FAINT)).clamp(0, 1)


def _check_frames(frames: Tensor) -> None:
    square = frames.ndim >= 3 and frames.shape[-3] == 3 and frames.shape[-2] == frames.shape[-1]
    if not square or frames.dtype != torch.uint8:
        raise UserError(
            f"frames must be uint8 (…, 3, S, S), got {str(frames.dtype).removeprefix('torch.')} {tuple(frames.shape)}; "
            "worlds render (…, S, S, 3): frames.movedim(-1, -3)"
        )


def _mlp_body(config: EncoderConfig) -> nn.Module:
    """All pixels into one MLP."""
    head = mlp(3 * config.input_size**2, [config.hidden] * config.depth, config.num_latents, batch_norm=True)
    return nn.Sequential(nn.Flatten(), head)


def _keypoints_body(config: EncoderConfig) -> nn.Module:
    """Keypoints and an MLP on them. With labels it reads an angle that an MLP on pixels misses."""
    width = config.num_keypoints
    maps = keypoint_maps(width, width)
    head = mlp(2 * width, [config.hidden] * (config.depth - 1), config.num_latents, batch_norm=True)
    return nn.Sequential(*maps, SpatialSoftmax(), head)


def _halvings(config: EncoderConfig, seen: int = 3) -> list[nn.Module]:
    """Convolutions that each halve the image; seen: channels of their input."""
    layers: list[nn.Module] = []
    for width, channels in pairwise([seen, *config.channels]):
        layers += [nn.Conv2d(width, channels, 4, stride=2, padding=1), nn.BatchNorm2d(channels), nn.GELU()]
    return layers


def _cnn_body(config: EncoderConfig) -> nn.Module:
    """Strided convolutions, average pool, one hidden layer: the encoder of arXiv:2605.26379 (1.1 M weights, D = 2)."""
    layers = _halvings(config)
    head = mlp(config.channels[-1], [config.hidden], config.num_latents, batch_norm=True)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def _strided_body(config: EncoderConfig) -> nn.Module:
    """Strided convolutions whose last maps are read pixel by pixel by one hidden layer, so that places are kept."""
    layers, width = _halvings(config, 9 if config.kind == "paired" else 3), config.channels[-1]
    layers += [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.GELU()]
    side = config.input_size // 2 ** len(config.channels)
    head = mlp(width * side**2, [config.hidden], config.num_latents, batch_norm=True)
    return nn.Sequential(*layers, nn.Flatten(), head)


def check_installed(config: EncoderConfig) -> None:
    """UserError where the encoder needs a library that is not installed; called before data are collected for it."""
    if config.kind == "vit" and not importlib.util.find_spec("timm"):
        raise UserError("encoder.kind=vit needs timm; install it with: pip install 'worldmodel[vit]'")


def set_cpu_threads(config: EncoderConfig, threads: int | None = None) -> None:
    """Let torch use as many CPU threads as suit an encoder, until `torch_kept` gives back what it had.

    threads: how many; None takes one for an MLP, where a second one gains a quarter on an idle machine and costs
    tenfold on a busy one, and else as many as torch has.
    """
    torch.set_num_threads(threads or (1 if config.kind == "mlp" else torch.get_num_threads()))


_POSITION_STD = 0.5
"""Standard deviation of a fresh ViT's position embeddings where all tokens are read. With the usual .02 its blocks
hardly tell one position from another, and a small ViT read the sine of an elbow with R2 .25 instead of .52."""


def _vit_body(config: EncoderConfig) -> nn.Module:
    """A vision transformer of timm, read from its class token or from all tokens side by side."""
    check_installed(config)
    import timm  # pyright: ignore[reportMissingImports]

    settings = config.vit_or_default
    arguments: dict[str, Any] = {"patch_size": settings.patch} if settings.patch else {}
    if settings.pool == "tokens":
        arguments |= {"class_token": False, "global_pool": ""}
    vit = timm.create_model(settings.name, img_size=config.input_size, num_classes=0, **arguments)
    body, width = vit, vit.num_features
    if settings.pool == "tokens":
        nn.init.trunc_normal_(vit.pos_embed, std=_POSITION_STD)
        body, width = nn.Sequential(vit, nn.Flatten()), vit.num_features * vit.patch_embed.num_patches
    head = mlp(width, [config.hidden], config.num_latents, batch_norm=True)
    return nn.Sequential(body, nn.BatchNorm1d(width), head)


_BODIES = {
    "mlp": _mlp_body,
    "keypoints": _keypoints_body,
    "glimpse": Glimpse,
    "cnn": _cnn_body,
    "strided": _strided_body,
    "paired": _strided_body,
    "vit": _vit_body,
}
