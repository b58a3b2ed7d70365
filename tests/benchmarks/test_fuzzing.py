"""Changed files: those that once failed, and a few new ones for everything that reads a file."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.trust.fuzzing.attempts import Attempts
from benchmarks.trust.fuzzing.readers import READERS
from benchmarks.trust.fuzzing.valid import make_valid

CORPUS = Path(__file__).parent.parent / "fixtures" / "fuzzed"
ONCE_FAILED = sorted(path for path in CORPUS.glob("*/*") if path.is_file())
FUZZED = settings(
    max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("valid")
    make_valid(folder)
    return folder


@pytest.mark.parametrize("file", ONCE_FAILED, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_what_once_failed_is_refused_in_one_line_or_read(tmp_path: Path, valid: Path, file: Path):
    found = Attempts(valid, tmp_path / "scratch", file.parent.name).of(file.read_bytes())
    assert found.outcome in ("refused", "read"), found.told


@pytest.fixture(scope="module", params=READERS)
def attempts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, valid: Path) -> Attempts:
    return Attempts(valid, tmp_path_factory.mktemp("scratch"), request.param)


@FUZZED
@given(rng=st.randoms(use_true_random=False))
def test_a_changed_file_is_refused_in_one_line_or_read(attempts: Attempts, rng: Random):
    found = attempts.of(attempts.changed(rng))
    assert found.outcome in ("refused", "read"), found.told


def test_the_corpus_is_small_and_of_readers_that_there_are():
    assert {path.parent.name for path in ONCE_FAILED} <= set(READERS)
    assert sum(path.stat().st_size for path in ONCE_FAILED) < 300_000
