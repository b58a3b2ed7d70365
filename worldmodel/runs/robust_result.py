"""What `robust` finds: goals reached and state read in worlds that look different."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from worldmodel.runs.doubt_result import DoubtResult
from worldmodel.runs.results import Interval, Success, TaskProtocol
from worldmodel.settings import EncoderName, PlanConfig
from worldmodel.settings.robust import Level, Motion

CLEAN = "clean"
"""Name of the world as it is, among looks."""
ENCODER_LABELS: dict[EncoderName, str] = {
    "encoder": "encoder alone",
    "robust": "robust encoder",
    "both": "both encoders",
}
"""Encoders as figures and tables call them."""


@dataclass(frozen=True)
class SuiteSetting:
    """A setting of the Distracting Control Suite (arXiv:2101.02722)."""

    axis: Literal["backgrounds", "cameras", "colours", "all"]
    """What is distracting; `all` is all three together."""
    level: Level
    """Strength: easy, medium or hard."""
    motion: Motion
    """static: the same for the whole episode. dynamic: it moves."""


@dataclass(frozen=True)
class LookResult:
    """Goals reached and positions read under one look."""

    look: str
    """Kind of look, or `clean`."""
    strength: float | None
    """Strength of the look; None for the world as it is, and where the name says it."""
    unit: str
    """Unit of the strength."""
    success: Success | None
    """Share of goals reached, of those that can be seen; None where none can."""
    kept: float | None
    """That share over the share that the same tasks have in the world as it is; None where that is 0."""
    kept_interval: Interval | None
    """Its interval, by the bootstrap over tasks."""
    r2: float | None
    """R2 of the positions, mean over them, read by a linear map from clean frames; None where nothing moves."""
    num_tasks: int
    """Tasks of each run that count."""
    num_hidden: int
    """Tasks that do not: the look hides wholly what moves, at their start or in their goal image, or all difference
    between the two."""
    novel: float | None = None
    """Share of tasks whose start or goal differs more from its decoded picture than 99 % of clean frames do; None for a
    run without a decoder."""
    doubted: float | None = None
    """Share of tasks that are doubted before they begin; see `DoubtResult`."""
    constants: dict[str, float | None] = field(default_factory=dict)
    """Physical constant -> R2 of its standardised coordinate, read from one context window by a linear map from clean
    windows; empty for a run that learned none."""
    suite: SuiteSetting | None = None
    """Which setting of the Distracting Control Suite it is; None for any other look."""

    @property
    def label(self) -> str:
        """Kind and strength: `texture 0.6`."""
        return self.look.replace("_", " ") + ("" if self.strength is None else f" {self.strength:g}")


@dataclass(frozen=True)
class RobustResult:
    """Goals reached and state read under looks that training never saw."""

    kind: ClassVar[str] = "robust"
    world: str
    """Name of the world with its settings."""
    runs: list[str]
    """Directories of the runs."""
    protocol: TaskProtocol
    """How tasks were drawn and judged."""
    plan: PlanConfig
    """How plans were made."""
    instances: int
    """How many times each look was drawn; the tasks are divided among them."""
    frames: int
    """Frames behind each R2."""
    seed: int
    """Seed of tasks, instances and planning."""
    encoders: dict[EncoderName, list[LookResult]]
    """Encoder -> its results under each look, the world as it is first."""
    doubt: dict[EncoderName, DoubtResult] = field(default_factory=dict)
    """Encoder -> whether tasks under all looks together are doubted before they fail; empty without a decoder."""
    windows: int | None = None
    """Windows behind each R2 of a constant; None where none was read."""
