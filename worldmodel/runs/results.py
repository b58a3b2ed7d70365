"""Results of the verbs: frozen dataclasses, which verbs return, `summary.json` keeps and the page shows.

Figures are of held-out episodes. None stands for what cannot be determined: the R2 of a variable that stands still, the
interval of a single value, what the version that wrote a file did not record.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from worldmodel.data.index import WorldDigest
from worldmodel.measures.identifiability import Identifiability
from worldmodel.runs.choice_result import ChoiceResult
from worldmodel.runs.doubt_result import DoubtResult
from worldmodel.runs.stage_results import DecodingResult, RewardResult, RobustEncoderResult, StepsOff, TrainingRound
from worldmodel.settings import ChangeConfig, PlanConfig

Interval = tuple[float, float]
"""A 95 % interval: low, high."""


def as_interval(ends: Sequence[float] | None) -> Interval | None:
    """The interval that a statistic gives as two numbers, or None."""
    return None if ends is None else (float(ends[0]), float(ends[1]))


# ---------------------------------------------------------------------------------------------------------------------
# train


@dataclass(frozen=True)
class DataUsed:
    """What a run was trained on."""

    episodes: int
    """Episodes for the dynamics."""
    frames: int
    """Frames in them."""
    image_size: int
    """Pixels on a side of a frame."""
    encoder_frames: int
    """Frames for the encoder: those of the atlas, or else of the episodes."""
    lowest_reward: float | None = None
    """Lowest reward of the training episodes; None where the version that trained the run did not look."""
    highest_reward: float | None = None
    """Highest reward of the training episodes."""
    world: WorldDigest | None = None
    """Digests of the world of the episodes for the dynamics; None where there is no simulator, or where an earlier
    version recorded them or trained the run."""


@dataclass(frozen=True)
class ModelSize:
    """The model of a run, in short."""

    latent_dim: int
    """Numbers in a latent."""
    encoder: str
    """Kind of frame encoder and its input, such as `mlp 32x32`."""
    parameters: int
    """Trained numbers in all parts together."""


@dataclass(frozen=True)
class PredictionErrors:
    """Error of the latent dynamics on test episodes."""

    horizon: int
    """Control steps of the longest prediction."""
    ratio_to_persistence: dict[int, float | None]
    """Control steps ahead -> root mean squared error over that of persistence (the forecast that nothing changes).
    A model that knows constants is told what the frames before show of them, a whole window where there is room; in
    results of earlier versions also what the predicted frames show."""
    steps_off: StepsOff | None = None
    """How far off in time, which needs no labels and can be compared between encoders; None where episodes are too
    short, and in results of earlier versions."""

    @property
    def farthest(self) -> tuple[int, float | None]:
        """The most control steps ahead, and the ratio there."""
        step = max(self.ratio_to_persistence)
        return step, self.ratio_to_persistence[step]


@dataclass(frozen=True)
class TrainResult:
    """A trained world model: its settings and size, the quality of its latents and predictions, and its cost."""

    kind: ClassVar[str] = "train"
    run: str
    """Run directory, as it was given when the model was trained."""
    env: str
    """Name of the world with its settings."""
    method: str
    """Method by which the encoder was trained, such as lejepa."""
    seed: int
    """Seed of training."""
    data: DataUsed
    """The data it was trained on."""
    model: ModelSize
    """Kind and size of the model."""
    identifiability: Identifiability | None = None
    """How well the true state can be read from the latents; None where the data hold no state."""
    prediction: PredictionErrors | None = None
    """Error of the latent dynamics; None for a world without actions."""
    decoding: DecodingResult | None = None
    """Quality of decoded frames; None where no decoder was trained."""
    robust: RobustEncoderResult | None = None
    """The robust encoder; None where none was trained."""
    reward: RewardResult | None = None
    """The reward head; None where none was trained, as where all recorded rewards are the same."""
    choice: ChoiceResult | None = None
    """Settings that training chose by itself; None where nothing was left open."""
    rounds: list[TrainingRound] = field(default_factory=list)
    """The recording and what each round added; empty without rounds."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Stage -> wall seconds, over all processes that worked on it."""
    peak_memory_mb: float | None = None
    """Most memory that the process held at once, in megabytes."""


# ---------------------------------------------------------------------------------------------------------------------
# control

