"""Text from files of others, fit for a terminal and a page."""

import re
import shlex
import shutil
import sys
import unicodedata

_KEPT = "\n\t"
_WIDEST = 110


def printable(text: str) -> str:
    """`text` with control characters, escape sequences and marks of writing direction made visible as `\\x1b`.

    A terminal would obey them: they can hide text, or pretend that something else was printed.
    """
    if text.isprintable():  # at once: a page holds megabytes of pictures as text
        return text
    return "".join(c if c in _KEPT or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else _escaped(c) for c in text)


def say(text: str, to_stderr: bool = False) -> None:
    """Print text that may quote others' files; a test makes sure that such text is printed by no other function."""
    print(printable(text), file=sys.stderr if to_stderr else sys.stdout, flush=True)


def terminal_width() -> int:
    """Characters of a line of text: those of the terminal, from 40 to as many as are read with ease."""
    return max(40, min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns))


def command(verb: str, **options: object) -> str:
    """A command of this toolkit as one writes it in a shell: values with spaces and the like in quotes."""
    return shlex.join(["worldmodel", *verb.split(), *(f"{name}={value}" for name, value in options.items())])


def file_name(text: str) -> str:
    """`text` as part of a file's name: letters, digits and `. - +`; all else, such as what parts folders, is a `_`."""
    return re.sub(r"[^\w.+-]", "_", text)[:100]


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
