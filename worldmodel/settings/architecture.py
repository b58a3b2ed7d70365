"""Architectures of the networks of a world model."""

from dataclasses import dataclass, field
from typing import Literal

from worldmodel.settings.base import Count, OpenFraction, Positive, Settings
from worldmodel.system.errors import UserError


@dataclass(frozen=True)
class ViTConfig(Settings):
    """A vision transformer of the timm library (extra `vit`)."""

    name: str = "vit_tiny_patch16_224"
    """Name of the model in timm."""
    patch: Count | None = None
    """Side in pixels of a patch, which becomes one token; divides encoder.input_size. null takes the model's own."""
    pool: Literal["class", "tokens"] = "class"
    """Tokens from which latents are read: the class token, or all tokens side by side."""


EncoderName = Literal["encoder", "robust", "both"]
"""encoder: the one trained on frames as they are. robust: the one trained to give its latents under other looks too.
both: `encoder`, and `robust` for frames on which the two disagree, unless the picture decoded from the
latent of `encoder` fits the frame better."""


@dataclass(frozen=True)
class EncoderConfig(Settings):
    """The frame encoder: one frame to one latent."""

    kind: Literal["mlp", "keypoints", "glimpse", "cnn", "strided", "paired", "vit"] = "mlp"
    """mlp: all pixels at once. keypoints: a spatial softmax, which shows where things are. glimpse: keypoints, one
    location and the pixels around it, which show which way a moving thing points. cnn: feature maps averaged over the
    image. strided: a CNN whose last feature maps are read pixel by pixel. paired: the same, which also sees what
    differs from a reference frame of the same episode, where there is one. vit: a vision transformer."""
    input_size: Count = 16
    """Side in pixels of the frames that the encoder sees; recorded frames are box-averaged to it."""
    latent_dim: Count | None = None
    """Dimension of the latent; null takes the number of OU variables where the world is kinematic, else 16."""
    hidden: Count = 256
    """Units of a hidden layer."""
    depth: Count = 3
    """Hidden layers."""
    channels: list[int] = field(default_factory=lambda: [32, 64, 128, 256])
    """Channels of a CNN, one number for each halving of the image."""
    normalize: Literal["dataset", "background", "image"] = "dataset"
    """dataset: one mean and scale per channel. background: minus the median frame, so that what stands still is zero.
    image: each frame minus its channel means, divided by its RMS, which removes light and colour to first order."""
    num_keypoints: Count = 32
    """Keypoints that keypoints and glimpse look for."""
    glimpse_size: Count = 12
    """Side in pixels of the square that a glimpse looks at."""
    vit: ViTConfig | None = None
    """Which ViT, with kind=vit; null takes the defaults."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vit is not None and self.vit.patch is not None and self.input_size % self.vit.patch:
            raise UserError(f"encoder.vit.patch must divide encoder.input_size={self.input_size}, got {self.vit.patch}")
        if self.kind in ("keypoints", "glimpse") and self.input_size % 2:
            raise UserError(
                f"encoder.input_size must be even for encoder.kind={self.kind}, which looks for keypoints at half the "
                f"size; got {self.input_size}"
            )
        if self.kind == "glimpse" and self.latent_dim is not None and self.latent_dim < 4:
            raise UserError(
                "encoder.latent_dim must be >= 4 with encoder.kind=glimpse (two latents for the location, the others "
                f"for what is seen there and for the keypoints), got {self.latent_dim}"
            )
        if self.kind in ("cnn", "strided", "paired") and self.input_size % 2 ** len(self.channels):
            raise UserError(
                f"a CNN of {len(self.channels)} halvings takes a multiple of {2 ** len(self.channels)} pixels, got "
                f"encoder.input_size={self.input_size}; use {2 ** len(self.channels)} x n or fewer encoder.channels"
            )

    @property
    def num_latents(self) -> int:
        """`latent_dim`, where it has been decided; UserError where it has not, as it must have in a model's
        description."""
        if self.latent_dim is None:
            raise UserError("encoder.latent_dim is null, where a model has a number: it is chosen when training begins")
        return self.latent_dim

    @property
    def vit_or_default(self) -> ViTConfig:
        """Which ViT."""
        return self.vit or ViTConfig()


@dataclass(frozen=True)
class TransformerConfig(Settings):
    """A causal transformer over blocks of actions, after LeWM's predictor (arXiv:2603.19312)."""

    block: Count = 5
    """Control steps from one latent to the next; predictor.history is in multiples of it, like [0, 5, 10]."""
    window: Count = 3
    """Most latents that a prediction attends to."""
    heads: Count = 16
    """Attention heads."""
    head_dim: Count = 64
    """Dimension of an attention head."""
    residual: bool = True
    """true: the transformer predicts the change of the latent; false: the latent itself."""


