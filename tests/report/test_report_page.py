"""The page holds what a run has, says what it lacks, needs no other file, and refuses a broken run in one line."""

import json
import re
from pathlib import Path

import pytest
import report_fakes as fakes

from worldmodel.report import ReportError, write_page
from worldmodel.report.content import duration, number


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory) -> Path:
    return fakes.write_run(tmp_path_factory.mktemp("runs") / "puck")


def page_of(runs: list[Path], folder: Path, **options) -> str:
    return write_page(runs, folder / "report.html", **options).read_text(encoding="utf-8")


def bare_run(path: Path, **content) -> Path:
    path.mkdir(parents=True)
    (path / "summary.json").write_text(json.dumps({"schema": 1, **content}), encoding="utf-8")
    return path


def test_whole_run_has_every_section_picture_and_video(whole_run, tmp_path):
    html = page_of([whole_run], tmp_path)
    titles = re.findall(r"<h3>(.*?)</h3>", html)
    assert titles == [
        "What the latents are",
        "How far it foresees",
        "Driving towards goal images",
        "Constants and state, read out linearly",
        "How training went",
        "How it was made",
    ]
    # latents, planner cost and three scatters lie in figures/; four more are drawn from the numbers
    assert html.count('src="data:image/png') == 9 and html.count('src="data:video/mp4') == 3
    for tag in re.findall(r"<video[^>]*?src", html):
        assert all(word in tag for word in ("controls", "loop", "muted", "playsinline"))
    for command in fakes.SUMMARY["commands"].values():
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
    html = page_of([bare_run(Path("runs/x"), env="lit_ball")], tmp_path)
    assert "Not run yet" in html
    for command in ("train env=lit_ball", "control run=runs/x", "probe run=runs/x"):
        assert f"<code>worldmodel {command}</code>" in html
    assert "Driving towards goal images</h3>" not in html


def test_empty_sections_count_as_not_run(tmp_path):
    html = page_of([bare_run(tmp_path / "x", control={}, probes=None, identifiability={})], tmp_path)
    assert html.count("<h3>") == 2 and "Not run yet" in html


def test_several_runs_share_a_summary_table(tmp_path, whole_run):
    other = bare_run(tmp_path / "identify", name="identify", env="reacher_ou", identifiability={"r2_h_to_z": 0.875})
    html = page_of([other, whole_run], tmp_path, title="Demo")
    table = html[html.index("All runs") : html.index("</table>")]
    assert "<h1>Demo</h1>" in html
    assert [cell in table for cell in ("identify", "reacher_ou", "0.875", "puck", "mass 0.90", "4 min 12 s")] == [
        True
    ] * 6
    for anchor in re.findall(r'href="#([^"]+)"', html):
        assert html.count(f'id="{anchor}"') == 1


def test_text_from_a_run_is_escaped(tmp_path):
    html = page_of([bare_run(tmp_path / "x", name="<script>alert(1)</script>", env='"><img src=x>')], tmp_path)
    assert "<script>alert" not in html and "<img src=x>" not in html


def test_a_run_cannot_make_the_page_carry_files_from_elsewhere(tmp_path):
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"secret")
    listed = ["../secret.mp4", str(secret), "videos/gone.mp4"]
    html = page_of([bare_run(tmp_path / "x", control={"success_rate": 0.5, "videos": listed})], tmp_path)
    assert "<video" not in html and html.count("only .mp4 files inside") == 2 and "gone.mp4 is missing" in html


def test_a_figure_of_unknown_name_is_shown_and_a_broken_one_is_named(tmp_path, whole_run):
    run = bare_run(tmp_path / "x")
    (run / "figures").mkdir()
    (run / "figures" / "surprise.png").write_bytes((whole_run / "figures" / "latents.png").read_bytes())
    (run / "figures" / "torn.png").write_bytes(b"")
    html = page_of([run], tmp_path)
    assert "More figures" in html and "torn.png is not a PNG" in html


def test_keys_that_the_page_does_not_know_pass(tmp_path):
    control = {"success_rate": 0.5, "seeds": [0, 1], "goal": {"kind": "image"}, "note": "held out"}
    html = page_of([bare_run(tmp_path / "x", control=control, novelty={"a": 1})], tmp_path)
    assert "Driving towards goal images</h3>" in html


