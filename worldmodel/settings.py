"""Typed settings of every verb: the dataclasses hold the defaults, say what each option means, and check themselves.

`config.py` fills them from YAML and arguments; nothing here knows of either.
"""

import dataclasses
import hashlib
import json
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envs.excitation import POLICIES
from planners import PLANNERS
from worldmodel.data.arrays import RECORDED
from worldmodel.data.recording import Recording
from worldmodel.distributed import STRATEGIES
from worldmodel.dynamics import ContextTraining
from worldmodel.errors import UserError
from worldmodel.methods import MethodConfig
from worldmodel.models.context import ContextConfig
from worldmodel.models.encoders import EncoderConfig
from worldmodel.models.predictor import PredictorConfig
from worldmodel.training import OptimConfig


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
        }


@dataclass
class CollectConfig:
    """Record a data set of pixel rollouts: data/<env>/, HDF5 shards and dataset.json.

    policy: excitation policy and its parameters. episodes, episode_steps: how many, of how many control steps.
    drift_rho: correlation of the randomised physical constants before and after the middle of an episode.
    data: folder of data sets. workers: processes; 0 takes every core. seed: of the data.
    """

    env: EnvConfig = field(default_factory=EnvConfig)
    policy: dict[str, Any] = field(default_factory=dict)
    episodes: int = 200
    episode_steps: int = 200
    drift_rho: float | None = None
    data: str = "data"
    workers: int = 0
    data_seed: int = 0

    def __post_init__(self) -> None:
        _check_numbers("policy", self.policy, POLICIES)
        if self.episodes < 1:
            raise UserError(f"episodes must be >= 1, got {self.episodes}")
        if self.episode_steps < 1:
            raise UserError(f"episode_steps must be >= 1, got {self.episode_steps}")
        if self.workers < 0:
            raise UserError(f"workers must be >= 0 (0 takes every core), got {self.workers}")
        if self.drift_rho is not None and not 0 <= self.drift_rho <= 1:
            raise UserError(f"drift_rho must lie in [0, 1], got {self.drift_rho}")

    @property
    def directory(self) -> Path:
        return Path(self.data) / self.env.label

    @property
    def num_episodes(self) -> int | None:
        """Episodes to use; None: all that the data set holds."""
        return None if self.env.world == RECORDED else self.episodes

    def recording(self) -> Recording:
        return Recording(
            name=self.env.label,
            world=self.env.make_arguments(),
            policy=dict(self.policy),
            episode_steps=self.episode_steps,
            seed=self.data_seed,
            drift_rho=self.drift_rho,
        )


