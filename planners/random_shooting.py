"""Random shooting, the baseline that every planner must beat."""

import math
from dataclasses import dataclass
from typing import final

import torch

from worldmodel.planners.checks import check_at_least, check_horizon, check_size
from worldmodel.planners.interfaces import Plan, Problem
from worldmodel.planners.sampling import BlockSearch, Incumbent, best_plan


@final
@dataclass(frozen=True)
class RandomShooting:
    """The best of uniformly drawn action sequences. The first is the warm start, or zeros."""

    horizon: int = 15
    """H, the control steps that a plan looks ahead; a whole number of action blocks."""

    num_samples: int = 256
    """N, candidates."""

    action_block: int = 1
    """Control steps for which one action is held."""

    def __post_init__(self) -> None:
        check_horizon(self.horizon, self.action_block)
        check_at_least(1, num_samples=self.num_samples)
        check_size(1, self.num_samples, self.horizon // self.action_block)

    @torch.no_grad()
    def plan(self, problem: Problem, generator: torch.Generator) -> Plan:
        """See `Planner.plan`."""
        search = BlockSearch(problem, self.horizon, self.action_block)
        starts = search.starts()
        uniform = (search.normal(1, self.num_samples, generator) / math.sqrt(2)).erf()  # the normal CDF, on [-1, 1]
        drawn = uniform[0, starts.shape[1] :].expand(len(starts), -1, -1, -1)
        candidates = torch.cat([starts, drawn], 1)[:, : self.num_samples]
        best = Incumbent.at(starts[:, 0]).update(candidates, search.cost(candidates))
        return best_plan(search, best)
