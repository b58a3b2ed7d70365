"""The page holds what a run has, says what it lacks, needs no other file, and refuses a broken run in one line."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import report_fakes as fakes

from worldmodel.measures.identifiability import Identifiability
from worldmodel.reporting import report, write_page
from worldmodel.reporting.elements import Cell, Table, duration, facts, number, without_empty_columns
from worldmodel.runs import PredictionErrors, ProbedVariable, ProbeResult
from worldmodel.settings import ReportConfig
from worldmodel.system.errors import CheckpointError, ResultError, UserError


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory) -> Path:
    return fakes.write_run(tmp_path_factory.mktemp("runs") / "puck")


def page_of(runs: list[Path], folder: Path, **options) -> str:
    return write_page(runs, folder / "report.html", **options).read_text(encoding="utf-8")


def test_whole_run_has_every_section_picture_and_video(whole_run, tmp_path):
    html = page_of([whole_run], tmp_path)
    titles = re.findall(r"<h3>(.*?)</h3>", html)
    assert titles == [
        "What it imagines",
        "What the latents are",
        "How far it predicts",
        "What a latent looks like",
        "Driving towards goal images",
        "Constants and state, read out linearly",
        "What it is surprised by",
        "How training went",
        "How it was made",
        "Not run yet",
    ]
    # latents, planner cost and three scatters lie in figures/; two more are drawn from the numbers
    assert html.count('src="data:image/png') == 7 and html.count('src="data:video/mp4') == 4
    for tag in re.findall(r"<video[^>]*?src", html):
        assert all(word in tag for word in ("controls", "loop", "muted", "playsinline"))
    for command in fakes.SUMMARY.commands.values():
        assert command in html


def test_page_is_one_file_that_names_no_other(whole_run, tmp_path):
    html = page_of([whole_run], tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    assert not re.findall(r"https?://|@import|url\(", html)
    assert all(target.startswith(("#", "data:")) for target in re.findall(r'(?:src|href)="([^"]*)"', html))
    assert str(whole_run) not in html


def test_page_is_the_same_each_time(whole_run, tmp_path):
    assert page_of([whole_run], tmp_path / "a") == page_of([whole_run], tmp_path / "b")


def test_bare_run_lists_what_has_not_been_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = replace(fakes.BARE.train, prediction=fakes.TRAIN.prediction)
    html = page_of([fakes.bare_run(Path("runs/x"), train=train)], tmp_path)
    assert "Not run yet" in html
    for verb in ("control", "probe", "surprise"):
        assert f"<code>worldmodel {verb} run=runs/x</code>" in html
    assert "Driving towards goal images</h3>" not in html


def test_a_world_without_actions_is_not_to_be_driven(tmp_path):
    html = page_of([fakes.bare_run(tmp_path / "x")], tmp_path)
    assert "worldmodel probe" in html and "worldmodel control" not in html and "worldmodel surprise" not in html


def test_several_runs_share_a_summary_table(tmp_path, whole_run):
    measured = replace(fakes.TRAIN.identifiability, r2_h_to_z=0.875)  # type: ignore[type-var]
    train = replace(fakes.BARE.train, env="reacher_ou", identifiability=measured)
    other = fakes.bare_run(tmp_path / "identify", name="identify", train=train)
    rewarded = fakes.bare_run(tmp_path / "swing", name="swing", control=fakes.REWARDED)
    html = page_of([other, whole_run, rewarded], tmp_path, title="Demo")
    table = html[html.index("All runs") : html.index("</table>")]
    assert "<h1>Demo</h1>" in html
    cells = ("identify", "reacher_ou", "0.875", "puck", "97\u202f%", "mass 0.90", "4 min 12 s", ">812<")
    assert [cell for cell in cells if cell not in table] == []
    for anchor in re.findall(r'href="#([^"]+)"', html):
        assert html.count(f'id="{anchor}"') == 1


def test_what_was_achieved_under_other_protocols_stays(tmp_path):
    said = {"control strict": "worldmodel control run=x protocol=strict"}
    strict = replace(fakes.CONTROL, protocol=replace(fakes.CONTROL.protocol, name="strict"))
    run = fakes.bare_run(tmp_path / "x", control=fakes.REWARDED, earlier_control={"strict": strict}, commands=said)
    html = page_of([run], tmp_path)
    table = html[html.index("Under other protocols") :]
    table = table[: table.index("</table>")]
    assert all(text in table for text in ("strict", "97% [", said["control strict"]))
    several = page_of([run, fakes.bare_run(tmp_path / "y", name="y", control=strict)], tmp_path)
    overview = several[several.index("All runs") : several.index("</table>")]
    assert overview.count(">strict</td>") == 2, "compared under one protocol"


def test_one_command_reports_on_all_runs_that_a_pattern_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in range(2):
        fakes.bare_run(Path(f"runs/x-s{seed}"), name=f"x-s{seed}")
    page = report(ReportConfig(run="runs/x-s?"))
    assert page == Path("runs/report.html") and "2 runs" in page.read_text()
    assert report(ReportConfig(run="runs/x-s0")) == Path("runs/x-s0/report.html")
    assert report(ReportConfig(run="runs/x-s0", out="a.html")) == Path("a.html")


def test_text_from_a_run_is_escaped(tmp_path):
    train = replace(fakes.BARE.train, env='"><img src=x>')
    html = page_of([fakes.bare_run(tmp_path / "x", name="<script>alert(1)</script>", train=train)], tmp_path)
    assert "<script>alert" not in html and "<img src=x>" not in html


def test_a_run_cannot_make_the_page_carry_files_from_elsewhere(tmp_path):
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"secret")
    control = replace(fakes.CONTROL, videos=["../secret.mp4", str(secret), "videos/gone.mp4"])
    html = page_of([fakes.bare_run(tmp_path / "x", control=control)], tmp_path)
    assert "<video" not in html and "gone.mp4 is left out: it is missing" in html
    assert html.count("secret.mp4 leads out of") == 2


def test_a_figure_of_unknown_name_is_shown_and_a_broken_one_is_named(tmp_path, whole_run):
    run = fakes.bare_run(tmp_path / "x")
    (run / "figures").mkdir()
    (run / "figures" / "sketch.png").write_bytes((whole_run / "figures" / "latents.png").read_bytes())
    (run / "figures" / "torn.png").write_bytes(b"")
    html = page_of([run], tmp_path)
    assert "More figures" in html and "torn.png is left out: it is no PNG file" in html


def test_what_cannot_be_told_is_a_dash(tmp_path):
    still = ProbeResult({"block_x": ProbedVariable("physical", "m", None, None, None, None, {"raw_pixels": None})})
    unknown = Identifiability(*[None] * 9, per_variable={"block_x": None}, num_frames=9)
    prediction = PredictionErrors(5, {1: None, 5: 0.5})
    train = replace(fakes.TRAIN, identifiability=unknown, prediction=prediction)
    html = page_of([fakes.bare_run(tmp_path / "x", probe=still, train=train)], tmp_path)
    row = html[html.index("block x (m)") :]
    assert row[: row.index("</tr>")].count("–") == 4
    assert not re.findall(r"\b(nan|None)\b", re.sub(r'base64,[^"]*', "", html))


def test_rows_and_columns_that_hold_nothing_are_left_out(tmp_path):
    rows = [[Cell("x"), number(None, 1), Cell("")], [Cell("y"), Cell(""), number(1, 0)]]
    table = without_empty_columns(Table("", ("a", "b", "c"), rows))
    assert table.headers == ("a", "c") and [len(row) for row in table.rows] == [2, 2]
    assert [row[0].text for row in facts("", {"cores": 2, "gpu": None}).rows] == ["cores"]
    html = page_of([fakes.bare_run(tmp_path / "x", train=fakes.TRAIN)], tmp_path)
    assert "Dots on the diagonal" not in html and "An R² of 1 means" in html, "there is no figure with dots"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"schema": 2', "is not JSON"),
        ('{"schema": 9, "name": "x"}', "has schema 9, this version reads 1 and 2"),
        ('{"schema": 2, "kind": "control"}', "holds a result of kind 'control', expected 'run'"),
    ],
)
def test_a_broken_summary_is_one_line_that_names_the_file(tmp_path, content, expected):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "summary.json").write_text(content)
    with pytest.raises(ResultError, match=expected) as caught:
        write_page([tmp_path / "run"], tmp_path / "report.html")
    assert "summary.json" in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "report.html").exists()


def test_a_run_that_was_never_trained_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="not a finished run"):
        write_page([tmp_path / "run"], tmp_path / "report.html")


def test_metrics_cut_short_by_a_kill_are_read_up_to_the_cut(tmp_path):
    run = fakes.bare_run(tmp_path / "x")
    row = '{"stage": "encoder", "step": 1, "seconds": 0.1, "loss": 0.5}\n'
    (run / "metrics.jsonl").write_text(row * 3 + '{"stage": "enc')
    assert "How training went" in page_of([run], tmp_path)
    for damaged in ("{" + row, "[1]\n", '{"stage": "encoder", "loss": 0.5}\n'):
        (run / "metrics.jsonl").write_text(damaged + row * 2)
        with pytest.raises(ResultError, match=r"metrics.jsonl, line 1 is damaged"):
            write_page([run], tmp_path / "report.html")


def test_no_runs_is_an_error_that_names_the_remedy(tmp_path):
    with pytest.raises(UserError, match="pass run="):
        write_page([], tmp_path / "report.html")


def test_a_new_page_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.html").write_text("old")
    assert page_of([fakes.bare_run(tmp_path / "x")], tmp_path / "out").startswith("<!doctype html>")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["report.html"]


def test_metrics_without_a_finite_number_draw_no_curves(tmp_path):
    run = fakes.bare_run(tmp_path / "x")
    line = '{"stage": "encoder", "step": 1, "seconds": 0.1, "loss": NaN, "note": "diverged"}\n'
    (run / "metrics.jsonl").write_text(line)
    assert "How training went" not in page_of([run], tmp_path)


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.94, "3.9 s"), (59.96, "60.0 s"), (251.5, "4 min 12 s"), (7322, "2 h 2 min"), (None, "–")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(80400, 0, "80\u202f400"), (-0.0123, 2, "\u22120.01"), (None, 2, "–"), (float("nan"), 2, "–")],
)
def test_number(value, digits, text):
    assert number(value, digits).text == text
