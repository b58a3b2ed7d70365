"""What the commands wrote: the JSON of docs/results, by name."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path("docs/results")


def paths(pattern: str = "*.json") -> list[Path]:
    """The files that match, in the order of their names."""
    return sorted(FOLDER.glob(pattern))


def read(name: str) -> dict[str, Any] | None:
    """One file, or None where it was not measured."""
    path = FOLDER / name
    return json.loads(path.read_text()) if path.exists() else None


def read_all(pattern: str) -> list[dict[str, Any]]:
    """Every file that matches: seeds of one training, or studies of one kind."""
    return [json.loads(path.read_text()) for path in paths(pattern)]


def read_named(prefix: str) -> list[tuple[str, dict[str, Any]]]:
    """Every file whose name starts so, each behind the rest of its name."""
    return [(path.stem.removeprefix(prefix), json.loads(path.read_text())) for path in paths(f"{prefix}*.json")]
