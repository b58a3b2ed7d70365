"""What every settings class shares: fields that check themselves, and say in a docstring what they mean.

A field's type says what it may hold: `Count` is a whole number of at least 1, `Literal["a", "b"]` one of two words. The
same types check values that come from Python, from a YAML file or from the command line.
"""

import ast
import dataclasses
import inspect
import math
import re
import textwrap
import types
import typing
from collections.abc import Iterator
from dataclasses import field
from functools import cache
from typing import Annotated, Any, Literal

import msgspec

from worldmodel.system.errors import UserError

Count = Annotated[int, msgspec.Meta(ge=1)]
NonNegativeInt = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
OpenFraction = Annotated[float, msgspec.Meta(gt=0, lt=1)]
BelowOne = Annotated[float, msgspec.Meta(ge=0, lt=1)]
TrackerName = Literal["tensorboard", "trackio", "wandb"]

_TOO_LARGE = 2**63
_NO_EFFECT = "no effect on weights"


def no_effect_on_weights(default: Any) -> Any:
    """A field that trained weights do not depend on, such as a folder or the number of processes."""
    return field(default=default, metadata={_NO_EFFECT: True})


class Settings:
    """Base of the settings classes, all of which are frozen dataclasses."""

    def __post_init__(self) -> None:
        self.check_types()

    def check_types(self) -> None:
        """UserError, in one line, where a field holds what its type does not allow."""
        hints = type_hints(type(self))
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            if not dataclasses.is_dataclass(value):
                check_value(item.name, value, hints[item.name])


def check_value(name: str, value: Any, hint: Any) -> None:
    """UserError where `value` is not of the type `hint`."""
    try:
        if isinstance(value, float) and not math.isfinite(value):
            raise msgspec.ValidationError("Expected a number")
        if isinstance(value, int) and abs(value) >= _TOO_LARGE:  # torch and files of JSON hold no larger ones
            raise UserError(f"{name} must be a number below 2^63, got {value}")
        msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        raise UserError(f"{name} must be {expected(hint)}, got {value!r}") from error


def expected(hint: Any) -> str:
    """A type in words: `a whole number >= 1`, `one of mlp, cnn`."""
    if hint is type(None):
        return "null"
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        meta = arguments[1]
        bounds = [
            f"{sign} {bound:g}"
            for sign, bound in ((">=", meta.ge), (">", meta.gt), ("<=", meta.le), ("<", meta.lt))
            if bound is not None
        ]
        return f"{expected(arguments[0])} {' and '.join(bounds)}"
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(expected(part) for part in arguments)
    if origin in (list, tuple):  # tuples are of any length: tuple[int, ...]
        return f"a list, each {expected(arguments[0])}"
    if origin is dict:
        return "a mapping" + ("" if arguments[1] is Any else f", each value {expected(arguments[1])}")
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return words.get(hint, "a group of options" if dataclasses.is_dataclass(hint) else str(hint))


@cache
def type_hints(cls: type[Any]) -> dict[str, Any]:
    """Field name -> type, with what `Annotated` adds."""
    return typing.get_type_hints(cls, include_extras=True)


def settings_class(hint: Any) -> type[Any] | None:
    """The settings class that a field holds, also where it may be None instead."""
    for part in (hint, *typing.get_args(hint)):
        if dataclasses.is_dataclass(part) and isinstance(part, type):
            return part
    return None


@cache
def field_docs(cls: type[Any]) -> dict[str, str]:
    """Field name -> the docstring that stands under it, in one line."""
    docs: dict[str, str] = {}
    for base in reversed([base for base in cls.__mro__ if dataclasses.is_dataclass(base)]):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(definition, ast.ClassDef)
        for item, after in zip(definition.body, definition.body[1:], strict=False):
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and isinstance(after, ast.Expr):
                docs[item.target.id] = re.sub(r"\s+", " ", str(ast.literal_eval(after.value))).strip()
    return docs


def flatten(settings: Any, only_weights: bool = False, path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, plain value) of every field of nested settings; only_weights: of those that weights depend on."""
    for item in dataclasses.fields(settings):
        value = getattr(settings, item.name)
        if only_weights and item.metadata.get(_NO_EFFECT):
            continue
        if dataclasses.is_dataclass(value):
            yield from flatten(value, only_weights, f"{path}{item.name}.")
        else:
            yield path + item.name, value


def changed(settings: Any) -> dict[str, Any]:
    """Dotted path -> value of every field that trained weights depend on and that is not at its default.

    Settings that are added later do not change what this says of settings that leave them at their default.
    """
    defaults = dict(_optional(type(settings))) | dict(flatten(type(settings)()))
    values = flatten(settings, only_weights=True)
    return {path: value for path, value in values if path not in defaults or defaults[path] != value}


def _optional(cls: type[Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, default) of every field of the sections that a settings class may hold or not."""
    hints = type_hints(cls)
    for item in dataclasses.fields(cls):
        nested = settings_class(hints[item.name])
        if nested is not None:
            yield from _optional(nested, f"{path}{item.name}.")
            if type(None) in typing.get_args(hints[item.name]):
                yield from flatten(nested(), path=f"{path}{item.name}.")