@dataclass
class TrainConfig(CollectConfig):
    """Train a world model: an encoder by `method`, then latent dynamics and physical constants on its frozen latents.

    Collects first when there is no data set. runs, name: the run directory is runs/<name>; name empty takes the
    environment's. device: "auto", "cpu" or "cuda". Where the environment names an encoder_env, that one's data set
    trains the encoder (an atlas of poses for OU pairs). threads: of torch on a CPU; 0 takes one for an MLP (a second
    gains a quarter on an idle machine and costs tenfold on a busy one) and every core for larger encoders. devices:
    processes on each machine, nodes: machines; batches are shared among all of them, and the result is that of one
    process (torchrun and SLURM say both themselves). strategy: "ddp", or "fsdp", which shards optimiser states and
    gradients too. checkpoint_every_s: seconds of training that a kill may cost.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    context: ContextConfig = field(default_factory=ContextConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    predictor_training: OptimConfig = field(default_factory=lambda: OptimConfig(steps=3000, batch_size=512, lr=2e-3))
    context_training: ContextTraining = field(default_factory=ContextTraining)
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
        if self.threads < 0:
            raise UserError(f"threads must be >= 0 (0 chooses), got {self.threads}")
        for name in ("devices", "nodes"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be >= 1, got {getattr(self, name)}")
        if not self.checkpoint_every_s >= 0:
            raise UserError(f"checkpoint_every_s must be >= 0, got {self.checkpoint_every_s}")
        if self.strategy not in STRATEGIES:
            raise UserError(f"strategy is one of {', '.join(STRATEGIES)}, got {self.strategy!r}")
        self.name = self.name or self.env.label
        check_name("name", self.name)
        if self.device not in ("auto", "cpu", "cuda"):
            raise UserError(f"device is one of auto, cpu, cuda, got {self.device!r}")

    @property
    def run_directory(self) -> Path:
        return Path(self.runs) / self.name

    def fingerprint(self) -> str:
        """Hash of everything that the trained weights depend on."""
        content = dataclasses.asdict(self)
        for key in ("runs", "name", "workers", "data", "threads", "devices", "nodes", "strategy", "checkpoint_every_s"):
            del content[key]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@dataclass
class ControlConfig:
    """Drive the robot by MPC in the latent space towards goal images, beside a random policy and the simulator oracle.

    run: a trained run directory. tasks: start and goal from one held-out episode, `goal_steps` control steps apart.
    budget_steps: control steps to get there. replan_every: control steps between plans. reduction: how latent distance
    to the goal counts over the horizon: sum, terminal, min or mixed. action_cost: weight of mean squared action.
    split: held-out episodes that tasks come from. videos: how many tasks to film. oracle: also plan with the true
    simulator, on the first `oracle_tasks` tasks. data: folder of data sets; empty: where the run found them.
    trust_world: make a world that the run names as a Python file.
    """

    run: str = ""
    planner: dict[str, Any] = field(default_factory=dict)
    tasks: int = 100
    goal_steps: int = 25
    budget_steps: int = 50
    replan_every: int = 1
    reduction: str = "sum"
    action_cost: float = 0.0
    split: str = "test"
    data: str = ""
    videos: int = 4
    trust_world: bool = False
    oracle: bool = True
    oracle_tasks: int = 50
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("tasks", "goal_steps", "budget_steps", "replan_every", "oracle_tasks"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.videos < 0:
            raise UserError(f"videos must be >= 0, got {self.videos}")
        _check_numbers("planner", self.planner, PLANNERS)
        if self.split not in ("validation", "test"):
            raise UserError(f"split is validation or test, got {self.split!r}")
        if self.reduction not in ("sum", "terminal", "min", "mixed"):
            raise UserError(f"reduction is sum, terminal, min or mixed, got {self.reduction!r}")


@dataclass
class ProbeConfig:
    """Probe a run for state variables and physical constants, with linear and MLP probes and their controls.

    run: a trained run directory. Every probe is fitted on training episodes and scored on test episodes, so that no
    episode, and with it no drawn constant, is on both sides. windows: context windows averaged per half episode (1:
    single window). bootstrap: resamples of test episodes behind each 95 % interval.
    """

    run: str = ""
    data: str = ""
    windows: int = 1
    bootstrap: int = 1000
    max_frames: int = 6_000
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("windows", "bootstrap", "max_frames"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be >= 1, got {getattr(self, name)}")


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


BENCHES = ("render", "collect", "plan", "load", "processes", "faults", "memory")


@dataclass
class BenchConfig:
    """Measure speed and endurance on this machine: rates per CPU-second and medians.

    what: "render", "collect", "plan", "load" (clips from memory and from disk), "processes" (training in two against
    one), "faults" (`repeats` random kills of collection and training, and what they cost) or "memory" (growth over
    `repeats` episodes, training steps and control steps). env: for render, collect and memory. run: for plan. batch:
    environments planned for at once. repeats: of each measurement. episodes: collected in each repeat. seed: of faults.
    out: also write the figures there, as JSON.
    """

    what: str = "render"
    env: str = "reacher"
    run: str = ""
    planner: dict[str, Any] = field(default_factory=dict)
    batch: int = 64
    repeats: int = 5
    episodes: int = 40
    seed: int = 0
    out: str = ""

    def __post_init__(self) -> None:
        if self.what not in BENCHES:
            raise UserError(f"what is one of {', '.join(BENCHES)}, got {self.what!r}")
        _check_numbers("planner", self.planner, PLANNERS)
        for name in ("batch", "repeats", "episodes"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be >= 1, got {getattr(self, name)}")


@dataclass
class DataConfig:
    """Look after data sets: `worldmodel data info|verify|merge|convert path=…`.

    what: "info" (what it holds), "verify" (every byte against its checksum), "merge" (path and others, of one world,
    into out), or "convert" (a LeRobot v3 folder, a Minari folder or stable-worldmodel's HDF5 into out=data/NAME; ours
    into out=NAME.h5 for stable-worldmodel). camera: which image column to take; empty: the first. image_size: pixels that
    converted frames are reduced to, after their middle square was cut out; 0 keeps theirs.
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
    "control": ControlConfig,
    "probe": ProbeConfig,
    "report": ReportConfig,
    "demo": DemoConfig,
    "bench": BenchConfig,
    "data": DataConfig,
}


def check_name(key: str, name: str) -> None:
    """UserError unless a name is that of one folder: neither a path nor hidden."""
    if not re.fullmatch(r"[\w=][\w.=,+-]{0,199}", name):
        raise UserError(f"{key} is one folder's name (letters, digits, and . = , + - _ inside), got {name!r}")


def _check_numbers(group: str, chosen: dict[str, Any], classes: Mapping[str, type[Any]]) -> None:
    """UserError unless numbers stand where a planner or policy takes them; its own checks see to names and bounds."""
    cls = classes.get(chosen.get("name", ""))
    hints = typing.get_type_hints(cls) if cls else {}
    for name, value in chosen.items():
        expected = hints.get(name)
        if expected in (int, float) and (isinstance(value, bool) or not isinstance(value, int | expected)):
            raise UserError(f"{group}.{name} is {'a whole' if expected is int else 'a'} number, got {value!r}")
