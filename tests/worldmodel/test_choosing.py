"""Settings that training chooses by itself: the rule, the options left alone, continuation after a kill, the cost."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.worldmodel.test_figures_on_the_page import missing_on_page
from worldmodel.choosing import choice, choose, left_open, short_trainings
from worldmodel.choosing.short_trainings import Judgement, ShortTrainings
from worldmodel.cli.terminal import choice_lines
from worldmodel.data.arrays import write_arrays
from worldmodel.data.store import DataSet
from worldmodel.improving import train
from worldmodel.learning.verifying import verify_run
from worldmodel.models.weights import read_weights
from worldmodel.runs import ChoiceResult, Run
from worldmodel.runs.choice_result import CHOICE
from worldmodel.settings import TrainConfig, changed, recipe, with_options
from worldmodel.settings.arguments import configure
from worldmodel.settings.recipes import preset_names
from worldmodel.system.errors import UserError

SIDE, STEPS = 8, 60
DEFAULT_DIM = {"encoder.latent_dim": 32}
FRACTIONS = {
    name: getattr(short_trainings, name)
    for name in ("_STEPS_OF_ENCODER", "_BATCH_OF_ENCODER", "_STEPS_OF_PREDICTOR", "_BATCH_OF_PREDICTOR")
}
SMALL: dict[str, Any] = {
    "env": "recorded",
    "env.name": "dot",
    "choose": ["lag"],
    "method.num_slices": 16,
    "encoder.input_size": SIDE,
    "encoder.hidden": 32,
    "encoder.latent_dim": 4,
    "encoder.depth": 1,
    "method.optim.steps": 150,
    "method.optim.batch_size": 64,
    "predictor.horizon": 6,
    "predictor.history": [0, 1],
    "predictor.hidden": 48,
    "predictor_training.steps": 250,
    "predictor_training.batch_size": 64,
    "decoder": False,
}


def dots(num: int) -> list[dict[str, np.ndarray]]:
    """Episodes of a dot that actions move, before a blue flicker that repeats every 15 steps.

    Frames 15 steps apart share the flicker and nothing else, so an encoder of such pairs looks at the flicker alone,
    which nothing foretells; frames that are nearer share the dot.
    """
    rng = np.random.default_rng(0)
    rows, columns = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    episodes = []
    for _ in range(num):
        actions = np.repeat(rng.uniform(-1, 1, (STEPS // 6, 2)), 6, 0)
        place = [rng.uniform(0, SIDE - 1, 2)]
        for action in actions:
            place.append(np.clip(place[-1] + action, 0, SIDE - 1))
        place = np.stack(place)
        dot = np.exp(-0.5 * ((rows - place[:, :1, None]) ** 2 + (columns - place[:, 1:, None]) ** 2) / 1.2)
        flicker = np.resize(rng.uniform(size=(15, SIDE, SIDE)), dot.shape)
        frames = (255 * np.stack([dot, dot, flicker], -1)).astype(np.uint8)
        episodes.append({"frames": frames, "actions": actions, "states": place})
    return episodes


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("choosing")
    write_arrays(folder / "data/dot", "dot", dots(50), state_names=["x", "y"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in FRACTIONS:  # short trainings as long as the training, which is tiny
            patch.setattr(short_trainings, name, 1.0)
        patch.setattr(choice, "SHARE", 5.0)
        yield folder


def configured(**options: Any) -> TrainConfig:
    return configure(TrainConfig, {**SMALL, **{name.replace("__", "."): value for name, value in options.items()}})


@pytest.fixture
def from_lag_15(monkeypatch) -> None:
    """The recipe has a lag of 15."""
    monkeypatch.setattr(choice, "recipe", lambda world: with_options(recipe(world), {"method.lag": 15}))


def lag_15(name: str) -> TrainConfig:
    return with_options(configured(name=name), {"method.lag": 15})


@pytest.fixture(scope="module")
def trained(home) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "recipe", lambda world: with_options(recipe(world), {"method.lag": 15}))
        return Run(train(lag_15("planted")).run)


def without_times(found: ChoiceResult | None) -> ChoiceResult:
    assert found
    return dataclasses.replace(found, trainings=[dataclasses.replace(of, seconds=0.0) for of in found.trainings])


def test_the_better_lag_is_found_without_labels_and_trained_with(trained):
    found = trained.train.choice
    assert found and found.complete and (found.episodes, found.judged_episodes) == (30, 15)
    assert [of.options for of in found.trainings] == [{}, {"method.lag": 2}, {"method.lag": 5}]
    before, two, _ = found.trainings
    assert before.steps_off and two.steps_off and two.steps_off < before.steps_off - 0.3
    assert found.chosen["method.lag"] in (2, 5)
    assert trained.config.method.lag == found.chosen["method.lag"] and trained.config.choose == ()
    said = choice_lines(found)
    assert "chose lag " in said and f"steps off instead of {before.steps_off:.1f}" in said
    assert trained.train.seconds["choice"] > 0 and verify_run(trained.path).is_whole


def test_the_page_holds_every_short_training(trained):
    assert missing_on_page(trained) == []
    page = (trained.path / "report.html").read_text(encoding="utf-8")
    assert "What it chose by itself" in page and "Short training runs, in their order" in page


def test_a_choice_that_was_killed_goes_on_to_the_same_bytes(trained, from_lag_15, monkeypatch):
    config, judge = lag_15("killed"), ShortTrainings.judge
    judged: list[int] = []

    def interrupted(self: ShortTrainings, config: TrainConfig) -> Judgement:
        judged.append(config.method.lag)
        if len(judged) == 3:
            raise KeyboardInterrupt
        return judge(self, config)

    monkeypatch.setattr(ShortTrainings, "judge", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    assert (Path(config.run_directory) / CHOICE).exists() and not is_trained(config)
    again = Run(train(config).run)
    assert judged == [15, 2, 5, 5], "what was finished is not trained again"
    assert without_times(again.train.choice) == without_times(trained.train.choice)
    weights, others = (read_weights(run.path / "model.safetensors") for run in (trained, again))
    assert all(torch.equal(weights[name], others[name]) for name in others)
    train(config)
    assert len(judged) == 4, "a run chooses once"


def is_trained(config: TrainConfig) -> bool:
    return (config.run_directory / "trainer.pt").exists()


def test_a_run_with_a_choice_is_the_run_that_these_settings_make(trained):
    found = Run(train(configured(name="by_hand", method__lag=trained.config.method.lag)).run)
    weights, others = (read_weights(run.path / "model.safetensors") for run in (trained, found))
    assert found.train.choice is None and all(torch.equal(weights[name], others[name]) for name in others)


def test_a_run_that_began_without_a_choice_goes_on_without(monkeypatch):
    begun = configured(name="older", choose=[], predictor_training__steps=2, method__optim__steps=2)
    train(begun)
    now = dataclasses.replace(begun, choose=("lag",))
    assert left_open(now) == () and left_open(dataclasses.replace(now, name="newer")) == ("lag",)
    assert left_open(dataclasses.replace(now, name="newer", devices=2)) == ()
    assert train(now).choice is None
    with pytest.raises(UserError, match="runs/older leaves nothing to choose; name settings, such as choose="):
        choose(now)


def test_what_is_changed_in_python_stays(trained):
    config = dataclasses.replace(configured(name="python"), choose=("lag", "sigreg", "latent_dim"))
    assert left_open(config) == ("lag", "sigreg"), "SMALL has a latent dimension of its own"
    mine = with_options(config, {"method.lag": 7})
    assert left_open(mine) == ("sigreg",)
    found = trained.train.choice
    assert found and found.applied_to(dataclasses.replace(mine, choose=("sigreg",))).method.lag == 7


# ---------------------------------------------------------------------------------------------------------------------
# the rule, on short trainings with given outcomes


def planted(
    monkeypatch: pytest.MonkeyPatch,
    off: dict[str, float],
    costs_nothing: bool = True,
    before: int = 0,
    most: int = 99,
) -> list[TrainConfig]:
    """Short trainings that are so many steps off where a setting has a value; returns what is trained.

    before: how many were trained by an earlier call. most: how many until a kill.
    """
    trained: list[TrainConfig] = []

    def judge(self: ShortTrainings, config: TrainConfig) -> Judgement:
        if len(trained) == most:
            raise KeyboardInterrupt
        trained.append(config)
        names = (f"lag {config.method.lag}", f"size {config.encoder.input_size}", f"dim {config.encoder.latent_dim}")
        by_episode = sum(off.get(name, 0.0) for name in names) + np.linspace(2, 6, 12)
        return Judgement(by_episode + 0.5 * (-1.0) ** np.arange(12) * ((before + len(trained)) % 2), 0.5)

    monkeypatch.setattr(ShortTrainings, "judge", judge)
    if costs_nothing:
        monkeypatch.setattr(ShortTrainings, "cost", lambda self, config: 1.0)
    return trained


def test_each_setting_is_tried_from_the_best_so_far(monkeypatch):
    tried = planted(monkeypatch, {"lag 2": -1, "lag 15": -2, "dim 16": 1})
    config = with_options(configured(name="all"), {"choose": ["lag", "sigreg", "latent_dim"], **DEFAULT_DIM})
    found = choose(config)
    assert found.chosen == {"method.lag": 15}, "of two that are better, the better one"
    assert [config.method.lag for config in tried] == [5, 2, 15, 15, 15, 15, 15]
    told = found.sentences()
    assert told[0] == "chose lag 15 (of 5, 2, 15): 2.0 steps off instead of 4.0"
    assert told[2].startswith("kept latent_dim 32 (of 32, 16, 8)")
    assert found.applied_to(config) == with_options(config, {"choose": [], "method.lag": 15})


@pytest.mark.parametrize("num_before", range(1, 7))
def test_wherever_a_choice_is_killed_it_ends_the_same(monkeypatch, num_before: int):
    every = {"choose": ["lag", "sigreg", "latent_dim"], **DEFAULT_DIM}
    off = {"lag 2": -2.0, "lag 15": -1.0, "dim 16": -1.0}
    planted(monkeypatch, off)
    whole = choose(with_options(configured(name="whole"), every))
    assert whole.chosen == {"method.lag": 2, "encoder.latent_dim": 16}
    config = with_options(configured(name=f"killed_after_{num_before}"), every)
    planted(monkeypatch, off, most=num_before)
    with pytest.raises(KeyboardInterrupt):
        choose(config)
    tried = planted(monkeypatch, off, before=num_before)
    again = choose(config)
    assert len(tried) == 7 - num_before and without_times(again) == without_times(whole)


def test_what_is_no_better_than_its_standard_error_is_not_taken(monkeypatch):
    planted(monkeypatch, {"lag 2": -0.1, "lag 15": 0.2})
    found = choose(configured(name="noise"))
    two = found.trainings[1]
    assert two.better_by and two.standard_error and 0 < two.better_by < two.standard_error
    assert found.chosen == {} and found.sentences() == [
        "kept lag 5 (of 5, 2, 15): no other is better by more than the standard error"
    ]


def test_short_trainings_cost_a_third_of_the_training_at_most(monkeypatch):
    """By multiplications: what was tried stays below, and what was left out would have gone above."""
    planted(monkeypatch, {}, costs_nothing=False)
    monkeypatch.setattr(choice, "SHARE", 1 / 3)
    for name, fraction in FRACTIONS.items():
        monkeypatch.setattr(short_trainings, name, fraction)
    size = {"encoder.input_size": 8, "encoder.hidden": 512}
    config = configure(TrainConfig, {"env": "recorded", "env.name": "dot", "name": "third", **size})
    found = choose(dataclasses.replace(config, choose=("lag", "sigreg", "latent_dim")))
    dearest = max(of.share for of in found.trainings)
    assert 4 <= len(found.trainings) <= 7 and 1 / 3 - dearest < found.share <= 1 / 3
    assert found.left_out and set(found.left_out.values()) <= {choice._NO_TIME}


def test_the_cost_of_a_training_is_steps_times_batch_times_the_size_of_the_networks():
    config = configured()
    short = ShortTrainings(DataSet(config.collection.directory), torch.device("cpu"))
    frame = 2 * (3 * SIDE**2 * 32 + 32 * 4)  # a multiplication and an addition a weight
    optim = config.method.optim
    alone = dataclasses.replace(config, predictor_training=dataclasses.replace(config.predictor_training, steps=1))
    window = short.cost_of_training(config) - short.cost_of_training(alone)
    assert window % ((config.predictor_training.steps - 1) * config.predictor_training.batch_size * 3) == 0
    encoder = short.cost_of_training(alone) - window / (config.predictor_training.steps - 1)
    assert encoder == 3 * 2 * optim.steps * optim.batch_size * frame


_EVERY = {"choose": ["lag", "input_size", "sigreg", "latent_dim"]}


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, ("lag",)),
        ({"method.lag": 7}, ()),
        ({**_EVERY, "method.lag": 7}, ("input_size", "sigreg", "latent_dim")),
        ({**_EVERY, "sigreg_end": 0.1, "encoder.latent_dim": 3}, ("lag", "input_size")),
        ({**_EVERY, "input_size": 16}, ("lag", "sigreg", "latent_dim")),
        ({"choose": []}, ()),
        ({"choose": ["sigreg", "lag"], "lag": 5}, ("sigreg",)),
    ],
)
def test_an_option_that_is_given_is_not_chosen(options: dict[str, Any], left: tuple[str, ...]):
    assert configure(TrainConfig, {"env": "walker-walk", **options}).choose == left


def test_only_worlds_without_a_recipe_leave_anything_open():
    open_ones = {name for name in preset_names("env") if recipe(name).choose}
    assert open_ones == {"recorded"} and recipe("hopper-hop").choose and not recipe("ou-reacher").choose
    assert configure(TrainConfig, {"env": "reacher", "choose": ["lag"]}).choose == ("lag",)
    assert not changed(TrainConfig(choose=("lag",))), "weights do not depend on it"


def test_what_cannot_be_chosen_is_refused_or_said(monkeypatch, capsys):
    with pytest.raises(UserError, match="the encoder of puck learns from poses alone; leave out choose"):
        configure(TrainConfig, {"env": "puck", "choose": ["lag"]})
    with pytest.raises(UserError, match="choose must be a list, each one of lag, input_size, sigreg, latent_dim"):
        configure(TrainConfig, {"env": "reacher", "choose": ["lagg"]})
    planted(monkeypatch, {})
    found = choose(configured(name="other_method", method="infonce", choose=["sigreg", "lag"]))
    assert set(found.left_out.values()) == {"method=infonce has none"} and len(found.trainings) == 3
    frames = np.zeros((STEPS + 1, SIDE, SIDE, 3), np.uint8)
    write_arrays("data/still", "still", [{"frames": frames, "actions": np.zeros((STEPS, 0))}] * 12)
    still = choose(configured(name="still", env__name="still"))
    assert still.left_out == {"lag": "the recording has no actions"} and not still.trainings
    assert still.sentences() == ["lag as it was: the recording has no actions"]
    short = [{"frames": one["frames"][:9], "actions": one["actions"][:8]} for one in dots(12)]
    write_arrays("data/few", "few", short)
    few = choose(configured(name="few", env__name="few"))
    assert few.left_out == {"lag": "fewer than two held-out episodes have 14 frames"}
