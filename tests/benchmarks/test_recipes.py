"""The evidence for settings that are chosen without labels: correlations of figures whose order is known."""

import re
from pathlib import Path

import pytest

import worldmodel as wm
from benchmarks.recipes import comparison, criteria
from benchmarks.recipes.options import Figures, RecipesBench, cell
from benchmarks.results import chosen_settings
from worldmodel.runs import CellStore, cell_key
from worldmodel.settings import recipe


def cells(num_worlds: int) -> criteria.Cells:
    """Worlds in which fewer steps off go with more success and a worse state R2, and the other criteria say nothing."""

    def figures(good: int, world: int) -> Figures:
        of: Figures = dict.fromkeys(criteria.CRITERIA, 1.0)
        return of | {"steps_off": 9.0 - good, "success": 0.1 * good + world, "state_r2": -good, "random": 0.0}

    return {
        f"world {world}": {name: figures((good + world) % 5, world) for good, name in enumerate(criteria.CANDIDATES)}
        for world in range(num_worlds)
    }


def test_a_criterion_that_orders_every_world_rightly_has_a_correlation_of_one():
    found = criteria.judged(cells(4))
    of = found["correlations"]["steps_off"]
    assert of["success"]["within"]["mean"] == pytest.approx(1) and of["state_r2"]["pooled"] == pytest.approx(-1)
    assert of["success"]["pairs_ordered_rightly"] == [40, 40] and of["state_r2"]["pairs_ordered_rightly"] == [0, 40]
    assert found["correlations"]["alignment"]["success"]["worlds"] == 0, "it is the same for all candidates"
    choices = found["choices"]["success"]
    assert choices["steps_off"] == choices["best"] == pytest.approx(1.9) and choices["as it stands"] == pytest.approx(
        1.65
    )
    assert "steps_off" in criteria.lines(found) and found["num_trainings"] == 20


def test_tables_are_as_wide_as_their_heads(monkeypatch: pytest.MonkeyPatch):
    before: Figures = {"success": 0.5, "state_r2": 0.4, "random": 0.1}
    after: Figures = before | {"success": 0.7, "method.lag": 2}
    told = comparison.judged({"w s0": {"earlier": before, "automatic": after}}, {"gym:X": "it is not installed"})
    assert told["totals"]["success"]["better"] == 1 and "0.50 -> 0.70" in comparison.lines(told)
    files = {"recipes-criteria.json": criteria.judged(cells(3)), "recipes-comparison.json": told}
    monkeypatch.setattr(chosen_settings, "read", files.get)
    text = chosen_settings.details()
    assert "lag 2" in text and "gym:X was left out" in text and len(chosen_settings.rows()) == 4
    for table in re.findall(r"(?:^\|.*\n?)+", text, re.M):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_every_world_leaves_its_settings_open():
    worlds = {world for what in ("criteria", "comparison") for world in RecipesBench(what=what).all_worlds}  # type: ignore[arg-type]
    assert all(recipe(world).choose for world in worlds) and len(RecipesBench().all_worlds) == 12
    config = RecipesBench().base("gym:Pusher-v5", "lag_2", 1, {"method.lag": 2})
    assert (config.name, config.method.lag, config.choose) == ("Pusher-v5-lag_2-s1", 2, ())


class Trained(Exception):
    """Instead of a training."""


def test_cells_learn_no_reward_and_those_that_learned_one_stay_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bench = RecipesBench(folder=str(tmp_path))
    config = bench.base("gym:Pusher-v5", "as_it_stands", 0, {})

    def train(config: wm.TrainConfig):
        assert not config.reward_head
        raise Trained

    monkeypatch.setattr(wm, "train", train)
    with pytest.raises(Trained):
        cell(bench, config)
    of_before = cell_key("Pusher-v5-as_it_stands-s0", training=config, choose=[], tasks=bench.tasks)
    CellStore(bench.cells, Figures).keep(of_before, {"success": 0.5})
    assert cell(bench, config) == {"success": 0.5}