def test_missing_numbers_are_dashes(tmp_path):
    gap = float("nan")
    control = {"success_rate": gap, "random_success_rate": 0.5, "random_success_interval": [gap, gap]}
    probes = {"mass": {"r2_linear": None, "r2_linear_interval": None, "kind": "physical", "controls": None}}
    html = page_of([bare_run(tmp_path / "x", probes=probes, control=control)], tmp_path)
    assert not re.findall(r"\b(nan|None)\b", re.sub(r"base64,[^\"]*", "", html))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "does not exist"),
        ('{"schema": 1', "not valid JSON"),
        ("[1]", "must hold a JSON object, got list"),
        ('{"schema": 9}', "has schema 9, this version reads 1"),
        ('{"schema": 1, "control": 3}', "control must be an object, got 3"),
        ('{"schema": 1, "control": {"success_rate": "high"}}', "control.success_rate must be a number, got 'high'"),
        ('{"schema": 1, "control": {"success_interval": [1]}}', r"control.success_interval must be two numbers"),
        ('{"schema": 1, "control": {"videos": "a.mp4"}}', "control.videos must be a list of paths"),
        ('{"schema": 1, "probes": {"mass": 0.9}}', "probes.mass must be an object, got 0.9"),
        ('{"schema": 1, "probes": {"mass": {"r2_mlp": []}}}', r"probes.mass.r2_mlp must be a number, got \[\]"),
        (
            '{"schema": 1, "identifiability": {"per_variable": {"x": {"r2": "a"}}}}',
            "identifiability.per_variable.x.r2 must be a number",
        ),
    ],
)
def test_broken_summary_is_one_line_that_names_the_file(tmp_path, content, expected):
    (tmp_path / "run").mkdir()
    if content is not None:
        (tmp_path / "run" / "summary.json").write_text(content)
    with pytest.raises(ReportError, match=expected) as caught:
        write_page([tmp_path / "run"], tmp_path / "report.html")
    assert "summary.json" in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "report.html").exists()


def test_metrics_cut_short_by_a_kill_are_read_up_to_the_cut(tmp_path):
    run = bare_run(tmp_path / "x")
    row = '{"stage": "encoder", "step": 1, "loss": 0.5}\n'
    (run / "metrics.jsonl").write_text(row * 3 + '{"stage": "enc')
    assert "How training went" in page_of([run], tmp_path)
    (run / "metrics.jsonl").write_text("{" + row * 3)
    with pytest.raises(ReportError, match=r"metrics.jsonl, line 1 is not valid JSON"):
        write_page([run], tmp_path / "report.html")


def test_no_runs_is_an_error_that_names_the_remedy(tmp_path):
    with pytest.raises(ReportError, match="pass run="):
        write_page([], tmp_path / "report.html")


def test_a_new_page_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.html").write_text("old")
    assert page_of([bare_run(tmp_path / "x")], tmp_path / "out").startswith("<!doctype html>")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["report.html"]


def test_metrics_without_a_finite_number_draw_no_curves(tmp_path):
    run = bare_run(tmp_path / "x")
    (run / "metrics.jsonl").write_text('{"stage": "encoder", "step": 1, "loss": NaN, "note": "diverged"}\n')
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


def test_what_cannot_be_told_is_a_dash(tmp_path):
    still = dict.fromkeys(("r2_linear", "r2_linear_interval", "r2_mlp", "r2_mlp_interval", "r2_bound"))
    probes = {"block_x": still | {"unit": "m", "kind": "physical", "controls": {"raw_pixels": None}}}
    measured = {"r2_h_to_z": None, "condition_number": None, "per_variable": {"block_x": {"r2": None}}}
    ratios = {"error_ratio_to_persistence": {"1": None, "5": 0.5}}
    html = page_of([bare_run(tmp_path / "x", probes=probes, identifiability=measured, predictor=ratios)], tmp_path)
    row = html[html.index("block x (m)") :]
    assert row[: row.index("</tr>")].count("–") == 6 and not re.search(r">[^<]*\b(nan|None)\b", html)
