"""Receding horizon: context, alignment in time, warm starts."""

from dataclasses import dataclass, field

import pytest
import torch
from planner_fakes import A, B, C, D, H, LinearDynamics, RecordingDynamics, S, linear_problem, seeded
from torch import Tensor

from worldmodel.planners import CEM, MPC, GoalDistance, Plan, Problem, make_planner

pytestmark = pytest.mark.numerics

GOAL = GoalDistance(torch.ones(B, D))


def frames_at(t: int) -> Tensor:
    """Frames that carry their time."""
    return torch.full((B, 3, S, S), t, dtype=torch.uint8)


@dataclass
class ScriptedPlanner:
    """Plans the actions 0.1, 0.2, ... plus the number of plans made before, and records its warm starts."""

    horizon: int = H
    with_elites: bool = False
    warm_starts: list[Tensor | None] = field(default_factory=list)

    def plan(self, problem: Problem, generator: torch.Generator) -> Plan:
        ramp = torch.arange(1.0, H + 1)[None, :, None].expand(B, H, A) / 10
        actions = ramp + len(self.warm_starts)
        self.warm_starts.append(problem.warm_start)
        elites = -torch.stack([actions, 2 * actions], 1) if self.with_elites else None
        zeros = torch.zeros(B)
        return Plan(actions, zeros, zeros == 0, zeros[None], torch.tensor(1), elites)


def drive(mpc: MPC, num_steps: int) -> list[Tensor]:
    """The actions executed over some steps in a world whose frame at time t shows t."""
    state, executed = mpc.init(frames_at(0)), []
    for t in range(num_steps):
        actions, state, _ = mpc.act(state, GOAL, seeded(t))
        state = mpc.observe(state, frames_at(t + 1), actions)
        executed.append(actions)
    return executed


def test_the_first_context_is_the_first_frame_repeated_and_zero_actions():
    dynamics = RecordingDynamics(num_context_frames=3)
    drive(MPC(dynamics, ScriptedPlanner()), 1)
    latents, actions = dynamics.encoded[0]
    assert torch.equal(latents, torch.zeros(B, 3, 1))
    assert torch.equal(actions, torch.zeros(B, 2, A))


def test_frames_and_actions_are_aligned_in_time():
    dynamics = RecordingDynamics(num_context_frames=3)
    executed = drive(MPC(dynamics, ScriptedPlanner()), 5)
    latents, actions = dynamics.encoded[4]
    assert latents[:, :, 0].tolist() == [[2, 3, 4]] * B
    assert dynamics.num_embedded == 6 * B, "each frame is embedded once"
    assert torch.equal(actions, torch.stack(executed[2:4], dim=1)), "action t lies between frames t and t + 1"


def test_one_context_frame_has_no_past_actions():
    dynamics = RecordingDynamics(num_context_frames=1)
    drive(MPC(dynamics, ScriptedPlanner()), 3)
    latents, actions = dynamics.encoded[2]
    assert actions.shape == (B, 0, A)
    assert latents[:, :, 0].tolist() == [[2]] * B


def test_a_plan_is_followed_until_it_is_due_and_then_warm_starts_the_next():
    planner = ScriptedPlanner()
    executed = drive(MPC(RecordingDynamics(), planner, replan_every=2), 5)
    assert [round(float(actions[0, 0]), 3) for actions in executed] == [0.1, 0.2, 1.1, 1.2, 2.1]
    first, second, third = planner.warm_starts
    assert first is None
    assert second is not None
    assert third is not None
    assert second.shape == (B, 1, H, A)
    torch.testing.assert_close(second[0, 0, :, 0], torch.tensor([0.3, 0.4, 0.5, 0.0, 0.0]))
    torch.testing.assert_close(third[0, 0, :, 0], torch.tensor([1.3, 1.4, 1.5, 0.0, 0.0]))


def test_the_tail_may_repeat_the_last_action_and_elites_are_shifted_with_the_plan():
    planner = ScriptedPlanner(with_elites=True)
    drive(MPC(RecordingDynamics(), planner, tail="repeat"), 2)
    warm_start = planner.warm_starts[1]
    assert warm_start is not None
    expected = torch.tensor([0.2, 0.3, 0.4, 0.5, 0.5])
    torch.testing.assert_close(warm_start[0, :, :, 0], torch.stack([expected, -expected, -2 * expected]))


