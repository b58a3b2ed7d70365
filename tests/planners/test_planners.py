"""Facts that hold for every planner, on dynamics with known answers."""

import math
from dataclasses import replace

import pytest
import torch
from planner_fakes import A, B, C, D, H, LinearDynamics, RecordingDynamics, analytic_optimum, linear_problem, seeded
from rounding import assert_same_up_to_rounding

from worldmodel.planners import PLANNERS, GoalDistance, Planner, Problem, make_planner

pytestmark = pytest.mark.numerics

SMALL = {
    "cem": {"num_samples": 32},
    "icem": {"num_samples": 32},
    "mppi": {"num_samples": 32},
    "gradient": {"num_restarts": 3, "num_iterations": 6},
    "random_shooting": {"num_samples": 32},
}
THOROUGH = {
    "cem": {"num_samples": 200, "num_iterations": 20, "num_elites": 20, "min_std": 1e-3},
    "icem": {"num_samples": 200, "num_iterations": 20, "num_elites": 20, "min_std": 1e-3, "noise_exponent": 0.5},
    "mppi": {"num_samples": 400, "num_iterations": 30, "temperature": 0.003, "momentum": 0.2},
    "gradient": {"num_iterations": 200, "learning_rate": 0.03},
    "gradient-tanh": {"num_iterations": 200, "learning_rate": 0.03, "projection": "tanh"},
}


@pytest.fixture(params=[name for name in PLANNERS if name != "follow"])
def planner(request) -> Planner:
    return make_planner(request.param, horizon=H, **SMALL[request.param])


@pytest.mark.parametrize("case", list(THOROUGH))
def test_reaches_the_analytic_optimum_and_beats_random_shooting(case):
    dynamics, objective, z0 = linear_problem()
    actions, cost = analytic_optimum(dynamics, objective, z0)
    assert actions.abs().max() < 1, "the optimum must lie inside the box"
    planner = make_planner(case.split("-")[0], horizon=H, **THOROUGH[case])
    plan = planner.plan(Problem(dynamics, objective, z0), seeded())
    shooting = make_planner("random_shooting", horizon=H, num_samples=4000)
    random_cost = shooting.plan(Problem(dynamics, objective, z0), seeded()).cost
    torch.testing.assert_close(plan.cost, cost, rtol=0.01, atol=1e-3)
    torch.testing.assert_close(plan.actions, actions, rtol=0, atol=0.1)
    assert (plan.cost < random_cost).all()
    assert (plan.cost >= cost - 1e-5).all()


def test_the_cost_is_that_of_the_returned_actions(planner):
    dynamics, objective, z0 = linear_problem()
    plan = planner.plan(Problem(dynamics, objective, z0), seeded())
    actions = plan.actions[:, None]
    torch.testing.assert_close(plan.cost, objective(dynamics.rollout(z0, actions), actions)[:, 0])


def test_shapes_and_diagnostics(planner):
    dynamics, objective, z0 = linear_problem()
    plan = planner.plan(Problem(dynamics, objective, z0), seeded())
    assert plan.actions.shape == (B, H, A)
    assert plan.cost.shape == (B,)
    curve = plan.cost_curve
    assert curve.shape == (getattr(planner, "num_iterations", 1), B)
    assert (curve.diff(dim=0) <= 0).all(), "the best cost never rises"
    assert plan.valid.all()
    assert not plan.actions.requires_grad


def test_num_rollouts_counts_every_rollout(planner):
    dynamics = RecordingDynamics()
    plan = planner.plan(Problem(dynamics, GoalDistance(torch.ones(B, D)), torch.zeros(B, D)), seeded())
    assert plan.num_rollouts == sum(actions.shape[1] for actions, _ in dynamics.rolled_out)


def test_actions_stay_in_the_box(planner):
    dynamics = RecordingDynamics()
    far = GoalDistance(torch.full((B, D), 100.0))
    plan = planner.plan(Problem(dynamics, far, torch.zeros(B, D), warm_start=torch.full((B, H, A), 9.0)), seeded())
    assert plan.actions.abs().max() <= 1
    assert max(actions.abs().max() for actions, _ in dynamics.rolled_out) <= 1


