"""Model-predictive path integral control (Williams et al., 2017), with an adapted standard deviation."""

from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from worldmodel.planners.checks import (
    check_at_least,
    check_choice,
    check_horizon,
    check_momentum,
    check_positive,
    check_size,
)
from worldmodel.planners.interfaces import Plan, Problem
from worldmodel.planners.sampling import BlockSearch, Incumbent, best_plan, candidates_around, mean_plan, refit


@final
@dataclass(frozen=True)
class MPPI:
    """The average of all samples, weighted by softmax(-(cost - lowest cost) / temperature), again and again.

    The first candidate of every iteration is the mean, the next ones are the further sequences of the warm start.
    """

    horizon: int = 15
    """H, the control steps that a plan looks ahead; a whole number of action blocks."""

    num_samples: int = 256
    """N, candidates per iteration."""

    num_iterations: int = 4
    """I, how often the average is taken."""

    temperature: float = 0.1
    """Temperature of the softmax, in units of cost; a lower one follows the best samples more closely."""

    init_std: float = 0.7
    """Standard deviation of the first candidates, in units of action, where there is no warm start."""

    warm_std: float = 0.4
    """Standard deviation of the first candidates after a warm start, in units of action."""

    min_std: float = 0.05
    """The standard deviation never falls below this."""

    momentum: float = 0.0
    """Share of the old mean and standard deviation that each iteration keeps, in [0, 1)."""

    action_block: int = 1
    """Control steps for which one action is held."""

    returned: Literal["mean", "best"] = "mean"
    """What becomes the plan: the final mean, or the candidate of lowest cost met in any iteration."""

    def __post_init__(self) -> None:
        check_horizon(self.horizon, self.action_block)
        check_at_least(1, num_samples=self.num_samples, num_iterations=self.num_iterations)
        check_size(self.num_iterations, self.num_samples, self.horizon // self.action_block)
        check_positive(temperature=self.temperature)
        check_positive(init_std=self.init_std, warm_std=self.warm_std, min_std=self.min_std)
        check_momentum(self.momentum)
        check_choice("returned", self.returned, ("mean", "best"))

    @torch.no_grad()
    def plan(self, problem: Problem, generator: torch.Generator) -> Plan:
        """See `Planner.plan`."""
        search = BlockSearch(problem, self.horizon, self.action_block)
        starts = search.starts()
        mean, others = starts[:, 0], starts[:, 1:]
        std = torch.full_like(mean, self.init_std if problem.warm_start is None else self.warm_std)
        best = Incumbent.at(mean)
        for noise in search.normal(self.num_iterations, self.num_samples, generator):
            candidates = candidates_around(mean, std, noise, others)
            cost = search.cost(candidates)
            best = best.update(candidates, cost)
            weights = boltzmann_weights(cost, self.temperature).to(mean.dtype)
            mean, std = refit(candidates, weights, mean, std, momentum=self.momentum, min_std=self.min_std)
        return mean_plan(search, best, mean) if self.returned == "mean" else best_plan(search, best)


def boltzmann_weights(cost: Tensor, temperature: float) -> Tensor:
    """exp(-(cost - lowest) / temperature) of costs (B, N), and 0 where a cost is +inf, even if all of them are."""
    above_lowest = cost - cost.amin(1, keepdim=True)
    return torch.where(cost.isfinite(), (-above_lowest / temperature).exp(), 0.0)
