"""How a benchmark is called: `key=value` arguments, put onto typed settings as the `worldmodel` command does."""

import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import yaml

from worldmodel.settings import configure, field_docs
from worldmodel.system import UserError

ConfigT = TypeVar("ConfigT")

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")  # which YAML takes for text without a point and a sign


def run(cls: type[ConfigT], work: Callable[[ConfigT], str]) -> int:
    """Call `work` with the settings that the command line asks for, and print what it returns; 1 on a user's error."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        print(help_text(cls))
        return 0
    try:
        print(work(configure(cls, options(arguments))))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def options(arguments: Sequence[str]) -> dict[str, Any]:
    """Option -> value of `key=value` arguments; a value is a number, text, `true`, `null`, a [list] or a {mapping}.

    Raises:
        UserError: an argument without a `=`, or a value that cannot be read.
    """
    chosen: dict[str, Any] = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not (key and equals):
            raise UserError(f"options are written key=value, got {argument!r}; --help lists them")
        chosen[key] = _value(argument, text)
    return chosen


def _value(argument: str, text: str) -> Any:
    if _NUMBER.fullmatch(text):
        return float(text)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"cannot read the value of {argument!r}; write a list as key=[a,b]") from error


def help_text(cls: type[Any]) -> str:
    """What the settings are for, then every option with its default and its meaning."""
    lines = [inspect.cleandoc(cls.__doc__ or ""), ""]
    defaults, docs = cls(), field_docs(cls)
    for item in dataclasses.fields(cls):
        lines.append(f"  {item.name}={_shown(getattr(defaults, item.name))}")
        lines.append(textwrap.fill(docs[item.name], 110, initial_indent="      ", subsequent_indent="      "))
    return "\n".join(lines)


def _shown(value: Any) -> str:
    """A value as it is written on the command line."""
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
