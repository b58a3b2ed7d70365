"""Worlds in Python files of one's own: "path/to/file.py:factory"."""

import importlib
import importlib.util
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOADING = threading.RLock()  # the search path belongs to the whole process


class UnknownWorld(ValueError):
    """No world has this name."""


def scene_from_file(name: str) -> object:
    """What the function of a Python file returns, both named as "path/to/file.py:function".

    While the file is loaded and the function runs, modules beside the file can be imported, as by a script.
    They are loaded anew for each world, so that files of the same name in two folders do not mix.

    Raises:
        UnknownWorld: no such file, or no such function in it.
        ValueError: whatever the file raises.
    """
    path, _, attribute = name.rpartition(":")
    if not Path(path).is_file():
        raise UnknownWorld(f"world {name!r}: there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"_world_{Path(path).stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with _importable(Path(path).resolve().parent):
        sys.modules[spec.name] = module  # dataclasses look their module up
        try:
            with warnings.catch_warnings():  # of what the file registers, each time that it is loaded
                warnings.filterwarnings("ignore", ".*Overriding environment")
                spec.loader.exec_module(module)
            factory = getattr(module, attribute, None)
            if callable(factory):
                return factory()
        except (Exception, SystemExit) as error:
            text = " ".join(str(error).split())
            raise ValueError(f"world {name!r} cannot be made: {type(error).__name__}: {text}") from error
        raise UnknownWorld(f"world {name!r}: {path} defines no function {attribute!r} that returns a Scene")


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Have the modules of a folder found first; those that were imported meanwhile are forgotten afterwards."""
    with _LOADING:
        if folder in {Path(entry).resolve() for entry in sys.path}:
            yield
            return
        known = {*sys.modules}
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.path.remove(str(folder))
            for name in {*sys.modules} - known:
                if _stands_in(folder, name):
                    del sys.modules[name]


def _stands_in(folder: Path, name: str) -> bool:
    """Whether an imported module is a file of this folder, or in a package of it."""
    module, top = sys.modules[name], name.partition(".")[0]
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", [])]
    found = [Path(place).resolve() for place in places if place is not None]
    return any(place == folder / f"{top}.py" or place.is_relative_to(folder / top) for place in found)
