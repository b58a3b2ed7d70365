"""Typed settings of every verb: the dataclasses hold the defaults, say what each option means, and check themselves.

`config.py` fills them from YAML and arguments; nothing here knows of either.
"""

import dataclasses
import hashlib
import json
import math
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worldmodel.envs.excitation import POLICIES
from worldmodel.learning.constants import CONTEXT_METHODS, ContextTraining
from worldmodel.learning.loop import OptimConfig
from worldmodel.learning.methods import MethodConfig
from worldmodel.models.context_encoder import ContextConfig
from worldmodel.models.encoders import EncoderConfig
from worldmodel.models.heads import HeadsConfig
from worldmodel.models.inference import DTYPES
from worldmodel.models.predictor import PredictorConfig
from worldmodel.planners import PLANNERS, REDUCTIONS
from worldmodel.system.distributed import STRATEGIES
from worldmodel.system.errors import UserError

# what env.world is called where there is no simulator: a data set that was recorded elsewhere
RECORDED = "recorded"
PROTOCOLS = ("lewm", "strict", "reward")
METRICS = ("l2", "whitened", "learned", "temporal", "staged")
COMPARE_PARTS = ("memory", "planning", "batch", "data")


@dataclass
class KinematicConfig:
    """An exact OU process on named state variables: latents (name: standard deviation in the state's unit) and rho."""

    latents: dict[str, float] = field(default_factory=dict)
    rho: float = 0.95


@dataclass
class EnvConfig:
    """A world as it is recorded.

    world: its name (`worldmodel collect --help` lists them), or path/to/file.py:factory for your own.
    name: what its data set and run are called; empty takes the world's. kinematic: latents follow an exact OU process
    instead of physics. image_size: side of a frame, pixels. supersample: rendered that many times larger, box-averaged.
    quality: "fast" or "suite". randomize: factors drawn per episode: names, or physical, visual, all.
    factor_rho: per-step autocorrelation of randomised factors (1 stays, 0 is drawn afresh every frame).
    factor_shell: [low, high] in prior standard deviations between which randomised factors are drawn, on either side of
    their nominal value, instead of from the prior. factor_spread: how many times as wide as its prior a factor is
    drawn, and drifts, by name or kind, e.g. {physical: 1.6}; coordinates stay those of the prior.
    encoder_env: environment whose frames train the encoder; empty: this one.
    """

    world: str = "reacher"
    name: str = ""
    kinematic: KinematicConfig | None = None
    image_size: int = 64
    supersample: int = 1
    quality: str = "fast"
    randomize: list[str] = field(default_factory=list)
    factor_rho: dict[str, float] = field(default_factory=dict)
    factor_shell: dict[str, list[float]] = field(default_factory=dict)
    factor_spread: dict[str, float] = field(default_factory=dict)
    encoder_env: str = ""

    def __post_init__(self) -> None:
        if self.name:
            check_name("env.name", self.name)
        if self.quality not in ("fast", "suite"):
            raise UserError(f"env.quality is fast or suite, got {self.quality!r}")
        for name in ("image_size", "supersample"):
            if getattr(self, name) < 1:
                raise UserError(f"env.{name} must be >= 1, got {getattr(self, name)}")

    @property
    def label(self) -> str:
        """What the data set and the run are called."""
        return self.name or re.sub(r"\W+", "-", self.world.rsplit("/", 1)[-1])

    def make_arguments(self) -> dict[str, Any]:
        """Keyword arguments of `envs.make`."""
        return {
            "name": self.world,
            "kinematic": dataclasses.asdict(self.kinematic) if self.kinematic else None,
            "image_size": self.image_size,
            "supersample": self.supersample,
            "quality": self.quality,
            "randomize": list(self.randomize),
            "factor_rho": dict(self.factor_rho),
            "factor_shell": {name: list(shell) for name, shell in self.factor_shell.items()},
            "factor_spread": dict(self.factor_spread),
        }


