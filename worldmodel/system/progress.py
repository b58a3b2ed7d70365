"""Progress with rate and time left."""

import sys
from typing import Any

from tqdm import tqdm


def progress(*args: Any, **kwargs: Any) -> "tqdm[Any]":
    """A tqdm bar on standard error; where that is a file and not a terminal, a line every few seconds."""
    return tqdm(*args, mininterval=0.2 if sys.stderr.isatty() else 5.0, dynamic_ncols=True, **kwargs)
