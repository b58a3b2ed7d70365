"""A planner that records its searches: problem, candidates, costs and chosen plan."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from worldmodel.planners import Plan, Planner, Problem


@dataclass(frozen=True)
class Search:
    """One plan and the candidates of its last iteration."""

    problem: Problem
    """The problem that was solved."""
    plan: Plan
    """The plan that was chosen."""
    latents: Tensor
    """Latents of the candidates of the last iteration, (B, N, H, D)."""
    costs: Tensor
    """Their costs (B, N)."""

    @torch.no_grad()
    def imagined(self) -> Tensor:
        """Latents (B, H, D) that the model predicts for the chosen plan."""
        problem = self.problem
        return problem.dynamics.rollout(problem.z0, self.plan.actions[:, None], problem.context)[:, 0]


class WatchedPlanner:
    """Wraps a planner and keeps its last search; plans are unchanged to the bit."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self.search: Search | None = None
        """The last search; None before the first."""

    @property
    def horizon(self) -> int:
        """See `Planner.horizon`."""
        return self._planner.horizon

    def plan(self, problem: Problem, generator: torch.Generator) -> Plan:
        """See `Planner.plan`."""
        objective = problem.objective
        evaluated: list[tuple[Tensor, Tensor]] = []

        def watched(latents: Tensor, actions: Tensor) -> Tensor:
            costs = objective(latents, actions)
            # the last two, since a planner may evaluate its one plan after the last iteration
            evaluated[:] = [*evaluated[-1:], (latents.detach(), costs.detach())]
            return costs

        plan = self._planner.plan(replace(problem, objective=watched), generator)
        latents, costs = max(evaluated, key=lambda pair: pair[1].shape[1])
        self.search = Search(problem, plan, latents, costs)
        return plan
