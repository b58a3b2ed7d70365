"""Frame encoders, uint8 frames to latents: one module, five bodies (MLP on 16 pixels, keypoints and glimpse on 32, CNN,
ViT)."""

import importlib.util
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, grid_sample

from worldmodel.data.frames import box_resize
from worldmodel.settings import EncoderConfig
from worldmodel.system.errors import UserError


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
        side = config.input_size if config.normalize == "background" else 1
        self.register_buffer("mean", torch.zeros(3, side, side))
        self.register_buffer("scale", torch.ones(3, 1, 1))
        self.body = _BODIES[config.kind](config)

    def fit_normalization(self, frames: Tensor) -> None:
        """Take what is subtracted and divided by from sample frames, uint8 (n, 3, S, S); "image" needs none."""
        x = frames.float()
        if self.config.normalize == "dataset":
            self.mean.copy_(x.mean((0, 2, 3)).view(3, 1, 1))
            self.scale.copy_(x.std((0, 2, 3)).clamp_min(1.0).view(3, 1, 1))
        elif self.config.normalize == "background":
            self.mean.copy_(frames.median(0).values)
            self.scale.copy_((x - self.mean).square().mean((0, 2, 3)).sqrt().clamp_min(1.0).view(3, 1, 1))

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
    head = mlp(3 * config.input_size**2, [config.hidden] * config.depth, config.num_latents, batch_norm=True)
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


def _place_maps(width: int, num_places: int) -> nn.Sequential:
    """Images (n, 3, S, S) to maps at half the size, one a place, by three convolutions."""
    layers: list[nn.Module] = []
    channels = 3
    for kernel, stride in ((4, 2), (3, 1)):
        layers += [nn.Conv2d(channels, width, kernel, stride, padding=1), nn.BatchNorm2d(width), nn.GELU()]
        channels = width
    return nn.Sequential(*layers, nn.Conv2d(width, num_places, 3, padding=1))


def _keypoints_body(config: EncoderConfig) -> nn.Module:
    """Places, an MLP: with labels, reads an angle that an MLP on pixels loses."""
    width = config.num_keypoints
    places = _place_maps(width, width)
    head = mlp(2 * width, [config.hidden] * (config.depth - 1), config.num_latents, batch_norm=True)
    return nn.Sequential(*places, SpatialSoftmax(), head)


class Glimpse(nn.Module):
    """Where one thing is, and what is there. Latents: [its place, 2 | all places, half | a glimpse, half].

    A place itself, scaled, is a pair of latents, so that the slowest thing in the image is what alignment makes it
    follow (LeJEPA counts the alignment of a place more); the glimpse is the pixels around it. Which way a thing points
    is close to linear in them, and nowhere else: from whole frames, functions of positions fill the latents before a
    direction is found. No gradient passes through where the glimpse is taken (arXiv:1406.6247 learns that by
    reinforcement; here the place's own latents do).
    """

    # maps of a fresh network are flat, and a softmax of flat maps is in the middle of the image wherever things are
    SHARPNESS = 3.0
    # logits by which the first place starts on what differs most from the rest of the image. A head start: where the
    # MLP of all places is first to follow that thing, independent latents leave nothing for the place to follow
    SALIENCE = 5.0

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.size = config.glimpse_size
        self.maps = _place_maps(config.num_keypoints, 1 + config.num_keypoints)
        self.softmax = SpatialSoftmax()
        self.place_norm = nn.BatchNorm1d(config.num_place_latents, affine=False)
        others = config.num_latents - config.num_place_latents
        of_places = others // 2
        hidden = [config.hidden] * (config.depth - 1)
        self.places_head = mlp(2 * (1 + config.num_keypoints), hidden, of_places, batch_norm=True)
        self.glimpse_head = mlp(3 * self.size**2, hidden, others - of_places, batch_norm=True)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (n, 3, S, S) -> latents (n, D)."""
        places = self.find(images)
        first = places.unflatten(-1, (2, -1))[..., 0]
        glimpse = self.look(images, first.detach())
        return torch.cat([self.place_norm(first), self.places_head(places), self.glimpse_head(glimpse.flatten(1))], -1)

    def find(self, images: Tensor) -> Tensor:
        """All places, of normalised images (n, 3, S, S): (n, 2 (1 + K)), as `SpatialSoftmax` orders them."""
        difference = (images - images.mean((2, 3), keepdim=True)).square().sum(1, keepdim=True)
        salience = avg_pool2d(difference, 2)
        salience = salience / salience.amax((2, 3), keepdim=True).clamp_min(1e-6)
        first, others = (self.SHARPNESS * self.maps(images)).tensor_split([1], 1)
        return self.softmax(torch.cat([first + self.SALIENCE * salience, others], 1))

    def look(self, images: Tensor, place: Tensor) -> Tensor:
        """The pixels around places (n, 2) of maps: (n, 3, size, size), interpolated, zero beyond the image's edge."""
        side = images.shape[-1]
        steps = (torch.arange(self.size, device=images.device) - (self.size - 1) / 2) * (2 / side)
        down, across = torch.meshgrid(steps, steps, indexing="ij")
        centre = place * (
            1 - 2 / side
        )  # a map's first place is the middle of two pixels, an image begins at their edge
        return grid_sample(images, torch.stack([across, down], -1) + centre[:, None, None], align_corners=False)


def _cnn_body(config: EncoderConfig) -> nn.Module:
    """Strided convolutions, average pool, one hidden layer: the encoder of arXiv:2605.26379 (1.1 M weights at D=2)."""
    layers: list[nn.Module] = []
    width = 3
    for channels in config.channels:
        layers += [nn.Conv2d(width, channels, 4, stride=2, padding=1), nn.BatchNorm2d(channels), nn.GELU()]
        width = channels
    head = mlp(width, [config.hidden], config.num_latents, batch_norm=True)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def check_installed(config: EncoderConfig) -> None:
    """UserError where the encoder needs a library that is not here: to be asked before data are collected for it."""
    if config.kind == "vit" and not importlib.util.find_spec("timm"):
        raise UserError("encoder.kind=vit needs timm; install it with: pip install 'worldmodel[vit]'")


# of a fresh ViT whose tokens are all read; with the usual .02 its blocks hardly tell one place from another, and a
# small ViT read the sine of an elbow with R2 .25 instead of .52
_STD_OF_POSITIONS = 0.5


def _vit_body(config: EncoderConfig) -> nn.Module:
    check_installed(config)
    import timm  # pyright: ignore[reportMissingImports]

    chosen_vit = config.vit_or_default
    chosen: dict[str, Any] = {"patch_size": chosen_vit.patch} if chosen_vit.patch else {}
    if chosen_vit.pool == "tokens":
        chosen |= {"class_token": False, "global_pool": ""}
    vit = timm.create_model(chosen_vit.name, img_size=config.input_size, num_classes=0, **chosen)
    body, width = vit, vit.num_features
    if chosen_vit.pool == "tokens":
        nn.init.trunc_normal_(vit.pos_embed, std=_STD_OF_POSITIONS)
        body, width = nn.Sequential(vit, nn.Flatten()), vit.num_features * vit.patch_embed.num_patches
    head = mlp(width, [config.hidden], config.num_latents, batch_norm=True)
    return nn.Sequential(body, nn.BatchNorm1d(width), head)


_BODIES = {"mlp": _mlp_body, "keypoints": _keypoints_body, "glimpse": Glimpse, "cnn": _cnn_body, "vit": _vit_body}