def test_states_are_values():
    """Acting twice from one state gives the same actions, and observing leaves the old state as it was."""
    dynamics, _, _ = linear_problem()
    mpc = MPC(dynamics, CEM(horizon=H))
    state = mpc.init(frames_at(1))
    first, after, plan = mpc.act(state, GOAL, seeded())
    again, _, _ = mpc.act(state, GOAL, seeded())
    assert plan is not None
    assert torch.equal(first, again)
    assert torch.equal(first, plan.actions[:, 0])
    assert state.plan is None
    mpc.observe(after, frames_at(2), first)
    repeated, _, no_plan = mpc.act(after, GOAL, seeded())
    assert no_plan is None
    assert torch.equal(first, repeated)


def test_proposals_start_the_first_plan_and_are_tried_beside_the_shifted_one():
    planner = ScriptedPlanner()
    mpc = MPC(RecordingDynamics(), planner)
    proposed = torch.rand(B, 2, H, A, generator=seeded())
    state, asked = mpc.init(frames_at(0)), []

    def proposal(z0: Tensor) -> Tensor:
        asked.append(z0.shape)
        return proposed

    for t in range(2):
        actions, state, _ = mpc.act(state, GOAL, seeded(t), proposal=proposal)
        state = mpc.observe(state, frames_at(t + 1), actions)
    first, second = planner.warm_starts
    assert first is not None and second is not None and asked == [(B, D)] * 2
    assert torch.equal(first, proposed) and torch.equal(second[:, 1:], proposed) and second.shape[1] == 3


def test_some_environments_go_on_alone():
    dynamics, _, _ = linear_problem()
    mpc = MPC(dynamics, make_planner("icem", horizon=H))
    actions, state, _ = mpc.act(mpc.init(frames_at(1)), GOAL, seeded())
    state = mpc.observe(state, frames_at(2), actions)
    which = torch.tensor([2, 0])
    chosen = state.select(which)
    assert chosen.plan is not None and state.plan is not None
    assert torch.equal(chosen.plan.cost_curve, state.plan.cost_curve[:, which])
    some, _, _ = mpc.act(chosen, GoalDistance(GOAL.goal[which]), seeded())
    everyone, _, _ = mpc.act(state, GOAL, seeded())
    torch.testing.assert_close(some, everyone[which])


def test_the_context_is_handed_to_the_dynamics():
    dynamics, context = RecordingDynamics(), torch.rand(B, C)
    mpc = MPC(dynamics, CEM(horizon=H))
    mpc.act(mpc.init(frames_at(0)), GOAL, seeded(), context)
    assert all(seen is context for _, seen in dynamics.rolled_out)


@pytest.mark.parametrize("name", ["cem", "icem", "mppi", "gradient"])
def test_closed_loop_reaches_the_goal(name):
    """A point that moves by a tenth of its action, shown by the first two pixels."""
    to_pixel, step = 100.0, 0.1
    dynamics = LinearDynamics(torch.eye(2), to_pixel * step * torch.eye(2))
    goal = torch.tensor([[60.0, 150.0], [120.0, 90.0], [100.0, 100.0]])
    mpc = MPC(dynamics, make_planner(name, horizon=H))
    position, generator = torch.full((B, 2), 100.0), seeded()

    def render() -> Tensor:
        frames = torch.zeros(B, 3, S, S, dtype=torch.uint8)
        frames[:, 0, 0, :2] = position.round().to(torch.uint8)
        return frames

    state = mpc.init(render())
    for _ in range(12):
        actions, state, _ = mpc.act(state, GoalDistance(goal), generator)
        position = position + to_pixel * step * actions
        state = mpc.observe(state, render(), actions)
    assert (position - goal).abs().max() < 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: MPC(RecordingDynamics(), CEM(), replan_every=0),
            r"replan_every must be in 1\.\.15, the planner's horizon, got 0; set replan_every",
        ),
        (lambda: MPC(RecordingDynamics(), CEM(), replan_every=16), r"replan_every must be in 1\.\.15, .* got 16"),
        (lambda: MPC(RecordingDynamics(), CEM(), tail="one"), "tail must be one of zero, repeat, got 'one'; set tail"),
        (lambda: observe(frames_at(1)[1:]), "observations must be of 3 environments, got 2"),
        (lambda: observe(frames_at(1), A + 1), r"actions must have shape \(B, A\) = \(3, 2\), got \(3, 3\)"),
    ],
)
def test_errors_say_what_came_and_what_to_do(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def observe(frames: Tensor, action_dim: int = A):
    mpc = MPC(RecordingDynamics(), CEM())
    return mpc.observe(mpc.init(frames_at(0)), frames, torch.zeros(B, action_dim))
