"""Typed settings of every verb, and the one place where Hydra's dictionaries end.

Defaults live in the dataclasses; YAML in `configs/` (groups env, policy, method, planner, experiment) and `key=value`
arguments override them. `compose` returns checked dataclasses; a wrong key or value is one clear line.
"""

import dataclasses
import difflib
import hashlib
import importlib.util
import inspect
import json
import os
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import hydra
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import envs
from envs.excitation import POLICIES
from planners import PLANNERS
from worldmodel.data.recording import Recording
from worldmodel.dynamics import ContextTraining
from worldmodel.errors import CheckpointError, UserError
from worldmodel.methods import MethodConfig
from worldmodel.models.context import ContextConfig
from worldmodel.models.encoders import EncoderConfig
from worldmodel.models.predictor import PredictorConfig
from worldmodel.training import OptimConfig

ConfigT = TypeVar("ConfigT")


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
    gains a quarter on an idle machine and costs tenfold on a busy one) and every core for larger encoders.
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

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threads < 0:
            raise UserError(f"threads must be >= 0 (0 chooses), got {self.threads}")
        self.name = self.name or self.env.label
        if self.device not in ("auto", "cpu", "cuda"):
            raise UserError(f"device is one of auto, cpu, cuda, got {self.device!r}")

    @property
    def run_directory(self) -> Path:
        return Path(self.runs) / self.name

    def fingerprint(self) -> str:
        """Hash of everything that the trained weights depend on."""
        content = dataclasses.asdict(self)
        for key in ("runs", "name", "workers", "data", "threads"):
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


