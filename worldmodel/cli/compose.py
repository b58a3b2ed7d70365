"""Hydra ends here: YAML in `configs/` and `key=value` arguments in, checked settings out.

Defaults live in the dataclasses of `settings.py`; YAML (groups env, policy, method, planner, experiment) and arguments
override them. A wrong key or value is one clear line.
"""

import dataclasses
import difflib
import inspect
import os
import re
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import hydra
import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

import worldmodel
from worldmodel import envs
from worldmodel.envs.excitation import POLICIES
from worldmodel.planners import PLANNERS
from worldmodel.settings.verbs import SCHEMAS, TrainConfig
from worldmodel.system.errors import CheckpointError, UserError

ConfigT = TypeVar("ConfigT")

MAX_YAML_BYTES = 2**20
MAX_YAML_DEPTH = 20

_GROUPS = {
    "collect": ["policy", "env"],
    "train": ["policy", "env", "method"],
    "compare": ["policy", "env"],
    "control": ["planner"],
    "probe": [],
    "design": ["policy", "env", "method"],
    "state": ["policy", "env", "method"],
    "surprise": [],
    "report": [],
    "demo": [],
    "data": [],
}
# modes of `probe` with settings of their own, and what those read of train's
_PROBE_MODES = {
    "design": "what can be identified, and which excitation does it best",
    "state": "constants from true positions instead of pixels, by every context method",
}
_SHARED: dict[str, tuple[str, ...]] = {"design": ("env", "policy", "episode_steps", "seed", "runs", "name")}
_SHARED["state"] = (
    *_SHARED["design"],
    "episodes",
    "drift_rho",
    "restart_midway",
    "data_seed",
    "context",
    "context_training",
)
_DEFAULT_CHOICE = {"env": "reacher", "method": "lejepa", "policy": "uniform", "planner": "cem"}


def config_directory() -> Path:
    """Where the YAML files are: in the package, or beside it in a clone without links."""
    package = Path(worldmodel.__file__).parent
    inside = package / "configs"
    return (inside if inside.is_dir() else package.parent / "configs").resolve()


def register() -> None:
    """Fill Hydra's store: schemas, worlds without a YAML of their own, policies and planners from their dataclasses."""
    store = ConfigStore.instance()
    for verb, schema in SCHEMAS.items():
        if verb != _primary(verb):
            continue
        # the schema first, then the groups, so that they are checked against it
        defaults: list[Any] = [f"_{verb}_schema", "_self_"]
        defaults += [{group: _DEFAULT_CHOICE[group]} for group in _GROUPS[verb]]
        if verb in ("train", "design", "state", "control"):
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
    _check_keys(verb, overrides)
    try:
        with initialize_config_dir(str(config_directory()), version_base="1.3"):
            return _without_strays(hydra_compose(_primary(verb), overrides), overrides)
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


def _without_strays(config: DictConfig, overrides: list[str]) -> DictConfig:
    """An environment's YAML may tune a policy; where an argument chooses another one, only what that knows stays."""
    policy = config.get("policy")
    if not policy or policy.get("name") not in POLICIES or not any(one.startswith("policy=") for one in overrides):
        return config
    known = {"name", *(item.name for item in dataclasses.fields(POLICIES[policy.name]))}
    asked = {one.lstrip("+").split("=")[0].removeprefix("policy.") for one in overrides}  # a typo is still refused
    with open_dict(policy):
        for key in [key for key in policy if key not in known | asked]:
            del policy[key]
    return config


def _primary(verb: str) -> str:
    """The composed configuration: an environment's YAML also says how to train on it, so `collect` reads train's."""
    return "train" if verb == "collect" else verb


def _own_keys(verb: str) -> list[str]:
    """The options of a verb at top level, where its composed configuration holds more than it reads itself."""
    if verb in _PROBE_MODES:
        return [*_SHARED[verb], *inspect.get_annotations(SCHEMAS[verb])]
    return [item.name for item in dataclasses.fields(SCHEMAS[verb])]


