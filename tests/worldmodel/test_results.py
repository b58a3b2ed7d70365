"""The results page: every committed figure file is on it, and its tables are whole."""

import json
import re
from pathlib import Path

import pytest

from worldmodel import results

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_every_reproduced_table_has_its_section():
    page = results._reproductions()
    for path in Path("docs/results").glob("reproduce-*.json"):
        assert f"## {json.loads(path.read_text())['title']}\n" in page


@pytest.mark.parametrize("section", [results._reproductions, results._comparisons, results._lit_ball])
def test_the_rows_of_a_table_are_as_wide_as_its_head(section):
    width = 0
    for line in section().splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        width = width or cells
        assert cells == width, line


def test_every_row_has_a_figure_and_the_command_that_makes_it():
    rows = results._identifiability_rows()
    assert len(rows) > 5
    for label, value, _, command in rows:
        assert label and re.search(r"\d", value) and command.startswith("`worldmodel ")
