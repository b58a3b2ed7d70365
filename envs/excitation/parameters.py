"""Checks of what a policy is made of: names, and types of numbers. Ranges are checked by each policy itself."""

import numbers
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from difflib import get_close_matches
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

_SIMPLE = {  # type of a field -> what a value must be an instance of, and how an error calls it
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a number"),
    str: (str, "a name"),
    types.NoneType: (types.NoneType, "None"),
}


def check_known(what: str, name: object, known: Sequence[str]) -> None:
    """Raises ValueError, with the nearest known name, unless a name is known."""
    if name not in known:
        close = get_close_matches(str(name).lower(), known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"unknown {what} {name!r}; {hint}choose from {', '.join(known)}")


def check_parameters(policy: str, cls: type, params: Mapping[str, object]) -> None:
    """Raises ValueError unless the parameters are fields of the dataclass `cls`, of their types, with none missing."""
    known, hints = {field.name: field for field in fields(cls)}, get_type_hints(cls)
    for name, value in params.items():
        check_known(f"parameter of policy {policy}", name, [*known])
        if not _is_a(value, hints[name]):
            raise ValueError(f"{name} must be {_in_words(hints[name])}, got {value!r}; set policy.{name}")
    required = [name for name, field in known.items() if field.default is MISSING and field.default_factory is MISSING]
    if missing := [name for name in required if name not in params]:
        raise ValueError(f"policy {policy} needs {', '.join(missing)}; set policy.{missing[0]}")


def _is_a(value: object, hint: Any) -> bool:
    """Whether a value fits the type of a field; anything fits a type other than numbers, names and lists."""
    if isinstance(hint, types.UnionType):
        return any(_is_a(value, option) for option in get_args(hint))
    if get_origin(hint) is Sequence:
        if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str):
            return False
        return all(_is_a(one, get_args(hint)[0]) for one in value)
    return hint not in _SIMPLE or (isinstance(value, _SIMPLE[hint][0]) and not isinstance(value, bool))


def _in_words(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        return " or ".join(_in_words(option) for option in get_args(hint))
    if get_origin(hint) is Sequence:
        return f"a list, each of it {_in_words(get_args(hint)[0])}"
    return _SIMPLE[hint][1] if hint in _SIMPLE else f"a {hint.__name__}"
