"""`key=value` arguments, read by Hydra's grammar: numbers, quoted text, lists, mappings, sweeps."""

import os
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import OverrideParseException

from worldmodel.settings.arguments import takes_text
from worldmodel.system.errors import UserError


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
    `nan` that would be a number elsewhere.
    """
    chosen: dict[str, Any] = {}
    for argument in arguments:
        key, equals, text = argument.lstrip("+").partition("=")
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
