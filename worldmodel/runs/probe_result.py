"""What `probe` finds: how well variables are read from latents and contexts, beside baselines and a bound."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from worldmodel.runs.results import Interval


@dataclass(frozen=True)
class ProbedVariable:
    """How well one variable is read, from latents or from contexts, on test episodes."""

    kind: Literal["state", "physical"]
    """state: a position or velocity, from the latents of two frames. physical: a constant of an episode, from a context
    window; its R2 is of the standardised coordinate that the prior is Gaussian in (the logarithm of a mass)."""
    unit: str
    """Unit in which it is drawn; empty for none."""
    r2_linear: float | None
    """R2 of a linear probe."""
    r2_linear_interval: Interval | None
    """Interval of `r2_linear`, by the bootstrap over episodes."""
    r2_mlp: float | None
    """R2 of a small MLP."""
    r2_mlp_interval: Interval | None
    """Interval of `r2_mlp`."""
    controls: dict[str, float | None] = field(default_factory=dict)
    """Control, such as random_encoder or raw_pixels -> R2 of a linear probe of it."""
    r2_bound: float | None = None
    """R2 that no reader of such windows exceeds, for a constant; None where no bound was computed."""
    r2_bound_interval: Interval | None = None
    """Interval of `r2_bound`, by the bootstrap over trajectories."""


@dataclass(frozen=True)
class SequentialCount:
    """Directions that two windows of an episode share, one after another; each list has one entry a direction.

    A direction counts as a constant where its correlation exceeds that of shuffled pairs, and 0.6 of the first one's.
    """

    num_constants: int | None
    """Directions that count as constants; None where that cannot be determined."""
    values: list[float | None]
    """Correlation between the windows along the direction."""
    interval: list[Interval | None]
    """Its interval, by the bootstrap over episodes."""
    shuffled: list[float | None]
    """99 % quantile of that correlation for shuffled pairs."""
    reason: str | None = None
    """Why the number cannot be determined."""


@dataclass(frozen=True)
class ContextCorrelations:
    """Canonical correlations of the contexts of an episode's two halves, between which the constants drift."""

    values: list[float]
    """In descending order. A constant that drifts by rho correlates by rho, its square by rho squared."""
    drift_rho: float | None
    """Correlation of the constants between the halves; None: they do not drift."""
    count: SequentialCount
    """How many constants the contexts hold."""


@dataclass(frozen=True)
class WindowLengths:
    """How well constants are read from context windows of several lengths."""

    steps: list[int]
    """Control steps of the window."""
    r2: dict[str, list[float | None]]
    """Constant -> R2 of a linear probe, one for each length."""


@dataclass(frozen=True)
class ContextErrors:
    """Root mean squared error of predicted latents at each step of the horizon, by where the context comes from."""

    learned: list[float]
    """With the context estimated from the window before the prediction."""
    true: list[float]
    """With the context that belongs to the true constants."""
    mean: list[float]
    """With the mean context, as if the constants were unknown."""


@dataclass(frozen=True)
class ShiftedReading:
    """How well a constant is read outside of the training distribution."""

    r2: float | None
    """R2 from one window."""
    r2_averaged: float | None
    """R2 from the mean over all windows of an episode."""
    rmse_sd: float
    """Root mean squared error of one window, in standard deviations of the prior."""


@dataclass(frozen=True)
class PositionErrors:
    """How precisely the latents of one frame show positions, which is the noise behind the bound on constants."""

    rmse: dict[str, float]
    """Position -> root mean squared error of the best polynomial of the latents: metres, radians for angles."""
    noise_m: float
    """Mean of these errors over positions in metres."""
    noise_rad: float
    """Mean of these errors over angles, in radians."""


@dataclass(frozen=True)
class ProbeResult:
    """What can be read from a run's latents and contexts."""

    kind: ClassVar[str] = "probe"
    variables: dict[str, ProbedVariable]
    """Name -> how well it is read; physical constants first."""
    correlations: ContextCorrelations | None = None
    """How many constants the contexts hold; None, as all that follows, where no constant varies."""
    window_lengths: WindowLengths | None = None
    """Estimates from shorter windows."""
    context_errors: ContextErrors | None = None
    """Prediction errors with known, estimated and unknown constants; None where episodes are too short to tell."""
    shifts: dict[str, dict[str, ShiftedReading]] = field(default_factory=dict)
    """Shift -> constant -> how well it is read there."""
    position_errors: PositionErrors | None = None
    """The noise behind `r2_bound`; None where no bound was computed."""
