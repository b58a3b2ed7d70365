"""Comparison: equal budgets, finished cells are kept, measures and verdicts follow their rules."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worldmodel_fakes import KINEMATIC, fake_episode, write_fake_data

from worldmodel import compare as package
from worldmodel.cli import compose as config
from worldmodel.cli.main import main
from worldmodel.compare import shifts, study
from worldmodel.compare.candidates import CANDIDATES, choose, override
from worldmodel.compare.claims import verdicts
from worldmodel.compare.laboratory import Cell, rank_correlation
from worldmodel.compare.measurements import convergence
from worldmodel.compare.memory import kept_bytes
from worldmodel.compare.scale import SCALES, Scale
from worldmodel.data.store import DataSet
from worldmodel.measures.statistics import over_seeds
from worldmodel.settings import METHODS, CompareConfig, EncoderConfig, MethodConfig
from worldmodel.system.errors import UserError

TINY = Scale(8, 6, (4, 16), (0.5, 1.0), 8, 6, 2, batch_size=8)

# ---------------------------------------------------------------------------------------------------------------------
# candidates


def test_every_method_is_compared_and_tuned_over_as_many_settings():
    assert {candidate.preset["name"] for candidate in CANDIDATES.values()} == set(METHODS)
    assert {len(candidate.settings) for candidate in CANDIDATES.values()} == {4}
    for candidate in CANDIDATES.values():
        tried = [candidate.configure(MethodConfig(), index) for index in range(4)]
        assert all(one != other for i, one in enumerate(tried) for other in tried[:i])
        assert {method.on_collapse for method in tried} == {"report"}


def test_settings_override_what_they_name_and_nothing_else():
    method = MethodConfig(sigreg_start=0.1, sigreg_end=0.2, lag=7)
    scaled = override(method, {"sigreg_scale": 3.0})
    assert (scaled.sigreg_start, scaled.sigreg_end, scaled.lag) == (pytest.approx(0.3), pytest.approx(0.6), 7)
    changed = override(method, {"optim.lr": 0.5, "jepa.target": "none", "name": "jepa"})
    assert (changed.optim.lr, changed.jepa.target, changed.name, changed.lag) == (0.5, "none", "jepa", 7)
    assert (method.optim.lr, method.jepa.target, method.name) == (MethodConfig().optim.lr, "ema", "lejepa")


def test_only_what_a_world_allows_is_compared():
    assert {c.name for c in choose([], True)} - {c.name for c in choose([], False)} == {"lewm"}
    assert [c.name for c in choose(["vae", "lejepa"], False)] == ["lejepa", "vae"]
    with pytest.raises(UserError, match="predicts from actions"):
        choose(["lewm"], False)
    with pytest.raises(UserError, match="unknown method 'byol'"):
        choose(["byol"], True)


# ---------------------------------------------------------------------------------------------------------------------
# measures


def test_rank_correlation_sees_order_of_distances_alone():
    z = np.random.default_rng(0).standard_normal((400, 3))
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    assert rank_correlation(z, 5 * z @ turn + 2) == pytest.approx(1)
    assert rank_correlation(z, z * [1, 1, 0]) < 0.9
    assert abs(rank_correlation(z, z[::-1])) < 0.2
    assert rank_correlation(z, np.ones((400, 2))) == 0


def test_convergence_is_the_first_point_that_stands_at_the_threshold():
    row = {"curve": [[10, 0.1, 0.2], [20, 0.3, 0.8], [30, 0.5, 0.7], [40, 0.9, 0.95]]}
    assert convergence(row, 0.75) == {"steps_to_threshold": 20, "cpu_s_to_threshold": 0.3}
    assert convergence(row, 0.99) == {"steps_to_threshold": None, "cpu_s_to_threshold": None}


def test_intervals_over_seeds_are_student_s():
    found = over_seeds([1.0, 2.0, 3.0])
    assert found["mean"] == 2 and found["interval"][1] - 2 == pytest.approx(4.3027 / np.sqrt(3), abs=1e-3)
    assert over_seeds([1.0])["interval"] is None


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    folder = tmp_path_factory.mktemp("data")
    write_fake_data(folder, [fake_episode(i, 9) for i in range(20)], KINEMATIC)
    return DataSet(folder)


def test_bytes_that_a_step_keeps(data: DataSet):
    encoder = EncoderConfig(input_size=8, hidden=16, depth=2, latent_dim=3)

    def kept(name: str, batch: int) -> dict[str, int]:
        method = CANDIDATES[name].configure(MethodConfig(), 1)
        return kept_bytes(override(method, {"optim.batch_size": batch}), encoder, data)

    alignment = [kept("lejepa", batch) for batch in (32, 64, 128)]
    growth = np.diff([found["activations"] for found in alignment])
    assert growth[1] == pytest.approx(2 * growth[0], rel=0.02)  # linear in the batch
    negatives = [kept("infonce", batch)["activations"] for batch in (64, 128, 256)]
    # the (B, B) logits are quadratic: second differences on a doubling grid are those of c B^2, in whole float matrices
    quadratic = (negatives[2] - 3 * negatives[1] + 2 * negatives[0]) / (256**2 - 3 * 128**2 + 2 * 64**2)
    assert quadratic / 4 >= 1
    average, plain = kept("jepa_ema", 32), kept("jepa_stop_gradient", 32)
    assert average["optimizer"] == plain["optimizer"] and average["weights"] > 1.5 * plain["weights"]


def test_frames_out_of_range_are_kept_from_training(data: DataSet):
    inside = shifts.is_inside(data)
    np.testing.assert_array_equal(inside, (np.abs(data.states[:, :2]) <= shifts.RANGE_SD).all(1))
    assert 0 < (~inside).sum() < 20


def test_a_sector_of_the_first_circle_is_kept_from_training(tmp_path: Path):
    write_fake_data(tmp_path, [fake_episode(i, 9) for i in range(20)], {"angle_names": ["y"]})
    data = DataSet(tmp_path)
    episodes = data.split("train")
    stretches = shifts.inside_episodes(data, episodes)
    seen = np.abs(data.states[:, 1]) > shifts.SECTOR_RAD  # standard normal: none comes near a whole turn
    np.testing.assert_array_equal(stretches.rows(), episodes.rows()[seen[episodes.rows()]])
    assert len(stretches) > len(episodes) and (stretches.length > 0).all()
    # a stretch cannot be made longer, and stays within its episode
    bounds = {*episodes.offset, *(episodes.offset + episodes.length)}
    for edge in (*stretches.offset, *(stretches.offset + stretches.length)):
        assert edge in bounds or seen[edge - 1] != seen[edge]


# ---------------------------------------------------------------------------------------------------------------------
# the whole study, tiny


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def tiny(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments of a comparison that takes seconds."""
    monkeypatch.chdir(home)
    monkeypatch.setitem(SCALES, "quick", TINY)
    monkeypatch.setattr(shifts, "NUM_FRAMES", 40)
    monkeypatch.setattr(study, "memory", lambda *_: {"kept": {"256": {"a": 1}, "1024": {"a": 1}}})
    return ["env=lit_ball_ou", "episodes=60", "env.image_size=32", "env.supersample=1", "workers=1", "num_seeds=2"]


