"""The text of `worldmodel COMMAND --help`: every option with the value that the recipe gives it, and its meaning."""

import dataclasses
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from worldmodel.cli.settings_of import kept_plan
from worldmodel.settings import ControlConfig, PlanConfig
from worldmodel.settings.arguments import configured_tree, recipe_section
from worldmodel.settings.base import expected, field_docs, settings_class, type_hints
from worldmodel.settings.convert import plain
from worldmodel.settings.recipes import preset_names, sizes
from worldmodel.system.printable import terminal_width


@dataclass(frozen=True)
class Option:
    """One option of a command."""

    path: str
    """Its full name, such as `predictor.horizon`."""
    value: str
    """The value that would be used, as the command line writes it."""
    kind: str
    """What it may hold, in words: `a whole number >= 1`."""
    meaning: str
    """The docstring of its field."""


@dataclass(frozen=True)
class OptionGroup:
    """The options of one settings class."""

    path: str
    """The name that its options begin with, such as `predictor`; empty at the top."""
    meaning: str
    """The docstring of its class."""
    options: tuple[Option, ...]


def help_text(verb: str, summary: str, cls: type[Any], common: tuple[str, ...], chosen: Mapping[str, Any]) -> str:
    """Every option of a verb with its value and meaning, the common ones first, then group by group."""
    explained = cls is ControlConfig
    plan = kept_plan(cls, chosen) or (PlanConfig() if explained else None)
    listed = {} if explained else {"plan": "(See `worldmodel control --help`.)"}
    tree = configured_tree(cls, chosen, plan and {"plan": plain(plan)})
    lines = [_filled(f"worldmodel {verb}: {summary}", ""), "", _filled(inspect.cleandoc(cls.__doc__ or ""), ""), ""]
    section = recipe_section(cls)
    if section is not None:
        lines += [*_choices(str(chosen.get("env", "reacher"))), ""]
    groups = [group for group in option_groups(cls, tree) if group.path not in listed]
    first = [option for group in groups for option in group.options if _short(option.path) in common]
    if first:
        lines += ["Common options", *_lines(first), ""]
    for group in groups:
        rest = [option for option in group.options if option not in first]
        if rest:
            lines += [group.path or "Options", *_lines(rest), ""]
    if unused := list(unused_sections(cls, tree, listed)):
        further = "Further groups, each with defaults of its own; they are set as GROUP.NAME=VALUE"
        lines += [_filled(further, ""), *unused, ""]
    return "\n".join([*lines, _filled(HOW_TO_WRITE, "")])


HOW_TO_WRITE = """\
Options are written key=value. Any unambiguous end of an option's path will do: episodes=50 for collection.episodes=50.
Quote lists and mappings, so that the shell leaves them alone: 'history=[0,1]', 'goal_apart={y: 1}'. options=FILE.yaml
takes options from a file, one a line (episodes: 50). With -m, values separated by commas are a sweep: one run after the
other."""


def _choices(env: str) -> list[str]:
    """The recipes, and the sizes of the one that is chosen."""
    known = sizes(env)
    others = "any other world that `worldmodel worlds` lists, path/to/file.py:factory or gym:ID (default settings)"
    lines = ["Recipes", _filled(f"env={' | '.join(preset_names('env'))}, {others}", "  ")]
    return [*lines, f"  size={' | '.join(known)}   for env={env}"] if known else lines


def _short(path: str) -> str:
    return path.rsplit(".", 1)[-1]


def option_groups(cls: type[Any], tree: Mapping[str, Any], path: str = "") -> Iterator[OptionGroup]:
    """The options of a settings class and of those nested in it, with their values in `tree`."""
    hints, docs = type_hints(cls), field_docs(cls)
    own: list[Option] = []
    below: list[OptionGroup] = []
    for item in dataclasses.fields(cls):
        value, full = tree.get(item.name), f"{path}{item.name}"
        nested = settings_class(hints[item.name])
        if nested is not None and isinstance(value, Mapping):
            below += option_groups(nested, value, f"{full}.")
        elif nested is None:
            own.append(Option(full, _shown(value), expected(hints[item.name]), docs.get(item.name, "")))
    if own:
        yield OptionGroup(path.rstrip("."), inspect.cleandoc(cls.__doc__ or ""), tuple(own))
    yield from below


def unused_sections(
    cls: type[Any], tree: Mapping[str, Any], listed: Mapping[str, str], path: str = ""
) -> Iterator[str]:
    """Lines about groups that `tree` leaves out, and about those in `listed`: group -> where they are explained."""
    hints, docs = type_hints(cls), field_docs(cls)
    for item in dataclasses.fields(cls):
        value, full = tree.get(item.name), f"{path}{item.name}"
        nested = settings_class(hints[item.name])
        if nested is None:
            continue
        if value is None or full in listed:
            yield _head(f"{full}: {', '.join(field.name for field in dataclasses.fields(nested))}")
            yield _filled(f"{docs[item.name]} {listed.get(full, '')}", "      ")
        else:
            yield from unused_sections(nested, value, listed, f"{full}.")


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_shown, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shown(item)}" for key, item in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _lines(options: list[Option]) -> list[str]:
    lines = []
    for option in options:
        kind = f" ({option.kind})" if option.kind.startswith("one of") else ""
        lines += [_head(f"{option.path}={option.value}"), _filled(option.meaning + kind, "      ")]
    return lines


def _head(text: str) -> str:
    """The first line of an entry, which may need another one."""
    lines = textwrap.wrap(text, terminal_width() - 6, break_long_words=False, break_on_hyphens=False)
    return "  " + "\n      ".join(lines)


def _filled(text: str, indent: str) -> str:
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    return "\n\n".join(
        textwrap.fill(part, terminal_width(), initial_indent=indent, subsequent_indent=indent, break_long_words=False)
        for part in paragraphs
    )
