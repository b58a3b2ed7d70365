"""`probe`, `surprise`, `imagine`: what a model holds. `design`, `positions`: what any model could. `compare`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from worldmodel.settings.base import Count, NonNegativeInt, Positive, Settings, check_value
from worldmodel.settings.method import ContextMethod
from worldmodel.settings.training import Device, TrainConfig
from worldmodel.system.errors import UserError

Shift = Literal["held", "constants", "nuisances", "excitation"]
ComparePart = Literal["memory", "planning", "looks", "constants", "batch", "data"]
SHELL_SD = (2.0, 3.0)
"""Constants out of range are drawn between so many prior standard deviations from their nominal value."""


@dataclass(frozen=True)
class ProbeConfig(Settings):
    """Read state variables and physical constants from a run's latents, by linear and MLP probes beside baselines.

    Every probe is fitted on training episodes and scored on test episodes, so that no episode, and with it no drawn
    constant, is on both sides.
    """

    run: str = ""
    """A run directory."""
    data: str | None = None
    """Folder of data sets; null takes the run's own."""
    windows: Count = 1
    """Context windows averaged per half episode."""
    bootstrap: Count = 1000
    """Resamples of test episodes behind each 95 % interval."""
    max_frames: Count = 6_000
    """Most frames of each split."""
    controls: bool = True
    """Also probe baselines: a random encoder, raw pixels, shuffled labels and more, which takes most of the time."""
    bound_trajectories: NonNegativeInt = 12
    """Simulated trajectories from which the bound on any estimator of the constants is computed, at the latents'
    position error; 0: no bound."""
    shifts: list[Shift] = field(default_factory=list)
    """Also read constants outside the training distribution: held (constants held all episode), constants (2 to 3 prior
    standard deviations from nominal), nuisances (light and colours as far out), excitation (another policy)."""
    shift_episodes: Count = 150
    """Fresh episodes of each shift."""
    trust_world: bool = False
    """Allow the Python file that the run names as its world to be executed; the bound and the shifts need it."""
    seed: NonNegativeInt = 0
    """Seed of resamples, MLP probes and fresh episodes."""
    device: Device = "auto"
    """auto takes CUDA where there is a GPU."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_bound(self.bound_trajectories)


@dataclass(frozen=True)
class SurpriseConfig(Settings):
    """Does a model notice what cannot happen? Trajectories with and without an event, paired."""

    run: str = ""
    """A run directory."""
    trajectories: int = 100
    """Number of trajectories. Each is run without an event, and once with each event: a teleport, a change of colour, a
    change of mass."""
    episode_steps: Count = 40
    """Control steps of a trajectory."""
    event_step: Count = 20
    """Control step of the event."""
    horizon: Count = 5
    """Control steps that each prediction looks ahead; the score is its error."""
    trust_world: bool = False
    """Allow the Python file that the run names as its world to be executed."""
    seed: NonNegativeInt = 0
    """Seed of starts, actions and events."""
    device: Device = "auto"
    """auto takes CUDA where there is a GPU."""
    out: str | None = None
    """Also write the result there, as JSON."""
    overwrite: bool = False
    """Replace the file at `out` even where this command has not written it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trajectories < 6:
            raise UserError(f"trajectories must be >= 6 for a paired test, got {self.trajectories}")