@dataclass
class CollectConfig:
    """Record a data set of pixel rollouts: data/<env>/, HDF5 shards and dataset.json.

    policy: excitation policy and its parameters. episodes, episode_steps: how many, of how many control steps.
    drift_rho: correlation of the randomised physical constants before and after the middle of an episode.
    restart_midway: from its middle an episode is another motion, from another start and in another light: what its
    halves share is constants alone. Each half then holds one frame less.
    data: folder of data sets. workers: processes; 0 takes every core (one with engine=warp). data_seed: of the data.
    engine: "classic" (MuJoCo and OpenGL, one episode after the other in each process) or "warp" (MuJoCo Warp simulates
    and ray-traces `worlds` episodes at once, on a CUDA GPU where there is one; for worlds without a reward).
    """

    env: EnvConfig = field(default_factory=EnvConfig)
    policy: dict[str, Any] = field(default_factory=dict)
    episodes: int = 200
    episode_steps: int = 200
    drift_rho: float | None = None
    restart_midway: bool = False
    data: str = "data"
    workers: int = 0
    data_seed: int = 0
    engine: str = "classic"
    worlds: int = 128

    def __post_init__(self) -> None:
        check_numbers("policy", self.policy, POLICIES)
        check_engine(self.engine, self.worlds)
        if self.episodes < 1:
            raise UserError(f"episodes must be >= 1, got {self.episodes}")
        if self.episode_steps < 1:
            raise UserError(f"episode_steps must be >= 1, got {self.episode_steps}")
        if self.workers < 0:
            raise UserError(f"workers must be >= 0 (0 takes every core), got {self.workers}")
        if self.drift_rho is not None and not 0 <= self.drift_rho <= 1:
            raise UserError(f"drift_rho must lie in [0, 1], got {self.drift_rho}")
        if self.restart_midway and self.engine == "warp":
            raise UserError("restart_midway=true works with engine=classic only; leave one of the two out")

    @property
    def directory(self) -> Path:
        return Path(self.data) / self.env.label

    @property
    def num_episodes(self) -> int | None:
        """Episodes to use; None: all that the data set holds."""
        return None if self.env.world == RECORDED else self.episodes

    def content(self) -> dict[str, Any]:
        """All settings as plain values, for fingerprints; the classic engine goes without saying."""
        content = dataclasses.asdict(self)
        if self.engine == "classic":
            del content["engine"], content["worlds"]
        if not self.restart_midway:
            del content["restart_midway"]
        return content