def _check_keys(verb: str, overrides: list[str]) -> None:
    if verb not in ("collect", *_PROBE_MODES):
        return  # Hydra itself refuses what the schema does not hold
    known = {*_own_keys(verb), "experiment", "hydra"}
    for override in overrides:
        key = re.split(r"[.=@/]", override.lstrip("+~"), maxsplit=1)[0]  # hydra/launcher is hydra's
        if key not in known:
            command = _command(verb)
            raise UserError(f"unknown option {key!r} of worldmodel {command}; `worldmodel {command} --help` lists them")


def settings_of(verb: str, overrides: list[str]) -> str:
    """Which settings a command line asks for: the verb's own, but for `probe mode=design` and `mode=state`."""
    return next((mode for mode in _PROBE_MODES if verb == "probe" and f"mode={mode}" in overrides), verb)


def _command(verb: str) -> str:
    """What a user types for these settings."""
    return f"probe mode={verb}" if verb in _PROBE_MODES else verb


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
    missing = re.search(r"Could not find '(\w+)/([^']*)'", text)
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
        command = _command(verb)
        return f"unknown option {name!r} of worldmodel {command}; `worldmodel {command} --help` lists them"
    value = re.search(r"Cannot convert 'dict' to string[^\n]*\n\s*full_key: (\S+)", cause or text)
    if value:
        return f"{value[1]} is one value, without options of its own; `worldmodel {_command(verb)} --help` lists them"
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
    keys = _own_keys(verb)
    config = OmegaConf.masked_copy(compose_raw(verb, []), keys)
    classes = [(path, cls) for path, cls in _classes_of(SCHEMAS[verb]) if not path or path.split(".")[0] in keys]
    choices = [f"  {group}={'|'.join(options(group))}" for group in _GROUPS[verb] if group in keys]
    command = _command(verb)
    explained = "\n\n".join(f"{path or command}: {_docstring(cls)}" for path, cls in classes)
    text = (
        f"worldmodel {command}: {summary}\n\n{explained}\n\nchoices (replace a whole group):\n"
        + ("\n".join(choices) or "  none")
        + f"\n\noptions and their defaults (override as key=value, e.g. a.b=1):\n\n{OmegaConf.to_yaml(config)}"
    )
    if verb == "probe":
        for mode, about in _PROBE_MODES.items():
            text += f"\n{help_text(mode, about)}"
    return text


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
    _check_keys(verb, plain)
    if any(re.match(r"devices=(?!1$)", argument) for argument in plain):
        raise UserError("a sweep trains with one process a job; give devices= to one run at a time")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or Hydra prints a traceback and exits by itself
    before, sys.argv = sys.argv, [f"worldmodel-{verb}", "--multirun", "hydra.job.chdir=false", *plain]
    try:
        job()
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_explain(error, verb)) from error
    finally:
        sys.argv = before


def _plain_yaml(path: Path) -> str:
    """The text of a YAML file that anybody may have written; ValueError where it can only be meant to exhaust us."""
    if path.stat().st_size > MAX_YAML_BYTES:
        raise ValueError(f"{path.stat().st_size} bytes, at most {MAX_YAML_BYTES} are read")
    text = path.read_text(encoding="utf-8")
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases, which no run holds and which can unfold to any size")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_YAML_DEPTH:
            raise ValueError("nested too deep")
    return text


def read_run_config(directory: Path) -> TrainConfig:
    """The settings a run was trained with, from its `config.yaml`; executes nothing that the file holds."""
    path = directory / "config.yaml"
    if not path.exists():
        raise CheckpointError(f"{directory} is not a run (no config.yaml); train one with: worldmodel train env=NAME")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(TrainConfig), OmegaConf.create(_plain_yaml(path)))
        settings = OmegaConf.to_object(merged)
    except Exception as error:  # OmegaConf lets its YAML parser's own family through
        raise CheckpointError(
            f"{path} holds settings of another version ({_one_line(str(error))}); train again"
        ) from error
    assert isinstance(settings, TrainConfig)
    return settings
