"""How an encoder learns: what all methods share, what each adds, and the optimiser."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from worldmodel.settings.base import BelowOne, Count, Fraction, NonNegative, OpenFraction, Positive, Settings
from worldmodel.system.errors import UserError

MethodName = Literal["lejepa", "lewm", "jepa", "infonce", "vicreg", "whitening", "autoencoder", "vae", "supervised"]
METHODS: tuple[MethodName, ...] = MethodName.__args__  # type: ignore[attr-defined]
ContextMethod = Literal["lejepa", "infonce", "vicreg", "prediction", "supervised"]
CONTEXT_METHODS: tuple[ContextMethod, ...] = ContextMethod.__args__  # type: ignore[attr-defined]


@dataclass(frozen=True)
class OptimConfig(Settings):
    """AdamW; its learning rate warms up linearly over the first 5 % of the steps, then falls to zero as a cosine."""

    steps: Count = 2000
    """Training steps."""
    batch_size: int = 256
    """Examples per step, at least 2."""
    lr: Positive = 3e-3
    """Highest learning rate."""
    weight_decay: NonNegative = 1e-4
    """Decoupled weight decay."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size < 2:
            raise UserError(f"batch_size must be >= 2 (BatchNorm and SIGReg need a batch), got {self.batch_size}")


@dataclass(frozen=True)
class PredictorOptim(OptimConfig):
    """Optimiser of the latent dynamics, with the learning rate's warm-up and cosine of the other stages."""

    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon moves weight matrices by Muon and all else by AdamW; it needs fewer steps."""


@dataclass(frozen=True)
class StepsConfig(Settings):
    """The length of a training whose optimiser is fixed."""

    steps: Count = 1500
    """Training steps."""


LEWM_SIGREG = {"num_slices": 64, "sigreg_start": 0.005, "sigreg_end": 0.005}
"""SIGReg as it suits method=lewm, which has no pairs that its weight could be proportional to."""


@dataclass(frozen=True)
class LeWMConfig(Settings):
    """Next-latent prediction with SIGReg (arXiv:2603.19312), where the run's own predictor is no transformer."""

    block: Count = 5
    """Control steps from one latent to the next."""
    num_history: Count = 3
    """Latents that its predictor sees."""


@dataclass(frozen=True)
class JEPAConfig(Settings):
    """Standard JEPA: predict one view's latent from the other's."""

    target: Literal["ema", "stop_gradient", "none"] = "ema"
    """Target of the prediction. ema: latents by a moving average of the encoder. stop_gradient: the encoder's own,
    without gradient. none: the encoder's own, with gradient."""
    momentum: float = 0.99
    """Decay of the moving average per step, in [0, 1)."""
    hidden: Count = 256
    """Units of the predictor's one hidden layer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise UserError(f"method.options.momentum must lie in [0, 1), got {self.momentum}")


@dataclass(frozen=True)
class InfoNCEConfig(Settings):
    """InfoNCE (arXiv:1807.03748)."""

    similarity: Literal["gaussian", "cosine"] = "gaussian"
    """gaussian: minus the squared distance. cosine: the cosine of the angle."""
    temperature: Positive = 1.0
    """Similarities are divided by it."""


@dataclass(frozen=True)
class VICRegConfig(Settings):
    """VICReg (arXiv:2105.04906) without an expander: weights of its three terms."""

    invariance: NonNegative = 25.0
    """Weight of the squared distance between the views."""
    variance: NonNegative = 25.0
    """Weight of the hinge that keeps each latent's standard deviation above 1."""
    covariance: NonNegative = 1.0
    """Weight of the squared covariances between latents."""


@dataclass(frozen=True)
class WhiteningConfig(Settings):
    """Alignment of latents that the batch itself whitens (W-MSE, arXiv:2007.06346)."""

    penalty: NonNegative = 0.1
    """Weight of the mean squared entry of Cov - I before whitening, so that latents are nearly white by themselves."""


@dataclass(frozen=True)
class ReconstructionConfig(Settings):
    """Autoencoders, plain and variational, with an MLP decoder."""

    hidden: Count = 256
    """Units of a hidden layer of the decoder."""
    depth: Count = 2
    """Hidden layers of the decoder."""
    kl_weight: NonNegative = 0.01
    """Weight of a VAE's KL divergence from N(0, I), per latent, beside the mean squared error of a normalised pixel."""


