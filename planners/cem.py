"""The cross-entropy method."""

import math
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from worldmodel.planners.checks import (
    check_at_least,
    check_choice,
    check_horizon,
    check_momentum,
    check_ordered,
    check_positive,
)
from worldmodel.planners.interfaces import LatentDynamics, Objective, Plan
from worldmodel.planners.sampling import Incumbent, Problem, best_plan, candidates_around, lowest, mean_plan, refit


@final
@dataclass(frozen=True)
class CEM:
    """Fit a Gaussian over action sequences to the best of its own samples, again and again.

    horizon: H, control steps. action_block: control steps for which one action is held; it divides the horizon.
    num_samples: N, candidates per iteration, of which the first is the mean and the next are the kept elites.
    num_elites: candidates to which the Gaussian is fitted. num_kept_elites: those tried again in the next iteration.
    init_std, warm_std: first standard deviation without and with a warm start; min_std: its floor.
    momentum: share of the old mean and standard deviation that stays, in [0, 1).
    returned: the final "mean", or the "best" candidate of all.
    """

    horizon: int = 15
    num_samples: int = 64
    num_iterations: int = 4
    num_elites: int = 8
    num_kept_elites: int = 2
    init_std: float = 0.7
    warm_std: float = 0.4
    min_std: float = 0.02
    momentum: float = 0.0
    action_block: int = 1
    returned: Literal["mean", "best"] = "mean"

    def __post_init__(self) -> None:
        check_horizon(self.horizon, self.action_block)
        check_at_least(1, num_samples=self.num_samples, num_iterations=self.num_iterations, num_elites=self.num_elites)
        check_at_least(0, num_kept_elites=self.num_kept_elites)
        check_ordered(num_kept_elites=self.num_kept_elites, num_elites=self.num_elites, num_samples=self.num_samples)
        check_positive(init_std=self.init_std, warm_std=self.warm_std, min_std=self.min_std)
        check_momentum(self.momentum)
        check_choice("returned", self.returned, ("mean", "best"))

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
        mean, kept = starts[:, 0], starts[:, 1:]
        std = torch.full_like(mean, self.init_std if warm_start is None else self.warm_std)
        best = Incumbent.at(mean)
        for noise in problem.normal(self.num_iterations, self.num_samples, generator):
            candidates = candidates_around(mean, std, noise, kept)
            cost = problem.cost(candidates)
            elites, elite_cost = lowest(candidates, cost, self.num_elites)
            best = best.challenge(elites, elite_cost, self.num_samples)
            weights = (elite_cost < math.inf).to(mean.dtype)
            mean, std = refit(elites, weights, mean, std, momentum=self.momentum, min_std=self.min_std)
            kept = elites[:, : self.num_kept_elites]
        return mean_plan(problem, best, mean) if self.returned == "mean" else best_plan(problem, best)