ControllerName = Literal["latent", "random", "oracle", "changed_oracle", "recorded", "supervised"]
"""latent: MPC in the latent space, from pixels. random: uniform actions. oracle: the same planner on the true
simulator. changed_oracle: that with a robot and a simulator that have both changed. recorded: the actions that led to
the goals when they were recorded, where no oracle can plan. supervised: as latent, with an encoder trained on true
states."""
CONTROLLER_LABELS: dict[ControllerName, str] = {
    "latent": "latent MPC",
    "random": "random actions",
    "oracle": "same planner, true simulator",
    "changed_oracle": "same planner, true simulator, changed robot",
    "recorded": "recorded actions, replayed",
    "supervised": "same planner, supervised encoder",
}


@dataclass(frozen=True)
class TaskProtocol:
    """How a task is drawn and when it counts as solved."""

    name: str
    """See `ControlConfig.protocol`."""
    goal_steps: int = 25
    """Control steps from start to goal in the episode they come from."""
    budget_steps: int = 50
    """Control steps to get there."""
    drop_solved: bool = True
    """Leave out pairs that are solved at the start."""
    wrap: bool = True
    """Compare angles on the circle."""
    hold_steps: int = 1
    """Consecutive control steps for which the goal must be held."""
    rewarded: bool = False
    """Count the world's own reward instead, from the world's own starts."""
    by_head: bool = False
    """Where rewards count: planned for by the run's reward head; else by a picture of the state that earns them."""
    rule: str | None = None
    """When a goal counts as reached, in words, in metres and radians; None: within the world's own goal tolerance."""
    goal_tolerance: dict[str, float] = field(default_factory=dict)
    """State variable -> how near counted as reached, in its unit; empty where version 0.1 did not record it."""
    goal_apart: dict[str, float] = field(default_factory=dict)
    """State variable -> how far from the start a goal was at least, in its unit."""


@dataclass(frozen=True)
class Success:
    """Share of tasks solved by a controller."""

    rate: float
    """Share of all tasks of all runs."""
    interval: Interval
    """Wilson's interval of the rate."""
    by_run: list[float]
    """The rate of each run."""
    median_steps: float | None
    """Control steps to the goal, median over solved tasks; None where none was solved."""


@dataclass(frozen=True)
class Returns:
    """Sum of the world's rewards over an episode, under a controller."""

    mean: float
    """Mean over all episodes of all runs."""
    interval: Interval | None
    """Interval of the mean; None for a single episode."""


@dataclass(frozen=True)
class ControllerResult:
    """Result of one controller: `success`, or `returns` where the protocol counts rewards."""

    num_tasks: int
    """Tasks of each run."""
    num_runs: int
    """Runs that did them; 1 for a controller that needs no training."""
    success: Success | None = None
    """Share of tasks solved."""
    returns: Returns | None = None
    """Sum of rewards."""
    own_success: Success | None = None
    """Where rewards count: share of episodes in which the world's own flag said success, after any step; None where it
    has no flag."""

    def __post_init__(self) -> None:
        if (self.success is None) == (self.returns is None):
            raise ValueError("a controller has either `success` or `returns`")


@dataclass(frozen=True)
class Regret:
    """Advantage of the same planner with the true state and simulator, on the oracle's tasks."""

    value: float
    """Share of tasks, or return, of the oracle less that of the latent planner."""
    interval: Interval | None
    """Newcombe's interval of a difference of shares, or that of a mean difference; None for a single episode."""


@dataclass(frozen=True)
class ChangeResult:
    """Goals reached by the latent planner where the robot changes in the middle of a task."""

    change: ChangeConfig
    """What changes, and when."""
    unchanged: Success
    """Success in the world as it is, without adaptation."""
    fixed: Success
    """Success with the change, without adaptation."""
    adapting: Success
    """Success with the change and adaptation."""
    mean_context: Success | None
    """Success with the change, without adaptation and with the mean context; None for a run without contexts."""
    won_back: float | None
    """Share of the success lost by the change that adaptation wins back; None where no success was lost."""
    won_back_interval: Interval | None
    """Its interval, by the bootstrap over tasks."""
    cpu_ms_per_decision: float
    """CPU milliseconds of one decision with adaptation."""


