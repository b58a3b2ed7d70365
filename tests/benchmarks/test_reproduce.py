"""Tables: choosing on validation, cells that are kept, rows beside published values, and plain errors."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import benchmarks.reproduce
from benchmarks.reproduce import definitions, printing, reacher_ou, reproduce, running
from benchmarks.reproduce.circles import CirclePairs, own_angle_error_deg
from benchmarks.reproduce.definitions import Cell, Condition, Published, Table
from benchmarks.reproduce.misspecified import ladder_dimension
from benchmarks.reproduce.result import read_table
from benchmarks.reproduce.running import run_table
from benchmarks.reproduce.straight_line import path_ratios
from benchmarks.reproduce.tables import TABLES
from benchmarks.reproduce.vectors import VectorRun, learn, recovery
from benchmarks.settings import ReproduceConfig
from worldmodel.system.errors import UserError


def asked(seeds, out, **options):
    return ReproduceConfig(seeds=seeds, out=str(out), **options)


def counted_table(calls, tuned_on=""):
    """Figures that are known functions of settings and seed; better on validation with a larger `b`, worse on test."""

    def measure(cell):
        calls.append((cell.settings["a"], cell.settings["b"], cell.seed))
        return {"validation": cell.settings["b"] / 10, "r2": cell.settings["a"] - cell.settings["b"] + cell.seed / 10}

    choices = ({"b": 1}, {"b": 3}, {"b": 2})
    rows = [Condition("one", {"a": 5.0}, choices), Condition("two", {"a": 7.0}, choices)]
    return Table("counted", "", {"r2": "R2"}, lambda request: rows, measure, num_drawn=1, tuned_on=tuned_on)


def test_settings_are_chosen_on_validation_with_the_first_seed_and_test_is_reported(tmp_path):
    calls = []
    found = run_table(counted_table(calls), asked((4, 6), tmp_path))
    assert calls[:4] == [(5.0, 1, 4), (5.0, 3, 4), (5.0, 2, 4), (5.0, 3, 6)]
    assert found.rows[0].measures["r2"].values == [5 - 3 + 0.4, 5 - 3 + 0.6]
    assert read_table(tmp_path / "results.json") == found
    row = found.rows[0]
    assert row.settings == {"a": 5.0, "b": 3}
    assert [trial["validation"] for trial in row.tried] == [0.1, 0.3, 0.2]
    measured = row.measures["r2"]
    assert measured.mean == pytest.approx(2.5)
    half = 12.7062 * np.std([2.4, 2.6], ddof=1) / np.sqrt(2)  # Student's t with one degree of freedom
    assert measured.interval == pytest.approx([2.5 - half, 2.5 + half], rel=1e-4)
    assert found.seeds == [4, 6]


def test_a_figure_that_is_no_number_is_null_and_ends_no_table(tmp_path, capsys):
    table = replace(counted_table([]), measure=lambda cell: {"validation": np.nan, "r2": np.inf if cell.seed else 0.5})
    found = run_table(table, asked((0, 1), tmp_path))
    assert found.rows[0].measures["r2"].values == [0.5, None] and found.rows[0].measures["r2"].mean == 0.5
    nothing = {"validation": np.nan, "r2": np.nan}
    run_table(replace(table, measure=lambda cell: nothing), asked((0,), tmp_path / "nothing"))
    assert capsys.readouterr().out.splitlines()[-1].split()[:2] == ["two", "-"]


def test_finished_cells_are_not_measured_again(tmp_path):
    calls = []
    table = counted_table(calls)
    first = run_table(table, asked((0, 1), tmp_path))
    done = len(calls)
    assert run_table(table, asked((0, 1), tmp_path)) == first
    assert len(calls) == done
    run_table(table, asked((0, 1, 2), tmp_path))
    assert calls[done:] == [(5.0, 3, 2), (7.0, 3, 2)]


def test_rows_are_chosen_by_pattern(tmp_path):
    calls = []
    found = run_table(counted_table(calls), asked((0,), tmp_path, rows=("t*",)))
    assert [row.key for row in found.rows] == ["two"] and {call[0] for call in calls} == {7.0}
    with pytest.raises(UserError, match=r"no row of table counted fits.*it has one, two"):
        run_table(counted_table(calls), asked((0,), tmp_path, rows=("three",)))


def test_cells_measured_together_are_those_measured_one_by_one(tmp_path):
    calls, groups = [], []
    alone = counted_table(calls)

    def together(cells):
        groups.append(len(cells))
        return map(alone.measure, cells)

    table = replace(alone, measure_together=together, shape=lambda settings: settings["a"])
    expected = run_table(alone, asked((0, 1), tmp_path / "alone"))
    found = run_table(table, asked((0, 1), tmp_path / "together", together=True))
    assert groups == [6, 6]  # a shape each: three choices, two seeds
    assert [row.measures for row in found.rows] == [row.measures for row in expected.rows]


def test_one_row_may_choose_for_all(tmp_path):
    calls = []
    run_table(counted_table(calls, tuned_on="two"), asked((0,), tmp_path))
    assert sorted(calls) == [(5.0, 3, 0), (7.0, 1, 0), (7.0, 2, 0), (7.0, 3, 0)]


REQUESTS = [ReproduceConfig(), ReproduceConfig(rows=("*",)), ReproduceConfig(scale="full")]


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("name", TABLES)
def test_rows_are_well_formed(name, request_):
    table = TABLES[name]
    conditions = table.conditions(request_)
    keys = [condition.key for condition in conditions]
    assert len(set(keys)) == len(keys)
    assert not table.tuned_on or table.tuned_on in keys
    json.dumps([dict(condition.settings) for condition in conditions])
    assert table.num_drawn <= len(table.measures)


def test_published_values_belong_to_rows_and_measures_that_exist():
    published = json.loads(definitions.PUBLISHED.read_text())
    for name, content in published.items():
        keys = {condition.key for request in REQUESTS for condition in TABLES[name].conditions(request)}
        assert set(content["rows"]) <= keys, name
        assert all(set(row) <= set(TABLES[name].measures) for row in content["rows"].values()), name


def test_verb_prints_theirs_beside_ours_and_draws(tmp_path, monkeypatch, capsys):
    for module in (printing, running):
        monkeypatch.setattr(module, "read_published", lambda name: Published("a paper", {"one": {"r2": 0.25}}))
    monkeypatch.setitem(benchmarks.reproduce.TABLES, "counted", counted_table([]))
    reproduce(ReproduceConfig(table="counted", out=str(tmp_path / "out")))
    text = capsys.readouterr().out
    assert "a paper" in text and "(0.25)" in text
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"cells", "results.json", "figure.png"}


def test_a_short_training_on_vectors_beats_the_observation(tmp_path):
    cell = Cell({}, 0, tmp_path / "cell", ReproduceConfig())
    learned = learn(VectorRun("sinusoid", steps=60, batch_size=128), cell)
    figures = recovery(learned, cell, num=2000)
    assert figures["r2_h_to_z_polished"] > 0.97
    assert figures["procrustes_mse"] <= figures["bound"]  # Proposition 4.3 holds of any encoder


def test_straight_lines_are_straight_for_a_rotation_and_longer_for_a_bend():
    rng = np.random.default_rng(0)
    angles = rng.standard_normal((5000, 2))
    rotation = np.linalg.qr(rng.standard_normal((2, 2)))[0]
    turned = path_ratios(angles @ rotation, angles, seed=1)
    assert turned["path_length_ratio"] == pytest.approx(1.0, abs=0.05)
    radius = np.linalg.norm(angles, axis=1)
    twist = np.stack([np.cos(2 * radius), -np.sin(2 * radius), np.sin(2 * radius), np.cos(2 * radius)], 1)
    bent = np.einsum("nij,nj->ni", twist.reshape(-1, 2, 2), angles)
    assert path_ratios(bent, angles, seed=1)["path_length_ratio"] > 1.2


def test_own_angle_matches_zero_sense_and_order_only():
    rng = np.random.default_rng(0)
    angles = rng.uniform(-np.pi, np.pi, (3000, 2))
    seen = np.stack([-angles[:, 1] + 0.7, angles[:, 0] - 2.0], 1)  # swapped, one reversed, both shifted
    latents = np.stack([np.cos(seen), np.sin(seen)], -1).reshape(3000, 4)
    assert own_angle_error_deg(latents, angles) < 0.5
    assert own_angle_error_deg(rng.standard_normal((3000, 4)), angles) > 60


def test_circle_pairs_step_by_what_was_asked():
    rng = np.random.default_rng(0)
    angles = rng.uniform(-np.pi, np.pi, (20_000, 1))
    pairs = CirclePairs(angles, np.arange(20_000), 0.35, seed=0, num_pairs=20_000)
    first, second = pairs._pairs.numpy()
    step = (angles[second] - angles[first] + np.pi) % (2 * np.pi) - np.pi
    assert step.std() == pytest.approx(0.35, abs=0.008)  # four standard errors


def test_ladder_counts_the_first_rung():
    assert ladder_dimension(np.array([0.9, 0.89, 0.88, 0.81, 0.8, 0.73])) == 3


def test_unknown_table_lists_them_and_a_world_must_have_the_variables(tmp_path):
    with pytest.raises(UserError, match=r"unknown table 'mixing'.*mixings"):
        reproduce(ReproduceConfig(table="mixing"))
    wrong = ReproduceConfig(table="reacher_ou", world="puck", out=str(tmp_path), data=str(tmp_path), rhos=(0.5,))
    with pytest.raises(UserError, match="world puck has no shoulder, wrist"):
        reproduce(wrong)
    assert not list(Path(tmp_path).glob("reacher*"))


@pytest.mark.parametrize(("rho", "expected"), [(0.95, [1, 2, 7]), (0.99, [1, 10, 35])])
def test_further_lags_of_a_slow_process_are_about_as_fast_as_the_table_says(rho, expected):
    assert reacher_ou.lags(rho) == expected
    np.testing.assert_allclose(np.power(rho, expected)[1:], reacher_ou.LAGGED_RHOS, rtol=0.02)