@dataclass(frozen=True)
class ImagineConfig(Settings):
    """Futures that a model imagines of held-out episodes, from a few frames and the actions taken alone.

    Videos of the camera's frames beside the imagined ones, and errors of the imagined state in degrees and millimetres.
    """

    run: str = ""
    """A run directory, or a pattern like "runs/reacher-s?" for several training seeds, whose disagreement is shown."""
    data: str | None = None
    """Folder of data sets; null takes the run's own."""
    steps: Count | None = None
    """Control steps imagined; null takes the predictor's horizon."""
    windows: Count = 500
    """Windows of held-out episodes behind every error."""
    shown: Count = 4
    """Windows shown in the video."""
    tasks: NonNegativeInt = 3
    """Tasks of which the chosen plan of a single run is imagined, and then carried out; 0: none."""
    bootstrap: Count = 1000
    """Resamples of episodes behind each 95 % interval."""
    trust_world: bool = False
    """Allow the Python file that the run names as its world to be executed; plans and units of length need it."""
    seed: NonNegativeInt = 0
    """Seed of resamples, tasks and plans."""
    device: Device = "auto"
    """auto takes CUDA where there is a GPU."""
    out: str | None = None
    """Also write the video there, .mp4 or .gif."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.out is not None and not self.out.endswith((".mp4", ".gif")):
            raise UserError(f"out is a video, .mp4 or .gif, got {self.out}")


@dataclass(frozen=True)
class DesignConfig(Settings):
    """Which constants an excitation makes identifiable, and an excitation that does better; from the simulator alone.

    Fisher information of windows of observed positions about the constants, each window's initial state unknown; the
    bound on any probe's R2 that follows from it and the prior; then a search over the policies of `collect`.
    """

    training: TrainConfig = field(default_factory=TrainConfig)
    """The world, its excitation (`collection.policy`), and the training whose context window and atlas are assumed."""
    window: Count | None = None
    """Control steps of a window; null takes the context encoder's."""
    noise_m: Positive = 0.002
    """Standard deviation of an observed position per frame, in metres."""
    noise_rad: Positive = 0.01
    """Standard deviation of an observed angle per frame, in radians."""
    observed: list[str] = field(default_factory=list)
    """Positions that are observed; empty: those that move."""
    num_trajectories: int = 64
    """Episodes behind each figure, cut into windows."""
    segment_steps: Count | None = None
    """Control steps of the segments that a window is cut into, each with an unknown initial state of its own, because
    sensitivities explode where motion is chaotic; null takes the longest for which they stay accurate."""
    search: NonNegativeInt = 48
    """Policies tried; 0: none."""
    objective: Literal["logdet", "trace", "worst"] = "logdet"
    """Objective of the search: logdet of I + F (D-optimal), trace of the posterior covariance, or the bound of the
    worst constant."""
    reach_sd: Positive = 2.5
    """How far the atlas reaches, in its standard deviations; a policy may leave it in at most 2 % of frames."""
    identifiable_r2: float = 0.8
    """Bound on R2 from which a constant is called identifiable."""
    seed: NonNegativeInt = 0
    """Seed of the trajectories and of the search."""
    out: str | None = None
    """Also write the result there, as JSON."""
    overwrite: bool = False
    """Replace the file at `out` even where this command has not written it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_physics(self.training)
        steps = self.training.collection.episode_steps
        if not 1 <= self.window_steps <= steps:
            raise UserError(
                f"window must lie in 1..episode_steps={steps}, got {self.window_steps}; set a shorter window or more "
                "episode_steps"
            )
        check_value("num_trajectories", self.num_trajectories, Count)
        if self.num_trajectories < 2:
            raise UserError(f"num_trajectories must be >= 2, got {self.num_trajectories}")

    @property
    def window_steps(self) -> int:
        """Control steps of a window."""
        return self.window or self.training.context_or_default.window

    @property
    def run_directory(self) -> Path:
        """Where results go."""
        return Path(self.training.runs) / f"{self.training.run_name}-design"


@dataclass(frozen=True)
class PositionsConfig(Settings):
    """Constants from true positions instead of pixels: what contexts find, and what any estimator could.

    Positions with noise take the place of frame latents; nothing is rendered. Each method is tuned over the same four
    settings on validation episodes; test episodes are reported, beside the bound that `design` computes.
    """

    training: TrainConfig = field(default_factory=TrainConfig)
    """The world, its excitation, the context encoder and its training."""
    noise_m: Positive = 0.004
    """Noise added to a position per frame, in metres."""
    noise_rad: Positive = 0.01
    """Noise added to an angle per frame, in radians."""
    methods: list[ContextMethod] = field(default_factory=lambda: ["lejepa", "supervised"])
    """Methods to compare (of context_training.method)."""
    tune: bool = True
    """Tune every method; else take the settings as they are."""
    num_seeds: Count = 3
    """Training runs per figure, each with a seed of its own."""
    windows: Count = 1
    """Context windows averaged per half episode."""
    shift_episodes: NonNegativeInt = 200
    """Episodes with constants 2 to 3 prior standard deviations out; 0: none."""
    bound_trajectories: NonNegativeInt = 24
    """Trajectories from which the bound is computed; 0: no bound."""
    out: str | None = None
    """Also write the result there, as JSON."""
    overwrite: bool = False
    """Replace the file at `out` even where this command has not written it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_physics(self.training)
        collection, window = self.training.collection, self.training.context_or_default.window
        if collection.episodes < 10:
            raise UserError(f"episodes must be >= 10, so that some are held out, got {collection.episodes}")
        if window > collection.episode_steps // 2 - collection.restart_midway:  # before minutes of simulation
            raise UserError(
                f"two windows of {window} steps do not fit into episodes of {collection.episode_steps} steps; "
                "set context.window to at most half of episode_steps"
            )
        if not self.methods:
            raise UserError("methods is empty; name some of lejepa, infonce, vicreg, prediction, supervised")
        _check_bound(self.bound_trajectories)

    @property
    def run_directory(self) -> Path:
        """Where results go."""
        return Path(self.training.runs) / f"{self.training.run_name}-positions"


@dataclass(frozen=True)
class CompareConfig(Settings):
    """Compare methods on one world: recovery, constants, memory, planning, convergence, batch and data size, new looks.

    Every method is tuned over four settings on validation episodes, with a seed of its own; test episodes are reported.
    Finished training runs are kept in runs/compare-NAME, so that the same command continues after an interruption.
    """

    training: TrainConfig = field(default_factory=TrainConfig)
    """The world, and what the methods share."""
    study: Literal["methods", "lit_ball"] = "methods"
    """methods: the article's table, with a verdict on each of its claims. lit_ball: can the ball's
    position be separated from the light, by which pairs, and under lights never seen? It chooses its own worlds."""
    scale: Literal["recipe", "quick"] = "recipe"
    """recipe: every method trains as long as the world's recipe says: some hours of one CPU core for a small world.
    quick: narrower networks and a fifth of the steps or fewer, for the ranks of methods within the hour."""
    methods: list[str] = field(default_factory=list)
    """Names of candidates, e.g. [lejepa,infonce]; empty: all."""
    parts: list[ComparePart] = field(
        default_factory=lambda: ["memory", "planning", "looks", "constants", "batch", "data"]
    )
    """Parts of the table. What a world does not allow is left out: planning and looks (planning where the world looks
    different) need actions, constants need some that vary."""
    num_seeds: Count = 3
    """Training runs per figure, each with a seed of its own."""
    out: str | None = None
    """Also write the result there, as JSON."""
    overwrite: bool = False
    """Replace the file at `out` even where this command has not written it."""


def _check_bound(bound_trajectories: int) -> None:
    if bound_trajectories == 1:
        raise UserError("bound_trajectories must be >= 2, or 0 for no bound, got 1")


def _check_physics(training: TrainConfig) -> None:
    if training.env.kinematic is not None:
        raise UserError(f"env={training.env.label} is kinematic: its motion has no constants; choose another env")
