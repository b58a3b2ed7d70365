"""Random shooting, the baseline of every planner."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from worldmodel.planners.checks import check_at_least, check_horizon
from worldmodel.planners.interfaces import LatentDynamics, Objective, Plan
from worldmodel.planners.sampling import Incumbent, Problem, best_plan, with_first


@final
@dataclass(frozen=True)
class RandomShooting:
    """The best of uniform action sequences; the warm start (or zeros) is the first.

    horizon: H, control steps. action_block: control steps for which one action is held; it divides the horizon.
    num_samples: N, candidates.
    """

    horizon: int = 15
    num_samples: int = 256
    action_block: int = 1

    def __post_init__(self) -> None:
        check_horizon(self.horizon, self.action_block)
        check_at_least(1, num_samples=self.num_samples)

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
        """See `Planner.plan`."""
        problem = Problem(dynamics, objective, z0, context, self.horizon, self.action_block)
        starts = problem.starts(warm_start)
        uniform = (problem.normal(1, self.num_samples, generator) / math.sqrt(2)).erf()  # the normal CDF, on [-1, 1]
        candidates = with_first(starts, uniform.expand(len(starts), -1, -1, -1))
        best = Incumbent.at(starts[:, 0]).update(candidates, problem.cost(candidates))
        return best_plan(problem, best)
