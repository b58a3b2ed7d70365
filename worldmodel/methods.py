"""Methods by name: how a frame encoder learns without labels. A method is a sampler of rows and a loss on latents."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from worldmodel.data.frames import Frames
from worldmodel.data.pairs import PairSampler, window_starts
from worldmodel.data.store import EpisodeIndex
from worldmodel.distributed import in_parallel
from worldmodel.errors import UserError
from worldmodel.losses import alignment, sigreg
from worldmodel.models.encoders import Encoder, mlp
from worldmodel.training import OptimConfig, Stage

METHODS = ("lejepa", "lewm")


@dataclass
class MethodConfig:
    """How the encoder is trained.

    name: "lejepa" (alignment of positive pairs + SIGReg) or "lewm" (next-latent prediction + SIGReg, end to end).
    pairs: for lejepa, "ou" (exact OU pairs from an atlas of poses), "lag" (frames of one episode `lag` control steps
    apart), or "auto" (ou on kinematic worlds, lag elsewhere).
    rho: autocorrelation of OU pairs; 0 takes the world's own.
    same_pose_fraction: share of OU pairs that are two renderings of one pose under different nuisances.
    sigreg_start, sigreg_end: weight lambda of SIGReg, geometric from start to end over the first 70 % of training. For
    OU pairs in units of 1 - rho: alignment of the optimum is proportional to it, so lambda must be too.
    num_slices: directions SIGReg projects on, fresh every step.
    block: for lewm, control steps from one latent to the next. num_history: latents its predictor sees.
    """

    name: str = "lejepa"
    pairs: str = "auto"
    rho: float = 0.0
    lag: int = 15
    same_pose_fraction: float = 0.0
    sigreg_start: float = 0.02
    sigreg_end: float = 0.3
    num_slices: int = 16
    block: int = 5
    num_history: int = 3
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise UserError(f"unknown method {self.name!r}; choose one of {', '.join(METHODS)}")
        if self.pairs not in ("auto", "ou", "lag"):
            raise UserError(f"method.pairs is one of auto, ou, lag, got {self.pairs!r}")
        if not 0 <= self.rho < 1:
            raise UserError(f"method.rho must lie in (0, 1), or be 0 for the world's own, got {self.rho}")
        if not 0 <= self.same_pose_fraction <= 1:
            raise UserError(f"method.same_pose_fraction must lie in [0, 1], got {self.same_pose_fraction}")
        if not (0 < self.sigreg_start and 0 < self.sigreg_end):
            raise UserError(
                "method.sigreg_start and method.sigreg_end must be > 0: without SIGReg the latents collapse"
            )
        for name in ("lag", "num_slices", "block", "num_history"):
            if getattr(self, name) < 1:
                raise UserError(f"method.{name} must be >= 1, got {getattr(self, name)}")

    def sigreg_weight(self, progress: float) -> float:
        """Lambda at training progress in [0, 1]."""
        ramp = min(1.0, progress / 0.7)
        return self.sigreg_start ** (1 - ramp) * self.sigreg_end**ramp


def lejepa_stage(
    method: MethodConfig, encoder: Encoder, frames: Frames, pairs: PairSampler, weight_unit: float
) -> Stage:
    """LeJEPA: (1 - lambda) alignment + lambda SIGReg on positive pairs; `weight_unit` scales lambda (1 - rho)."""

    def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        rows = pairs.sample(method.optim.batch_size, generator)
        with _autocast(encoder):
            latents = in_parallel(lambda rows: encoder(frames.gather(rows)), rows.flatten())
        weight = method.sigreg_weight(progress) * weight_unit
        align = alignment(latents.view(2, -1, latents.shape[-1]))
        gaussian = sigreg(latents, method.num_slices, generator)
        total = (1 - weight) * align + weight * gaussian
        return {"loss": total, "alignment": align, "sigreg": gaussian, "latents": latents}

    return Stage("encoder", encoder, loss, method.optim)


def lewm_stage(
    method: MethodConfig, encoder: Encoder, frames: Frames, actions: Tensor, episodes: EpisodeIndex
) -> Stage:
    """LeWM-style joint training: an MLP predicts the latent one block of actions ahead, SIGReg keeps latents Gaussian.

    `actions` (rows, A). The predictor trained here is dropped: planning uses the multi-step predictor, trained on the
    frozen latents like for every method.
    """
    latent_dim, action_dim, block, history = (
        encoder.config.latent_dim,
        actions.shape[1],
        method.block,
        method.num_history,
    )
    head = mlp(history * latent_dim + block * action_dim, [256, 256], latent_dim)
    starts = window_starts(episodes, history + block)
    num_clips = max(2, 2 * method.optim.batch_size // (history + 1))
    offsets = torch.tensor([*range(history), history - 1 + block])

    def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        start = starts[torch.randint(len(starts), (num_clips,), generator=generator)]
        rows = start[:, None] + offsets
        with _autocast(encoder):
            latents = in_parallel(lambda rows: encoder(frames.gather(rows)), rows.flatten())
        latents = latents.view(num_clips, history + 1, latent_dim)
        now, target = latents[:, history - 1], latents[:, history]
        earlier = (latents[:, : history - 1] - now[:, None]).flatten(1)
        steps = actions[start[:, None] + history - 1 + torch.arange(block)].flatten(1).to(latents.device)
        prediction = (now + head(torch.cat([now, earlier, steps], -1)) - target).square().mean()
        gaussian = (sigreg(now, method.num_slices, generator) + sigreg(target, method.num_slices, generator)) / 2
        total = prediction + method.sigreg_weight(progress) * gaussian
        return {"loss": total, "prediction": prediction, "sigreg": gaussian, "latents": now}

    return Stage(
        "encoder", nn.ModuleDict({"encoder": encoder, "head": head.to(encoder.mean.device)}), loss, method.optim
    )


def _autocast(encoder: Encoder) -> torch.autocast:
    """bfloat16 where it helps: on CUDA. The small CPU models here are faster in float32."""
    device = encoder.mean.device.type
    return torch.autocast(device, torch.bfloat16, enabled=device == "cuda")
