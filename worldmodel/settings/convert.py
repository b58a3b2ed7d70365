"""Between settings and plain values: nested mappings, as YAML and the command line give them."""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from worldmodel.settings.base import check_value, expected, settings_class, type_hints
from worldmodel.system.errors import UserError

SettingsT = TypeVar("SettingsT")


def plain(settings: Any) -> dict[str, Any]:
    """Settings as nested plain values."""
    return msgspec.to_builtins(settings)


def settings_tree(cls: type[Any]) -> dict[str, Any]:
    """The defaults of a settings class as nested plain values."""
    return plain(cls())


def structure(values: Mapping[str, Any], cls: type[SettingsT], path: str = "") -> SettingsT:
    """Settings from nested plain values.

    Raises:
        UserError: an unknown key (and what was perhaps meant), a wrong type or a value out of range, by its full path.
    """
    hints = type_hints(cls)
    known = {item.name for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        full = f"{path}{key}"
        if key not in known:
            raise UserError(unknown_option(full, [path + name for name in known]))
        nested = settings_class(hints[key])
        if nested is not None and isinstance(value, Mapping):
            arguments[key] = structure(value, nested, f"{full}.")
        elif nested is not None and value is not None:
            raise UserError(f"{full} is {expected(nested)}, got {value!r}; set one as {full}.NAME=VALUE")
        else:
            check_value(full, value, hints[key])
            arguments[key] = msgspec.convert(value, hints[key])
    return cls(**arguments)


def with_options(settings: SettingsT, options: Mapping[str, Any]) -> SettingsT:
    """The same settings with other values of some options, which are given by their full paths."""
    tree = plain(settings)
    for path, value in options.items():
        *sections, name = path.split(".")
        place = tree
        for section in sections:
            place = place[section]
        place[name] = value
    return structure(tree, type(settings))


def unknown_option(name: str, known: list[str]) -> str:
    """One line about an option that does not exist."""
    # of options with equal last words the one with the shortest path is meant, and then the first: an atlas repeats a
    # collection and comes after it
    shortest_last = sorted(known, key=lambda path: path.count("."))[::-1]
    last_words = {path.rsplit(".", 1)[-1]: path for path in shortest_last}
    by_path = difflib.get_close_matches(name, known, n=1) if "." in name else []
    by_word = difflib.get_close_matches(name.rsplit(".", 1)[-1], last_words, n=1)
    close = by_path or [last_words[word] for word in by_word]
    return f"unknown option {name!r}{f' (did you mean {close[0]}?)' if close else ''}"


def option_paths(cls: type[Any], path: str = "") -> Iterator[tuple[str, Any, dataclasses.Field[Any]]]:
    """(dotted path, type, field) of every option of a settings class, sections and what is in them alike."""
    hints = type_hints(cls)
    for item in dataclasses.fields(cls):
        yield path + item.name, hints[item.name], item
        nested = settings_class(hints[item.name])
        if nested is not None:
            yield from option_paths(nested, f"{path}{item.name}.")
