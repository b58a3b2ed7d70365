"""Progress bars."""

import sys
from typing import Any

from tqdm import tqdm


def progress(*args: Any, **kwargs: Any) -> "tqdm[Any]":
    """A tqdm bar on standard error, with rate and time left; in a file instead of a terminal, a line every 5 s."""
    return tqdm(*args, mininterval=0.2 if sys.stderr.isatty() else 5.0, dynamic_ncols=True, **kwargs)
