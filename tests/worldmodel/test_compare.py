"""Comparison: equal budgets, finished cells are kept, measures and verdicts follow their rules."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from worldmodel_fakes import KINEMATIC, fake_episode, write_fake_data

from worldmodel.cli.main import main
from worldmodel.cli.overrides import values
from worldmodel.cli.study_verdicts import compare_verdict
from worldmodel.cli.terminal_studies import study_lines
from worldmodel.comparing import CompareResult, LitBallResult, compare, light_study, planning_success, running, shifts
from worldmodel.comparing import scale as scales
from worldmodel.comparing.candidates import CANDIDATES, choose, override
from worldmodel.comparing.claims import verdicts
from worldmodel.comparing.compare_result import (
    Baselines,
    Convergence,
    CurvePoint,
    DataSizeReading,
    KeptBytes,
    MemoryUse,
    MethodRow,
    PeakBytes,
    PlanningSuccess,
    RandomEncoder,
    RawPixels,
    ShiftedSetReading,
    StudySetup,
    Verdict,
)
from worldmodel.comparing.encoder_cells import EncoderCell, VariableScore
from worldmodel.comparing.measurements import convergence
from worldmodel.comparing.memory import kept_bytes, peak_bytes
from worldmodel.comparing.recovery import rank_correlation
from worldmodel.comparing.scale import Scale, scale_of
from worldmodel.data.store import DataSet
from worldmodel.data.truth import columns_named, latent_variables
from worldmodel.measures.statistics import OverSeeds, over_seeds
from worldmodel.runs import Run
from worldmodel.runs.summary import read_record
from worldmodel.settings import (
    METHODS,
    CompareConfig,
    EncoderConfig,
    JEPAConfig,
    MethodConfig,
    RobustConfig,
    TrainConfig,
    configure,
    recipe,
)
from worldmodel.system.errors import ResultError, UserError

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs/results"
TINY = Scale(8, 6, 8, 8, 6, 2, 2, batch_sizes=(4, 16), shares=(0.5, 1.0))

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
    changed = override(method, {"optim.lr": 0.5, "name": "jepa", "options.target": "none"})
    assert (changed.optim.lr, changed.own(), changed.name, changed.lag) == (0.5, JEPAConfig("none"), "jepa", 7)
    assert (method.optim.lr, method.options, method.name) == (MethodConfig().optim.lr, {}, "lejepa")


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


def test_distances_that_are_all_alike_have_no_order():
    z, still = np.random.default_rng(0).standard_normal((100, 2)), np.full((100, 2), 0.1)
    assert rank_correlation(still, z) is None and rank_correlation(z, np.full((100, 2), np.nan)) is None
    assert rank_correlation(z, still) == 0


def test_a_shifted_set_in_which_one_variable_stands_still():
    truth = np.random.default_rng(0).standard_normal((60, 2))
    truth[:, 1] = 0.1
    shift = shifts.Shift("unseen", None, torch.arange(60), truth)  # type: ignore[arg-type]
    found = shift.score(truth, ["a", "b"])
    assert found.r2 == 1 and found.per_variable == {"a": VariableScore(1.0, 0.0), "b": VariableScore(None, 0.0)}


def test_a_variable_that_hardly_moves_in_a_shifted_set_keeps_its_place(tmp_path: Path):
    """What training data say is to be recovered, an angle among it, is read in sets in which it rests."""
    for name, resting in (("training", False), ("shifted", True)):
        episodes = [fake_episode(i, 9) for i in range(20)]
        for episode in episodes if resting else []:
            episode.states[:, :2] = (0.5, 0.25)
        write_fake_data(tmp_path / name, episodes, {"angle_names": ["y"]})
    training, shifted = DataSet(tmp_path / "training"), DataSet(tmp_path / "shifted")
    found = shifts._in_training_units(shifted, training)
    names, chosen = latent_variables(training).names, latent_variables(training).values[training.split("train").rows()]
    assert {"x", "cos y", "sin y"} <= {*names}
    rest = {"x": 0.5, "cos y": np.cos(0.25), "sin y": np.sin(0.25)}
    for name, value in rest.items():
        column = names.index(name)
        expected = (value - chosen[:, column].mean()) / chosen[:, column].std()
        np.testing.assert_allclose(found[:, column], expected, rtol=1e-6)
    np.testing.assert_array_equal(
        columns_named(names, training.states, training.state_names), latent_variables(training).values
    )


def test_convergence_is_the_first_point_that_stands_at_the_threshold():
    points = [(10, 0.1, 0.2), (20, 0.3, 0.8), (30, 0.5, 0.7), (40, 0.9, 0.95)]
    curve = [CurvePoint(*point) for point in points]
    assert convergence(curve, 0.75) == Convergence(20, 0.3)
    assert convergence(curve, 0.99) == Convergence(None, None)


def test_intervals_over_seeds_are_student_s():
    found = over_seeds([1.0, 2.0, 3.0])
    assert found.mean == 2 and found.interval and found.interval[1] - 2 == pytest.approx(4.3027 / 3**0.5, abs=1e-3)
    assert over_seeds([1.0]).interval is None


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    folder = tmp_path_factory.mktemp("data")
    write_fake_data(folder, [fake_episode(i, 9) for i in range(20)], KINEMATIC)
    return DataSet(folder)


def test_bytes_that_a_step_keeps(data: DataSet):
    encoder = EncoderConfig(input_size=8, hidden=16, depth=2, latent_dim=3)

    def kept(name: str, batch: int) -> KeptBytes:
        method = CANDIDATES[name].configure(MethodConfig(), 1)
        return kept_bytes(override(method, {"optim.batch_size": batch}), encoder, data)

    alignment = [kept("lejepa", batch) for batch in (32, 64, 128)]
    growth = np.diff([found.activations for found in alignment])
    assert growth[1] == pytest.approx(2 * growth[0], rel=0.02)  # linear in the batch
    negatives = [kept("infonce", batch).activations for batch in (64, 128, 256)]
    # the (B, B) logits are quadratic: second differences on a doubling grid are those of c B^2, in whole float matrices
    quadratic = (negatives[2] - 3 * negatives[1] + 2 * negatives[0]) / (256**2 - 3 * 128**2 + 2 * 64**2)
    assert quadratic / 4 >= 1
    average, plain = kept("jepa_ema", 32), kept("jepa_stop_gradient", 32)
    assert average.optimizer == plain.optimizer and average.weights > 1.5 * plain.weights
    assert kept("supervised", 32).activations > 0  # of which each pair needs its own label, and the data holds few


def test_peak_memory_is_measured_of_a_method_with_options_of_its_own(data: DataSet):
    """In a process of its own, which first trains another method."""
    method = override(CANDIDATES["jepa_ema"].configure(MethodConfig(), 0), {"optim.batch_size": 64})
    assert method.options
    found = peak_bytes(method, EncoderConfig(input_size=16, hidden=64, latent_dim=4), data.directory)
    assert (found.cpu is None) == (not sys.platform.startswith("linux"))


def test_peak_memory_is_measured_by_a_script_without_a_main_guard_too(data: DataSet, tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from worldmodel.comparing.memory import peak_bytes\n"
        "from worldmodel.settings import EncoderConfig, MethodConfig\n"
        f"data = Path({str(data.directory)!r})\n"
        "print(peak_bytes(MethodConfig(), EncoderConfig(input_size=4, hidden=4, latent_dim=2), data))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0 and done.stdout.startswith("PeakBytes("), done.stderr


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
    data.states[:, 1] = 0
    with pytest.raises(UserError, match=r"no training episode of \S+ stays in range.*collect more"):
        shifts.inside_episodes(data, episodes)


def test_a_study_takes_the_lengths_of_the_recipe_unless_it_is_to_be_quick():
    """Whoever reads the table takes it for what each method can do, so that is what the short command measures."""
    reacher = recipe("reacher")
    usual = scale_of(CompareConfig(), reacher)
    assert (usual.hidden, usual.steps, usual.batch_size) == (256, 1500, 256)
    assert (usual.predictor_hidden, usual.predictor_steps) == (384, 3000)
    longer = configure(TrainConfig, {"env": "reacher", "method.optim.steps": 77, "predictor.hidden": 8})
    assert (scale_of(CompareConfig(), longer).steps, scale_of(CompareConfig(), longer).predictor_hidden) == (77, 8)
    assert scale_of(CompareConfig(scale="quick"), longer) == scales.QUICK


# ---------------------------------------------------------------------------------------------------------------------
# the whole study, tiny


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def tiny(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments of a comparison that takes seconds."""
    monkeypatch.chdir(home)
    monkeypatch.setattr(scales, "QUICK", TINY)
    monkeypatch.setattr(shifts, "NUM_FRAMES", 40)
    monkeypatch.setattr(running, "memory", lambda *_: memory_of(1))
    return [
        "env=lit_ball_ou",
        "episodes=60",
        "env.image_size=32",
        "env.supersample=1",
        "workers=1",
        "num_seeds=2",
        "scale=quick",
    ]