_OPTIONS: dict[str, type[Settings]] = {
    "lewm": LeWMConfig,
    "jepa": JEPAConfig,
    "infonce": InfoNCEConfig,
    "vicreg": VICRegConfig,
    "whitening": WhiteningConfig,
    "autoencoder": ReconstructionConfig,
    "vae": ReconstructionConfig,
}


@dataclass(frozen=True)
class MethodConfig(Settings):
    """How the frame encoder is trained."""

    name: MethodName = "lejepa"
    """lejepa: alignment of positive pairs and SIGReg. lewm: next-latent prediction and SIGReg. jepa: prediction between
    the views of a pair, without a regulariser. supervised: regression on the true variables, the upper bound. And
    infonce, vicreg, whitening, autoencoder, vae."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options that only this method has, such as infonce's temperature."""
    pairs: Literal["auto", "ou", "lag"] = "auto"
    """Positive pairs. ou: exact OU pairs from an atlas of poses. lag: frames of an episode `lag` control steps apart.
    auto: ou on kinematic worlds, lag elsewhere."""
    rho: OpenFraction | None = None
    """Correlation of OU pairs; null takes the world's own."""
    lag: Count = 15
    """Control steps between the frames of a pair."""
    lag_end: Count | None = None
    """Control steps between them in the second half of training, with lambda reduced in proportion; null: `lag`. Far
    pairs find what is slow, close pairs find its exact value."""
    controlled: bool = False
    """Alignment penalises only the change that actions do not explain linearly, so that joints and pushers, which
    actions move at once, are learned as well as slow objects."""
    drop: BelowOne = 0.0
    """Share of the pixels that each frame loses in training, drawn anew each time: they look as in the mean frame. From
    few episodes an encoder otherwise learns frames by heart."""
    same_pose_fraction: Fraction = 0.0
    """Share of OU pairs that are two renderings of one pose under different light and colours."""
    sigreg_start: Positive = 0.02
    """SIGReg's weight lambda at the start; for OU pairs in units of 1 - rho, to which alignment is proportional."""
    sigreg_end: Positive = 0.3
    """SIGReg's weight from 70 % of training on; geometric in between."""
    num_slices: Count = 16
    """Directions on which SIGReg projects, drawn afresh at each step."""
    on_collapse: Literal["stop", "report"] = "stop"
    """What happens when the latents collapse: stop with a diagnosis, or log it and continue."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser of the encoder."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.own()
        if self.lag_end is not None and not self.lag_end < self.lag:
            raise UserError(
                f"method.lag_end must be less than method.lag={self.lag}, or null for no change, got {self.lag_end}"
            )
        if self.lag_end is not None and self.name == "lewm":
            raise UserError("method.lag_end applies to positive pairs, and method=lewm has none; leave it null")
        if self.controlled and self.name != "lejepa":
            raise UserError(
                f"method.controlled=true applies to lejepa's alignment, method={self.name} has none; leave it false"
            )

    def own(self) -> Any:
        """The options of this method alone, typed; None for a method without any."""
        cls = _OPTIONS.get(self.name)
        known = set() if cls is None else {item.name for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
        if unknown := sorted(set(self.options) - known):
            listed = f"it has {', '.join(sorted(known))}" if known else "it has none"
            raise UserError(f"unknown option method.options.{unknown[0]} of method={self.name}; {listed}")
        if cls is None:
            return None
        try:
            return msgspec.convert(self.options, cls)
        except msgspec.ValidationError as error:
            raise UserError(f"method.options: {error}") from error


@dataclass(frozen=True)
class ContextTraining(Settings):
    """How the context encoder learns from two windows of one episode, one from each half.

    Where the constants drift between the halves (drift_rho), the pair has the correlation that makes the optimum linear
    in them.
    """

    method: ContextMethod = "lejepa"
    """lejepa: alignment and SIGReg. prediction: of the motion in the other window. supervised: regression on the true
    constants, the upper bound."""
    optim: OptimConfig = field(
        default_factory=lambda: OptimConfig(steps=1000, batch_size=512, lr=1e-3, weight_decay=1.0)
    )
    """Optimiser of the context encoder."""
