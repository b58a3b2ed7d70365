"""Recipes: for every world a YAML file in `configs/env` with the settings that work well there.

A recipe is a part of the tree of `TrainConfig`, in plain values; what it leaves out stays at its default. Besides:

    inherits: puck         takes another recipe and changes it; `default` takes configs/default.yaml, the recipe of
                           every world that has none of its own
    atlas: puck_ou         takes what that recipe collects as the frames that train the encoder;
                           also {recipe: puck_ou, episodes: 40000}
    collection.policy      a mapping with a name, or the name of a file in `configs/policy`
    sizes: {large: {…}}    trainings of the same world, chosen by `size=large`; a size may be built `from:` another
    default_size: base     the size where none is chosen

Worlds without a recipe have one size besides their own settings: `rounds`, of configs/rounds.yaml.
"""

import copy
import difflib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import worldmodel
from worldmodel.settings.base import settings_class, type_hints
from worldmodel.settings.collection import EnvConfig
from worldmodel.settings.convert import settings_tree, structure
from worldmodel.settings.training import TrainConfig
from worldmodel.settings.yaml_files import read_yaml
from worldmodel.system.errors import UserError

ROUNDS = "rounds"
"""The size that rounds=N chooses in a world without a recipe."""
_DEPTH = 5  # of recipes that inherit from one another


def recipe(env: str = "reacher", size: str | None = None) -> TrainConfig:
    """The settings that `worldmodel train env=ENV size=SIZE` trains with.

    Args:
        env: name of a recipe or of a world (`recipe_names`), path/to/file.py:factory for a world of your own, or gym:ID
            for an environment of Gymnasium.
        size: one of the recipe's sizes; None takes its own settings.

    Raises:
        UserError: there is no such recipe or size.
    """
    return structure(over_defaults(TrainConfig, recipe_values(env, size)), TrainConfig)


def recipe_values(env: str, size: str | None = None) -> dict[str, Any]:
    """What a recipe sets, as nested plain values. A size other than the default has data and runs of its own name."""
    values = _with_atlas(_read(env, 0), 0)
    sizes, default = values.pop("sizes", {}), values.pop("default_size", None)
    size = size or default
    if size is None:
        return values
    if size not in sizes:
        raise UserError(f"env={env} has no size={size}; it has {_listed(sizes) or 'one size only'}")
    label = _file_label(env).get("name") or EnvConfig(world=env).label
    label = label if size == default else f"{label}-{size}"
    values = merged(values, {"name": label, "collection": {"env": {"name": label}}})
    return merged(values, _sized(sizes, size, 0))


def _sized(sizes: Mapping[str, Any], size: str, depth: int) -> dict[str, Any]:
    if depth > _DEPTH:
        raise UserError(f"the size {size} is built from itself")
    own = dict(sizes[size])
    parent = own.pop("from", None)
    return own if parent is None else merged(_sized(sizes, parent, depth + 1), own)


def sizes(env: str) -> list[str]:
    """Names of a recipe's sizes, the one that is taken where none is named first."""
    values = _read(env, 0)
    return sorted(values.get("sizes", {}), key=lambda name: name != values.get("default_size"))


def preset(group: str, name: str) -> dict[str, Any]:
    """A named policy or planner: what its file in `configs/GROUP` says, or else its name alone."""
    path = folder() / group / f"{name}.yaml"
    return copy.deepcopy(_file(path)) if path.exists() else {"name": name}


def preset_names(group: str) -> list[str]:
    """Names that have a file in `configs/GROUP`."""
    return sorted(path.stem for path in (folder() / group).glob("*.yaml"))


