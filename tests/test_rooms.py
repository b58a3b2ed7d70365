"""The order of the rooms in docs/ARCHITECTURE.md: a room imports only rooms that stand above it in the table."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/ARCHITECTURE.md").read_text(encoding="utf-8")
ROOMS = re.findall(r"^\| `(\w+)` \|", PAGE, re.M)


def imported_rooms(path: Path) -> Iterator[tuple[int, str]]:
    """(line, room) of every import from the package, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "worldmodel":
            modules = [f"worldmodel.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module]
        for module in modules:
            parts = module.split(".")
            if parts[0] == "worldmodel" and len(parts) > 1 and parts[1] in ROOMS:
                yield node.lineno, parts[1]  # type: ignore[attr-defined]


def test_every_room_is_in_the_table():
    found = {path.parent.name for path in (ROOT / "worldmodel").glob("*/__init__.py")}
    assert sorted(ROOMS) == sorted(found)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_above_it(room: str):
    folder = ROOT / room if room in ("envs", "planners") else ROOT / "worldmodel" / room
    allowed = ROOMS[: ROOMS.index(room) + 1]
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {other}"
        for path in sorted(folder.rglob("*.py"))
        for line, other in imported_rooms(path)
        if other not in allowed
    ]
    assert not wrong, "\n".join(wrong)
