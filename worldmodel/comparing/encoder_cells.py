"""A cell of the study, which is one training of an encoder, and the figures kept of it."""

from dataclasses import dataclass

from worldmodel.comparing.compare_result import CurvePoint
from worldmodel.learning.loop import LatentSpread


@dataclass(frozen=True)
class EncoderCell:
    """One training of an encoder."""

    candidate: str
    """Name of the method among the candidates."""
    setting: int
    """Number of the candidate's tuning setting."""
    seed: int
    """Seed of the training."""
    batch_size: int
    """Pairs a step."""
    share: float = 1.0
    """Share of the training episodes."""
    inside: bool = False
    """Train only on episodes that stay inside the range that the shifts leave (see `shifts`)."""

    @property
    def label(self) -> str:
        """Name of the cell, in messages and in its file's name."""
        kept = f"-share{self.share:.4f}" if self.share < 1 else ""
        return f"{self.candidate}-{self.setting}-seed{self.seed}-batch{self.batch_size}{kept}{'-inside' * self.inside}"


@dataclass(frozen=True)
class Recovery:
    """How well the true variables are recovered by linear maps, on one split."""

    r2_h_to_z: float | None
    """R2 of the true variables from latents by a linear map, mean over variables."""
    r2_z_to_h: float | None
    """R2 of latents from the true variables."""
    per_variable: dict[str, float | None]
    """Variable -> its R2."""
    orthogonality_error: float | None
    """Distance of the linear map from a rotation; None where dimensions differ."""
    rank_correlation: float | None
    """Spearman correlation of distances between latents with distances between true variables."""


@dataclass(frozen=True)
class VariableScore:
    """How well one variable is read."""

    r2: float | None
    """R2; None where the variable stands still."""
    rmse_sd: float
    """Root mean squared error in standard deviations."""


@dataclass(frozen=True)
class ShiftScore:
    """How well variables are read on a test set out of the training distribution."""

    r2: float | None
    """R2, mean over variables that vary."""
    rmse_sd: float
    """Root mean squared error in standard deviations, mean over variables."""
    per_variable: dict[str, VariableScore]
    """Variable -> how well it is read."""
    num_frames: int
    """Frames of the set."""


@dataclass(frozen=True)
class EncoderReading:
    """All measures of an encoder's latents."""

    validation: Recovery
    """On validation episodes."""
    test: Recovery
    """On test episodes."""
    nuisances: dict[str, float | None]
    """Visual factor that is not to be recovered -> R2 on test episodes."""
    spread: LatentSpread
    """Spread of the latents of training frames."""
    shifts: dict[str, ShiftScore]
    """Test set out of the training distribution -> how well it is read."""


@dataclass(frozen=True)
class TrainedEncoder:
    """The figures kept of a cell."""

    steps: int
    """Training steps."""
    cpu_s: float
    """CPU seconds of training, without those of measuring."""
    num_frames: int
    """Training frames."""
    curve: list[CurvePoint]
    """R2 on validation episodes in the course of training."""
    reading: EncoderReading
    """Measures of its latents at the end of training."""
