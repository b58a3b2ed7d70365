"""The results of `compare`: a row for each method, and verdicts on the article's claims."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from worldmodel.measures.statistics import OverSeeds, mean_known
from worldmodel.runs import CLEAN
from worldmodel.settings import ContextMethod

Setting = dict[str, Any]
"""Dotted options of `MethodConfig` -> value: one of the settings that a method is tuned over."""


@dataclass(frozen=True)
class TriedSetting:
    """A setting that a method was tuned over."""

    setting: Setting
    """The setting."""
    r2_h_to_z: float | None
    """R2 of the true variables from latents, on validation episodes."""


class CurvePoint(NamedTuple):
    """R2 in the course of training."""

    step: float
    """Training steps taken."""
    cpu_s: float
    """CPU seconds of training, without those of measuring."""
    r2: float
    """R2 of the true variables from latents, on validation episodes."""


@dataclass(frozen=True)
class Convergence:
    """When the mean curve first reaches the threshold; None where it never does."""

    steps_to_threshold: float | None
    """Training steps."""
    cpu_s_to_threshold: float | None
    """CPU seconds."""


@dataclass(frozen=True)
class KeptBytes:
    """Bytes of tensors that one training step holds at once, by what they are for."""

    weights: int
    """Everything that is trained or averaged."""
    optimizer: int
    """Gradients and AdamW's two moments."""
    activations: int
    """What autograd keeps between the forward and the backward pass, each storage once; frames and weights left out."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.optimizer + self.activations


@dataclass(frozen=True)
class PeakBytes:
    """Peak memory of a few training steps in a fresh process; None where it cannot be measured."""

    cpu: int | None
    """Peak resident memory above that before the encoder was made."""
    gpu: int | None
    """Peak of the memory allocated on the GPU above that before the encoder was made."""


@dataclass(frozen=True)
class MemoryUse:
    """Memory that training a method takes."""

    kept: dict[int, KeptBytes]
    """Pairs in a batch -> bytes of a step."""
    peak_bytes: PeakBytes
    """Peak at the largest batch."""
    peak_batch: int
    """Pairs in that batch."""


@dataclass(frozen=True)
class PlanningSuccess:
    """Closed-loop control with the same predictor and planner for every method."""

    success_rate: OverSeeds
    """Share of tasks solved."""
    num_tasks: int
    """Tasks of each training."""
    random_success_rate: OverSeeds
    """Share that random actions solve."""
    prediction_error_ratio: OverSeeds
    """Root mean squared error of the longest prediction, divided by that of persistence."""


@dataclass(frozen=True)
class ConstantsRead:
    """Physical constants by contexts of one window, learned on a method's frozen latents and read by a linear probe."""

    setting: str
    """The optimiser's settings that were chosen."""
    tried: dict[str, float | None]
    """All settings, and mean R2 of the constants on validation episodes."""
    r2: dict[str, OverSeeds]
    """Constant -> its R2 on test episodes."""


@dataclass(frozen=True)
class ShiftedSetReading:
    """Variables read from frames out of the training distribution, by a linear map fitted on training frames."""

    r2: OverSeeds
    """R2, mean over variables."""
    rmse_sd: OverSeeds
    """Root mean squared error in standard deviations, mean over variables."""


@dataclass(frozen=True)
class DataSizeReading:
    """A method trained on a share of the data."""

    test: OverSeeds
    """R2 on test episodes."""
    shifts: dict[str, ShiftedSetReading]
    """Test set out of the training distribution -> how well it is read."""


@dataclass(frozen=True)
class MethodRow:
    """One method: tuned over as many settings as every other, trained with every seed, read on test episodes."""

    family: str
    """Family of methods to which the article's table counts it."""
    setting: Setting
    """The setting that was chosen."""
    tried: list[TriedSetting]
    """All settings and how each did."""
    r2_h_to_z: OverSeeds
    """R2 of the true variables from latents by a linear map."""
    r2_z_to_h: OverSeeds
    """R2 of latents from the true variables."""
    rank_correlation: OverSeeds
    """Spearman correlation of distances between latents with distances between true variables."""
    per_variable: dict[str, OverSeeds]
    """Variable -> its R2."""
    orthogonality_error: OverSeeds | None
    """Distance of the linear map from a rotation; None where dimensions differ."""
    effective_rank: OverSeeds
    """exp(entropy of the eigenvalues of the latents' covariance), between 1 and their number."""
    latent_variance: list[list[float]]
    """Variance of every latent, one list for each seed."""
    latent_std: OverSeeds
    """Standard deviation of latents, mean over them."""
    collapsed_share: float
    """Share of trainings whose latents ended at less than a tenth of an untrained encoder's standard deviation."""
    cpu_s: OverSeeds
    """CPU seconds of a training."""
    curve: list[CurvePoint]
    """R2 in the course of training, mean over seeds."""
    convergence: Convergence = field(default_factory=lambda: Convergence(None, None))
    """When the curve reaches the result's threshold."""
    memory: MemoryUse | None = None
    """Memory that training takes; None where it was not measured."""
    planning: PlanningSuccess | None = None
    """Success of planning with the latents; None where it was not measured."""
    looks: dict[str, OverSeeds] = field(default_factory=dict)
    """Look and its strength -> share of goals reached under it, as in `robust`; empty where that was not measured."""
    constants: dict[ContextMethod, ConstantsRead] = field(default_factory=dict)
    """Method by which contexts are learned -> constants read from them; empty where that was not measured."""
    batch: dict[int, OverSeeds] = field(default_factory=dict)
    """Pairs in a batch, with equally many pairs in all -> R2 on test episodes; empty where the method is not swept."""
    data: dict[int, DataSizeReading] = field(default_factory=dict)
    """Training frames -> how well the variables are read; empty where the method is not swept."""

    @property
    def success_under_looks(self) -> float | None:
        """Share of goals reached, mean over the looks that differ from the world as it is; None if not measured."""
        return mean_known([found.mean for look, found in self.looks.items() if look != CLEAN])