@dataclass
class BenchConfig:
    """Measure speed: rates per CPU-second and medians, on this machine.

    what: "render", "collect" or "plan". env: for render and collect. run: for plan. batch: environments planned for at
    once. repeats: of each measurement. episodes: collected in each repeat. out: also write the figures there, as JSON.
    """

    what: str = "render"
    env: str = "reacher"
    run: str = ""
    planner: dict[str, Any] = field(default_factory=dict)
    batch: int = 64
    repeats: int = 5
    episodes: int = 40
    out: str = ""

    def __post_init__(self) -> None:
        if self.what not in ("render", "collect", "plan"):
            raise UserError(f"what is render, collect or plan, got {self.what!r}")
        _check_numbers("planner", self.planner, PLANNERS)
        for name in ("batch", "repeats", "episodes"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be >= 1, got {getattr(self, name)}")


SCHEMAS: dict[str, type[Any]] = {
    "collect": CollectConfig,
    "train": TrainConfig,
    "control": ControlConfig,
    "probe": ProbeConfig,
    "report": ReportConfig,
    "demo": DemoConfig,
    "bench": BenchConfig,
}
_GROUPS = {
    "collect": ["policy", "env"],
    "train": ["policy", "env", "method"],
    "control": ["planner"],
    "probe": [],
    "report": [],
    "demo": [],
    "bench": ["planner"],
}
_DEFAULT_CHOICE = {"env": "reacher", "method": "lejepa", "policy": "uniform", "planner": "cem"}


def _check_numbers(group: str, chosen: dict[str, Any], classes: Mapping[str, type[Any]]) -> None:
    """UserError unless numbers stand where a planner or policy takes them; its own checks see to names and bounds."""
    cls = classes.get(chosen.get("name", ""))
    hints = typing.get_type_hints(cls) if cls else {}
    for name, value in chosen.items():
        expected = hints.get(name)
        if expected in (int, float) and (isinstance(value, bool) or not isinstance(value, int | expected)):
            raise UserError(f"{group}.{name} is {'a whole' if expected is int else 'a'} number, got {value!r}")


def config_directory() -> Path:
    """Where the YAML files are: a namespace package beside this one, in the source tree and in a wheel alike."""
    spec = importlib.util.find_spec("configs")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("the package `configs` is not installed; reinstall worldmodel")
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def register() -> None:
    """Fill Hydra's store: schemas, worlds without a YAML of their own, policies and planners from their dataclasses."""
    store = ConfigStore.instance()
    for verb, schema in SCHEMAS.items():
        if verb != _primary(verb):
            continue
        # the schema first, then the groups, so that they are checked against it
        defaults: list[Any] = [f"_{verb}_schema", "_self_"]
        defaults += [{group: _DEFAULT_CHOICE[group]} for group in _GROUPS[verb]]
        if verb in ("train", "control", "bench"):
            defaults.append({"experiment": None})
        store.store(name=f"_{verb}_schema", node=schema)
        store.store(name=verb, node={"defaults": defaults})
    written = {path.stem for path in (config_directory() / "env").glob("*.yaml")}
    for world in envs.names():
        if world not in written:
            store.store(group="env", name=world, node={"env": {"world": world}}, package="_global_")
    for group, classes in (("policy", POLICIES), ("planner", PLANNERS)):
        for name, cls in classes.items():
            if not (config_directory() / group / f"{name}.yaml").exists():
                store.store(group=group, name=name, node={"name": name, **_defaults_of(cls)})


def _defaults_of(cls: type[Any]) -> dict[str, Any]:
    """Fields with a default of a dataclass, as plain values."""
    values = {}
    for item in dataclasses.fields(cls):
        if item.default is not dataclasses.MISSING:
            values[item.name] = list(item.default) if isinstance(item.default, tuple) else item.default
        elif item.default_factory is not dataclasses.MISSING:
            values[item.name] = item.default_factory()
    return values


def compose(verb: str, overrides: list[str], schema: type[ConfigT]) -> ConfigT:
    """The checked settings of a verb; UserError on an unknown key, a wrong type or a value out of range."""
    return _to_dataclass(compose_raw(verb, overrides), schema)


def compose_raw(verb: str, overrides: list[str]) -> DictConfig:
    """As `compose`, before conversion; for showing."""
    register()
    GlobalHydra.instance().clear()
    if verb == "collect":
        _check_collect_keys(overrides)
    try:
        with initialize_config_dir(str(config_directory()), version_base="1.3"):
            return hydra_compose(_primary(verb), overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_explain(error, verb)) from error
    except (AttributeError, AssertionError) as error:
        if not any("env.kinematic" in override for override in overrides):
            raise
        # OmegaConf cannot merge an argument into an optional dataclass that is None
        raise UserError(
            "env.kinematic cannot be set by an argument on an environment without one; choose a kinematic one "
            "(env=reacher_ou, env=ou-puck, …) or write configs/env/NAME.yaml"
        ) from error


def _primary(verb: str) -> str:
    """The composed configuration: an environment's YAML also says how to train on it, so `collect` reads train's."""
    return "train" if verb == "collect" else verb


def _check_collect_keys(overrides: list[str]) -> None:
    known = {item.name for item in dataclasses.fields(CollectConfig)} | {"experiment", "hydra"}
    for override in overrides:
        key = re.split(r"[.=@]", override.lstrip("+~"), maxsplit=1)[0]
        if key not in known:
            raise UserError(f"unknown option {key!r} of worldmodel collect; `worldmodel collect --help` lists them")


def _to_dataclass(config: DictConfig, schema: type[ConfigT]) -> ConfigT:
    try:
        result = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        raise UserError(_one_line(str(error))) from error
    assert isinstance(result, schema)
    if strays := [*_stray_keys(result)]:
        raise UserError(f"unknown option {strays[0]!r}; --help lists them")
    return result


def _stray_keys(settings: Any, path: str = "") -> Iterator[str]:
    """Keys that a `+` carried past the schema: OmegaConf leaves them as attributes that no dataclass declares."""
    known = {item.name for item in dataclasses.fields(settings)}
    for name, value in vars(settings).items():
        if name not in known:
            yield path + name
        elif dataclasses.is_dataclass(value):
            yield from _stray_keys(value, f"{path}{name}.")


def options(group: str) -> list[str]:
    """Names one can choose in a group."""
    written = {path.stem for path in (config_directory() / group).glob("*.yaml")}
    store = ConfigStore.instance()
    stored = {name.removesuffix(".yaml") for name in store.list(group)} if group in store.repo else set()
    return sorted(written | stored)


def _explain(error: Exception, verb: str) -> str:
    """One line: what came, what is allowed, and the nearest thing that exists."""
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override!r}; options are written key=value (quote values with special characters)"
    text = str(error)
    cause = str(error.__cause__) if error.__cause__ else ""
    missing = re.search(r"Could not find '(\w+)/([^']+)'", text)
    if missing:
        group, name = missing[1], missing[2]
        known = options(group)
        return f"unknown {group} {name!r}{_suggest(name, known)}; choose one of: {', '.join(known)}"
    key = re.search(r"(?:Key|key) '([^']+)'", cause or text) or re.search(
        r"Could not (?:override|append)[^']*'([^']+)'", text
    )
    if key and "not in" in (text + cause):
        full = re.search(r"Could not override '([^']+)'", text)
        name = full[1] if full else key[1]
        entry = re.search(r"full_key: (env\.\S+)\s+reference_type=Dict", text + cause)
        if entry:  # a mapping that takes any key, but a new one only with a plus
            return f"{entry[1]} is not set in this environment; add it with +{entry[1]}=VALUE"
        return f"unknown option {name!r} of worldmodel {verb}; `worldmodel {verb} --help` lists them"
    return _one_line(cause or text)


