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


AS_TYPED = frozenset({"run", "path", "out", "data", "runs", "supervised", "env", "env.world", "camera"})
"""Options that are paths or names: whatever stands after the `=` is meant, also `=`, `#`, brackets or an accent."""


def values(arguments: Sequence[str]) -> dict[str, Any]:
    """Option -> value; UserError where a comma asks for a sweep."""
    chosen: dict[str, Any] = {}
    for argument in arguments:
        key, equals, text = argument.lstrip("+").partition("=")
        if equals and key in AS_TYPED:
            chosen[key] = None if text == "null" else _unquoted(text)
            continue
        (override,) = parse([argument])
        if override.is_sweep_override():
            raise UserError(
                f"{argument!r} names several values: add -m to run once for each, or write a list as "
                f"{override.key_or_group}=[a,b]"
            )
        chosen[override.key_or_group] = override.value()
    return chosen


def _unquoted(text: str) -> str:
    """Text without the quotes around it, which Hydra's grammar would ask for."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
