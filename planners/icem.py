"""The improved cross-entropy method (Pinneri et al., 2020)."""

import math
from dataclasses import dataclass, replace
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
from worldmodel.planners.sampling import (
    Incumbent,
    Problem,
    best_plan,
    candidates_around,
    coloured,
    lowest,
    mean_plan,
    refit,
)


@final
@dataclass(frozen=True)
class ICEM:
    """CEM with coloured noise, a decaying population, and elites handed to the next plan.

    The plan carries its kept elites in `Plan.elites`; shift them with the plan and pass both as the warm start.

    horizon: H, control steps. action_block: control steps for which one action is held; it divides the horizon.
    num_samples: candidates in the first iteration; iteration i has num_samples / population_decay**i, but not fewer
        than 2 * num_elites (nor more than num_samples).
    noise_exponent: the noise has spectrum 1 / frequency**noise_exponent over the horizon; 0 is white.
    num_elites, num_kept_elites, init_std, warm_std, min_std, momentum, returned: as in `CEM`.
    """

    horizon: int = 15
    num_samples: int = 64
    num_iterations: int = 4
    num_elites: int = 8
    num_kept_elites: int = 3
    noise_exponent: float = 2.0
    population_decay: float = 1.25
    init_std: float = 0.7
    warm_std: float = 0.4
    min_std: float = 0.02
    momentum: float = 0.1
    action_block: int = 1
    returned: Literal["mean", "best"] = "mean"

    def __post_init__(self) -> None:
        check_horizon(self.horizon, self.action_block)
        check_at_least(1, num_samples=self.num_samples, num_iterations=self.num_iterations, num_elites=self.num_elites)
        check_at_least(0, num_kept_elites=self.num_kept_elites, noise_exponent=self.noise_exponent)
        check_at_least(1, population_decay=self.population_decay)
        check_ordered(num_kept_elites=self.num_kept_elites, num_elites=self.num_elites, num_samples=self.num_samples)
        check_positive(init_std=self.init_std, warm_std=self.warm_std, min_std=self.min_std)
        check_momentum(self.momentum)
        check_choice("returned", self.returned, ("mean", "best"))

    def population(self, iteration: int) -> int:
        """The number of candidates in an iteration, counted from 0."""
        decayed = int(self.num_samples / self.population_decay**iteration)
        return min(self.num_samples, max(decayed, 2 * self.num_elites))

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
        white = problem.normal(self.num_iterations, self.num_samples, generator)
        for iteration, noise in enumerate(coloured(white, self.noise_exponent)):
            candidates = candidates_around(mean, std, noise[: self.population(iteration)], kept)
            cost = problem.cost(candidates)
            elites, elite_cost = lowest(candidates, cost, self.num_elites)
            best = best.challenge(elites, elite_cost, cost.shape[1])
            weights = (elite_cost < math.inf).to(mean.dtype)
            mean, std = refit(elites, weights, mean, std, momentum=self.momentum, min_std=self.min_std)
            kept = elites[:, : self.num_kept_elites]
        plan = mean_plan(problem, best, mean) if self.returned == "mean" else best_plan(problem, best)
        return replace(plan, elites=problem.hold(kept))
