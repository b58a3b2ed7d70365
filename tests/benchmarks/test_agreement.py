"""`python -m benchmarks.agreement`: settings come from the committed files alone, and differences are shown."""

from pathlib import Path

import pytest

from benchmarks import agreement, command
from benchmarks.agreement import LEFT_OUT, Pair, report
from benchmarks.results.sources import FOLDER
from benchmarks.settings import AgreementConfig


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch):
    """Where benchmarks are run: committed files are named from there."""
    monkeypatch.chdir(Path(__file__).parents[2])


def test_a_committed_design_is_found_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(agreement, "paths", lambda pattern: [FOLDER / "design-varied_pendulum.json"])
    pairs = list(agreement._designs(tmp_path))
    assert len(pairs) == 6 and {pair.file for pair in pairs} == {"design-varied_pendulum.json"}
    assert max(abs(pair.difference) for pair in pairs) < 1e-6


def test_the_largest_difference_of_each_file_is_reported(capsys: pytest.CaptureFixture[str]):
    pairs = [Pair("a.json", "x", 0.5, 0.75), Pair("a.json", "y", 1.0, 0.5), Pair("b.json", "z", None, None)]
    summary = report(iter(pairs))
    assert "a.json" in summary and "5.0e-01  (y)" in summary and "0.0e+00  (z)" in summary
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert Pair("a.json", "x", None, 0.5).difference == float("inf")


def test_unknown_kinds_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr("sys.argv", ["agreement", "kinds=[videos]"])
    assert command.run(AgreementConfig, lambda config: report(agreement.agreement(config))) == 1
    assert "unknown kind 'videos'; choose from design, positions" in capsys.readouterr().err


def test_every_committed_file_is_measured_again_or_left_out():
    measured = [
        *(f"state-{name}" for name in agreement.STUDIES),
        *(f"reproduce-{name}" for name in agreement.TABLES_OF_VECTORS),
        "bench-engines",
        "demo-seed0",
    ]
    assert [name for name in measured if not (FOLDER / f"{name}.json").exists()] == []
    patterns = ["design-*", *(pattern for files in LEFT_OUT for pattern in files.split(", "))]
    left = [path.stem for path in FOLDER.glob("*.json") if path.stem not in measured]
    assert [name for name in left if not any(Path(name).match(pattern) for pattern in patterns)] == []
