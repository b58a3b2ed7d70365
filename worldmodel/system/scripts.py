"""Worker processes and the script that starts them.

A new process imports the main script again, so that it knows what the script defines. A script without a main guard
(`if __name__ == "__main__":`) would thereby start its work anew in every worker.
"""

import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worldmodel.system.files import read_text

MAX_SCRIPT_BYTES = 2**24


@contextmanager
def workers_leave_script_alone() -> Iterator[None]:
    """While this context is open, new processes do not import the main script if it has no main guard."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None or has_main_guard(Path(file)):
        yield
        return
    spec = main.__spec__
    main.__file__, main.__spec__ = None, None
    try:
        yield
    finally:
        main.__file__, main.__spec__ = file, spec


def has_main_guard(script: Path) -> bool:
    """Whether a Python file compares `__name__` with "__main__"; True for what is not a readable Python file."""
    try:
        tree = ast.parse(read_text(script.resolve(), MAX_SCRIPT_BYTES))  # what a user runs may be a link
    except (OSError, ValueError, SyntaxError):
        return True
    return any(isinstance(node, ast.Compare) and "__name__" in ast.unparse(node) for node in ast.walk(tree))