def test_same_seed_same_plan(planner):
    dynamics, objective, z0 = linear_problem()
    first, second = (planner.plan(Problem(dynamics, objective, z0), seeded(5)).actions for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_of_half_precision_can_be_planned_in(planner, dtype):
    dynamics, objective, z0 = linear_problem()
    half = LinearDynamics(dynamics.drift.to(dtype), dynamics.gain.to(dtype))
    goal = GoalDistance(objective.terms[0][1].goal.to(dtype))
    plan = planner.plan(Problem(half, goal, z0.to(dtype)), seeded())
    assert plan.actions.dtype == dtype and plan.actions.isfinite().all() and plan.valid.all()


def test_another_seed_tries_other_candidates(planner):
    dynamics = RecordingDynamics()
    for seed in (0, 1):
        planner.plan(Problem(dynamics, GoalDistance(torch.ones(B, D)), torch.zeros(B, D)), seeded(seed))
    middle = len(dynamics.rolled_out) // 2
    first, other = dynamics.rolled_out[0][0], dynamics.rolled_out[middle][0]
    assert torch.equal(first[:, 0], other[:, 0]), "the first candidate is the start of the search"
    assert not torch.isclose(first[:, 1:], other[:, 1:]).all(-1).any()


def test_a_plan_does_not_depend_on_its_batch(planner):
    dynamics, _, z0 = linear_problem()
    goal = torch.rand(B, D, generator=seeded(4))
    warm_start = torch.rand(B, H, A, generator=seeded(3)) - 0.5
    together = planner.plan(Problem(dynamics, GoalDistance(goal), z0, warm_start=warm_start), seeded())
    sums = {"terms": 32, "depth": H * getattr(planner, "num_iterations", 1)}  # over candidates and steps, in turn
    for b in range(B):
        one = slice(b, b + 1)
        alone = planner.plan(Problem(dynamics, GoalDistance(goal[one]), z0[one], warm_start=warm_start[one]), seeded())
        assert_same_up_to_rounding(alone.actions, together.actions[one], **sums)
        assert_same_up_to_rounding(alone.cost, together.cost[one], **sums)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_non_finite_cost_is_never_an_elite(planner, bad):
    """Candidates that start to the right cost `bad`; among the others, those to the right cost least."""

    def objective(latents, actions):
        first = actions[:, :, 0, 0]
        return torch.where(first > 0.2, bad, -first)

    dynamics, _, z0 = linear_problem()
    plan = planner.plan(Problem(dynamics, objective, z0), seeded())
    assert plan.cost.isfinite().all()
    assert plan.valid.all()
    assert plan.cost_curve.isfinite().all()
    assert (plan.actions[:, 0, 0] <= 0.2).all()
    assert (plan.cost <= 0).all()


@pytest.mark.parametrize("name", ["cem", "icem", "mppi"])
def test_the_mean_is_that_of_the_finite_candidates_when_they_are_few(name):
    """Only candidates 4 and 9 have a finite cost, the same; the mean over more elites than that is over these two."""
    finite = torch.tensor([4, 9])

    def objective(latents, actions):
        cost = torch.full(actions.shape[:2], math.nan)
        if cost.shape[1] > 1:
            cost[:, finite] = 1.0
        else:  # the final mean
            cost[:] = 2.0
        return cost

    dynamics = RecordingDynamics()
    once = {"momentum": 0.0, "num_iterations": 1}
    planner = make_planner(name, horizon=H, **SMALL[name], **once)
    plan = planner.plan(Problem(dynamics, objective, torch.zeros(B, D)), seeded())
    torch.testing.assert_close(plan.actions, dynamics.rolled_out[0][0][:, finite].mean(1))


@pytest.mark.parametrize("name", ["cem", "icem", "mppi"])
def test_a_mean_without_finite_cost_gives_way_to_the_best(name):
    """Two ways round an obstacle, whose mean runs into it."""

    def objective(latents, actions):
        first = actions[:, :, 0, 0]
        return torch.where(first.abs() < 0.3, math.inf, -first.abs().clamp(max=0.4))

    dynamics, _, z0 = linear_problem()
    elites = {"num_elites": 100} if name in ("cem", "icem") else {}
    planner = make_planner(name, horizon=H, num_samples=400, num_iterations=1, **elites)
    plan = planner.plan(Problem(dynamics, objective, z0), seeded())
    assert plan.valid.all()
    assert torch.equal(plan.cost, plan.cost_curve[-1])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_without_a_finite_cost_the_start_comes_back(planner, bad):
    """Only batch element 1 is beyond help; its neighbours are planned as ever."""
    dynamics, objective, z0 = linear_problem()
    spoiled = torch.zeros(B, 1)
    spoiled[1] = bad
    warm_start = 3 * (torch.rand(B, H, A, generator=seeded(3)) - 0.5)

    def partly_bad(latents, actions):
        return objective(latents, actions) + spoiled

    for start, expected in ((warm_start, warm_start.clamp(-1, 1)), (None, torch.zeros(B, H, A))):
        plan = planner.plan(Problem(dynamics, partly_bad, z0, warm_start=start), seeded())
        healthy = planner.plan(Problem(dynamics, objective, z0, warm_start=start), seeded())
        assert plan.valid.tolist() == [True, False, True]
        assert plan.cost[1] == math.inf
        torch.testing.assert_close(plan.actions[1], expected[1])
        torch.testing.assert_close(plan.actions[::2], healthy.actions[::2])


def test_dynamics_that_explode_give_a_finite_plan(planner):
    dynamics = LinearDynamics(torch.full((D, D), math.nan), torch.ones(A, D))
    plan = planner.plan(Problem(dynamics, GoalDistance(torch.zeros(B, D)), torch.zeros(B, D)), seeded())
    assert torch.equal(plan.actions, torch.zeros(B, H, A))
    assert not plan.valid.any()


def test_a_non_finite_warm_start_counts_as_zero(planner):
    dynamics, objective, z0 = linear_problem()
    warm_start = torch.full((B, H, A), math.nan)
    plan = planner.plan(Problem(dynamics, objective, z0, warm_start=warm_start), seeded())
    assert plan.actions.isfinite().all()


def test_the_first_candidate_is_the_warm_start_and_further_ones_follow(planner):
    dynamics = RecordingDynamics()
    warm_start = torch.rand(B, 3, H, A, generator=seeded(3)) - 0.5
    planner.plan(Problem(dynamics, GoalDistance(torch.ones(B, D)), torch.zeros(B, D), warm_start=warm_start), seeded())
    torch.testing.assert_close(dynamics.rolled_out[0][0][:, :3].detach(), warm_start)


def test_a_good_warm_start_is_not_lost(planner):
    dynamics, objective, z0 = linear_problem()
    optimum, cost = analytic_optimum(dynamics, objective, z0)
    plan = planner.plan(Problem(dynamics, objective, z0, warm_start=optimum), seeded())
    torch.testing.assert_close(plan.cost_curve[-1], cost, rtol=1e-3, atol=1e-4)


def test_a_block_holds_one_action(planner):
    dynamics = RecordingDynamics()
    blocked = replace(planner, horizon=6, action_block=3)
    plan = blocked.plan(Problem(dynamics, GoalDistance(torch.ones(B, D)), torch.zeros(B, D)), seeded())
    for actions in (plan.actions, *(actions for actions, _ in dynamics.rolled_out)):
        held = actions.unflatten(-2, (2, 3))
        assert torch.equal(held, held[..., :1, :].expand_as(held))
    assert not torch.equal(plan.actions[:, 0], plan.actions[:, 3])


def test_the_context_reaches_the_dynamics(planner):
    dynamics, context = RecordingDynamics(), torch.rand(B, C)
    planner.plan(Problem(dynamics, GoalDistance(torch.ones(B, D)), torch.zeros(B, D), context=context), seeded())
    assert all(seen is context for _, seen in dynamics.rolled_out)


def test_planning_never_reads_a_tensor_back(planner):
    """On the meta device tensors have no values, so that any read by the host raises."""
    meta = {"device": "meta"}
    dynamics = LinearDynamics(torch.empty(D, D, **meta), torch.empty(A, D, **meta))
    goal, z0, warm_start = (torch.empty(*shape, **meta) for shape in ((B, D), (B, D), (B, H, A)))
    plan = planner.plan(Problem(dynamics, GoalDistance(goal), z0, warm_start=warm_start), seeded())
    assert plan.actions.shape == (B, H, A)


def test_planning_calls_no_synchronising_method(planner, monkeypatch):
    dynamics, objective, z0 = linear_problem()

    def forbidden(*args, **kwargs):
        raise AssertionError("host synchronisation")

    names = ("item", "tolist", "cpu", "numpy", "nonzero", "__bool__", "__float__", "__int__", "__index__")
    with monkeypatch.context() as patch:
        for name in names:
            patch.setattr(torch.Tensor, name, forbidden)
        planner.plan(Problem(dynamics, objective, z0, warm_start=torch.zeros(B, H, A)), seeded())


def test_a_cost_of_the_wrong_shape_is_one_clear_line(planner):
    dynamics, _, z0 = linear_problem()

    def per_step(latents, actions):
        return latents.square().sum(-1)

    with pytest.raises(ValueError, match=r"cost of shape \(3, \d+, 5\), expected \(B, N\) = \(3, \d+\); reduce over"):
        planner.plan(Problem(dynamics, per_step, z0), seeded())


def test_a_warm_start_of_the_wrong_shape_is_one_clear_line(planner):
    dynamics, objective, z0 = linear_problem()
    with pytest.raises(ValueError, match=r"warm_start must have shape .* got \(3, 1, 6, 2\)"):
        planner.plan(Problem(dynamics, objective, z0, warm_start=torch.zeros(B, H + 1, A)), seeded())


def test_gradient_planning_works_under_no_grad_and_leaves_weights_alone():
    dynamics, objective, z0 = linear_problem()
    dynamics.gain.requires_grad_()
    with torch.no_grad():
        plan = make_planner("gradient", horizon=H).plan(Problem(dynamics, objective, z0), seeded())
    assert dynamics.gain.grad is None
    assert (plan.cost_curve[-1] < plan.cost_curve[0]).all()


@pytest.mark.parametrize("name", ["cem", "gradient"])
def test_plans_are_the_same_in_inference_mode(name):
    dynamics, objective, z0 = linear_problem()
    planner = make_planner(name, horizon=H)
    usual = planner.plan(Problem(dynamics, objective, z0), seeded())
    with torch.inference_mode():
        inside = planner.plan(Problem(dynamics, objective, z0.clone()), seeded())
    assert torch.equal(inside.actions, usual.actions)
    assert torch.equal(inside.cost, usual.cost)


def test_a_non_finite_gradient_does_not_stop_the_descent():
    """The norm of the first action has no gradient at zero, where the search starts; the others still improve."""

    def objective(latents, actions):
        return actions[:, :, 0].square().sum(-1).sqrt() + (actions[:, :, 1:] - 0.5).square().sum((-2, -1))

    dynamics, _, z0 = linear_problem()
    planner = make_planner("gradient", horizon=H, num_restarts=1, num_iterations=60)
    plan = planner.plan(Problem(dynamics, objective, z0), seeded())
    assert (plan.cost < 0.01).all()


def test_gradient_planning_asks_for_a_differentiable_cost():
    dynamics, _, z0 = linear_problem()
    with pytest.raises(ValueError, match="set planner=cem"):
        make_planner("gradient", horizon=H).plan(
            Problem(dynamics, lambda latents, actions: latents.detach().sum((-2, -1)), z0), seeded()
        )


@pytest.mark.parametrize("name", ["cem", "icem", "mppi"])
def test_the_best_candidate_may_be_returned(name):
    dynamics, objective, z0 = linear_problem()
    plan = make_planner(name, horizon=H, returned="best").plan(Problem(dynamics, objective, z0), seeded())
    assert torch.equal(plan.cost, plan.cost_curve[-1])


def test_kept_elites_are_tried_again():
    dynamics = RecordingDynamics()
    cem = make_planner("cem", horizon=H, num_kept_elites=2)
    objective = GoalDistance(torch.ones(B, D))
    cem.plan(Problem(dynamics, objective, torch.zeros(B, D)), seeded())
    first, second = dynamics.rolled_out[0][0], dynamics.rolled_out[1][0]
    cost = objective(first.cumsum(2).repeat(1, 1, 1, D // A), first)
    order = cost.argsort(1)[:, :2]
    assert torch.equal(second[:, 1:3], first.take_along_dim(order[:, :, None, None], 1))


def test_icem_population_decays_and_its_elites_start_the_next_plan():
    dynamics = RecordingDynamics()
    icem = make_planner("icem", horizon=H, num_samples=40, num_elites=6, population_decay=1.5, num_kept_elites=3)
    plan = icem.plan(Problem(dynamics, GoalDistance(torch.ones(B, D)), torch.zeros(B, D)), seeded())
    assert [actions.shape[1] for actions, _ in dynamics.rolled_out] == [40, 26, 17, 12, 1]
    assert plan.elites is not None
    assert plan.elites.shape == (B, 3, H, A)


def test_follow_takes_the_best_of_what_is_proposed_and_adds_nothing():
    dynamics, objective, z0 = linear_problem()
    optimum, cost = analytic_optimum(dynamics, objective, z0)
    proposed = torch.stack([torch.zeros_like(optimum), optimum, -optimum], 1)
    follow = make_planner("follow", horizon=H)
    plan = follow.plan(Problem(dynamics, objective, z0, warm_start=proposed), seeded())
    assert torch.equal(plan.actions, optimum) and plan.num_rollouts == 3
    torch.testing.assert_close(plan.cost, cost)
    spoiled = torch.full((B,), math.nan)[:, None]
    safe = follow.plan(Problem(dynamics, lambda z, a: spoiled.expand(B, 3), z0, warm_start=proposed), seeded())
    assert torch.equal(safe.actions, proposed[:, 0]) and not safe.valid.any()


@pytest.mark.parametrize("params", [{"num_samples": 10**9}, {"num_iterations": 10**9}, {"horizon": 10**9}])
def test_a_plan_that_takes_the_machine_s_memory_is_refused(params):
    dynamics, objective, z0 = linear_problem()
    with pytest.raises(ValueError, match=f"planner.{next(iter(params))}"):
        make_planner("cem", **params).plan(Problem(dynamics, objective, z0), seeded())
