"""The zoo: every model opens, its card says what its results say, and it does again what its card says."""

import re
from pathlib import Path

import pytest

import worldmodel as wm
from worldmodel.cli.main import main
from worldmodel.measures.statistics import wilson_interval
from worldmodel.runs.zoo import FOLDER, find_model, find_run, names
from worldmodel.runs.zoo.card import card
from worldmodel.settings import read_run_config

MODELS = ("ball_in_cup", "cartpole", "finger", "pendulum", "point_mass", "puck", "reacher", "two_room")


def test_all_models_together_fit_into_25_megabytes():
    assert names() == sorted(MODELS)
    files = [path for path in FOLDER.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) < 25e6


@pytest.mark.parametrize("name", MODELS)
def test_a_card_is_what_its_results_say_and_names_no_machine(name: str):
    model, config = find_model(name), read_run_config(FOLDER / name)
    assert model.card == card(name, config, model.summary, model.megabytes)
    for path in ("config.yaml", "summary.json", "model.json", "README.md"):
        assert not re.search(r"[\s\"'=]/\w", (FOLDER / name / path).read_text()), (
            "a path of the machine that trained it"
        )


@pytest.mark.parametrize("name", MODELS)
def test_a_model_reaches_as_many_goals_as_its_card_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Fifty tasks, of which the card's hundred include as many as a run of fifty has."""
    monkeypatch.chdir(tmp_path)
    card_says = find_model(name).summary.control
    assert card_says and card_says.latent.success
    found = wm.control(wm.ControlConfig(run=f"zoo/{name}", tasks=50, oracle=False, videos=0)).latent.success
    assert found
    low, high = wilson_interval(round(50 * found.rate), 50)
    assert low <= card_says.latent.success.rate <= high
    assert not (FOLDER / name / "figures").exists(), "nothing is written into the package"


def test_models_are_listed_and_cards_printed(capsys: pytest.CaptureFixture[str]):
    assert main(["zoo"]) == 0
    listed = capsys.readouterr().out
    assert all(f"zoo/{name} " in listed for name in MODELS) and "next: worldmodel control run=zoo/NAME" in listed
    assert main(["zoo", "name=two_room"]) == 0
    assert capsys.readouterr().out.startswith("# two_room\n")
    assert main(["zoo", "name=walker"]) == 1
    assert "there is no 'walker' in the zoo; there is ball_in_cup" in capsys.readouterr().err


def test_names_of_version_0_1_still_work(tmp_path: Path):
    assert find_run("pretrained/reacher", tmp_path) == str(tmp_path / "zoo" / "reacher")