def memory_of(num_bytes: int) -> MemoryUse:
    return MemoryUse({size: KeptBytes(num_bytes, 0, 0) for size in (256, 1024)}, PeakBytes(None, None), 1024)


def test_a_study_measures_all_it_promises_and_keeps_what_is_finished(
    tiny: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    names = ["lejepa", "infonce", "supervised"]
    config = configure(CompareConfig, {**values(tiny, CompareConfig), "methods": names, "out": "copy.json"})
    found = compare(config)
    assert isinstance(found, CompareResult) and list(found.methods) == names
    assert all(f"  {name}" in study_lines(found) for name in names)
    for path in ("runs/compare-lit_ball_ou/compare.json", "copy.json"):
        assert read_record(Path(path), CompareResult).result == found
    for row in found.methods.values():
        assert len(row.r2_h_to_z.values) == 2 and len(row.tried) == 4
        assert set(row.per_variable) == {"x", "light"} == set(found.variables)
        assert set(row.batch) == {4, 8, 16} and len(row.data) == 2
        assert {"unseen light direction", "unseen colours"} <= set(next(iter(row.data.values())).shifts)
        assert row.planning is None
    assert {claim.claim for claim in found.claims} >= {"S1", "S2", "S6", "S7 recovery", "S9"}
    assert Path("runs/compare-lit_ball_ou/figures/compare-lit_ball_ou.png").stat().st_size > 10_000
    assert not any(Path("runs/compare-lit_ball_ou/work").iterdir())

    def never(*_: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("worldmodel.comparing.laboratory.Laboratory._train", never)
    # neither what is planned with nor how many processes record makes another cell
    again = {"predictor.hidden": 8, "workers": 2, "threads": 1}
    assert compare(configure(CompareConfig, {**values(tiny, CompareConfig), "methods": names, **again})) == found
    assert main(["compare", *tiny, f"methods=[{','.join(names)}]"]) == 0
    best = max(names, key=lambda name: found.methods[name].r2_h_to_z.mean or 0)
    *_, verdict, quick, _, further = capsys.readouterr().out.splitlines()
    assert f"read best from {best} (R2" in verdict and "fraction of the recipe's steps" in quick
    assert further == "next: worldmodel compare env=lit_ball_ou, or worldmodel train env=lit_ball_ou"
    with pytest.raises(AssertionError, match="trained again"):
        compare(configure(CompareConfig, {**values(tiny, CompareConfig), "methods": names, "encoder.depth": 1}))


def test_goals_are_reached_as_they_are_and_under_other_looks(tiny: list[str], monkeypatch: pytest.MonkeyPatch):
    """By one world model a method and seed, which is kept and trained once."""
    monkeypatch.setattr(planning_success, "RobustConfig", partial(RobustConfig, looks={"noise": [25.0]}, instances=1))
    monkeypatch.setattr(shifts, "NUM_FRAMES", 800)
    options = ["env=point_mass", "episodes=12", "episode_steps=60", "workers=1", "num_seeds=1", "methods=[lejepa]"]
    options += ["scale=quick", "parts=[planning,looks]", "predictor.horizon=6", "predictor_training.batch_size=16"]
    found = compare(configure(CompareConfig, values(options, CompareConfig)))
    assert isinstance(found, CompareResult)
    row = found.methods["lejepa"]
    assert row.planning and row.planning.num_tasks == 2 and list(row.looks) == ["clean", "noise 25"]
    assert row.success_under_looks == row.looks["noise 25"].mean
    (model,) = Path("runs/compare-point_mass/models").iterdir()
    assert not (model / "decoder").exists() and Run(model).config.robust is False
    lines, said = study_lines(found), compare_verdict(found)[0]
    assert (
        "mean over looks that no method was trained on" in lines and "under other looks most goals with lejepa" in said
    )

    def never(*_: Any) -> None:
        raise AssertionError("trained again")

    for name in ("train", "control", "robust"):
        monkeypatch.setattr(planning_success, name, never)
    assert compare(configure(CompareConfig, values(options, CompareConfig))) == found


def test_constants_are_read_all_the_way_from_frames(tiny: list[str], monkeypatch: pytest.MonkeyPatch):
    options = ["env=puck", "episodes=20", "env.supersample=1", "atlas.episodes=60", "atlas.env.supersample=1"]
    options += ["workers=1", "num_seeds=2", "methods=[lejepa,vae]", "parts=[constants]"]
    options += ["context_training.optim.steps=2", "scale=quick"]
    found = compare(configure(CompareConfig, values(options, CompareConfig)))
    assert isinstance(found, CompareResult) and found.methods["vae"].constants == {}
    read = found.methods["lejepa"].constants
    assert list(read) == ["lejepa", "prediction"]
    for of in (*(way.r2 for way in read.values()), found.baselines.raw_pixels.constants):
        assert list(of) == ["mass", "friction"]
    assert all(len(way.tried) == 4 and len(way.r2["mass"].values) == 2 for way in read.values())
    assert read_record(Path("runs/compare-puck/compare.json"), CompareResult).result == found
    lines = study_lines(found)
    assert "by mean and spread of every pixel mass" in lines

    def never(*_: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("worldmodel.comparing.laboratory.Laboratory._fit", never)
    assert compare(configure(CompareConfig, values(options, CompareConfig))) == found


def test_the_study_of_the_lit_ball(tiny: list[str], monkeypatch: pytest.MonkeyPatch):
    of_study = ("num_seeds", "scale")
    world = {name: value for name, value in values(tiny, CompareConfig).items() if name not in of_study}
    small = configure(TrainConfig, world)
    monkeypatch.setattr(light_study, "recipe", lambda env: small)
    monkeypatch.setattr(light_study, "CONDITIONS", {"OU pairs": ("lit_ball_ou", None, "of one autocorrelation")})
    options = {"study": "lit_ball", "scale": "quick", "methods": ["lejepa", "vae"], "num_seeds": 1, "out": "ball.json"}
    found = compare(configure(CompareConfig, options))
    assert isinstance(found, LitBallResult) and read_record(Path("ball.json"), LitBallResult).result == found
    assert list(found.conditions["OU pairs"].methods) == ["lejepa", "vae"]
    for row in found.conditions["OU pairs"].methods.values():
        assert len(row.x.values) == len(row.light.values) == 1 and {"unseen colours"} <= set(row.x_under_shift)
    assert Path("runs/compare-lit-ball-study/figures/lit-ball.png").stat().st_size > 10_000
    assert "of one autocorrelation" in study_lines(found)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["study=everything"], "study must be one of methods, lit_ball, got 'everything'"),
        (["scale=huge"], "scale must be one of recipe, quick, got 'huge'"),
        (["parts=[speed]"], "parts must be a list, each one of memory, planning, looks, constants, batch, data"),
        (["num_seeds=0"], "num_seeds"),
        (["methods=[byol]"], "unknown method 'byol'"),
        (["methods=[lewm]"], "predicts from actions"),
        (["parts=[planning]"], "kinematic world"),
        (["parts=[looks]"], "kinematic world"),
        (["parts=[constants]"], "none varies in lit_ball_ou"),
        (["env=nowhere"], "unknown env 'nowhere'"),
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


def known(mean: float) -> OverSeeds:
    return OverSeeds(mean, None, [mean])


def row(family: str, r2: float, **extra: Any) -> MethodRow:
    return MethodRow(
        family, {}, [], known(r2), known(r2), known(0.9), {"x": known(r2), "light": known(r2)}, known(0.05), known(2.0),
        [], known(1.0), 0.0, known(1.0), [], **{"convergence": Convergence(100, 1.0), **extra},
    )  # fmt: skip


def swept(*, small: float, rmse: float) -> dict[str, Any]:
    """Sweeps of a method: R2 at the smallest batch, error on shifted sets after the least data."""
    error = {frames: ShiftedSetReading(known(0.5), known(value)) for frames, value in ((100, rmse), (90_000, 0.9))}
    return {
        "batch": {32: known(small), 256: known(0.98), 1024: known(0.98)},
        "data": {frames: DataSizeReading(known(0.9), {"light": of, "poses": of}) for frames, of in error.items()},
    }


def planned(rate: float) -> PlanningSuccess:
    return PlanningSuccess(known(rate), 40, known(0.1), known(0.5))


def as_the_article_says() -> CompareResult:
    """A world in which every claim of the article is true."""

    def also(num_bytes: int, success: float, small: float, rmse: float) -> dict[str, Any]:
        return {"memory": memory_of(num_bytes), "planning": planned(success), **swept(small=small, rmse=rmse)}

    methods = {
        "lejepa": row("LeJEPA", 0.99, **also(150, 0.95, 0.97, 0.2)),
        "jepa_ema": replace(row("standard JEPA", 0.3, **also(100, 0.2, 0.3, 0.5)), collapsed_share=1.0),
        "infonce": row("contrastive", 0.8, **also(300, 0.7, 0.4, 0.4)),
        "autoencoder": row("autoencoder", 0.5, **also(300, 0.7, 0.4, 0.4)),
    }
    setup = StudySetup("quick", "mlp", 300, 256, 1)
    beside = Baselines(RandomEncoder(0.2, 0.1, 1.0), RawPixels(0.6, {}))
    return CompareResult("world", setup, ["x", "light"], 1.0, "", beside, methods, 0.9)


CLAIMS = ["S1", "S2", "S3", "S4", "S5", "S6", "S7 recovery", "S7 memory", "S7 planning", "S9"]


def test_a_world_as_the_article_says_agrees_with_every_claim():
    found = {claim.claim: claim.agrees for claim in verdicts(as_the_article_says())}
    assert found == dict.fromkeys(CLAIMS, True)


@pytest.mark.parametrize(
    ("claim", "method", "changes"),
    [
        ("S1", "lejepa", {"orthogonality_error": known(0.5)}),
        ("S1", "lejepa", {"r2_z_to_h": known(0.9)}),
        ("S2", "lejepa", {"r2_h_to_z": known(0.94)}),
        ("S3", "lejepa", {"convergence": Convergence(200, 2.0)}),
        ("S3", "infonce", {"r2_h_to_z": known(1.02)}),
        ("S4", "autoencoder", {"per_variable": {"x": known(1.0), "light": known(1.0)}}),
        ("S5", "jepa_ema", {"collapsed_share": 0.0}),
        ("S5", "jepa_ema", {"r2_h_to_z": known(0.9)}),
        ("S6", "infonce", {"batch": {32: known(0.97), 256: known(0.98)}}),
        ("S7 recovery", "infonce", {"r2_h_to_z": known(0.95)}),
        ("S7 memory", "lejepa", {"memory": memory_of(101)}),
        ("S7 planning", "jepa_ema", {"planning": planned(0.6)}),
        ("S9", "infonce", {"data": swept(small=0.4, rmse=0.1)["data"]}),
    ],
)
def test_a_measurement_against_a_claim_is_reported_as_such(claim: str, method: str, changes: dict[str, Any]):
    result = as_the_article_says()
    changed = replace(result.methods[method], **changes)
    judged = verdicts(replace(result, methods={**result.methods, method: changed}))
    assert {verdict.claim: verdict.agrees for verdict in judged}[claim] is False
    assert all(verdict.rule and verdict.article_says for verdict in judged)
    assert all(verdict.measured or verdict.graded for verdict in judged)


def test_what_was_not_measured_is_not_judged():
    result = as_the_article_says()
    unmeasured: dict[str, Any] = {"memory": None, "planning": None, "batch": {}, "data": {}}
    rows = {name: replace(row, **unmeasured) for name, row in result.methods.items()}
    found = verdicts(replace(result, methods=rows))
    assert {verdict.claim for verdict in found} == {"S1", "S2", "S3", "S4", "S5", "S7 recovery"}
    del rows["lejepa"]
    assert verdicts(replace(result, methods=rows)) == []


def test_claims_that_nothing_speaks_about_are_undecided():
    """No method reaches a goal; the world has no shifted sets; one variable stands still in the test episodes."""
    still = OverSeeds(None, None, [None])
    nothing: dict[str, Any] = {"planning": planned(0.0), "data": {100: DataSizeReading(known(0.9), {})}}
    nothing |= {"per_variable": {"x": known(0.9), "light": still}, "orthogonality_error": None}
    result = as_the_article_says()
    found = verdicts(replace(result, methods={name: replace(row, **nothing) for name, row in result.methods.items()}))
    agrees = {verdict.claim: verdict.agrees for verdict in found}
    assert agrees["S7 planning"] is None and "S9" not in agrees and agrees["S4"] is False


def test_a_usual_batch_that_is_the_smallest_gives_no_verdict_on_smaller_ones():
    result = as_the_article_says()
    rows = {name: replace(row, batch={32: known(0.9), 64: known(0.9)}) for name, row in result.methods.items()}
    found = verdicts(replace(result, methods=rows, setup=replace(result.setup, batch_size=32)))
    assert {verdict.claim for verdict in found} == {*CLAIMS} - {"S6"}


def test_factors_that_nothing_is_known_of_count_as_not_read():
    still = OverSeeds(None, None, [None])
    result = as_the_article_says()
    unread = replace(result.methods["jepa_ema"], per_variable={"x": still, "light": still})
    found = verdicts(replace(result, methods={**result.methods, "jepa_ema": unread}))
    s4 = next(verdict for verdict in found if verdict.claim == "S4")
    assert s4.agrees is True and s4.measured["jepa_ema"] == 0


def test_cells_have_distinct_labels():
    base = EncoderCell("lejepa", 1, 2, 256)
    changes = {"candidate": "vae", "setting": 0, "seed": 3, "batch_size": 64, "share": 0.125, "inside": True}
    others = [replace(base, **{key: value}) for key, value in changes.items()]
    assert len({cell.label for cell in (base, *others)}) == 7


# ---------------------------------------------------------------------------------------------------------------------
# committed results


@pytest.mark.parametrize("path", sorted(RESULTS.glob("compare-*.json")), ids=lambda path: path.stem)
def test_committed_rows_give_the_committed_verdicts(path: Path):
    found = read_record(path, CompareResult).result
    assert verdicts(found) == found.claims
    for claim in found.claims:
        assert isinstance(claim, Verdict) and (claim.graded or claim.measured)
    for row in found.methods.values():
        assert found.convergence_threshold and convergence(row.curve, found.convergence_threshold) == row.convergence


def test_the_committed_lit_ball_is_read_and_other_kinds_are_refused():
    found = read_record(RESULTS / "lit-ball.json", LitBallResult).result
    assert len(found.conditions) == 4 and "ball" in study_lines(found)
    with pytest.raises(ResultError, match=r"compare-reacher\.json"):
        read_record(RESULTS / "compare-reacher.json", LitBallResult)
