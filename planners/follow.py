"""No search: the best of what is proposed."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from worldmodel.planners.checks import check_horizon
from worldmodel.planners.interfaces import LatentDynamics, Objective, Plan
from worldmodel.planners.sampling import Incumbent, Problem, best_plan


@final
@dataclass(frozen=True)
class Follow:
    """The best of the sequences to start from, which a learned policy proposes: one rollout of each, no search.

    horizon: H, control steps. action_block: control steps for which one action is held; it divides the horizon.
    """

    horizon: int = 15
    action_block: int = 1

    def __post_init__(self) -> None:
        check_horizon(self.horizon, self.action_block)

    @torch.no_grad()
    def plan(
        self,
        dynamics: LatentDynamics,
        objective: Objective,
        z0: Tensor,
        *,
        warm_start: Tensor | None = None,
        generator: torch.Generator,
        context: Tensor | None = None,
    ) -> Plan:
        """See `Planner.plan`; without a warm start the plan is to do nothing."""
        problem = Problem(dynamics, objective, z0, context, self.horizon, self.action_block)
        starts = problem.starts(warm_start)
        return best_plan(problem, Incumbent.at(starts[:, 0]).update(starts, problem.cost(starts)))
