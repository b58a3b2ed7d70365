"""The results page: what is committed is what the files say, its tables are whole, its commands are today's."""

import json
import re
import shlex
from pathlib import Path

import pytest

from benchmarks.command import options
from benchmarks.results import (
    comparisons,
    constants,
    control,
    demo,
    designs,
    lit_ball,
    long_runs,
    plan_times,
    positions,
    reproductions,
    speed,
)
from benchmarks.results.__main__ import page
from benchmarks.settings import BenchConfig, ReproduceConfig
from worldmodel.cli.overrides import values
from worldmodel.cli.verbs import VERBS
from worldmodel.settings import configure

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_every_reproduced_table_has_its_section():
    page = reproductions.details()
    for path in Path("docs/results").glob("reproduce-*.json"):
        assert f"## {json.loads(path.read_text())['title']}\n" in page


@pytest.mark.parametrize(
    "room", [reproductions, comparisons, designs, positions, lit_ball], ids=lambda room: room.__name__.split(".")[-1]
)
def test_the_rows_of_a_table_are_as_wide_as_its_head(room):
    width = 0
    for line in room.details().splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        width = width or cells
        assert cells == width, line


def test_the_committed_page_is_what_the_files_say():
    assert Path("docs/RESULTS.md").read_text(encoding="utf-8") == page()


def test_every_row_has_a_figure_and_the_command_that_makes_it():
    rows = [
        *constants.rows(),
        *positions.rows(),
        *control.rows(),
        *control.world_rows(),
        *demo.rows(),
        *reproductions.rows(),
    ]
    rows += [*lit_ball.rows(), *speed.cost_rows(), *speed.rows(), *long_runs.rows(), *plan_times.rows()]
    assert len(rows) > 60
    for label, value, _, command in rows:
        assert label and re.search(r"\d", value) and re.match("`(worldmodel|python -m benchmarks|make) ?", command)


def test_every_evaluation_is_on_the_page_with_all_its_figures():
    """Each rate, return, regret and time of `control-*.json`, most of which version 0.1 wrote."""
    text = control.details()
    for path in Path("docs/results").glob("control-*.json"):
        name, old = path.stem.removeprefix("control-"), json.loads(path.read_text())
        lines = [line for line in text.splitlines() if line.startswith((f"| {name} ", f"| {name} ("))]
        shown = " ".join(lines)
        if "result" in old:  # of this version
            for of in old["result"]["controllers"].values():
                kind, digits = ("success", ".1%") if of["success"] else ("returns", ".0f")
                value, (low, high) = of[kind]["rate" if of["success"] else "mean"], of[kind]["interval"]
                assert f"{value:{digits}} [{low:{digits}}, {high:{digits}}]" in shown, name
            assert f"{old['result']['cpu_ms_per_decision']:.2f}" in shown, name
            continue
        assert f"{old['cpu_ms_per_decision']:.2f}" in shown, name
        for key, value in old.items():
            if key.endswith("success_rate") or key == "solved_at_start":
                assert f"{value:.1%}" in shown, (name, key)
            if key.endswith("success_interval"):
                assert f"[{value[0]:.1%}, {value[1]:.1%}]" in shown, (name, key)
            if key.endswith("return"):
                assert f" {value:.0f} " in shown, (name, key)
        if "regret" in old:
            assert len(lines) == (1 if old["protocol"]["rewarded"] else 2), "a row of its own under Regret"


def commands() -> list[list[str]]:
    """The words of every command in the tables, `make` aside."""
    found = set(re.findall(r"`((?:worldmodel|python -m benchmarks\.)[^`…]*)`", page()))
    return [shlex.split(command) for command in sorted(found) if "seed=N" not in command and "-sN" not in command]


def test_every_command_can_be_given_today():
    schemas = {"benchmarks.speed": BenchConfig, "benchmarks.reproduce": ReproduceConfig}
    num_checked = 0
    for words in commands():
        if words[0] == "python":
            cls, arguments = schemas.get(words[2]), options(words[3:])
        elif len(words) > 1 and words[1] in VERBS:
            cls = VERBS[words[1]].settings
            arguments = values(words[2:], cls)
        else:
            raise AssertionError(f"no command: {words}")
        if cls is not None and arguments:
            configure(cls, arguments)
            num_checked += 1
    assert num_checked > 50
