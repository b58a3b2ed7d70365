"""Returns after a given number of control steps: the steps are counted as the suite counts them, and all are told."""

import re
from dataclasses import asdict

import pytest
import torch

from benchmarks import rewards
from benchmarks.results import suite_returns
from benchmarks.reward_oracle import TrueRewards
from worldmodel import envs
from worldmodel.runs import Returns
from worldmodel.system import UserError


@pytest.mark.parametrize(("task", "repeat"), [("cartpole-swingup", 5), ("reacher-easy", 3)])
def test_recordings_hold_nearly_as_many_control_steps_as_are_allowed(task: str, repeat: int):
    bench = rewards.RewardsBench(rounds=6, control_steps=90_000)
    config = rewards.training(bench, task, 1)
    episodes = config.collection.episodes
    in_all = episodes + 6 * max(10, round(0.2 * episodes))
    steps = repeat * config.collection.episode_steps * in_all
    assert 87_000 < steps <= 90_000 and config.rounds == 6
    assert (config.run_name, config.env.label, config.collection.data_seed, config.seed) == (*[f"{task}-s1"] * 2, 1, 1)


def test_other_options_are_a_trial_of_their_own_and_too_few_steps_are_refused():
    bench = rewards.RewardsBench(name="close-", options={"method.lag": 1})
    config = rewards.training(bench, "cheetah-run", 0)
    assert config.run_name == "cheetah-run-close-s0" and config.method.lag == 1
    with pytest.raises(UserError, match="4000 control steps are 8 episodes of cheetah-run, too few for rounds=8"):
        rewards.training(rewards.RewardsBench(control_steps=4000), "cheetah-run", 0)


def test_true_rewards_are_those_of_the_world_which_stays_where_it_is():
    world = envs.make("cartpole-swingup", action_repeat=5)
    world.restart(seed=2)
    world.advance(torch.tensor([0.5]).numpy())
    before, actions = world.state(), torch.tensor([[[[0.3], [-1.0]], [[1.0], [0.2]]]])
    found = TrueRewards(world).rollout(torch.zeros(1, 1), actions)
    assert found.shape == (1, 2, 2, 1) and (world.state() == before).all()
    earned = [world.advance(action.numpy())[0] for action in actions[0, 1]]
    assert found[0, 1, :, 0].tolist() == pytest.approx(earned)


def test_the_table_is_as_wide_as_its_head(monkeypatch: pytest.MonkeyPatch):
    cell = rewards.RewardsCell(
        99_500, 5, Returns(500.0, (450.0, 550.0)), 30.0, [20.0, 200.0], 0.9, None, 4.0, None, 0.1, {}
    )
    bench = rewards.RewardsBench(seeds=(0, 1))
    cells = {"cartpole-swingup": {"s0": cell, "s1": cell}, "hopper-hop": {"s0": cell}}
    found = rewards.found_so_far(bench, cells, {"cartpole-swingup": 820.0})
    assert found["tasks"]["cartpole-swingup"]["seeds"]["s1"] == asdict(cell)
    monkeypatch.setattr(suite_returns, "read", lambda name: found)
    text = suite_returns.details()
    assert "| 500 [450, 550] | 30 | 820 | 770 | 759 | 20, 200 | 0.90 |" in text
    for table in re.findall(r"(?:^\|.*\n?)+", text, re.M):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    (label, value, target, _), other = suite_returns.rows()
    assert "100,000 control steps" in label and value == "500 of 1,000, 2 seeds (random 30)" and target == "770"
    assert other[2] == "–"
