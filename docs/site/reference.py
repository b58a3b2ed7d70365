"""The reference: options of every command from the settings classes, Python names from their docstrings."""

import dataclasses
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import worldmodel
from worldmodel.cli.help import Option, OptionGroup, option_groups
from worldmodel.cli.verbs import VERBS, Verb
from worldmodel.settings.arguments import configured_tree, recipe_section
from worldmodel.settings.base import settings_class, type_hints
from worldmodel.settings.recipes import over_defaults

ROOMS = {
    "envs": "worlds, factors, excitation, rollouts",
    "planners": "planners, objectives, model predictive control",
    "settings": "typed settings of every command",
    "data": "data sets: recording, reading, pairs of frames",
    "models": "the networks, and the world model with its files",
    "learning": "losses, methods, the training loop",
    "measures": "statistics of plain arrays",
    "runs": "the run directory and the typed results",
}
"""Parts of the package whose names get a page each."""


def write_reference(out: Path) -> dict[str, list[str]]:
    """Write a page for each command, one for the package's own names and one for each of its parts.

    Returns:
        The pages of "commands" and of "python", in order, by name.
    """
    pages: dict[str, dict[str, str]] = {
        "commands": {name: command_page(name, verb) for name, verb in VERBS.items()},
        "python": {"worldmodel": names_page("worldmodel", "functions from a typed configuration to a typed result")},
    }
    pages["python"] |= {room: names_page(f"worldmodel.{room}", summary) for room, summary in ROOMS.items()}
    for folder, texts in pages.items():
        (out / folder).mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (out / folder / f"{name}.md").write_text(text, encoding="utf-8")
    return {folder: list(texts) for folder, texts in pages.items()}


def command_page(name: str, verb: Verb) -> str:
    """Every option of a command with its default, type and meaning, group by group."""
    cls = verb.settings
    lines = [
        f"# {name}",
        "",
        f"`worldmodel {name}`: {verb.summary}. In Python: `worldmodel.settings.{cls.__name__}`.",
        "",
    ]
    if recipe_section(cls) is not None:
        lines += ["Defaults are those of `env=reacher`; other worlds have recipes with values of their own.", ""]
    tree = configured_tree(cls, {})
    for group in option_groups(cls, tree):
        lines += _section(group)
    for group in _left_out(cls, tree, ""):
        lines += _section(group, "This group is null unless one of its options is set.")
    return "\n".join(lines) + "\n"


def _left_out(cls: type[Any], tree: dict[str, Any], path: str) -> Iterator[OptionGroup]:
    """Groups that a settings class may hold and that are null by default, with their own defaults."""
    for item in dataclasses.fields(cls):
        nested, value, full = settings_class(type_hints(cls)[item.name]), tree.get(item.name), f"{path}{item.name}"
        if nested is not None and value is None:
            defaults = over_defaults(nested, {})
            yield from option_groups(nested, defaults, f"{full}.")
            yield from _left_out(nested, defaults, f"{full}.")
        elif nested is not None and isinstance(value, dict):
            yield from _left_out(nested, value, f"{full}.")


def _section(group: OptionGroup, remark: str = "") -> list[str]:
    title = f"## `{group.path}`" if group.path else "## Options"
    table = ["| option | default | |", "|---|---|---|", *map(_row, group.options)]
    return [title, "", f"{group.meaning} {remark}", "", '<div class="options" markdown>', "", *table, "", "</div>", ""]


def _row(option: Option) -> str:
    value = f"`{option.value}`" if option.value else ""
    cells = f"`{option.path}`", value, f"{option.meaning} *{option.kind}*"
    return "| " + " | ".join(cell.replace("|", r"\|").replace("<", "&lt;") for cell in cells) + " |"


def names_page(module: str, summary: str) -> str:
    """The docstrings of a module's public names, by mkdocstrings; the package's own names have a page of theirs."""
    elsewhere = ROOMS if module == "worldmodel" else worldmodel.__all__
    names = [name for name in importlib.import_module(module).__all__ if name not in elsewhere]
    names.sort(key=lambda name: name[0].isupper())  # functions first
    blocks = [f"::: {module}.{name}\n" for name in names]
    return "\n".join([f"# {module}", "", f"{summary[0].upper()}{summary[1:]}.", "", *blocks])
