"""Planning by gradient descent on the actions, through the dynamics."""

from dataclasses import dataclass, replace
from typing import Literal, final

import torch
from torch import Tensor

from worldmodel.planners.checks import check_at_least, check_choice, check_horizon, check_positive, check_size
from worldmodel.planners.interfaces import Plan, Problem
from worldmodel.planners.sampling import BlockSearch, Incumbent, best_plan, candidates_around

_TANH_START = 0.99  # at the bounds tanh has no gradient, so the search starts a little inside


@final
@dataclass(frozen=True)
class GradientPlanner:
    """Adam (Kingma and Ba, 2015) on several action sequences at once; the best one met on the way is the plan.

    Dynamics and objective must be differentiable. A gradient that is not finite counts as zero.
    """

    horizon: int = 15
    """H, the control steps that a plan looks ahead; a whole number of action blocks."""

    num_restarts: int = 4
    """N, sequences from which to descend. The first is the warm start, or zeros; the others lie around it."""

    num_iterations: int = 30
    """I, gradient steps."""

    learning_rate: float = 0.1
    """Adam's learning rate, in units of action, or of atanh(action) with the projection "tanh"."""

    init_std: float = 0.5
    """Standard deviation of the other sequences around the first, in units of action."""

    projection: Literal["tanh", "clamp"] = "clamp"
    """How actions stay in [-1, 1]: as "tanh" of a free variable, or by "clamp" after each step."""

    action_block: int = 1
    """Control steps for which one action is held."""

    def __post_init__(self) -> None:
        check_horizon(self.horizon, self.action_block)
        check_at_least(1, num_restarts=self.num_restarts, num_iterations=self.num_iterations)
        check_size(self.num_iterations, self.num_restarts, self.horizon // self.action_block)
        check_positive(learning_rate=self.learning_rate, init_std=self.init_std)
        check_choice("projection", self.projection, ("tanh", "clamp"))

    @torch.no_grad()
    def plan(self, problem: Problem, generator: torch.Generator) -> Plan:
        """See `Planner.plan`."""
        search = BlockSearch(problem, self.horizon, self.action_block)
        starts = search.starts()
        start, others = starts[:, 0], starts[:, 1:]
        noise = search.normal(1, self.num_restarts, generator)[0]
        free = self._to_free(candidates_around(start, torch.full_like(start, self.init_std), noise, others))
        adam = Adam.at(free, self.learning_rate)
        best = Incumbent.at(start)
        for iteration in range(self.num_iterations):
            candidates, cost, gradient = self._descend_from(search, free)
            best = best.update(candidates, cost)
            adam, step = adam.step(gradient, iteration)
            free = free - step if self.projection == "tanh" else (free - step).clamp(-1, 1)
        candidates = self._to_box(free)
        best = best.update(candidates, search.cost(candidates))
        plan = best_plan(search, best)
        return replace(plan, cost_curve=plan.cost_curve[1:])  # its first entry is the cost before any step

    def _to_box(self, free: Tensor) -> Tensor:
        return free.tanh() if self.projection == "tanh" else free

    def _to_free(self, blocks: Tensor) -> Tensor:
        return blocks.clamp(-_TANH_START, _TANH_START).atanh() if self.projection == "tanh" else blocks

    def _descend_from(self, search: BlockSearch, free: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Candidates (B, N, G, A), their cost (B, N), and its gradient by the free variable (B, N, G, A)."""
        with torch.inference_mode(False), torch.enable_grad():
            search, free = search.outside_inference_mode(), free.clone().requires_grad_()
            candidates = self._to_box(free)
            cost = search.cost(candidates)
            if not cost.requires_grad:
                raise ValueError(
                    "the cost does not depend on the actions through differentiable operations; "
                    "make dynamics and objective differentiable, or set planner=cem"
                )
            total = torch.where(cost.isfinite(), cost, 0.0).sum()
            (gradient,) = torch.autograd.grad(total, free)
        return candidates.detach(), cost.detach(), gradient.nan_to_num(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Adam:
    """The state of Adam as a value. It acts element by element, so that neither environments nor candidates mix, and
    does not synchronise with the host."""

    mean: Tensor
    """Running mean of the gradient, shaped like the variable."""

    square: Tensor
    """Running mean of the squared gradient."""

    learning_rate: float
    """Size of a step."""

    @staticmethod
    def at(variable: Tensor, learning_rate: float) -> "Adam":
        """The state before the first step on a variable of this shape."""
        return Adam(torch.zeros_like(variable), torch.zeros_like(variable), learning_rate)

    def step(self, gradient: Tensor, iteration: int) -> tuple["Adam", Tensor]:
        """The next state, and what to subtract from the variable; iterations are counted from 0."""
        mean = torch.lerp(gradient, self.mean, 0.9)
        square = torch.lerp(gradient.square(), self.square, 0.999)
        mean_hat, square_hat = mean / (1 - 0.9 ** (iteration + 1)), square / (1 - 0.999 ** (iteration + 1))
        step = self.learning_rate * mean_hat / (square_hat.sqrt() + 1e-8)
        return Adam(mean, square, self.learning_rate), step