@dataclass(frozen=True)
class PredictorConfig(Settings):
    """The latent dynamics predictor: past latents and actions to the latents that follow."""

    kind: Literal["mlp", "recurrent", "transformer"] = "mlp"
    """mlp: all steps of the horizon in one pass. recurrent: step after step with the same weights, best for contact.
    transformer: one latent after each block of actions."""
    history: list[int] = field(default_factory=lambda: [0, 1, 2, 4])
    """Latents that it sees, each given as control steps before now; rises from 0, the present."""
    horizon: Count = 15
    """Control steps that training looks ahead; longer rollouts repeat the predictor on its own predictions."""
    hidden: Count = 384
    """Units of a hidden layer."""
    depth: Count = 2
    """Hidden layers."""
    width: Count = 192
    """Width of a transformer's token, or of a recurrent predictor's state."""
    transformer: TransformerConfig | None = None
    """Blocks and attention, with kind=transformer; null takes the defaults."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.history or self.history[0] != 0 or sorted(set(self.history)) != list(self.history):
            raise UserError(f"predictor.history must rise from 0, like [0,1,2,4], got {self.history}")
        if self.kind == "transformer":
            self._check_blocks(self.transformer_or_default.block, self.transformer_or_default.window)

    def _check_blocks(self, block: int, window: int) -> None:
        if self.horizon % block:
            raise UserError(
                f"predictor.horizon must be a multiple of predictor.transformer.block={block}, got {self.horizon}"
            )
        latest = [block * index for index in range(window)]
        if list(self.history) != latest[: len(self.history)]:
            raise UserError(
                f"predictor.history must be the first of {latest} with predictor.kind=transformer (block={block}, "
                f"window={window}), got {self.history}"
            )

    @property
    def transformer_or_default(self) -> TransformerConfig:
        """Blocks and attention of a transformer."""
        return self.transformer or TransformerConfig()

    @property
    def stride(self) -> int:
        """Control steps from one predicted latent to the next."""
        return self.transformer_or_default.block if self.kind == "transformer" else 1

    @property
    def num_context_frames(self) -> int:
        """K: frames from the oldest latent of the history to now."""
        return self.history[-1] + 1


@dataclass(frozen=True)
class ContextConfig(Settings):
    """The context encoder: a window of latents and actions to the physical constants at work in it."""

    dim: Count | None = None
    """Dimension of the context; null takes the number of randomised physical constants."""
    window: Count = 40
    """Control steps that it sees; each half of an episode must hold a window."""
    strides: list[int] = field(default_factory=lambda: [1, 2, 4])
    """Control steps over which differences are taken: long ones average out noise, short ones see brief events."""
    forces: Literal["free", "placed", "turning", "hinged", "sliding"] = "free"
    """Which equation of motion is fitted in the window. free: forces do not depend on position. placed: they do.
    turning: torque balance of a hinge seen as a direction (a pendulum). hinged: a pushed body with a hinge on it (a
    cart-pole). sliding: power balance of a body pushed over ground with dry and viscous friction (a puck)."""
    ridge: Positive = 1e-3
    """Ridge penalty of that fit, in units of standardised features."""
    hidden: Count = 128
    """Units of its two hidden layers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.strides or min(self.strides) < 1 or sorted(set(self.strides)) != list(self.strides):
            raise UserError(f"context.strides must rise from at least 1, like [1,2,4], got {self.strides}")
        if self.window <= 2 * self.strides[-1]:
            raise UserError(
                f"context.window must be more than twice the longest stride ({self.strides[-1]}), got {self.window}"
            )

    @property
    def num_values(self) -> int:
        """`dim`, where it has been decided; UserError where it has not, as it must have in a model's description."""
        if self.dim is None:
            raise UserError("context.dim is null, where a model has a number: it is chosen when training begins")
        return self.dim


@dataclass(frozen=True)
class HeadsConfig(Settings):
    """Goal heads on frozen latents: an inverse dynamics and a temporal distance."""

    reach: Count = 25
    """Most control steps that a goal lies ahead when the inverse dynamics learns to reach it."""
    hidden: Count = 256
    """Units of a hidden layer of the inverse dynamics."""
    depth: Count = 2
    """Its hidden layers."""
    temporal_dim: Count = 8
    """Dimension of the space in which Euclidean distance is time."""
    temporal_hidden: Count = 64
    """Units of the hidden layer of the map into it; every latent of every candidate plan passes it."""


@dataclass(frozen=True)
class RewardConfig(Settings):
    """The reward head on frozen latents: the reward of a control step, and the value of what follows."""

    hidden: Count = 128
    """Units of each of its two hidden layers."""
    num_bins: Count = 41
    """Levels between the lowest and the highest recorded reward; the head predicts a distribution over them."""
    discount: OpenFraction = 0.99
    """Discount factor of values, per control step."""


@dataclass(frozen=True)
class DecoderConfig(Settings):
    """The decoder: one latent to the frame that it stands for."""

    image_size: Count = 64
    """Side in pixels of a decoded frame: that of the world's frames."""
    hidden: Count = 256
    """Units of its hidden layer, and the number of random projections of the latent that are fed in beside it."""
    channels: list[int] = field(default_factory=lambda: [64, 32, 16])
    """Channels of the feature maps, each map twice as wide as the one before."""
