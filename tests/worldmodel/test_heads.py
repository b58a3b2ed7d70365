"""Goal heads, learned in hindsight on dynamics whose answers are known, and their use by controllers."""

import numpy as np
import pytest
import torch
from worldmodel_fakes import seeded

from worldmodel.data.store import EpisodeIndex
from worldmodel.evaluation.control.controllers import goal_objective
from worldmodel.learning.dynamics import LatentTable, fit_metrics, heads_stage
from worldmodel.learning.losses import unfolding
from worldmodel.models.heads import GoalHeads
from worldmodel.models.predictor import Predictor
from worldmodel.planners import GoalDistance, LearnedDistance, OverHorizon
from worldmodel.settings import HeadsConfig, OptimConfig, PlanConfig, PredictorConfig
from worldmodel.system.errors import UserError

pytestmark = pytest.mark.numerics

D, A, H, B, EPISODES, T = 2, 2, 4, 3, 60, 30
STEP = 0.1  # how far a full action moves the latent


def integrator() -> tuple[LatentTable, EpisodeIndex]:
    """Latents that actions move along their axes: z' = z + STEP a."""
    actions = torch.rand(EPISODES, T + 1, A, generator=seeded()) * 2 - 1
    actions[:, -1] = 0
    moved = torch.cat([torch.zeros(EPISODES, 1, A), actions[:, :-1].cumsum(1)], 1)
    latents = torch.randn(EPISODES, 1, D, generator=seeded(1)) * 0.3 + STEP * moved
    offset = np.arange(EPISODES) * (T + 1)
    return LatentTable(latents.flatten(0, 1), actions.flatten(0, 1)), EpisodeIndex(offset, np.full(EPISODES, T + 1))


@pytest.fixture(scope="module")
def trained() -> tuple[GoalHeads, Predictor]:
    torch.manual_seed(0)
    table, episodes = integrator()
    predictor = Predictor(PredictorConfig(history=[0, 1], horizon=H, hidden=16), D, A)
    heads = GoalHeads(HeadsConfig(reach=H, hidden=48), D, predictor.state_dim, A, H)
    stage = heads_stage(heads, predictor, table, episodes, OptimConfig(steps=600, batch_size=128, lr=5e-3))
    optimizer = torch.optim.Adam(heads.parameters(), 5e-3)
    generator = seeded(2)
    for step in range(stage.optim.steps):
        optimizer.param_groups[0]["lr"] = 5e-3 * (1 - step / stage.optim.steps)
        optimizer.zero_grad()
        stage.loss(step / stage.optim.steps, generator)["loss"].backward()
        optimizer.step()
    return heads.eval(), predictor


def test_the_inverse_dynamics_spreads_the_way_over_the_steps(trained):
    """The mean of independent actions that sum to a displacement is an equal share of it at each step."""
    heads, predictor = trained
    state = torch.zeros(1, predictor.state_dim)
    goal = torch.tensor([[0.12, -0.08]])
    with torch.no_grad():
        for steps in (2, 4):
            actions = heads.actions_to(state, goal, torch.tensor([float(steps)]))[0, :steps]
            torch.testing.assert_close(actions, (goal / STEP / steps).expand(steps, A), rtol=0, atol=0.2)


def test_proposals_stop_when_they_should_be_there(trained):
    heads, predictor = trained
    proposed = heads.propose(torch.zeros(B, predictor.state_dim), torch.full((B, D), 0.1), H + 3)
    assert proposed.shape == (B, 4, H + 3, A) and proposed.abs().max() <= 1
    for index, steps in enumerate((1, 2, 3, 4)):
        assert (proposed[:, index, steps:] == 0).all() and (proposed[:, index, :steps] != 0).all()


def test_the_temporal_distance_grows_with_the_way(trained):
    heads, _ = trained
    start = torch.zeros(4, D)
    goals = torch.tensor([[0.0, 0.0], [0.06, 0.0], [0.15, 0.0], [0.6, 0.3]])
    with torch.no_grad():
        squared = heads.squared_time(start, goals)
    assert squared[0] == 0 and (squared.diff() > 0).all()


def test_a_joint_that_stops_is_unfolded():
    """An angle that seems to close a circle, but cannot pass its stop: its ends look alike and are farthest apart."""
    stop, step, k = 2.6, 0.2, 4
    generator = seeded(3)
    embedding = torch.nn.Sequential(torch.nn.Linear(D, 32), torch.nn.GELU(), torch.nn.Linear(32, 3))
    optimizer = torch.optim.Adam(embedding.parameters(), 2e-2)

    def picture(angle: torch.Tensor) -> torch.Tensor:
        return torch.stack([angle.cos(), angle.sin()], -1)

    for update in range(800):
        optimizer.param_groups[0]["lr"] = 2e-2 * (1 - update / 800)
        angle = (torch.rand(128, generator=generator) * 2 - 1) * stop
        moved = angle + k * step * (torch.rand(128, generator=generator) * 2 - 1)
        optimizer.zero_grad()
        unfolding(embedding(picture(angle)), embedding(picture(moved.clamp(-stop, stop))), k, 100.0).backward()
        optimizer.step()
    with torch.no_grad():
        at = embedding(picture(torch.tensor([-stop, 0.0, 1.0, stop])))
    from_one_end = (at - at[0]).norm(dim=-1)
    assert (from_one_end.diff() > 0).all()
    # what a curved line cuts off is missing of the steps at full speed; in the picture the ends are nearer than 1.1
    assert 0.5 * 2 * stop / step < from_one_end[-1] < 1.1 * 2 * stop / step


def test_metrics_are_inverse_covariances(trained):
    heads, predictor = trained
    table, episodes = integrator()
    stretched = LatentTable(table.latents * torch.tensor([5.0, 1.0]), table.actions)
    fit_metrics(heads, predictor, stretched, episodes, None)
    metric = heads.whitening @ heads.whitening.T
    covariance = torch.cov(stretched.latents.T)
    torch.testing.assert_close(metric @ covariance / (metric @ covariance).trace() * D, torch.eye(D), rtol=0, atol=0.1)
    assert metric.trace() == pytest.approx(D)


def test_a_metric_names_its_objective(trained):
    heads, _ = trained
    goal, reduction = torch.zeros(B, D), OverHorizon("sum")
    now = torch.tensor([[0.0, 0.0], [9.0, 9.0], [0.0, 0.0]])
    with torch.no_grad():
        kinds = {
            name: goal_objective(goal, now, heads, PlanConfig(metric=name), reduction)
            for name in ("l2", "learned", "temporal", "staged")
        }
        assert isinstance(kinds["l2"], GoalDistance) and kinds["l2"].metric is None
        assert isinstance(kinds["learned"], GoalDistance) and kinds["learned"].metric is heads.precision
        assert isinstance(kinds["temporal"], LearnedDistance)
        latents, actions = torch.randn(B, 5, H, D, generator=seeded()), torch.zeros(B, 5, H, A)
        costs = {name: kind(latents, actions) for name, kind in kinds.items()}
    assert all(cost.shape == (B, 5) for cost in costs.values())
    near = torch.tensor([True, False, True])[:, None]
    assert torch.equal(costs["staged"], torch.where(near, costs["l2"], costs["temporal"]))


def test_wrong_settings_are_one_line():
    with pytest.raises(UserError, match="reach must be a whole number >= 1, got 0"):
        HeadsConfig(reach=0)
    with pytest.raises(UserError, match="add proposal=true"):
        PlanConfig(planner={"name": "follow"})
    with pytest.raises(UserError, match="metric must be one of l2, whitened, learned, temporal, staged, got 'l1'"):
        PlanConfig(metric="l1")