@dataclass(frozen=True)
class ControlResult:
    """Results of control on one set of tasks: of all runs named, together, and of other controllers."""

    kind: ClassVar[str] = "control"
    world: str | None
    """Name of the world with its settings."""
    runs: list[str]
    """Directories of the runs that planned."""
    protocol: TaskProtocol
    """How tasks were drawn and judged."""
    plan: PlanConfig
    """How plans were made."""
    context: Literal["online", "known", "mean"]
    """Source of the context: estimated online, that of the known constants, or the mean one."""
    drift_rho: float | None
    """Correlation of the constants before and after a quarter of the budget; None: they stayed."""
    dtype: str
    """Type of a plan's matrix products."""
    device: str | None
    """Where plans were made: cpu or cuda."""
    split: str | None
    """Stream of task seeds: validation or test."""
    seed: int | None
    """Seed of tasks and of planning."""
    controllers: dict[ControllerName, ControllerResult]
    """Controller -> its result."""
    cpu_ms_per_decision: float
    """CPU milliseconds of one decision of the latent planner, many tasks at once."""
    regret: Regret | None = None
    """The oracle less the latent planner; None where no oracle was run."""
    solved_at_start: float | None = None
    """Share of tasks whose start is within tolerance of the goal."""
    videos: list[str] = field(default_factory=list)
    """Films of the latent planner, relative to the run directory."""
    doubt: DoubtResult | None = None
    """Whether tasks are doubted before they fail; None without a decoder, or where the world's own reward counts."""
    adapt: bool = False
    """Whether the latent planner adapted."""
    change: ChangeResult | None = None
    """Its success when the robot changes; None where no change was asked for."""

    @property
    def latent(self) -> ControllerResult:
        """Result of the latent planner."""
        return self.controllers["latent"]

    def labelled_rates(self) -> dict[str, tuple[float, float, float]]:
        """Controller in words -> share of tasks solved with its interval: rate, low, high."""
        found = {CONTROLLER_LABELS[name]: of.success for name, of in self.controllers.items()}
        return {label: (of.rate, *of.interval) for label, of in found.items() if of is not None}


# ---------------------------------------------------------------------------------------------------------------------
# surprise


@dataclass(frozen=True)
class EventResult:
    """Highest surprise in the windows that see an event, with it and without it, over pairs of trajectories.

    Surprise is the squared prediction error, whitened by the errors without events, so that 1 is usual.
    """

    median_without: float | None
    """Median without the event."""
    median_with: float | None
    """Median with it."""
    mean_gain: float | None
    """Mean difference."""
    mean_gain_interval: Interval | None
    """Its interval."""
    more_surprised: float | None
    """Share of trajectories that surprise more with the event."""
    p_wilcoxon: float | None
    """One-sided p of Wilcoxon's signed-rank test."""
    auroc: float | None
    """Area under the ROC curve over all trajectories; 0.5 is chance."""

    @property
    def noticed(self) -> bool:
        """Whether surprise is higher with the event than without, at p < .05."""
        return self.p_wilcoxon is not None and self.p_wilcoxon < 0.05


@dataclass(frozen=True)
class SurpriseResult:
    """Which events a model notices."""

    kind: ClassVar[str] = "surprise"
    world: str | None
    """Name of the world with its settings."""
    event_step: int
    """Control step of the event."""
    num_trajectories: int
    """Pairs of trajectories, with and without the event."""
    horizon: int | None
    """Predicted steps behind a score."""
    seed: int | None
    """Seed of starts, actions and events."""
    events: dict[str, EventResult]
    """Event -> how well it is distinguished from its absence by errors of prediction."""
    contexts: dict[str, EventResult] = field(default_factory=dict)
    """Event -> the same by how much the constants that the model reads after the event differ from those that it reads
    before it; empty for a model that reads no constants."""
    context_steps: int | None = None
    """Control steps from which constants are read, before the event and after it."""

    def noticed(self, event: str) -> bool:
        """Whether an event is noticed, by errors of prediction or by the constants that are read."""
        return any(found[event].noticed for found in (self.events, self.contexts) if event in found)


# ---------------------------------------------------------------------------------------------------------------------
# view


@dataclass(frozen=True)
class ViewResult:
    """Length and rate of a live view, and the goals reached in it."""

    url: str | None
    """Where the page was; None where none was served."""
    steps: int
    """Control steps made."""
    steps_per_s: float | None
    """Control steps a second that it could make with everything shown; None where none was made."""
    first_picture_s: float
    """Seconds from the start to the first picture."""
    goals_reached: int
    """Goals held for five steps."""
    goals_given_up: int
    """Goals that were not reached in time."""
    replay: str | None
    """The recording, where one was asked for."""
