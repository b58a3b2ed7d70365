"""Progress bars."""

import sys
from typing import Any

from tqdm import tqdm

from worldmodel.system.printable import printable


def progress(*args: Any, desc: str | None = None, **kwargs: Any) -> "tqdm[Any]":
    """A tqdm bar on standard error, with rate and time left; in a file instead of a terminal, a line every 5 s."""
    label = None if desc is None else printable(desc)  # it may hold the name of a stranger's world
    return tqdm(*args, desc=label, mininterval=0.2 if sys.stderr.isatty() else 5.0, dynamic_ncols=True, **kwargs)


def end_open_bars() -> None:
    """Close the bars that an error has left open, so that what is printed next stands on a line of its own."""
    for bar in list(getattr(tqdm, "_instances", ())):
        bar.close()
