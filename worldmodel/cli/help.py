"""What `worldmodel VERB --help` prints: the values that would be used, after the recipe, and what they mean."""

import dataclasses
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from worldmodel.settings.arguments import configured_tree, recipe_section
from worldmodel.settings.base import expected, field_docs, settings_class, type_hints
from worldmodel.settings.recipes import preset_names, sizes

WIDTH = 110


def help_text(verb: str, summary: str, cls: type[Any], common: tuple[str, ...], chosen: Mapping[str, Any]) -> str:
    """Every option of a verb with its value and meaning, the common ones first, then group by group."""
    tree = configured_tree(cls, chosen)
    lines = [f"worldmodel {verb}: {summary}", "", _filled(inspect.cleandoc(cls.__doc__ or ""), ""), ""]
    section = recipe_section(cls)
    if section is not None:
        lines += [*_choices(str(chosen.get("env", "reacher"))), ""]
    groups = dict(_groups(cls, tree, ""))
    first = {path: shown for group in groups.values() for path, shown in group.items() if _short(path) in common}
    if first:
        lines += ["Common options", *_lines(first), ""]
    for title, group in groups.items():
        rest = {path: shown for path, shown in group.items() if path not in first}
        if rest:
            lines += [title, *_lines(rest), ""]
    lines += [
        "Options are written key=value. Any unambiguous end of an option's path will do: episodes=50 for",
        "collection.episodes=50. A list is written [a,b], a mapping {a: 1}; a comma without brackets is a sweep (-m).",
    ]
    return "\n".join(lines)


def _choices(env: str) -> list[str]:
    """The recipes, and the sizes of the one that is chosen."""
    known = sizes(env)
    lines = ["Recipes", _filled(f"env={' | '.join(preset_names('env'))}, any other world (its default settings), "
                                "or path/to/file.py:factory", "  ")]  # fmt: skip
    return [*lines, f"  size={' | '.join(known)}   for env={env}"] if known else lines


def _short(path: str) -> str:
    return path.rsplit(".", 1)[-1]


def _groups(cls: type[Any], tree: Mapping[str, Any], path: str) -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    """(title, {path: (value, meaning)}) of a settings class and of those nested in it."""
    hints, docs = type_hints(cls), field_docs(cls)
    own: dict[str, tuple[str, str]] = {}
    below: list[tuple[str, dict[str, tuple[str, str]]]] = []
    for item in dataclasses.fields(cls):
        value, full = tree.get(item.name), f"{path}{item.name}"
        nested = settings_class(hints[item.name])
        if nested is not None and isinstance(value, Mapping):
            below += _groups(nested, value, f"{full}.")
        else:
            kind = f" ({expected(hints[item.name])})" if _is_choice(hints[item.name]) else ""
            own[full] = _shown(value), docs.get(item.name, "") + kind
    if own:
        yield (path.rstrip(".") or "Options"), own
    yield from below


def _is_choice(hint: Any) -> bool:
    return expected(hint).startswith("one of")


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_shown, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shown(item)}" for key, item in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _lines(group: Mapping[str, tuple[str, str]]) -> list[str]:
    lines = []
    for path, (value, meaning) in group.items():
        lines += [f"  {path}={value}", _filled(meaning, "      ")]
    return lines


def _filled(text: str, indent: str) -> str:
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    return "\n\n".join(
        textwrap.fill(part, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False)
        for part in paragraphs
    )