def test_a_study_measures_all_it_promises_and_keeps_what_is_finished(tiny: list[str], monkeypatch: pytest.MonkeyPatch):
    names = ["lejepa", "infonce", "supervised"]
    arguments = [*tiny, f"methods=[{','.join(names)}]", "out=copy.json"]
    text = package.compare(config.compose("compare", arguments, CompareConfig))
    content = json.loads(Path("runs/compare-lit_ball_ou/compare.json").read_text())
    assert content == json.loads(Path("copy.json").read_text())
    assert list(content["methods"]) == names and all(name in text for name in names)
    for row in content["methods"].values():
        assert len(row["r2_h_to_z"]["values"]) == 2 and len(row["tried"]) == 4
        assert set(row["per_variable"]) == {"x", "light"} == set(content["variables"])
        assert set(row["batch"]) == {"4", "8", "16"} and len(row["data"]) == 2
        found = set(next(iter(row["data"].values()))["shifts"])
        assert {"unseen light direction", "unseen colours"} <= found
        assert "planning" not in row
    assert {claim["claim"] for claim in content["claims"]} >= {"S1", "S2", "S6", "S7 recovery", "S9"}
    assert Path("runs/compare-lit_ball_ou/figures/compare-lit_ball_ou.png").stat().st_size > 10_000
    assert not any(Path("runs/compare-lit_ball_ou/work").iterdir())

    def never(*_: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("worldmodel.compare.laboratory.Laboratory._train", never)
    package.compare(config.compose("compare", arguments, CompareConfig))
    again = json.loads(Path("copy.json").read_text())
    assert again["methods"] == content["methods"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["study=everything"], "methods or lit_ball"),
        (["scale=huge"], "quick or full"),
        (["parts=[speed]"], "choose from memory, planning, batch, data"),
        (["num_seeds=0"], "num_seeds"),
        (["methods=[byol]"], "unknown method 'byol'"),
        (["methods=[lewm]"], "predicts from actions"),
        (["parts=[planning]"], "kinematic world"),
        (["env=nowhere"], "nowhere"),
        (["encoder.latent_dim=5000"], "more than the data supports"),
        (["method.rho=1.5"], "method.rho"),
    ],
)
def test_bad_input_is_one_line(tiny: list[str], arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]):
    assert main(["compare", *tiny, *arguments]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and named in errors[0]


# ---------------------------------------------------------------------------------------------------------------------
# verdicts


def row(family: str, r2: float, **extra: Any) -> dict[str, Any]:
    return {
        "family": family,
        "r2_h_to_z": {"mean": r2},
        "r2_z_to_h": {"mean": r2},
        "orthogonality_error": {"mean": 0.05},
        "collapsed_share": 0.0,
        "per_variable": {"x": {"mean": r2}, "light": {"mean": r2}},
        "convergence": {"steps_to_threshold": 100, "cpu_s_to_threshold": 1.0},
        **extra,
    }


def as_the_seed_says() -> dict[str, Any]:
    """A world in which every claim of the seed is true."""

    def batch(small: float) -> dict[str, Any]:
        return {"32": {"mean": small}, "256": {"mean": 0.98}, "1024": {"mean": 0.98}}

    def unseen(rmse: float) -> dict[str, Any]:
        return {
            "100": {"shifts": {"light": {"rmse_sd": {"mean": rmse}}, "poses": {"rmse_sd": {"mean": rmse}}}},
            "90000": {"shifts": {"light": {"rmse_sd": {"mean": 0.9}}, "poses": {"rmse_sd": {"mean": 0.9}}}},
        }

    def also(num_bytes: int, success: float, small: float, rmse: float) -> dict[str, Any]:
        memory = {"kept": {"1024": {"all": num_bytes}}}
        planning = {"success_rate": {"mean": success}}
        return {"memory": memory, "planning": planning, "batch": batch(small), "data": unseen(rmse)}

    methods = {
        "lejepa": row("LeJEPA", 0.99, **also(150, 0.95, 0.97, 0.2)),
        "jepa_ema": row("standard JEPA", 0.3, collapsed_share=1.0, **also(100, 0.2, 0.3, 0.5)),
        "infonce": row("contrastive", 0.8, **also(300, 0.7, 0.4, 0.4)),
        "autoencoder": row("autoencoder", 0.5, **also(300, 0.7, 0.4, 0.4)),
    }
    return {
        "methods": methods,
        "variables": ["x", "light"],
        "r2_ceiling": 1.0,
        "batch_size": 256,
        "convergence_threshold": 0.9,
        "baselines": {"raw_pixels": {"r2_h_to_z": 0.6}},
    }


CLAIMS = ["S1", "S2", "S3", "S4", "S5", "S6", "S7 recovery", "S7 memory", "S7 planning", "S9"]


def test_a_world_as_the_seed_says_agrees_with_every_claim():
    found = {claim["claim"]: claim["agrees"] for claim in verdicts(as_the_seed_says())}
    assert found == dict.fromkeys(CLAIMS, True)


@pytest.mark.parametrize(
    ("claim", "method", "key", "value"),
    [
        ("S1", "lejepa", "orthogonality_error", {"mean": 0.5}),
        ("S1", "lejepa", "r2_z_to_h", {"mean": 0.9}),
        ("S2", "lejepa", "r2_h_to_z", {"mean": 0.94}),
        ("S3", "lejepa", "convergence", {"steps_to_threshold": 200}),
        ("S3", "infonce", "r2_h_to_z", {"mean": 1.02}),
        ("S4", "autoencoder", "per_variable", {"x": {"mean": 1.0}, "light": {"mean": 1.0}}),
        ("S5", "jepa_ema", "collapsed_share", 0.0),
        ("S5", "jepa_ema", "r2_h_to_z", {"mean": 0.9}),
        ("S6", "infonce", "batch", {"32": {"mean": 0.97}, "256": {"mean": 0.98}}),
        ("S7 recovery", "infonce", "r2_h_to_z", {"mean": 0.95}),
        ("S7 memory", "lejepa", "memory", {"kept": {"1024": {"all": 101}}}),
        ("S7 planning", "jepa_ema", "planning", {"success_rate": {"mean": 0.6}}),
        ("S9", "infonce", "data", {"100": {"shifts": {"light": {"rmse_sd": {"mean": 0.1}}}}}),
    ],
)
def test_a_measurement_against_a_claim_is_reported_as_such(claim: str, method: str, key: str, value: Any):
    content = as_the_seed_says()
    content["methods"][method][key] = value
    found = {verdict["claim"]: verdict["agrees"] for verdict in verdicts(content)}
    assert found[claim] is False
    for verdict in verdicts(content):
        assert verdict["rule"] and verdict["seed_says"] and verdict["measured"]


def test_what_was_not_measured_is_not_judged():
    content = as_the_seed_says()
    for found in content["methods"].values():
        for part in ("memory", "planning", "batch", "data"):
            del found[part]
    assert {verdict["claim"] for verdict in verdicts(content)} == {"S1", "S2", "S3", "S4", "S5", "S7 recovery"}
    del content["methods"]["lejepa"]
    assert verdicts(content) == []


def test_cells_have_distinct_names():
    base = Cell("lejepa", 1, 2, 256)
    changes = {"candidate": "vae", "setting": 0, "seed": 3, "batch_size": 64, "share": 0.125, "inside": True}
    others = [dataclasses.replace(base, **{key: value}) for key, value in changes.items()]
    assert len({cell.name for cell in (base, *others)}) == 7
