"""`key=value` arguments, read by Hydra's grammar: numbers, quoted text, lists, mappings, sweeps."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import OverrideParseException

from worldmodel.settings.arguments import recipe_section, takes_text
from worldmodel.settings.base import type_hints
from worldmodel.settings.convert import option_paths
from worldmodel.settings.yaml_files import read_yaml
from worldmodel.system.errors import UserError

OPTIONS = "options"
"""Stands on a command line for the options in a file."""


def parse(arguments: Sequence[str]) -> list[Override]:
    """The arguments as Hydra reads them; UserError for what is not written key=value."""
    try:
        found = OverridesParser.create().parse_overrides(list(arguments))
    except OverrideParseException as error:
        raise UserError(
            f"cannot read {error.override!r}; options are written key=value (quote values with special characters)"
        ) from error
    for override in found:
        if override.type == OverrideType.DEL:
            raise UserError(f"{override.input_line!r} would delete an option; give it a value: key=value")
    return found


def values(arguments: Sequence[str], cls: type[Any]) -> dict[str, Any]:
    """Option of a settings class -> value; UserError where a comma asks for a sweep.

    What stands after the `=` of a path or a name is meant as it stands: also `=`, `#`, an accent, and words such as
    `nan` that would be a number elsewhere. `options=FILE` stands for the options in a YAML file; what is given after
    it counts more.
    """
    chosen: dict[str, Any] = {}
    for argument in arguments:
        if problem := _not_key_value(argument, cls):
            raise UserError(problem)
        key, equals, text = argument.lstrip("+").partition("=")
        if equals and key == OPTIONS:
            chosen |= _options_in(Path(_unquoted(text)))
            continue
        if equals and takes_text(cls, key):
            chosen[key] = _text(text)
            continue
        (override,) = parse([argument])
        if override.is_sweep_override():
            raise UserError(
                f"{argument!r} names several values: add -m to run once for each, or write a list as "
                f"{override.key_or_group}=[a,b]"
            )
        chosen[override.key_or_group] = override.value()
    return chosen


def _options_in(path: Path) -> dict[str, Any]:
    """Option -> value in a YAML file, which names options as a command line does."""
    try:
        return read_yaml(path)
    except OSError as error:
        raise UserError(f"{OPTIONS}={path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:
        raise UserError(f"{OPTIONS}={path}: {error}; write one option a line, such as episodes: 50") from error


def _not_key_value(argument: str, cls: type[Any]) -> str:
    """What is wrong with an argument that is written as other programs take it, and how to write it; else empty."""
    name, equals, text = argument.partition("=")
    if name.startswith("-"):
        return f"unknown flag {argument!r}; options have no dashes: {name.strip('-')}={text or 'VALUE'}"
    if not name and argument:
        return f"cannot read {argument!r}; write key=value without spaces around the ="
    if equals or not argument or argument.startswith("~"):
        return ""
    if _is_option(cls, name):
        return f"{argument!r} has no value; write {argument}=VALUE, without spaces around the ="
    first = main_option(cls)
    meant = f", such as {first}={argument}" if first else ""
    return f"cannot read {argument!r}; options are written key=value{meant}"


def _is_option(cls: type[Any], name: str) -> bool:
    """Whether this is the name of an option, or of a setting in one, such as `planner.horizon`."""
    ends = [end for end in (name, name.rpartition(".")[0]) if end]
    return any(f".{path}".endswith(f".{end}") for path, _, _ in option_paths(cls) for end in ends)


def main_option(cls: type[Any]) -> str | None:
    """The option that a verb is about: a world, a run, a data set; None where there is no such option."""
    if recipe_section(cls) is not None:
        return "env"
    names = type_hints(cls)
    return next((name for name in ("run", "path", "env", "name") if name in names), None)


def _text(text: str) -> str | list[str] | None:
    """What stands after the `=`; `~/` is the home directory, which not every shell has put there."""
    if text == "null":
        return None
    if text.startswith("[") and text.endswith("]"):
        return [_unquoted(part.strip()) for part in text[1:-1].split(",") if part.strip()]
    return _unquoted(text)


def _unquoted(text: str) -> str:
    """Text without the quotes around it, which Hydra's grammar would ask for."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].replace(f"\\{text[0]}", text[0])
    return os.path.expanduser(text) if text.startswith("~/") else text


def quoted(argument: str, cls: type[Any]) -> str:
    """An argument as Hydra's grammar takes it: values that are text in quotes, each of a sweep's in its own."""
    key, equals, text = argument.partition("=")
    if not equals or text[:1] in ("[", "'", '"') or not takes_text(cls, key.lstrip("+")):
        return argument
    escaped = (part.replace("'", "\\'") for part in text.split(","))
    return f"{key}=" + ",".join(f"'{part}'" for part in escaped)
