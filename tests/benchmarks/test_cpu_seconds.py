"""Commands under measurement: run where they should, told when they fail; shares of a recipe that are trained."""

import sys
from pathlib import Path

import pytest

from benchmarks.speed.cpu_time import cpu_s_of
from benchmarks.speed.first_goals import _shortened
from worldmodel.cli.settings_of import settings_of
from worldmodel.settings import TrainConfig, recipe
from worldmodel.system import UserError


def test_a_command_runs_in_its_folder_on_one_thread(tmp_path: Path):
    code = "import os, pathlib, benchmarks; pathlib.Path('said').write_text(os.environ['OMP_NUM_THREADS'])"
    assert cpu_s_of([sys.executable, "-c", code], tmp_path) > 0
    assert (tmp_path / "said").read_text() == "1"


def test_a_command_that_fails_is_told():
    with pytest.raises(UserError, match=r"under measurement failed: .*ValueError: no such world"):
        cpu_s_of([sys.executable, "-c", "raise ValueError('no such world')"])


def test_a_share_of_a_recipe_is_one_of_its_episodes_and_steps():
    whole = recipe("reacher")
    quarter = settings_of(TrainConfig, ["env=reacher", *_shortened(whole, 0.25)])
    assert 4 * quarter.collection.episodes == whole.collection.episodes
    assert 4 * quarter.method.optim.steps == whole.method.optim.steps
    assert 4 * quarter.predictor_training.steps == whole.predictor_training.steps
    assert quarter.encoder == whole.encoder and quarter.predictor == whole.predictor
