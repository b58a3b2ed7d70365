"""What the code of others raises, in one line that says whose it is."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def failing_in(name: str, what: str) -> Iterator[None]:
    """While a world does something: ValueError, in one line, for whatever its code raises.

    name, what: whose doing and which, for the message; an error that begins with the name stays as it is.
    """
    try:
        yield
    except Exception as error:  # each library fails in its own way
        if isinstance(error, MemoryError) or (isinstance(error, ValueError) and str(error).startswith(name)):
            raise
        raise ValueError(f"{name} failed in its {what}: {kind_and_text(error)}") from error


def kind_and_text(error: Exception) -> str:
    """The error in one line; where it has no message, the line of code that failed."""
    text = " ".join(str(error).split())
    if not text:
        text = traceback.extract_tb(error.__traceback__)[-1].line or ""
    return f"{type(error).__name__}: {text}"