@dataclass
class TrainConfig(CollectConfig):
    """Train a world model: an encoder by `method`, then latent dynamics and physical constants on its frozen latents.

    Collects first when there is no data set. runs, name: the run directory is runs/<name>; name empty takes the
    environment's. device: "auto", "cpu" or "cuda". Where the environment names an encoder_env, that one's data set
    trains the encoder (an atlas of poses for OU pairs), with encoder_episodes episodes (0: its own default).
    threads: of torch on a CPU; 0 takes one for an MLP (a second gains a quarter on an idle machine and costs tenfold on
    a busy one) and OMP_NUM_THREADS, or every core, for larger encoders.
    devices: processes on each machine, nodes: machines; batches are shared among all of them, and the result is that of
    one process (torchrun and SLURM say both themselves). strategy: "ddp", or "fsdp", which shards optimiser states and
    gradients too. checkpoint_every_s: seconds of training that a kill may cost.
    goal_heads: also learn an inverse dynamics, a temporal distance and metrics, for control's `proposal` and `metric`;
    given for a run that was trained without, only they are trained.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    context: ContextConfig = field(default_factory=ContextConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    goal_heads: bool = False
    heads: HeadsConfig = field(default_factory=HeadsConfig)
    heads_training: OptimConfig = field(default_factory=lambda: OptimConfig(steps=3000, batch_size=512, lr=2e-3))
    predictor_training: OptimConfig = field(default_factory=lambda: OptimConfig(steps=3000, batch_size=512, lr=2e-3))
    context_training: ContextTraining = field(default_factory=ContextTraining)
    encoder_episodes: int = 0
    runs: str = "runs"
    name: str = ""
    seed: int = 0
    device: str = "auto"
    threads: int = 0
    devices: int = 1
    nodes: int = 1
    strategy: str = "ddp"
    checkpoint_every_s: float = 30.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoder_episodes < 0:
            raise UserError(f"encoder_episodes must be >= 0 (0 takes encoder_env's own), got {self.encoder_episodes}")
        if self.threads < 0:
            raise UserError(f"threads must be >= 0 (0 chooses), got {self.threads}")
        for name in ("devices", "nodes"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be >= 1, got {getattr(self, name)}")
        if not self.checkpoint_every_s >= 0:
            raise UserError(f"checkpoint_every_s must be >= 0, got {self.checkpoint_every_s}")
        if self.strategy not in STRATEGIES:
            raise UserError(f"strategy is one of {', '.join(STRATEGIES)}, got {self.strategy!r}")
        if self.strategy == "fsdp" and any(optim.optimizer == "muon" for optim in self._optims()):
            raise UserError("strategy=fsdp shards matrices and optimizer=muon moves whole ones; use strategy=ddp")
        self.name = self.name or self.env.label
        check_name("name", self.name)
        if self.device not in ("auto", "cpu", "cuda"):
            raise UserError(f"device is one of auto, cpu, cuda, got {self.device!r}")

    def _optims(self) -> list[OptimConfig]:
        return [self.method.optim, self.predictor_training, self.context_training.optim, self.heads_training]

    @property
    def run_directory(self) -> Path:
        return Path(self.runs) / self.name

    def fingerprint(self) -> str:
        """Hash of everything that the trained weights depend on, without options added later that are not used; goal
        heads, which no other weight depends on, add one of their own after a "+"."""
        content = self.content()
        if self.encoder.vit_patch == 0:
            del content["encoder"]["vit_patch"]
        if self.encoder.vit_pool == "class":
            del content["encoder"]["vit_pool"]
        if self.encoder.kind not in ("keypoints", "glimpse"):
            del content["encoder"]["num_keypoints"]
        if self.encoder.kind != "glimpse":
            del content["encoder"]["glimpse_size"]
        for option in ("lag_end", "controlled"):
            if not content["method"][option]:
                del content["method"][option]
        parts = (content["method"]["optim"], content["context_training"]["optim"])
        for optim in (*parts, content["predictor_training"], content["heads_training"]):
            if optim["optimizer"] == "adamw":
                del optim["optimizer"]
        if self.predictor.kind == "mlp":
            for key in ("kind", "block", "window", "width", "heads", "head_dim", "residual"):
                del content["predictor"][key]
        for key in ("runs", "name", "workers", "data", "threads", "devices", "nodes", "strategy", "checkpoint_every_s"):
            del content[key]
        heads = {key: content.pop(key) for key in ("goal_heads", "heads", "heads_training")}
        return f"{_hash(content)}+{_hash(heads)}" if self.goal_heads else _hash(content)


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


CONTEXT_SOURCES = ("online", "known", "mean")


@dataclass
class CompareConfig(TrainConfig):
    """Compare methods on one world: recovery, memory, planning, convergence, batch size, data size, shifted tests.

    study: "methods" (the seed's table, with a verdict on each of its claims) or "lit_ball" (can ball and light be told
    apart, from which pairs, and under lights never seen; chooses its own worlds). scale: "quick" (about an hour of two
    CPU cores; sets encoder.hidden and every number of steps) or "full". methods: names, e.g. [lejepa,infonce]; empty:
    all. parts: of the table. num_seeds: trainings behind each figure. out: also write the JSON there. Finished
    trainings are kept in runs/compare-<env>, so that the same command goes on after a cut. Every method is tuned over
    four settings on validation episodes, with a seed of its own; what is reported is of test episodes.
    """

    study: str = "methods"
    scale: str = "quick"
    methods: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=lambda: [*COMPARE_PARTS])
    num_seeds: int = 3
    out: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.study not in ("methods", "lit_ball"):
            raise UserError(f"study is methods or lit_ball, got {self.study!r}")
        if self.scale not in ("quick", "full"):
            raise UserError(f"scale is quick or full, got {self.scale!r}")
        if unknown := [part for part in self.parts if part not in COMPARE_PARTS]:
            raise UserError(f"unknown part {unknown[0]!r} in parts; choose from {', '.join(COMPARE_PARTS)}")
        if self.num_seeds < 1:
            raise UserError(f"num_seeds must be >= 1, got {self.num_seeds}")

    def training(self) -> TrainConfig:
        """The part that says how to train."""
        return TrainConfig(**{item.name: getattr(self, item.name) for item in dataclasses.fields(TrainConfig)})


@dataclass
class ControlConfig:
    """Drive the robot by MPC in the latent space towards goal images, beside a random policy and the simulator oracle.

    run: a trained run directory, or a pattern like "runs/reacher-*" for several training seeds, which then do the same
    tasks. supervised: the like for runs whose encoder was trained on true states (method=supervised), set beside them.
    protocol: "lewm" (goal 25 steps ahead, twice the time to get there, a moment within tolerance is enough, raw joint
    values, as arXiv:2603.19312 evaluates), "strict" (pairs that are solved at the start left out, angles compared on
    the circle, the goal held for 5 steps) or "reward" (the world's own reward over 1,000 steps from its own starts; the
    goal is a picture of the state that earns it: for the reacher, its finger on the target by inverse kinematics).
    Every task comes from an episode of its own, simulated here from seeds that no data set has: under the policy of the
    run's data, or the excitation `task_policy` named here.
    tasks, goal_steps, budget_steps: how many; control steps from start to goal; control steps to get there (0: the
    protocol's own). lead_steps: control steps of that episode before the start that the controller watches, before the
    clock runs: time to identify the constants. replan_every: control steps between plans. reduction: how latent
    distance to the goal counts over the horizon: sum, terminal, min or mixed. shrinking: only as many steps of the
    horizon count as are left.
    metric: of the latent space: l2, whitened (inverse covariance of latents), learned (of prediction errors), temporal
    (squared time of the learned shortest way to the goal) or staged (temporal, and l2 within 5 steps of the goal).
    proposal: also try what the learned inverse dynamics proposes; with planner=follow that alone. All but l2 need a run
    trained with goal_heads=true. action_cost: weight of mean squared action.
    context: where a world with unknown constants is known from: "online" (what was seen so far), "known" (the constants
    themselves) or "mean" (not at all). drift_rho: the constants are redrawn with this correlation after a quarter of
    the budget; empty: they stay.
    split: "validation" or "test", the stream of task seeds. videos: how many tasks to film. oracle: also plan with the
    true simulator, on the first `oracle_tasks` tasks. trust_world: make a world that the run names as a Python file.
    dtype: of a plan's matrix products: float32, or bfloat16 (faster on a GPU). out: also write the results there, as
    JSON.
    """

    run: str = ""
    supervised: str = ""
    planner: dict[str, Any] = field(default_factory=dict)
    protocol: str = "lewm"
    task_policy: str = ""
    tasks: int = 100
    goal_steps: int = 0
    budget_steps: int = 0
    lead_steps: int = 0
    replan_every: int = 1
    reduction: str = "sum"
    shrinking: bool = False
    metric: str = "l2"
    proposal: bool = False
    action_cost: float = 0.0
    context: str = "online"
    drift_rho: float | None = None
    split: str = "test"
    videos: int = 4
    trust_world: bool = False
    oracle: bool = True
    oracle_tasks: int = 50
    seed: int = 0
    device: str = "auto"
    dtype: str = "float32"
    out: str = ""

    def __post_init__(self) -> None:
        for name in ("tasks", "replan_every", "oracle_tasks"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be >= 1, got {getattr(self, name)}")
        for name in ("goal_steps", "budget_steps"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} must be >= 1, or 0 for the protocol's own, got {getattr(self, name)}")
        if self.lead_steps < 0:
            raise UserError(f"lead_steps must be >= 0, got {self.lead_steps}")
        if self.lead_steps and self.protocol == "reward":
            raise UserError("protocol=reward begins at the world's own starts, which have no lead; set lead_steps=0")
        if self.videos < 0:
            raise UserError(f"videos must be >= 0, got {self.videos}")
        if not 0 <= self.action_cost < math.inf:
            raise UserError(f"action_cost must be >= 0 and finite, got {self.action_cost}")
        check_numbers("planner", self.planner, PLANNERS)
        check_choice("protocol", self.protocol, PROTOCOLS)
        check_choice("split", self.split, ("validation", "test"))
        check_choice("reduction", self.reduction, REDUCTIONS)
        check_choice("metric", self.metric, METRICS)
        check_choice("context", self.context, CONTEXT_SOURCES)
        check_choice("dtype", self.dtype, tuple(DTYPES))
        if self.drift_rho is not None and not 0 <= self.drift_rho <= 1:
            raise UserError(f"drift_rho must lie in [0, 1], got {self.drift_rho}")
        if self.drift_rho is not None and (self.context == "known" or self.oracle):
            raise UserError(
                "context=known and the oracle know only the constants at the start; with drift_rho add oracle=false, "
                "and another context"
            )
        if self.planner.get("name") == "follow" and not self.proposal:
            raise UserError("planner=follow only follows proposals; add proposal=true")
        if self.task_policy:
            check_choice("task_policy", self.task_policy, tuple(POLICIES))


SHIFTS = ("held", "constants", "nuisances", "excitation")
SHELL_SD = (2.0, 3.0)


@dataclass
class ProbeConfig:
    """Probe a run for state variables and physical constants, with linear and MLP probes and their controls.

    mode: "run" probes a trained run; "design" asks the simulator, before anything is learned, which constants of an
    environment an excitation makes identifiable; "state" learns them from true positions (their options are below).
    run: a trained run directory. Every probe is fitted on training episodes and scored on test episodes, so that no
    episode, and with it no drawn constant, is on both sides. windows: context windows averaged per half episode (1:
    single window). bootstrap: resamples of test episodes behind each 95 % interval. shifts: also read constants where
    training never was, on `shift_episodes` fresh episodes each: "held" (nothing shifted; constants held all episode),
    "constants" (2 to 3 prior sd out), "nuisances" (light and colours 2 to 3 sd out), "excitation" (another policy).
    controls: also probe what the latents are to be held against (random encoder, raw pixels, shuffled labels, …), which
    takes most of the time. bound_trajectories: simulated behind the bound on any reader of the constants, at the
    latents' own position error (0: no bound).
    """

    mode: str = "run"
    run: str = ""
    data: str = ""
    windows: int = 1
    bootstrap: int = 1000
    max_frames: int = 6_000
    controls: bool = True
    bound_trajectories: int = 12
    shifts: list[str] = field(default_factory=list)
    shift_episodes: int = 150
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.mode != "run":
            raise UserError(f"mode is run, design or state, got {self.mode!r}")
        for shift in self.shifts:
            check_choice("shifts", shift, SHIFTS)
        for name in ("windows", "bootstrap", "max_frames", "shift_episodes"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be >= 1, got {getattr(self, name)}")
        _check_bound(self.bound_trajectories)


OBJECTIVES = ("logdet", "trace", "worst")


@dataclass
class DesignConfig(TrainConfig):
    """Which constants, and which combinations, an excitation makes identifiable; and an excitation that does better.

    From the simulator alone: Fisher information of windows of observed positions about the constants in env.randomize
    (all physical ones where it names none), with each window's initial state unknown; the bound on any probe's R2 that
    follows from it and the prior; then a search over the policies of `worldmodel collect`.
    window: control steps of a window; 0 takes context.window. noise_m, noise_rad: standard deviation of what is seen of
    a position per frame, in metres and radians. observed: position names; empty: those that move. num_trajectories:
    episodes of `episode_steps` behind each figure, cut into windows. segment_steps: a window is cut into segments with
    unknown initial states of their own, because sensitivities explode where motion is chaotic; 0 takes the longest
    whose sensitivities hold. search: policies tried, 0 for none. objective: of the search: "logdet" of I + F
    (D-optimal), "trace" of the posterior covariance, or the "worst" constant's bound. reach_sd: a policy may leave this
    many standard deviations of encoder_env's atlas in 2 % of frames at most. identifiable_r2: the bound from which a
    constant is called identifiable. seed: of all. runs, name: results go to runs/<name>-design; out: figures as JSON
    there too.
    """

    mode: str = "design"
    window: int = 0
    noise_m: float = 0.002
    noise_rad: float = 0.01
    observed: list[str] = field(default_factory=list)
    num_trajectories: int = 64
    segment_steps: int = 0
    search: int = 48
    objective: str = "logdet"
    reach_sd: float = 2.5
    identifiable_r2: float = 0.8
    out: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.env.kinematic is not None:
            raise UserError(f"env={self.env.label} is kinematic: its motion has no constants; choose another env")
        self.window = self.window or self.context.window
        if not 1 <= self.window <= self.episode_steps:
            raise UserError(
                f"window must lie in 1..episode_steps={self.episode_steps}, got {self.window}; "
                "set a shorter window or more episode_steps"
            )
        for name in ("noise_m", "noise_rad", "reach_sd"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} must be > 0, got {getattr(self, name)}")
        for name, least in (("num_trajectories", 2), ("segment_steps", 0), ("search", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be >= {least}, got {getattr(self, name)}")
        if self.objective not in OBJECTIVES:
            raise UserError(f"objective is one of {', '.join(OBJECTIVES)}, got {self.objective!r}")

    @property
    def run_directory(self) -> Path:
        return Path(self.runs) / f"{self.name}-design"


@dataclass
class StateConfig(TrainConfig):
    """Constants from true positions instead of pixels: what contexts find, and what any reader could; no rendering.

    Positions of `episodes` simulated episodes, with noise of noise_m (metres) and noise_rad (radians) a frame, take the
    place of frame latents. Each of `methods` (of context_training.method) is tuned over the same four settings on
    validation episodes, then trained num_seeds times; test episodes are reported, beside the bound that `mode=design`
    computes for the same windows and noise from `bound_trajectories` trajectories (0: no bound). windows: averaged per
    half episode. shift_episodes: episodes with constants 2 to 3 prior standard deviations out; 0: none. runs, name:
    results go to runs/<name>-from_state; out: as JSON there too.
    """

    mode: str = "state"
    noise_m: float = 0.004
    noise_rad: float = 0.01
    methods: list[str] = field(default_factory=lambda: ["lejepa", "supervised"])
    tune: bool = True
    num_seeds: int = 3
    windows: int = 1
    shift_episodes: int = 200
    bound_trajectories: int = 24
    out: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.env.kinematic is not None:
            raise UserError(f"env={self.env.label} is kinematic: its motion has no constants; choose another env")
        if self.episodes < 10:
            raise UserError(f"episodes must be >= 10, so that some are held out, got {self.episodes}")
        if self.context.window > self.episode_steps // 2 - self.restart_midway:  # before minutes of simulation
            raise UserError(
                f"two windows of {self.context.window} steps do not fit into episodes of {self.episode_steps} steps; "
                "set context.window to at most half of episode_steps"
            )
        for method in self.methods:
            check_choice("methods", method, CONTEXT_METHODS)
        if not self.methods:
            raise UserError(f"methods is empty; name some of {', '.join(CONTEXT_METHODS)}")
        for name in ("noise_m", "noise_rad"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} must be > 0, got {getattr(self, name)}")
        for name, least in (("num_seeds", 1), ("windows", 1), ("shift_episodes", 0)):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be >= {least}, got {getattr(self, name)}")
        _check_bound(self.bound_trajectories)

    @property
    def run_directory(self) -> Path:
        return Path(self.runs) / f"{self.name}-from_state"


@dataclass
class SurpriseConfig:
    """Score how well each moment of a trajectory was foreseen, with and without something that cannot happen.

    run: a trained run directory. trajectories: how many, each run once as it is and once with every event the world
    has: teleport (another state), colour (light or a colour at the far end of its range), mass (the same of a mass);
    with the same start and actions, so that the tests are paired. episode_steps, event_step: control steps. horizon:
    predicted steps behind a score. out: also write the results there, as JSON.
    """

    run: str = ""
    trajectories: int = 100
    episode_steps: int = 40
    event_step: int = 20
    horizon: int = 5
    trust_world: bool = False
    seed: int = 0
    device: str = "auto"
    out: str = ""

    def __post_init__(self) -> None:
        for name, least in (("trajectories", 6), ("episode_steps", 1), ("event_step", 1), ("horizon", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name} must be >= {least}, got {getattr(self, name)}")


@dataclass
class ReportConfig:
    """Write one self-contained HTML page about a run: report.html in its folder."""

    run: str = ""
    out: str = ""


@dataclass
class DemoConfig:
    """The main job, small: identify, control, constants, and one page about them, in runs/demo/.

    runs, data: folders of runs and data sets. seed: of data and training. tasks: control tasks.
    """

    runs: str = "runs"
    data: str = "data/demo"
    seed: int = 0
    tasks: int = 100
    workers: int = 0


@dataclass
class DataConfig:
    """Look after data sets: `worldmodel data info|verify|merge|convert path=…`.

    what: "info" (what it holds), "verify" (every byte against its checksum), "merge" (path and others, of one world,
    into out), or "convert" (a LeRobot v3 folder, a Minari folder or stable-worldmodel's HDF5 into out=data/NAME; ours
    into out=NAME.h5 for stable-worldmodel). camera: which image column to take; empty: the first. image_size: pixels
    that converted frames are reduced to, after their middle square was cut out; 0 keeps theirs.
    """

    what: str = "info"
    path: str = ""
    others: list[str] = field(default_factory=list)
    out: str = ""
    camera: str = ""
    image_size: int = 64

    def __post_init__(self) -> None:
        if self.what not in ("info", "verify", "merge", "convert"):
            raise UserError(f"what is info, verify, merge or convert, got {self.what!r}")
        if self.image_size < 0:
            raise UserError(f"image_size must be >= 0 (0 keeps it), got {self.image_size}")


SCHEMAS: dict[str, type[Any]] = {
    "collect": CollectConfig,
    "train": TrainConfig,
    "compare": CompareConfig,
    "control": ControlConfig,
    "probe": ProbeConfig,
    "design": DesignConfig,  # probe mode=design
    "state": StateConfig,  # probe mode=state
    "surprise": SurpriseConfig,
    "report": ReportConfig,
    "demo": DemoConfig,
    "data": DataConfig,
}


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UserError(f"{name} is one of {', '.join(choices)}, got {value!r}")


def _check_bound(bound_trajectories: int) -> None:
    if bound_trajectories < 0 or bound_trajectories == 1:
        raise UserError(f"bound_trajectories must be >= 2, or 0 for no bound, got {bound_trajectories}")


def check_name(key: str, name: str) -> None:
    """UserError unless a name is that of one folder: neither a path nor hidden."""
    if not re.fullmatch(r"[\w=][\w.=,+-]{0,199}", name):
        raise UserError(f"{key} is one folder's name (letters, digits, and . = , + - _ inside), got {name!r}")


def check_engine(engine: str, worlds: int) -> None:
    if engine not in ("classic", "warp"):
        raise UserError(f"engine is classic or warp, got {engine!r}")
    if worlds < 1:
        raise UserError(f"worlds must be >= 1, got {worlds}")


def check_numbers(group: str, chosen: dict[str, Any], classes: Mapping[str, type[Any]]) -> None:
    """UserError unless numbers stand where a planner or policy takes them; its own checks see to names and bounds."""
    cls = classes.get(chosen.get("name", ""))
    hints = typing.get_type_hints(cls) if cls else {}
    for name, value in chosen.items():
        expected = hints.get(name)
        if expected in (int, float) and (isinstance(value, bool) or not isinstance(value, int | expected)):
            raise UserError(f"{group}.{name} is {'a whole' if expected is int else 'a'} number, got {value!r}")
