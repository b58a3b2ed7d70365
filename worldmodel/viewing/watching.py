"""A planner that is watched: what it was asked, what it weighed, what it chose."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from worldmodel.planners import Plan, Planner, Problem


@dataclass(frozen=True)
class Search:
    """One plan and the candidates of its last iteration."""

    problem: Problem
    """What was asked."""
    plan: Plan
    """What was chosen."""
    latents: Tensor
    """Of the candidates of the last iteration, (B, N, H, D)."""
    costs: Tensor
    """Their costs (B, N)."""

    @torch.no_grad()
    def imagined(self) -> Tensor:
        """Latents (B, H, D) that the chosen plan leads to, as the model has it."""
        problem = self.problem
        return problem.dynamics.rollout(problem.z0, self.plan.actions[:, None], problem.context)[:, 0]


class WatchedPlanner:
    """Another planner, whose last search is kept. Its plans are those of the planner itself."""

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
        weighed: list[tuple[Tensor, Tensor]] = []

        def watched(latents: Tensor, actions: Tensor) -> Tensor:
            costs = objective(latents, actions)
            weighed[:] = [
                *weighed[-1:],
                (latents.detach(), costs.detach()),
            ]  # a planner may end by weighing one plan alone
            return costs

        plan = self._planner.plan(replace(problem, objective=watched), generator)
        latents, costs = max(weighed, key=lambda pair: pair[1].shape[1])
        self.search = Search(problem, plan, latents, costs)
        return plan
