"""What `imagine` found: how far the imagined state is from the true one, by how far it looks ahead."""

from dataclasses import dataclass, field
from typing import ClassVar

from worldmodel.runs.results import Interval


@dataclass(frozen=True)
class StateErrors:
    """Mean absolute errors of one state variable over held-out windows, at each of `ImagineResult.steps`."""

    unit: str
    """deg, mm, or nothing where the variable's own unit is not known."""
    imagined: list[float]
    """Error of the state read from imagined latents."""
    imagined_interval: list[Interval | None]
    """95 % interval of that error; None from a single episode."""
    persistence: list[float]
    """Error of persistence (the forecast that nothing changes): of the state read from the last frame that was seen."""
    read: list[float]
    """Error of the state read from the camera's own frame at that step, which needs no forecast."""
    times_read: float | None
    """At the last step, `imagined` over `read`; None where `read` is 0."""
    times_read_interval: Interval | None
    """95 % interval of that ratio."""
    within: list[float] = field(default_factory=list)
    """Bound on the imagined state's error: half the width of the 95 % predictive interval at each step, calibrated on
    validation episodes (split conformal prediction); empty where none is long enough, and in results of earlier
    versions."""
    coverage: list[float] = field(default_factory=list)
    """Share of test windows whose error stays within that bound."""


@dataclass(frozen=True)
class StatePath:
    """A state variable along a future, at each of `ImagineResult.steps`, in the unit of its errors."""

    true: list[float]
    imagined: list[float]


@dataclass(frozen=True)
class Disagreement:
    """How runs that differ in their seed disagree about one state variable, at each of `ImagineResult.steps`."""

    mean_forecast: list[float]
    """Mean absolute error of the mean of their forecasts."""
    spread: list[float]
    """Standard deviation of their forecasts, averaged over windows."""
    foretells: float | None
    """At the last step, rank correlation over windows of the spread with the error of the mean forecast: above 0,
    forecasts on which runs disagree are the worse ones. None of fewer than 10 windows."""


@dataclass(frozen=True)
class ImagineResult:
    """What a run imagines of held-out episodes, from a few frames and the actions taken."""

    kind: ClassVar[str] = "imagine"
    world: str | None
    """Name of the world with its settings."""
    num_seen: int
    """Frames seen before the first imagined one."""
    num_windows: int
    """Windows behind every error."""
    num_episodes: int
    """Held-out episodes that these windows are from."""
    steps: list[int]
    """Control steps ahead."""
    errors: dict[str, StateErrors]
    """State variable -> its errors; empty where the data hold no state."""
    seed: int
    """Seed of resamples, tasks and plans."""
    videos: list[str] = field(default_factory=list)
    """Films, relative to the run directory."""
    paths: list[dict[str, StatePath]] = field(default_factory=list)
    """Of the first futures that are filmed, state variable -> its path."""
    runs: list[str] = field(default_factory=list)
    """The runs that imagined the same windows, where there were several."""
    disagreement: dict[str, Disagreement] = field(default_factory=dict)
    """State variable -> how these runs disagree; empty for a single run."""
