"""Settings of every method: what they share, and a typed part each."""

from dataclasses import dataclass, field

from worldmodel.learning.loop import OptimConfig
from worldmodel.learning.methods.contrastive import InfoNCEConfig
from worldmodel.learning.methods.jepa import JEPAConfig
from worldmodel.learning.methods.reconstruction import ReconstructionConfig
from worldmodel.learning.methods.variance import VICRegConfig, WhiteningConfig
from worldmodel.system.errors import UserError

METHODS = ("lejepa", "lewm", "jepa", "infonce", "vicreg", "whitening", "autoencoder", "vae", "supervised")


@dataclass
class MethodConfig:
    """How the encoder is trained.

    name: "lejepa" (alignment of positive pairs + SIGReg), "lewm" (next-latent prediction + SIGReg, end to end), "jepa"
    (prediction between the views of a pair, no more), "infonce", "vicreg", "whitening", "autoencoder", "vae", or
    "supervised" (regression on the true variables: the upper bound).
    pairs: for all but lewm, "ou" (exact OU pairs from an atlas of poses), "lag" (frames of one episode `lag` control
    steps apart), or "auto" (ou on kinematic worlds, lag elsewhere).
    lag_end: second half of training, frames are this far apart instead, and lambda is less in proportion; 0: as far as
    before. Far pairs tell what is slow from what is not, close ones where it is exactly.
    controlled: for lejepa and pairs a lag apart, of a latent's change only what the actions between do not explain
    linearly counts, so that what they move at once (a pusher, a joint) is as dear as what moves slowly.
    rho: autocorrelation of OU pairs; 0 takes the world's own.
    same_pose_fraction: share of OU pairs that are two renderings of one pose under different nuisances.
    sigreg_start, sigreg_end: weight lambda of SIGReg, geometric from start to end over the first 70 % of training. For
    OU pairs in units of 1 - rho: alignment of the optimum is proportional to it, so lambda must be too.
    num_slices: directions SIGReg projects on, fresh every step.
    block: for lewm, control steps from one latent to the next. num_history: latents its predictor sees. With
    predictor.kind=transformer that predictor is trained here, with its own block and window.
    on_collapse: what happens when latents have collapsed: "stop", or "report" in the log and go on.
    """

    name: str = "lejepa"
    pairs: str = "auto"
    rho: float = 0.0
    lag: int = 15
    lag_end: int = 0
    controlled: bool = False
    same_pose_fraction: float = 0.0
    sigreg_start: float = 0.02
    sigreg_end: float = 0.3
    num_slices: int = 16
    block: int = 5
    num_history: int = 3
    jepa: JEPAConfig = field(default_factory=JEPAConfig)
    infonce: InfoNCEConfig = field(default_factory=InfoNCEConfig)
    vicreg: VICRegConfig = field(default_factory=VICRegConfig)
    whitening: WhiteningConfig = field(default_factory=WhiteningConfig)
    reconstruction: ReconstructionConfig = field(default_factory=ReconstructionConfig)
    on_collapse: str = "stop"
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise UserError(f"unknown method {self.name!r}; choose one of {', '.join(METHODS)}")
        if self.pairs not in ("auto", "ou", "lag"):
            raise UserError(f"method.pairs is one of auto, ou, lag, got {self.pairs!r}")
        if self.on_collapse not in ("stop", "report"):
            raise UserError(f"method.on_collapse is stop or report, got {self.on_collapse!r}")
        if not 0 <= self.rho < 1:
            raise UserError(f"method.rho must lie in (0, 1), or be 0 for the world's own, got {self.rho}")
        if not 0 <= self.same_pose_fraction <= 1:
            raise UserError(f"method.same_pose_fraction must lie in [0, 1], got {self.same_pose_fraction}")
        if not (0 < self.sigreg_start and 0 < self.sigreg_end):
            raise UserError(
                "method.sigreg_start and method.sigreg_end must be > 0: without SIGReg the latents collapse"
            )
        if not 0 <= self.lag_end < self.lag:
            raise UserError(
                f"method.lag_end must be less than method.lag={self.lag}, or 0 for no change, got {self.lag_end}"
            )
        if self.lag_end and self.name == "lewm":
            raise UserError(f"method.lag_end={self.lag_end} is of positive pairs, and method=lewm has none; leave it 0")
        if self.controlled and self.name != "lejepa":
            raise UserError(
                f"method.controlled=true is of lejepa's alignment, method={self.name} has none; leave it false"
            )
        for name in ("lag", "num_slices", "block", "num_history"):
            if getattr(self, name) < 1:
                raise UserError(f"method.{name} must be >= 1, got {getattr(self, name)}")
