"""From `key=value` pairs to settings: the command line's side of the tree, without any parsing of text.

`env=NAME` and `size=NAME` choose a recipe; `policy=NAME`, `planner=NAME` and `method=NAME` replace a group. Every other
key is the path of an option, or any unambiguous end of one: `episodes` for `collection.episodes`.
"""

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from worldmodel.settings.base import settings_class, type_hints
from worldmodel.settings.choosing import options_of
from worldmodel.settings.collection import CollectConfig
from worldmodel.settings.convert import SettingsT, option_paths, settings_tree, structure, unknown_option
from worldmodel.settings.method import LEWM_SIGREG
from worldmodel.settings.recipes import ROUNDS, merged, over_defaults, preset, recipe_values, sizes
from worldmodel.settings.training import TrainConfig
from worldmodel.system.errors import UserError

REMOVED = {
    "experiment": "experiment= is gone; larger versions of a world are sizes of its recipe: size=base",
    "nodes": "nodes= is gone; start the command with torchrun or srun, which say how many machines there are",
}
"""Options of earlier versions, and what to write instead."""
SHARED = ("data", "workers", "warp_worlds")
"""Options of an atlas that are those of the episodes unless they are given."""
SPELLED_OUT = ("atlas",)
"""Sections whose options are always written with the section's name."""


