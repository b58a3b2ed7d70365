"""`control`: how to plan, and how control is judged."""

from dataclasses import dataclass, field
from typing import Any, Literal

from worldmodel.settings.architecture import EncoderName
from worldmodel.settings.base import (
    Count,
    Fraction,
    NonNegative,
    NonNegativeInt,
    Positive,
    Settings,
    TrackerName,
)
from worldmodel.system.errors import UserError

Metric = Literal["l2", "whitened", "learned", "temporal", "staged"]
Protocol = Literal[
    "lewm", "strict", "reward", "clear_moderate", "clear_strict", "clear08_moderate", "clear08_strict"
]  # fmt: skip


def fast_planner() -> dict[str, Any]:
    """A plan in a millisecond: few samples, warm-started, replanned at every step."""
    return {"name": "cem", "num_samples": 32, "num_iterations": 3, "num_elites": 4}


@dataclass(frozen=True)
class PlanConfig(Settings):
    """How to plan in the latent space of a model. A run keeps the settings that suit it."""

    planner: dict[str, Any] = field(default_factory=fast_planner)
    """The planner: its name and settings. planner=NAME takes another one: cem, icem, mppi, gradient, random_shooting,
    or follow. planner.SETTING=VALUE changes a setting, such as planner.horizon (control steps that a plan looks ahead,
    15 unless shown), planner.num_samples or planner.num_iterations; an unknown name is answered with a list of all."""
    reduction: Literal["sum", "terminal", "min", "mixed"] = "sum"
    """How latent distance to the goal counts over the horizon: sum of all steps, last step, lowest, or a mixture."""
    metric: Metric = "l2"
    """Distance to the goal in the latent space. whitened: by the inverse covariance of latents. learned: by that of
    prediction errors. temporal: squared time of the learned shortest way. staged: temporal, and l2 near the goal. All
    but l2 need a run trained with goal_heads=true."""
    proposal: bool = False
    """Also try what the learned inverse dynamics proposes; needs goal_heads=true."""
    subgoals: bool = False
    """Plan to far goals in stages, along the shortest recorded way: each plan aims at the landmark within half the
    planner's horizon that is nearest to the goal. Within about one horizon of the goal, or where the run's data set is
    gone, it aims at the goal itself."""
    action_cost: NonNegative = 0.0
    """Weight of the mean squared action in the cost of a plan; 0: actions cost nothing."""
    replan_every: Count = 1
    """Control steps between plans."""
    lead_steps: NonNegativeInt = 0
    """Control steps that the controller watches before it acts: time to see velocities and to identify constants."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.planner.get("name") == "follow" and not self.proposal:
            raise UserError("planner=follow only follows proposals; add proposal=true")


@dataclass(frozen=True)
class ChangeConfig(Settings):
    """A change of the robot in the middle of a task, of which the controller is not told."""

    times: dict[str, NonNegative] = field(default_factory=dict)
    """Factor of the world, or MJCF path -> what it is multiplied by: {body.hand.mass: 3} for a payload,
    {actuator.wrist.gear: 0.5} for a weak actuator, 0 for a dead one. `worldmodel worlds env=NAME` lists the paths."""
    delay: NonNegativeInt = 0
    """Control steps by which actions arrive late."""
    at: NonNegativeInt = 0
    """Control step of the task at which it happens; 0: from the start."""

    @property
    def in_words(self) -> str:
        """What changes, and when: `body.hand.mass x 3 and 2 steps of delay from step 10 on`."""
        changes = [f"{name} x {ratio:g}" for name, ratio in self.times.items()]
        changes += [f"{self.delay} step{'s' * (self.delay > 1)} of delay"] if self.delay else []
        return " and ".join(changes) + (f" from step {self.at} on" if self.at else "")


@dataclass(frozen=True)
class ControlConfig(Settings):
    """Drive the robot by MPC in the latent space, beside a random policy and the same planner on the true simulator."""

    run: str = ""
    """A run directory, or a pattern like "runs/reacher-s?" for several training seeds, which then do the same tasks."""
    supervised: str | None = None
    """Runs trained with method=supervised, reported beside these."""
    plan: PlanConfig | None = None
    """How to plan; null takes what the run keeps."""
    protocol: Protocol = "lewm"
    """lewm: a goal 25 steps ahead, twice the time to get there, a moment within tolerance is enough (arXiv:2603.19312);
    angles are compared on the circle, but for that article's own worlds, push_t, reacher and two_room, where it
    compares raw values. strict: pairs that are solved at the start left out, angles always compared on the circle, the
    goal held for 5 steps. reward: the world's own reward over its own episode; the goal is a picture of the state that
    earns it where the world names one, else the run's reward head predicts the rewards. clear_moderate, clear_strict,
    clear08_moderate, clear08_strict: the rules of the CLEAR-LeWM board, versions 0.3 and 0.8, for push_t, reacher,
    two_room and OGBench's cube-single, on a hundred tasks that come with the package."""
    task_policy: str | None = None
    """Policy that draws the tasks; null takes that of the run's data."""
    tasks: Count = 100
    """Tasks, each from an episode of its own that no data set holds."""
    goal_steps: Count | None = None
    """Control steps from start to goal in that episode; null takes goal_s, or else the protocol's own."""
    goal_s: Positive | None = None
    """Seconds from start to goal, instead of goal_steps; null takes what the run keeps."""
    budget_steps: Count | None = None
    """Control steps to get there; null takes the protocol's own."""
    goal_tolerance: dict[str, Positive] | None = None
    """State variable -> how near counts as reached, in its unit, e.g. {hinge: 0.1}; null takes the world's own, or else
    a quarter of how far each position moves in a second under the policy that recorded the run's data, and more of it
    where three or more positions must be near at once."""
    goal_apart: dict[str, Positive] = field(default_factory=dict)
    """State variable -> how far from the start a goal is at least, in its unit: {y: 1} for the far corridor of maze."""
    context: Literal["online", "known", "mean"] = "online"
    """What the controller knows of the constants. online: an estimate from what it has seen. known: the true ones.
    mean: their average, as if they were unknown."""
    drift_rho: Fraction | None = None
    """The constants are redrawn with this correlation after a quarter of the budget; null: they stay."""
    change: ChangeConfig | None = None
    """Also do the tasks with a robot that changes in the middle of them: without and with adaptation."""
    adapt: bool = False
    """Correct the predictor by its own errors, within a second of motion: what actions do, and when they arrive."""
    encoder: EncoderName | None = None
    """Which encoder the planner uses, in a run trained with robust=true. both: the robust one for frames on which the
    two disagree, unless the picture decoded from the other's latent fits better. null takes what the run chose."""
    split: Literal["validation", "test"] = "test"
    """Which tasks: choose settings on validation, report on test."""
    videos: NonNegativeInt = 4
    """Tasks of which a video is kept."""
    oracle: bool = True
    """Also plan with the true simulator."""
    oracle_tasks: Count = 50
    """How many of the tasks, from the first on, the oracle does."""
    trust_world: bool = False
    """Allow the Python file that the run names as its world to be executed."""
    seed: NonNegativeInt = 0
    """Seed of the tasks and of planning."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes CUDA where there is a GPU."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Number format of a plan's matrix products; bfloat16 is faster on a GPU."""
    track: TrackerName = "tensorboard"
    """Where success and videos are shown, as in `train`. What the run itself names is not asked: it may come from
    others, and trackio and wandb send results away."""
    out: str | None = None
    """Also write the result of all runs together there, as JSON."""
    overwrite: bool = False
    """Replace the file at `out` even where this command has not written it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.goal_s is not None and self.goal_steps is not None:
            raise UserError(f"goal_steps={self.goal_steps} and goal_s={self.goal_s:g} say the same; give one of them")
        audited = self.protocol.startswith("clear")
        own_steps = self.goal_steps or self.goal_s or self.budget_steps
        if audited and (own_steps or (self.task_policy and self.split == "test")):
            raise UserError(
                f"protocol={self.protocol} has its own tasks, 25 steps apart, and 50 steps for each; leave out "
                "goal_steps, goal_s, budget_steps and task_policy, or use protocol=strict"
            )
        if self.goal_apart and (audited or self.protocol == "reward"):
            raise UserError(f"protocol={self.protocol} has its own tasks; leave out goal_apart, or use protocol=strict")
        if self.plan is not None and self.plan.lead_steps and self.protocol == "reward":
            raise UserError("protocol=reward begins at the world's own starts, which have no lead; set lead_steps=0")
        if self.change is not None:
            self._check_change(self.change)
        if self.drift_rho is not None and (self.context == "known" or self.oracle):
            raise UserError(
                "context=known and the oracle know only the constants at the start; with drift_rho add oracle=false, "
                "and another context"
            )

    def _check_change(self, change: ChangeConfig) -> None:
        if not change.times and not change.delay:
            raise UserError("change= changes nothing; give change.times={PATH: RATIO} or change.delay=STEPS")
        if self.protocol == "reward":
            raise UserError("change= is judged by goals that are reached; use protocol=lewm or strict")