def _one_line(text: str) -> str:
    """The first line of an OmegaConf message, with the key it is about."""
    key = re.search(r"full_key: (\S+)", text)
    first = text.strip().splitlines()[0]
    return f"{key[1]}: {first}" if key else first


def _suggest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def help_text(verb: str, summary: str) -> str:
    """What `worldmodel VERB --help` prints: every option with its default, and what the words mean."""
    config = compose_raw(verb, [])
    config = OmegaConf.masked_copy(config, [item.name for item in dataclasses.fields(SCHEMAS[verb])])
    classes = _classes_of(SCHEMAS[verb])
    choices = [f"  {group}={'|'.join(options(group))}" for group in _GROUPS[verb]]
    explained = "\n\n".join(f"{path or verb}: {_docstring(cls)}" for path, cls in classes)
    return (
        f"worldmodel {verb}: {summary}\n\n{explained}\n\nchoices (replace a whole group):\n"
        + ("\n".join(choices) or "  none")
        + f"\n\noptions and their defaults (override as key=value, e.g. a.b=1):\n\n{OmegaConf.to_yaml(config)}"
    )


def _classes_of(schema: type[Any], path: str = "") -> list[tuple[str, type[Any]]]:
    """The dataclass of a verb and those nested in it, with the key each stands under."""
    found: list[tuple[str, type[Any]]] = [(path, schema)]
    hints = typing.get_type_hints(schema)
    for item in dataclasses.fields(schema):
        for part in (hints[item.name], *typing.get_args(hints[item.name])):
            if dataclasses.is_dataclass(part) and isinstance(part, type):
                found += _classes_of(part, f"{path}.{item.name}" if path else item.name)
    return found


def _docstring(cls: type[Any]) -> str:
    return inspect.cleandoc(cls.__doc__ or "")


def sweep(verb: str, arguments: list[str], run: Callable[[Any], None]) -> None:
    """Run a verb once for every combination of comma-separated values, through Hydra's launchers."""
    register()

    @hydra.main(version_base="1.3", config_path=str(config_directory()), config_name=_primary(verb))
    def job(config: DictConfig) -> None:
        settings = _to_dataclass(config, SCHEMAS[verb])
        chosen = [item for item in HydraConfig.get().overrides.task if item.split("=", 1)[0] in swept]
        if hasattr(settings, "name") and chosen:
            settings.name = "-".join([settings.name, *(re.sub(r"[^\w.=-]+", "-", item) for item in chosen)])
        run(settings)

    plain = [argument for argument in arguments if argument not in ("-m", "--multirun")]
    swept = {argument.split("=", 1)[0] for argument in plain if re.search(r"=[^\[{]*,|=\w+\(", argument)}
    if verb == "collect":
        _check_collect_keys(plain)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or Hydra prints a traceback and exits by itself
    before, sys.argv = sys.argv, [f"worldmodel-{verb}", "--multirun", "hydra.job.chdir=false", *plain]
    try:
        job()
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_explain(error, verb)) from error
    finally:
        sys.argv = before


def read_run_config(directory: Path) -> TrainConfig:
    """The settings a run was trained with, from its `config.yaml`; executes nothing that the file holds."""
    path = directory / "config.yaml"
    if not path.exists():
        raise CheckpointError(f"{directory} is not a run (no config.yaml); train one with: worldmodel train env=NAME")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(TrainConfig), OmegaConf.load(path))
        settings = OmegaConf.to_object(merged)
    except Exception as error:  # OmegaConf lets its YAML parser's own family through
        raise CheckpointError(
            f"{path} holds settings of another version ({_one_line(str(error))}); train again"
        ) from error
    assert isinstance(settings, TrainConfig)
    return settings
