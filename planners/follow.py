"""No search: take the best of the proposed plans."""

from dataclasses import dataclass
from typing import final

import torch

from worldmodel.planners.checks import check_horizon
from worldmodel.planners.interfaces import Plan, Problem
from worldmodel.planners.sampling import BlockSearch, Incumbent, best_plan


@final
@dataclass(frozen=True)
class Follow:
    """The best of the sequences of the warm start, which a learned policy proposes: one rollout of each, no search."""

    horizon: int = 15
    """H, the control steps that a plan looks ahead; a whole number of action blocks."""

    action_block: int = 1
    """Control steps for which one action is held."""

    def __post_init__(self) -> None:
        check_horizon(self.horizon, self.action_block)

    @torch.no_grad()
    def plan(self, problem: Problem, generator: torch.Generator) -> Plan:
        """See `Planner.plan`. Without a warm start the plan is zero actions."""
        search = BlockSearch(problem, self.horizon, self.action_block)
        starts = search.starts()
        return best_plan(search, Incumbent.at(starts[:, 0]).update(starts, search.cost(starts)))