def configure(cls: type[SettingsT], chosen: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> SettingsT:
    """Settings of class `cls` with the options `chosen`, over its recipe and `base`.

    Raises:
        UserError: an unknown or ambiguous option, a wrong type or a value out of range.
    """
    return structure(configured_tree(cls, chosen, base), cls)


def configured_tree(cls: type[Any], chosen: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """As `configure`, in nested plain values."""
    tree = over_defaults(cls, base or {})
    rest = dict(_spread(cls, chosen))
    section = recipe_section(cls)
    if section is not None:
        env, size = _take_recipe(cls, rest), rest.pop("size", None)
        values = recipe_values(env, size or _size_for_rounds(env, rest))
        if section != "" or cls is TrainConfig:
            values = _nested(section, values)
        else:
            values = values["collection"]
        tree = over_defaults(cls, merged(tree, values))
    # groups first: policy=ou policy.std=1 sets the parameter of the new policy, in whatever order they are given
    for name, value in sorted(rest.items(), key=lambda item: item[0] not in _GROUPS):
        _assign(cls, tree, name, value)
    training = tree if not section else tree[section]
    _share_folders(training, rest)
    if training.get("choose"):
        given = {locate(cls, name)[0].removeprefix(f"{section}.") for name in rest}
        training["choose"] = [what for what in training["choose"] if not options_of(what) & given]
    return tree


def _spread(cls: type[Any], chosen: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """(option, value), with mappings for a section taken apart into its options; an option may be a mapping itself."""
    for key, value in chosen.items():
        name = f"{within}{key}"
        if isinstance(value, Mapping) and value and not _takes_mapping(cls, name):
            yield from _spread(cls, value, f"{name}.")
        else:
            yield name, value


def _takes_mapping(cls: type[Any], name: str) -> bool:
    """Whether `name` is an option and no section."""
    try:
        path, inside = locate(cls, name)
    except UserError:
        return False
    return bool(inside) or settings_class({option: hint for option, hint, _ in option_paths(cls)}[path]) is None


def _take_recipe(cls: type[Any], rest: dict[str, Any]) -> str:
    """The recipe that the options choose, and take these out of `rest`.

    Without env=, naming a world chooses its recipe; beside env=, it puts another world into that recipe.
    """
    if "env" in rest:
        return str(rest.pop("env"))
    parts = [recipe_section(cls), "" if cls is CollectConfig else "collection", "env.world"]
    path = ".".join(part for part in parts if part)
    world = next((name for name in rest if name != "size" and locate(cls, name)[0] == path), None)
    return "reacher" if world is None else str(rest.pop(world))


def _size_for_rounds(env: str, chosen: Mapping[str, Any]) -> str | None:
    """The size that rounds ask for, in worlds without a recipe of their own."""
    return ROUNDS if chosen.get("rounds") and ROUNDS in sizes(env) else None


def _share_folders(tree: dict[str, Any], chosen: Mapping[str, Any]) -> None:
    """An atlas lies beside the episodes and is recorded like them, where nothing else is said."""
    if tree.get("atlas"):
        shared = {key: tree["collection"][key] for key in SHARED if f"atlas.{key}" not in chosen}
        tree["atlas"] = {**tree["atlas"], **shared}


_GROUPS = ("policy", "planner", "method")


def recipe_section(cls: type[Any]) -> str | None:
    """Where the recipe of a world goes in a settings class: the path of its TrainConfig; None where there is none."""
    if cls in (TrainConfig, CollectConfig):
        return ""
    hints = type_hints(cls)
    return next((name for name, hint in hints.items() if settings_class(hint) is TrainConfig), None)


def _nested(path: str, values: dict[str, Any]) -> dict[str, Any]:
    for part in reversed(path.split(".") if path else []):
        values = {part: values}
    return values


def _assign(cls: type[Any], tree: dict[str, Any], name: str, value: Any) -> None:
    path, inside = locate(cls, name)
    keys = path.split(".")
    *parents, last = keys
    for depth, key in enumerate(parents):
        if tree.get(key) is None:  # an optional section: its defaults
            tree[key] = settings_tree(_class_at(cls, keys[: depth + 1]))
        tree = tree[key]
    if inside:
        mapping = dict(tree.get(last) or {})
        *sections, entry = inside
        below = mapping
        for section in sections:
            below[section] = below = dict(below.get(section) or {})
        below[entry] = value
        tree[last] = mapping
    elif last in ("policy", "planner") and isinstance(value, str):
        tree[last] = preset(last, value)
    elif last == "method" and isinstance(value, str) and isinstance(tree.get(last), dict):
        tree[last] = _other_method(tree[last], value)
    else:
        tree[last] = value


def _other_method(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A method's settings for another one: what the first alone has is left out."""
    kept = {**settings, "name": name, "options": {}}
    if name != "lejepa":
        kept["controlled"] = False
    if name == "lewm":
        kept |= {"lag_end": None, **LEWM_SIGREG}
    return kept


def locate(cls: type[Any], name: str) -> tuple[str, list[str]]:
    """The full path of the option that `name` means, and, where that option is a mapping, the keys inside it."""
    options = {path: hint for path, hint, _ in option_paths(cls)}
    section = recipe_section(cls)
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        head, inside = ".".join(parts[:cut]), parts[cut:]
        exact = [path for path in (head, f"{section}.{head}") if path in options]
        found = exact[:1] or [path for path in options if _means(path, head)]
        if inside:
            found = [path for path in found if dict in (options[path], typing.get_origin(options[path]))]
        if len(found) == 1:
            return found[0], inside
        if found:
            raise UserError(f"{name!r} may mean {' or '.join(found)}; write one of them")
    raise UserError(REMOVED.get(name) or unknown_option(name, list(options)))


def takes_text(cls: type[Any], name: str) -> bool:
    """Whether an option is a path or a name, or a list of such: what is written is meant, also `nan` or `a=b`."""
    if name == "env" and recipe_section(cls) is not None:
        return True
    try:
        path, inside = locate(cls, name)
    except UserError:
        return False
    hint = next(hint for option, hint, _ in option_paths(cls) if option == path)
    return not inside and hint in (str, str | None, list[str])


def _means(path: str, end: str) -> bool:
    """Whether `end` is the end of an option's path, with every section that is always spelled out."""
    if not path.endswith(f".{end}"):
        return False
    left_out = path[: -len(end) - 1].split(".")
    return not set(left_out) & set(SPELLED_OUT)


def _class_at(cls: type[Any], keys: list[str]) -> type[Any]:
    for key in keys:
        nested = settings_class(type_hints(cls)[key])
        assert nested is not None
        cls = nested
    return cls
