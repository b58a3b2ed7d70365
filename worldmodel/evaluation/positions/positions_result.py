"""The result of `positions`: constants read from true positions, beside the bound on any reader."""

from dataclasses import dataclass, field
from typing import ClassVar

from worldmodel.designing import ChosenPolicy, CombinationBound
from worldmodel.measures.statistics import OverSeeds
from worldmodel.runs.results import Interval


@dataclass(frozen=True)
class PositionNoise:
    """Noise added to every position in every frame."""

    m: float
    """Standard deviation of a position in metres."""
    rad: float
    """Standard deviation of an angle in radians."""


@dataclass(frozen=True)
class ConstantReading:
    """How well a constant is read from one context window, on test episodes."""

    r2_linear: OverSeeds
    """R2 of a linear probe."""
    r2_mlp: OverSeeds
    """R2 of a small MLP."""
    r2_out_of_range: OverSeeds | None = None
    """R2 of the linear probe where constants are 2 to 3 prior standard deviations out; None where none were drawn."""
    r2_out_of_range_averaged: OverSeeds | None = None
    """That R2 from the mean over all windows of an episode."""


@dataclass(frozen=True)
class MethodReading:
    """Constants read from the contexts of one method."""

    lr: float
    """Learning rate that was chosen."""
    weight_decay: float
    """Weight decay that was chosen."""
    validation_r2: dict[str, float | None]
    """Setting that was tried -> mean R2 of linear probes on validation episodes."""
    constants: dict[str, ConstantReading]
    """Constant -> how well it is read."""
    num_constants: list[int | None]
    """How many constants the contexts hold, found without labels, one number a seed; None where unknown."""
    correlations: list[list[float | None]]
    """Correlations between the windows of an episode along the directions that were found, a list a seed."""


@dataclass(frozen=True)
class PositionsResult:
    """Constants from true positions instead of pixels: what contexts hold, and what any reader could read."""

    kind: ClassVar[str] = "positions"
    env: str
    """Name of the world with its settings."""
    policy: ChosenPolicy
    """The excitation."""
    constants: list[str]
    """Physical constants that vary."""
    window_steps: int
    """Control steps of a context window."""
    episodes: int
    """Episodes that were simulated, test and validation among them."""
    episode_steps: int
    """Control steps of an episode."""
    drift_rho: float | None
    """Correlation of the constants before and after the middle of an episode; None: they stay."""
    noise: PositionNoise
    """Noise of the positions."""
    num_seeds: int
    """Trainings behind each figure."""
    tuning: str
    """How settings were chosen."""
    methods: dict[str, MethodReading]
    """Method -> what its contexts hold."""
    restart_midway: bool = False
    """Whether the halves of an episode are two motions from two starts."""
    r2_bound: dict[str, float] = field(default_factory=dict)
    """Constant -> R2 that no reader of one window exceeds; this and what follows only where a bound was asked for."""
    r2_bound_interval: dict[str, Interval | None] = field(default_factory=dict)
    """Interval of `r2_bound`, by the bootstrap over trajectories."""
    identifiable: list[str] = field(default_factory=list)
    """Constants whose bound is .8 or more."""
    combinations: list[CombinationBound] = field(default_factory=list)
    """Products of powers of constants that a window determines."""
