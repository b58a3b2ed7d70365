"""Model-predictive path integral control (Williams et al., 2017), with an adapted standard deviation."""

from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from worldmodel.planners.checks import check_at_least, check_choice, check_horizon, check_momentum, check_positive
from worldmodel.planners.interfaces import LatentDynamics, Objective, Plan
from worldmodel.planners.sampling import Incumbent, Problem, best_plan, candidates_around, mean_plan, refit


@final
@dataclass(frozen=True)
class MPPI:
    """Average all samples with weights softmax(-(cost - lowest cost) / temperature), again and again.

    horizon: H, control steps. action_block: control steps for which one action is held; it divides the horizon.
    num_samples: N, candidates per iteration, of which the first is the mean.
    temperature: in units of cost; lower follows the best samples more closely.
    init_std, warm_std, min_std, momentum, returned: as in `CEM`.
    """

    horizon: int = 15
    num_samples: int = 256
    num_iterations: int = 4
    temperature: float = 0.1
    init_std: float = 0.7
    warm_std: float = 0.4
    min_std: float = 0.05
    momentum: float = 0.0
    action_block: int = 1
    returned: Literal["mean", "best"] = "mean"

    def __post_init__(self) -> None:
        check_horizon(self.horizon, self.action_block)
        check_at_least(1, num_samples=self.num_samples, num_iterations=self.num_iterations)
        check_positive(temperature=self.temperature)
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
        mean, others = starts[:, 0], starts[:, 1:]
        std = torch.full_like(mean, self.init_std if warm_start is None else self.warm_std)
        best = Incumbent.at(mean)
        for noise in problem.normal(self.num_iterations, self.num_samples, generator):
            candidates = candidates_around(mean, std, noise, others)
            cost = problem.cost(candidates)
            best = best.update(candidates, cost)
            weights = boltzmann_weights(cost, self.temperature).to(mean.dtype)
            mean, std = refit(candidates, weights, mean, std, momentum=self.momentum, min_std=self.min_std)
        return mean_plan(problem, best, mean) if self.returned == "mean" else best_plan(problem, best)


def boltzmann_weights(cost: Tensor, temperature: float) -> Tensor:
    """exp(-(cost - lowest) / temperature) of cost (B,N); zero where the cost is +inf, even where all of it is."""
    above_lowest = cost - cost.amin(1, keepdim=True)
    return torch.where(cost.isfinite(), (-above_lowest / temperature).exp(), 0.0)
