"""Rewards: what the reward head learns, how planners use it, and refusals where there is nothing to learn."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from worldmodel import envs
from worldmodel.cli.terminal import control_lines, train_lines
from worldmodel.data.store import EpisodeIndex
from worldmodel.data.table import LatentTable
from worldmodel.envs.scene import MjcfScene
from worldmodel.evaluation.control import control
from worldmodel.evaluation.control.achieved import achieved
from worldmodel.evaluation.control.controllers import RandomController
from worldmodel.evaluation.control.driving import run_tasks
from worldmodel.evaluation.control.tasks import draw_tasks, make_protocol
from worldmodel.learning.loop import fit_quietly
from worldmodel.learning.reward_stage import judge_reward, reward_stage
from worldmodel.learning.sources import encoded_table, open_sources, segments
from worldmodel.learning.train import train
from worldmodel.measures.identifiability import scores
from worldmodel.models.reward_head import RewardHead, two_hot
from worldmodel.models.weights import read_weights
from worldmodel.planners import ReturnAhead
from worldmodel.reporting import report
from worldmodel.reporting.verdicts import control_verdict, reward_verdict
from worldmodel.runs import Run
from worldmodel.settings import ControlConfig, OptimConfig, PlanConfig, ReportConfig, RewardConfig, TrainConfig, recipe
from worldmodel.settings.arguments import configure
from worldmodel.system.errors import UserError

SMALL = {
    "env": "cartpole-swingup",
    "episodes": 20,
    "episode_steps": 30,
    "workers": 1,
    "env.image_size": 16,
    "encoder.input_size": 16,
    "encoder.hidden": 16,
    "method.optim.steps": 6,
    "method.optim.batch_size": 16,
    "method.on_collapse": "report",
    "predictor.horizon": 3,
    "predictor.history": [0, 2],
    "predictor.hidden": 16,
    "predictor_training.steps": 6,
    "predictor_training.batch_size": 16,
    "decoder_training.steps": 2,
    "distillation.optim.steps": 2,
}


def test_two_hot_weights_have_the_reward_as_their_mean():
    levels = torch.linspace(-2, 3, 11)
    rewards = torch.tensor([-2.0, -1.9, 0.0, 0.25, 2.999, 3.0])
    weights = two_hot(rewards, levels)
    assert torch.allclose(weights @ levels, rewards, atol=1e-6) and torch.allclose(weights.sum(-1), torch.ones(6))
    assert ((weights > 0).sum(-1) <= 2).all()
    assert torch.equal(two_hot(torch.tensor([99.0]), levels)[0], torch.eye(11)[-1])


def test_the_states_of_a_sequence_are_those_after_each_action():
    head = RewardHead(RewardConfig(), latent_dim=2, action_dim=1, history=[0, 1, 3])
    sequence = torch.randn(5, 4 + 6, 2)  # four seen, six predicted
    states = head.states(sequence)
    assert states.shape == (5, 6, 6)
    after_second = torch.cat([sequence[:, 5], *(4 * (sequence[:, 5 - lag] - sequence[:, 5]) for lag in (1, 3))], -1)
    assert torch.allclose(states[:, 1], after_second)
    assert torch.allclose(head.last_state(sequence), states[:, -1])
    assert torch.allclose(head.last_state(sequence[:, :4]), head.last_state(sequence[:, :4].repeat(1, 2, 1)))


def test_a_plan_costs_what_it_does_not_earn():
    seen, latents, actions = torch.zeros(2, 3, 1), torch.ones(2, 5, 4, 1), torch.full((2, 5, 4, 1), 0.5)
    objective = ReturnAhead(seen, lambda z, a: z[..., 3:, 0] + a[..., 0], lambda z: 10 * z[..., -1, 0], discount=0.5)
    earned = 1.5 * (1 + 0.5 + 0.25 + 0.125) + 0.5**4 * 10
    assert torch.allclose(objective(latents, actions), torch.full((2, 5), -earned))
    twice = objective.map_tensors(lambda tensor: 2 * tensor)
    assert torch.equal(twice.seen, 2 * seen) and twice.form() == objective.form()
    with pytest.raises(ValueError, match="discount must be in"):
        replace(objective, discount=1.5)
    with pytest.raises(ValueError, match=r"seen must have shape \(B, K, D\)"):
        replace(objective, seen=seen[0])
    with pytest.raises(ValueError, match=r"rewards must have shape \(B, N, H\)"):
        replace(objective, rewards=lambda z, a: z[..., 0])(latents, actions)


def test_the_head_reads_velocities_and_actions_and_its_value_is_their_discounted_sum():
    """Points that drift with a velocity of their episode, and jump where actions say so: reward = velocity - |a|."""
    rng = np.random.default_rng(0)
    num, steps = 60, 40
    velocity, actions = rng.uniform(-1, 1, (num, 1, 1)), rng.uniform(-1, 1, (num, steps, 1))
    latents = rng.normal(size=(num, 1, 1)) + 0.1 * velocity * np.arange(steps)[:, None]
    rewards = np.where(np.arange(steps) < steps - 1, velocity[:, :, 0] - 0.5 * np.abs(actions[:, :, 0]), np.nan)
    table = LatentTable(*(torch.from_numpy(x.reshape(num * steps, 1)).float() for x in (latents, actions)))
    episodes = EpisodeIndex(np.arange(num) * steps, np.full(num, steps))
    torch.manual_seed(0)
    head = RewardHead(RewardConfig(hidden=32, discount=0.8), 1, 1, [0, 1])
    given = torch.from_numpy(rewards.reshape(-1)).float()
    windows = table.latents.view(num, steps, 1)
    head.fit_normalization(windows, given[given.isfinite()])
    optim, horizon = OptimConfig(steps=300, batch_size=256), 3

    def recorded(start: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return table.latents[start[:, None] + torch.arange(2 + horizon)]

    fit_quietly(reward_stage(head, table, given.nan_to_num(), episodes, optim, horizon, recorded), 0)
    with torch.no_grad():
        found = head.rewards(windows, table.actions.view(num, steps, 1)[:, 1:-1]).numpy()
        worth = head.values(windows[:, :20]).numpy()
    assert scores(rewards[:, 1:-1].reshape(-1, 1), found.reshape(-1, 1))[0] > 0.97
    # an expectile above the mean: between what random actions earn, and what none would
    by_chance, at_best = ((velocity[:, 0, 0] - cost) / 0.2 for cost in (0.25, 0.0))
    assert np.corrcoef(worth, by_chance)[0, 1] > 0.98
    assert (by_chance - 0.3).mean() < worth.mean() < at_best.mean()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reward")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def rewarded(home) -> Run:
    """A world whose reward is recorded: the cart pole, whose reward always differs."""
    return Run(train(configure(TrainConfig, SMALL)).run)


def test_a_reward_head_changes_no_other_weight_and_can_be_added(home, rewarded, monkeypatch):
    named = configure(TrainConfig, {**SMALL, "name": "without"})
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["worldmodel.learning.train"], "reward_range", lambda data: (0.0, 0.0))
        without = Run(train(named).run)
    ours, others = (read_weights(run.path / "model.safetensors") for run in (rewarded, without))
    assert any(name.startswith("reward_head.") for name in ours)
    assert {name for name in ours if not name.startswith("reward_head.")} == others.keys()
    assert all(torch.equal(ours[name], value) for name, value in others.items())
    assert without.train.reward is None
    with pytest.raises(UserError, match="a reward never seen to differ cannot be learned: all rewards that"):
        control(ControlConfig(run=str(without.path), protocol="reward", tasks=1))
    Run(train(replace(named, reward_head=False)).run)
    with pytest.raises(UserError, match="no reward head; give its train command again with reward_head=true"):
        control(ControlConfig(run=str(without.path), protocol="reward", tasks=1))
    assert read_weights(without.path / "model.safetensors").keys() == others.keys()
    added = read_weights(Run(train(named).run).path / "model.safetensors")
    assert all(torch.equal(ours[name], value) for name, value in added.items()), "added to a finished run, to the bit"


def test_held_out_rewards_that_only_a_goal_far_away_tells_apart_have_no_r2(rewarded):
    """A smooth reward is 1e-40 where the goal is far: its variance is 0, and R2 would be minus infinity."""
    model = rewarded.model(torch.device("cpu"))
    source, _ = open_sources(rewarded.config, torch.device("cpu"))
    table = encoded_table(model.encoder, source.data, source.frames)
    test = segments(source.data, source.test)
    usual = judge_reward(model, table, source.data, test, None)
    assert usual.r2 is not None and usual.r2_ahead is not None
    source.data.rewards[source.test.rows()] *= 1e-40
    faint = judge_reward(model, table, source.data, test, None)
    assert faint.r2 is None and faint.r2_ahead is None and 0 < faint.highest < 1e-30


def test_control_plans_by_the_reward_head_and_page_and_terminal_tell(rewarded):
    plan = PlanConfig({"name": "cem", "horizon": 3, "num_samples": 8, "num_iterations": 2, "num_elites": 2})
    found = control(
        ControlConfig(run=str(rewarded.path), protocol="reward", tasks=2, budget_steps=6, plan=plan, videos=1)
    )
    assert found.protocol.by_head and found.protocol.goal_tolerance == {} and found.regret is None
    assert "oracle" not in found.controllers, "it plans to states, and this reward asks for none"
    returns = found.latent.returns
    assert returns is not None and 0 <= returns.mean <= 6 and found.videos == ["videos/control_000.mp4"]
    learned = rewarded.train.reward
    assert learned is not None and 0 <= learned.lowest < learned.highest <= 1 and learned.num_steps == 2 * 30
    page = report(ReportConfig(run=str(rewarded.path))).read_text()
    assert "What it knows of the reward" in page and "R² of rewards 3 steps ahead, imagined" in page
    told = train_lines(rewarded.train) + control_lines(found, {})
    assert "reward from latents, R2, held out" in told and "return, planned by the reward head" in told
    assert reward_verdict(learned).startswith("rewards are read with R2")
    assert control_verdict(found) in (
        "earns more than random actions",
        "earns no more than random actions, as far as these tasks tell: see what train said of the reward",
    )


def test_a_world_without_a_reward_is_refused_in_a_line():
    with pytest.raises(UserError, match="world puck has no reward of its own; use protocol=lewm or strict"):
        config = ControlConfig(protocol="reward", tasks=1)
        draw_tasks(envs.make("puck", image_size=8), recipe("puck"), make_protocol(config, "puck"), config, PlanConfig())


class _Falling(MjcfScene):
    """A ball that falls: a success by its own flag below z = -.05, over below -.2."""

    def success(self) -> bool | None:
        return bool(self.data.qpos[0] < -0.05)


def test_an_episode_ends_with_its_reward_and_the_worlds_own_flag_is_counted():
    mjcf = (
        '<mujoco><worldbody><camera name="c" pos="0 -1 0" xyaxes="1 0 0 0 0 1"/><body><joint name="z" type="slide" '
        'axis="0 0 1"/><geom size=".1"/></body></worldbody><actuator><motor joint="z"/></actuator></mujoco>'
    )
    scene = _Falling(
        mjcf,
        name="ball",
        control_dt_s=0.02,
        time_limit_s=1.0,
        reward=lambda model, data: 1.0,
        terminated=lambda model, data: bool(data.qpos[0] < -0.2),
    )
    world = envs.MujocoWorld(scene, image_size=8)
    config = ControlConfig(protocol="reward", tasks=3)
    protocol = make_protocol(config, world.name, episode_steps=world.max_steps)
    assert protocol.budget_steps == 50
    tasks = draw_tasks(world, recipe("puck"), protocol, config, PlanConfig())
    assert not tasks.have_goals
    outcome = run_tasks(world, tasks, RandomController(1, 0), protocol, None, num_filmed=1)
    assert (outcome.returns == outcome.returns[0]).all() and outcome.returns[0] < 15, "it ended where it was over"
    assert outcome.succeeded_at is not None and (outcome.succeeded_at > 0).all()
    found, _ = achieved({"latent": [outcome]}, rewarded=True)
    own = found["latent"].own_success
    assert own is not None and own.rate == 1 and own.median_steps == outcome.succeeded_at[0]
    world.close()