@dataclass(frozen=True)
class RandomEncoder:
    """An encoder at its initial weights."""

    r2_h_to_z: float | None
    """R2 of the true variables from its latents."""
    r2_z_to_h: float | None
    """R2 of its latents from the true variables."""
    latent_std: float
    """Standard deviation of its latents."""


@dataclass(frozen=True)
class RawPixels:
    """The pixels themselves, read by ridge regression."""

    r2_h_to_z: float | None
    """R2 of the true variables."""
    per_variable: dict[str, float | None]
    """Variable -> its R2."""
    constants: dict[str, float | None] = field(default_factory=dict)
    """Physical constant -> its R2, from mean and spread of every pixel over a window."""


@dataclass(frozen=True)
class Baselines:
    """Figures without training."""

    random_encoder: RandomEncoder
    """An untrained encoder."""
    raw_pixels: RawPixels
    """No encoder."""


Measured = float | None | dict[str, float | None]
"""A number, or several by name."""


@dataclass(frozen=True)
class Grade:
    """A method in a column of the article's table."""

    value: float
    """The measured figure, divided by the ceiling, the leanest or the best method's figure."""
    word: str
    """The grade in a word, such as `high`."""
    article: str
    """The article's word."""


@dataclass(frozen=True)
class Verdict:
    """One of the article's claims, and whether the measurements agree with it."""

    claim: str
    """Number of the claim, such as `S1`."""
    article_says: str
    """The claim in words."""
    rule: str
    """The condition under which the measurements agree."""
    measured: dict[str, Measured]
    """The figures that the rule compares; empty for a column of the article's table."""
    agrees: bool | None
    """Whether the condition holds; None where the measurements do not decide."""
    graded: dict[str, Grade] = field(default_factory=dict)
    """Method -> its grade, for a column of the article's table."""


@dataclass(frozen=True)
class StudySetup:
    """Sizes that all trainings of a study share."""

    scale: str
    """recipe or quick."""
    encoder: str
    """The frame encoder, such as `mlp 16x16, 64 x 3`."""
    steps: int
    """Training steps at the usual batch."""
    batch_size: int
    """Pairs in the usual batch."""
    num_seeds: int
    """Trainings behind each figure."""


@dataclass(frozen=True)
class CompareResult:
    """Methods side by side on one world."""

    kind: ClassVar[str] = "compare"
    env: str
    """Name of the world with its settings."""
    setup: StudySetup
    """What all trainings share."""
    variables: list[str]
    """The true variables."""
    r2_ceiling: float
    """Highest R2 that any encoder can reach."""
    tuning: str
    """How settings were chosen."""
    baselines: Baselines
    """Figures without training."""
    methods: dict[str, MethodRow]
    """Method -> its row of the table."""
    convergence_threshold: float | None
    """R2 at which a training counts as converged: 95 % of the final R2 of the supervised one (or else of the best)."""
    claims: list[Verdict] = field(default_factory=list)
    """Verdicts on the article's claims for which something was measured."""


@dataclass(frozen=True)
class BallReading:
    """One method in one condition of the study of the lit ball, read linearly on test episodes."""

    setting: Setting
    """The setting that was chosen."""
    x: OverSeeds
    """R2 of the ball's position."""
    light: OverSeeds
    """R2 of the light."""
    effective_rank: OverSeeds
    """Effective rank of the latents, between 1 and their number."""
    x_under_shift: dict[str, ShiftedSetReading]
    """Test set out of the training distribution -> how well the ball's position is read."""


@dataclass(frozen=True)
class PairCondition:
    """A kind of pairs, by what the two views of a pair share."""

    env: str
    """The world that records the pairs."""
    explanation: str
    """The kind in words."""
    variables: list[str]
    """The true variables that latents are measured against."""
    methods: dict[str, BallReading]
    """Method -> its reading."""


@dataclass(frozen=True)
class LitBallResult:
    """Ball and light told apart: from which pairs, by which method, under which lights."""

    kind: ClassVar[str] = "lit_ball"
    setup: StudySetup
    """What all trainings share."""
    conditions: dict[str, PairCondition]
    """Condition -> the readings of all methods."""