def folder() -> Path:
    """Where the YAML files are: in the package, or beside it in a clone without links."""
    package = Path(worldmodel.__file__).parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def over_defaults(cls: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested plain values over the defaults of a settings class.

    An optional section that is given in part is completed by its own defaults.
    """
    tree = merged(settings_tree(cls), values)
    for name, hint in type_hints(cls).items():
        section = settings_class(hint)
        if section is not None and isinstance(tree.get(name), Mapping):
            tree[name] = over_defaults(section, tree[name])
    return tree


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings, the second over the first. A planner or policy with a name replaces the one below it."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        named = key in ("planner", "policy") and isinstance(value, Mapping) and "name" in value
        if isinstance(value, Mapping) and isinstance(below, Mapping) and not named:
            result[key] = merged(below, value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def _read(env: str, depth: int) -> dict[str, Any]:
    if depth > _DEPTH:
        raise UserError(f"the recipe {env} inherits from itself")
    path = folder() / "env" / f"{env}.yaml"
    if not path.exists():
        world: dict[str, Any] = {"collection": {"env": {"world": _known_world(env)} | _file_label(env)}}
        if env.startswith("ou-"):  # pairs of an exact OU process want no lag
            return world
        return merged(_default(), world) | {"sizes": {ROUNDS: _with_policy(_file(folder() / "rounds.yaml"))}}
    values = _with_policy(_file(path))
    parent = values.pop("inherits", None)
    if parent is None:
        return values
    return merged(_default() if parent == "default" else _read(parent, depth + 1), values)


def _default() -> dict[str, Any]:
    """Settings of a world without a recipe of its own."""
    return _with_policy(_file(folder() / "default.yaml"))


def _with_policy(values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a recipe in which the policy is written out, not named."""
    values = copy.deepcopy(dict(values))
    policy = values.get("collection", {}).get("policy")
    if isinstance(policy, str):
        values["collection"]["policy"] = preset("policy", policy)
    return values


def _with_atlas(values: dict[str, Any], depth: int) -> dict[str, Any]:
    """The atlas that a recipe names, in full."""
    atlas = values.get("atlas")
    if isinstance(atlas, str):
        atlas = {"recipe": atlas}
    if not atlas or "recipe" not in atlas:
        return values
    changes = {key: value for key, value in atlas.items() if key != "recipe"}
    return values | {"atlas": merged(_read(atlas["recipe"], depth + 1)["collection"], changes)}


def _known_world(name: str) -> str:
    """`name`, where a world is called so."""
    if ".py:" in name or name.startswith("gym:"):
        return name
    from worldmodel import envs  # MuJoCo, which recipes with a file do without

    known = envs.names()
    if name not in known:
        raise UserError(_unknown_world(name, sorted({*known, *preset_names("env")})))
    return name


def _file_label(env: str) -> dict[str, str]:
    """The name of the data set and the run of path/to/arm.py:factory: `arm`; `arm-heavy` of path/to/arm.py:heavy."""
    path, is_file, factory = env.rpartition(".py:")
    if not is_file:
        return {}
    stem = re.sub(r"\W+", "-", Path(path).name)
    return {"name": stem if factory == "factory" else f"{stem}-{factory}"}


def _unknown_world(name: str, known: list[str]) -> str:
    """One line: what was perhaps meant, and where all worlds are listed, which are too many for a line."""
    listed = "worldmodel worlds lists what there is"
    if name.endswith(".py"):
        return f"env={name} names a file and no world; add the function that makes it: env={name}:factory"
    if name.endswith(".xml"):
        return (
            f"env={name} names a model and no world; a function in a Python file that returns envs.MjcfScene makes one "
            "of it: env=path/to/file.py:factory"
        )
    if re.fullmatch(r"[\w/.-]+-v\d+", name):
        return f"unknown env {name!r}; environments of Gymnasium are written gym:ID: env=gym:{name}"
    if set(name.split(",")) <= set(known):
        return f"env={name} names several worlds: add -m to run once for each"
    beginning = [world for world in known if name and world.startswith(f"{name}-")]
    close = beginning or difflib.get_close_matches(name, known, n=1)
    return f"unknown env {name!r}{f' (did you mean {_listed(close)}?)' if close else ''}; {listed}"


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """One line: what does not exist, what was perhaps meant, and what there is."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"unknown {what} {name!r}{f' (did you mean {close[0]}?)' if close else ''}; choose one of: {_listed(known)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


@cache
def _file(path: Path) -> dict[str, Any]:
    return read_yaml(path)
