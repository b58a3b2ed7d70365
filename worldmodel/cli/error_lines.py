"""An error, as the command line tells it."""

_OUT_OF_MEMORY = ("OutOfMemoryError", "can't allocate memory", "Unable to allocate")
"""What torch on a GPU, torch on a CPU, and numpy call it."""


def one_line(error: Exception) -> str:
    """The message of an error meant for users; for any other, also its type and how to see the traceback."""
    text = " ".join(str(error).split())
    if isinstance(error, ValueError) or type(error).__name__ in ("GLUnavailable", "SimulationDiverged"):
        return text
    if isinstance(error, MemoryError) or any(sign in f"{type(error).__name__} {text}" for sign in _OUT_OF_MEMORY):
        asked = f" ({text[:300]})" if text else ""
        return f"there is not enough memory{asked}; ask for less at once: smaller images, batches, plans or networks"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror.lower()}; check the path, its permissions and the space on its disk"
    return f"{type(error).__name__}: {text} (--traceback shows where)"
