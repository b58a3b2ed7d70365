"""Training in rounds: who collected what, what is trained again, and that a command given again continues."""

import shutil

import numpy as np
import pytest
import torch

from worldmodel.cli.terminal import train_lines
from worldmodel.data.index import read_index
from worldmodel.data.joined import JoinedDataSet
from worldmodel.data.store import DataSet
from worldmodel.evaluation.probing.subject import open_subject
from worldmodel.improving import driven_episodes, train
from worldmodel.models.weights import read_weights
from worldmodel.reporting import report
from worldmodel.runs import Run
from worldmodel.settings import ProbeConfig, ReportConfig, TrainConfig
from worldmodel.settings.arguments import configure
from worldmodel.system.errors import StoreError, UserError

SMALL = {
    "env": "cartpole-swingup",
    "episodes": 10,
    "episode_steps": 30,
    "workers": 1,
    "env.image_size": 16,
    "encoder.input_size": 16,
    "encoder.hidden": 16,
    "method.optim.steps": 10,
    "method.optim.batch_size": 16,
    "method.on_collapse": "report",
    "predictor.horizon": 3,
    "predictor.history": [0, 2],
    "predictor.hidden": 16,
    "predictor_training.steps": 10,
    "predictor_training.batch_size": 16,
    "decoder": False,
    "robust": False,
    "plan.planner.num_samples": 8,
    "plan.planner.num_elites": 4,
    "plan.planner.horizon": 3,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rounds")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def one_round(home) -> Run:
    return Run(train(configure(TrainConfig, {**SMALL, "rounds": 1})).run)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return read_weights(run.path / "model.safetensors")


def test_a_round_is_a_data_set_that_says_who_drove(one_round):
    index = read_index(one_round.path / "rounds" / "1")
    policy = index.settings.policy
    assert policy is not None and policy["name"] == "controller" and policy["by"] == "reward"
    assert policy["run"] == str(one_round.path) and policy["round"] == 1 and len(policy["model"]) == 64
    driven, recorded = DataSet(one_round.path / "rounds" / "1"), DataSet(one_round.config.collection.directory)
    assert (driven.num_episodes, driven.num_rows) == (10, 310) and driven.index.world == recorded.index.world
    assert np.nanmin(driven.rewards) >= 0 and np.nanmax(np.abs(driven.actions)) <= 1
    assert not np.array_equal(driven.states[0], driven.states[31]), "starts of their own"
    joined = JoinedDataSet([recorded, driven])
    assert joined.num_episodes == 20 and len(joined.states) == joined.num_rows == 20 * 31
    assert np.array_equal(joined.frames(slice(310, 341)), driven.frames(slice(0, 31)))
    assert joined.split("train").offset[-1] == 310 + 7 * 31
    assert [len(part) for part in (joined.split("validation"), joined.split("test"))] == [2, 2]


def test_constants_that_are_drawn_are_refused_before_anything_is_recorded(home):
    with pytest.raises(UserError, match="need constants that stay, and puck draws mass; leave out rounds="):
        train(configure(TrainConfig, {**SMALL, "env": "puck", "env.randomize": ["mass"], "rounds": 1, "data": "none"}))
    assert not (home / "none").exists()


def test_stages_go_on_and_the_result_tells_of_every_round(one_round):
    stages = dict.fromkeys(line["stage"] for line in one_round.metrics)
    assert [*stages] == ["encoder", "predictor", "encoder-1", "predictor-1", "reward"]
    assert max(line["step"] for line in one_round.metrics if line["stage"] == "encoder-1") == 2  # .3 of 10 steps
    first, second = one_round.train.rounds
    assert (first.number, first.policy, first.episodes) == (0, "mixture", 10)
    assert (second.number, second.policy, second.episodes, second.steps) == (1, "controller", 10, 300)
    assert "return of an episode, by round" in train_lines(one_round.train)
    page = report(ReportConfig(run=str(one_round.path))).read_text()
    assert "What it earned, round by round" in page


def test_a_run_is_judged_on_all_that_it_recorded(one_round):
    shutil.copytree(one_round.path, moved := one_round.path.parent / "moved")
    subject = open_subject(ProbeConfig(run=str(moved), controls=False), Run(moved))
    assert subject.data.num_episodes == Run(moved).episodes().num_episodes == 20
    assert subject.data.shards[1].parent == moved / "rounds" / "1" and len(subject.table.latents) == 20 * 31
    assert Run(moved).episodes("data").num_episodes == 20, "another folder of recordings, the same rounds"
    shutil.rmtree(moved / "rounds" / "1")
    with pytest.raises(StoreError, match="moved/rounds/1, which a round of training recorded, is missing; restore it"):
        open_subject(ProbeConfig(run=str(moved)), Run(moved))


def test_where_no_reward_is_known_recorded_pictures_are_the_goals(one_round, monkeypatch):
    monkeypatch.setattr(driven_episodes, "plans_by_head", lambda model, world: False)
    monkeypatch.setattr(driven_episodes, "_GOAL_STEPS", 12)
    kept = {}
    monkeypatch.setattr(
        driven_episodes,
        "write_data_set",
        lambda directory, index, episodes, what: kept.update(index=index, episodes=[*episodes(range(2))]),
    )
    looks, aimed = [], []
    see, aim = driven_episodes.GoalController._see, driven_episodes.GoalController.aim
    monkeypatch.setattr(driven_episodes.GoalController, "_see", lambda of, seen: looks.append(of) or see(of, seen))

    def aims(of, goals):
        aim(of, goals)
        assert of is looks[-1] and of._state.plan is None
        aimed.append(of._state.latents.std(1).max())

    monkeypatch.setattr(driven_episodes.GoalController, "aim", aims)
    driven_episodes.collect_round(one_round.config, 7)
    assert len({*looks}) == 1 and len(looks) == 30, "one controller, which goes on where it was"
    assert len(aimed) == 2 and min(aimed) > 0, "with the motion that it saw"
    policy = kept["index"].settings.policy
    assert policy["by"] == "recorded pictures" and policy["round"] == 7
    assert [episode.actions.shape for episode in kept["episodes"]] == [(30, 1), (30, 1)]
    still, noisy = (np.abs(episode.actions).mean() for episode in kept["episodes"])
    assert still != noisy


def test_a_round_that_was_killed_is_collected_again_to_the_same_bytes(one_round, monkeypatch):
    shutil.copytree(one_round.path, killed := one_round.path.parent / "killed")
    shutil.rmtree(killed / "rounds")
    (killed / "trainer.pt").unlink()
    config = configure(TrainConfig, {**SMALL, "rounds": 1, "name": "killed"})

    def interrupted(directory, index, episodes, what):
        next(episodes(range(10)))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(driven_episodes, "write_data_set", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    found = Run(train(config).run)
    assert all(torch.equal(value, weights(one_round)[name]) for name, value in weights(found).items())


def test_what_rounds_cannot_do_is_refused_in_a_line(one_round):
    with pytest.raises(UserError, match="rounds=1 need a world with actions, reacher_ou has none"):
        configure(TrainConfig, {"env": "reacher_ou", "rounds": 1})
    with pytest.raises(UserError, match="rounds=2 are collected by one process"):
        configure(TrainConfig, {"env": "reacher", "rounds": 2, "devices": 2})
    with pytest.raises(ValueError, match=r"num_elites must be <= num_samples = 8, got 9; set planner\.num_elites"):
        train(configure(TrainConfig, {**SMALL, "rounds": 1, "name": "none", "plan.planner.num_elites": 9}))
    assert not one_round.path.with_name("none").exists(), "refused before minutes are spent"
    other = DataSet(one_round.config.collection.directory)
    other.index = read_index(one_round.path / "rounds" / "1")
    wrong = DataSet(one_round.path / "rounds" / "1")
    object.__setattr__(wrong.index.world, "image_size", 99)
    with pytest.raises(StoreError, match="are of different worlds \\(image_size differs\\)"):
        JoinedDataSet([other, wrong])


def test_rounds_hold_actions_where_a_world_has_no_recipe_of_its_own(one_round):
    index = read_index(one_round.path / "rounds" / "1")
    assert one_round.path.name == "cartpole-swingup-rounds" and index.name == "cartpole-swingup-rounds"
    assert index.world.action_repeat == 5 and index.world.control_dt_s == pytest.approx(0.05)
    chosen = configure(TrainConfig, {"env": "gym:HalfCheetah-v5", "rounds": 3, "action_repeat": 1})
    assert (chosen.run_name, chosen.env.action_repeat) == ("HalfCheetah-v5-rounds", 1)
    without, own = (
        configure(TrainConfig, {"env": "cheetah-run"}),
        configure(TrainConfig, {"env": "reacher", "rounds": 3}),
    )
    assert (without.run_name, without.env.action_repeat) == ("cheetah-run", 1)
    assert (own.run_name, own.env.action_repeat) == ("reacher", 1)


def test_more_rounds_continue_a_finished_run_and_fewer_are_refused(one_round):
    kept = (one_round.path / "rounds" / "1" / "shard-00000.h5").read_bytes()
    more = Run(train(configure(TrainConfig, {**SMALL, "rounds": 2})).run)
    assert (more.path / "rounds" / "1" / "shard-00000.h5").read_bytes() == kept
    assert [of.number for of in more.train.rounds] == [0, 1, 2]
    stages = dict.fromkeys(line["stage"] for line in more.metrics)
    assert {"encoder-1", "predictor-1", "encoder-2", "predictor-2"} <= stages.keys()
    with pytest.raises(UserError, match="swingup-rounds has gone through 2 rounds; give rounds=2, or another name="):
        train(configure(TrainConfig, {**SMALL, "rounds": 1}))
