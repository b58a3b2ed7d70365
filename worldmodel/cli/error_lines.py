"""An error, as the command line tells it."""


def one_line(error: Exception) -> str:
    """The message of an error meant for users; for any other, also its type and how to see the traceback."""
    text = " ".join(str(error).split())
    if isinstance(error, ValueError) or type(error).__name__ == "GLUnavailable":
        return text
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror.lower()}; check the path, its permissions and the space on its disk"
    return f"{type(error).__name__}: {text} (--traceback shows where)"
