"""The improved cross-entropy method (Pinneri et al., 2020)."""

import math
from dataclasses import dataclass, replace
from typing import Literal, final

import torch

from worldmodel.planners.checks import (
    check_at_least,
    check_choice,
    check_horizon,
    check_momentum,
    check_ordered,
    check_positive,
    check_size,
)
from worldmodel.planners.interfaces import Plan, Problem
from worldmodel.planners.sampling import (
    BlockSearch,
    Incumbent,
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
    """CEM with coloured noise, a population that shrinks, and elites that are handed to the next plan.

    The elites stand in `Plan.elites`. Shift them with the plan and pass both as the next warm start, as `MPC` does.
    """

    horizon: int = 15
    """H, the control steps that a plan looks ahead; a whole number of action blocks."""

    num_samples: int = 64
    """N, candidates in the first iteration."""

    num_iterations: int = 4
    """I, how often the Gaussian is fitted."""

    num_elites: int = 8
    """E, the candidates of lowest cost, to which the Gaussian is fitted."""

    num_kept_elites: int = 3
    """How many of the elites are tried again, in the next iteration and in the next plan."""

    noise_exponent: float = 2.0
    """The noise has the power spectrum 1 / frequency**noise_exponent along the horizon: 0 is white, 1 pink, 2 red."""

    population_decay: float = 1.25
    """Iteration i, counted from 0, has num_samples / population_decay**i candidates, but at least 2 * num_elites (and
    at most num_samples)."""

    init_std: float = 0.7
    """Standard deviation of the first candidates, in units of action, where there is no warm start."""

    warm_std: float = 0.4
    """Standard deviation of the first candidates after a warm start, in units of action."""

    min_std: float = 0.02
    """The standard deviation never falls below this."""

    momentum: float = 0.1
    """Share of the old mean and standard deviation that each iteration keeps, in [0, 1)."""

    action_block: int = 1
    """Control steps for which one action is held."""

    returned: Literal["mean", "best"] = "mean"
    """What becomes the plan: the final mean, or the candidate of lowest cost met in any iteration."""

    def __post_init__(self) -> None:
        check_horizon(self.horizon, self.action_block)
        check_at_least(1, num_samples=self.num_samples, num_iterations=self.num_iterations, num_elites=self.num_elites)
        check_size(self.num_iterations, self.num_samples, self.horizon // self.action_block)
        check_at_least(0, num_kept_elites=self.num_kept_elites, noise_exponent=self.noise_exponent)
        check_at_least(1, population_decay=self.population_decay)
        check_ordered(num_kept_elites=self.num_kept_elites, num_elites=self.num_elites, num_samples=self.num_samples)
        check_positive(init_std=self.init_std, warm_std=self.warm_std, min_std=self.min_std)
        check_momentum(self.momentum)
        check_choice("returned", self.returned, ("mean", "best"))

    def population(self, iteration: int) -> int:
        """The number of candidates in an iteration; iterations are counted from 0."""
        decayed = int(self.num_samples / self.population_decay**iteration)
        return min(self.num_samples, max(decayed, 2 * self.num_elites))

    @torch.no_grad()
    def plan(self, problem: Problem, generator: torch.Generator) -> Plan:
        """See `Planner.plan`."""
        search = BlockSearch(problem, self.horizon, self.action_block)
        starts = search.starts()
        mean, kept = starts[:, 0], starts[:, 1:]
        std = torch.full_like(mean, self.init_std if problem.warm_start is None else self.warm_std)
        best = Incumbent.at(mean)
        white = search.normal(self.num_iterations, self.num_samples, generator)
        for iteration, noise in enumerate(coloured(white, self.noise_exponent)):
            candidates = candidates_around(mean, std, noise[: self.population(iteration)], kept)
            cost = search.cost(candidates)
            elites, elite_cost = lowest(candidates, cost, self.num_elites)
            best = best.challenge(elites, elite_cost, cost.shape[1])
            weights = (elite_cost < math.inf).to(mean.dtype)
            mean, std = refit(elites, weights, mean, std, momentum=self.momentum, min_std=self.min_std)
            kept = elites[:, : self.num_kept_elites]
        plan = mean_plan(search, best, mean) if self.returned == "mean" else best_plan(search, best)
        return replace(plan, elites=search.hold(kept))
