"""`key=value` arguments, read by Hydra's grammar: numbers, quoted text, lists, mappings, sweeps."""

from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import OverrideParseException

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


def values(arguments: Sequence[str]) -> dict[str, Any]:
    """Option -> value; UserError where a comma asks for a sweep."""
    chosen: dict[str, Any] = {}
    for override in parse(arguments):
        if override.is_sweep_override():
            raise UserError(
                f"{override.input_line!r} names several values: add -m to run once for each, or write a list as "
                f"{override.key_or_group}=[a,b]"
            )
        chosen[override.key_or_group] = override.value()
    return chosen


def text_of(argument: str) -> str:
    """The value of a `key=value` argument as it was typed."""
    return argument.partition("=")[2]
