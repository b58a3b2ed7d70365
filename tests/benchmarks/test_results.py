"""The results page: every committed figure file is on it, and its tables are whole."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.results import comparisons, lit_ball, reproductions, speed

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_every_reproduced_table_has_its_section():
    page = reproductions.details()
    for path in Path("docs/results").glob("reproduce-*.json"):
        assert f"## {json.loads(path.read_text())['title']}\n" in page


@pytest.mark.parametrize("room", [reproductions, comparisons, lit_ball], ids=lambda room: room.__name__.split(".")[-1])
def test_the_rows_of_a_table_are_as_wide_as_its_head(room):
    width = 0
    for line in room.details().splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        width = width or cells
        assert cells == width, line


def test_every_row_has_a_figure_and_the_command_that_makes_it():
    rows = [*reproductions.rows(), *lit_ball.rows(), *speed.cost_rows()]
    assert len(rows) > 5
    for label, value, _, command in rows:
        assert label and re.search(r"\d", value) and command.startswith("`worldmodel ")
