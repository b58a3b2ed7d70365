"""Receding-horizon control, as functions of an explicit state; batched over environments."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, final

import torch
from torch import Tensor

from worldmodel.planners.checks import check_choice, check_shape
from worldmodel.planners.interfaces import LatentDynamics, Objective, Plan, Planner, Problem
from worldmodel.planners.sampling import shift


@dataclass(frozen=True)
class MPCState:
    """What the controller remembers between control steps."""

    latents: Tensor
    """Latents of the last K observations, (B, K, D), oldest first."""

    actions: Tensor
    """Actions taken between these observations, (B, K-1, A)."""

    plan: Plan | None = None
    """The plan that is being executed; None before the first."""

    num_executed: int = 0
    """How many of its actions have been executed."""

    def select(self, which: Tensor) -> "MPCState":
        """The state of some of the environments, given their indices int64 (B',)."""
        plan = self.plan
        if plan is not None:
            plan = Plan(
                actions=plan.actions[which],
                cost=plan.cost[which],
                valid=plan.valid[which],
                cost_curve=plan.cost_curve[:, which],
                num_rollouts=plan.num_rollouts,
                elites=None if plan.elites is None else plan.elites[which],
            )
        return MPCState(self.latents[which], self.actions[which], plan, self.num_executed)


@final
@dataclass(frozen=True)
class MPC:
    """Plan, execute `replan_every` actions, plan again from the shifted plan.

        state = mpc.init(observations)
        for _ in range(num_steps):
            actions, state, _ = mpc.act(state, objective, generator)
            observations = ...  # step the environments
            state = mpc.observe(state, observations, actions)

    Raises:
        ValueError: an option is out of range.
    """

    dynamics: LatentDynamics

    planner: Planner

    replan_every: int = 1
    """Control steps between plans, from 1 to the planner's horizon."""

    tail: Literal["zero", "repeat"] = "zero"
    """How the end of a shifted plan is filled: with "zero" actions, or "repeat" its last action."""

    def __post_init__(self) -> None:
        if not 1 <= self.replan_every <= self.planner.horizon:
            raise ValueError(
                f"replan_every must be in 1..{self.planner.horizon}, the planner's horizon, got {self.replan_every}; "
                "set replan_every or planner.horizon"
            )
        check_choice("tail", self.tail, ("zero", "repeat"), option="tail")

    @torch.no_grad()
    def init(self, observations: Tensor) -> MPCState:
        """The state after the first observations (B, …), as if the world had stood still under zero actions.

        Observations are whatever the dynamics embed: frames uint8 (B, 3, S, S), usually.
        """
        num_frames = self.dynamics.num_context_frames
        latents = self.dynamics.embed(observations).unsqueeze(1).repeat_interleave(num_frames, dim=1)
        shape = (len(observations), num_frames - 1, self.dynamics.action_dim)
        return MPCState(latents, torch.zeros(shape, device=observations.device))

    @torch.no_grad()
    def act(
        self,
        state: MPCState,
        objective: Objective,
        generator: torch.Generator,
        context: Tensor | None = None,
        proposal: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, MPCState, Plan | None]:
        """Decide what to do now.

        Args:
            state: what `init` or `observe` returned.
            objective: the cost of candidate plans.
            generator: the planner's source of randomness.
            context: (B, C), handed to the dynamics.
            proposal: a learned policy: maps planning states (B, D') to action sequences (B, M, H, A), which the planner
                tries beside the shifted plan. The first plan is searched around the first of them.

        Returns:
            The actions (B, A) to take, the next state, and the plan if a new one was made.
        """
        if state.plan is not None and state.num_executed < self.replan_every:
            return state.plan.actions[:, state.num_executed], state, None
        z0 = self.dynamics.encode(state.latents, state.actions)
        starts = [self._shifted_plan(state), None if proposal is None else proposal(z0)]
        known = [sequences for sequences in starts if sequences is not None]
        warm_start = torch.cat(known, 1) if known else None
        plan = self.planner.plan(Problem(self.dynamics, objective, z0, context, warm_start), generator)
        return plan.actions[:, 0], replace(state, plan=plan, num_executed=0), plan

    @torch.no_grad()
    def observe(self, state: MPCState, observations: Tensor, actions: Tensor) -> MPCState:
        """The state after actions (B, A) were executed and observations (B, …) were seen next.

        Raises:
            ValueError: another number of environments, or actions of another shape.
        """
        batch_size = len(state.latents)
        if len(observations) != batch_size:
            raise ValueError(f"observations must be of {batch_size} environments, got {len(observations)}")
        action_shape = (batch_size, self.dynamics.action_dim)
        check_shape("actions", actions, action_shape, "(B, A)", "pass the actions that were executed")
        return MPCState(
            latents=torch.cat([state.latents, self.dynamics.embed(observations)[:, None]], dim=1)[:, 1:],
            actions=torch.cat([state.actions, actions[:, None].to(state.actions)], dim=1)[:, 1:],
            plan=state.plan,
            num_executed=state.num_executed + 1,
        )

    def _shifted_plan(self, state: MPCState) -> Tensor | None:
        """The last plan and its elites, (B, M, H, A), shifted by the steps executed since."""
        if state.plan is None:
            return None
        sequences = state.plan.actions.unsqueeze(1)
        if state.plan.elites is not None:
            sequences = torch.cat([sequences, state.plan.elites], dim=1)
        return shift(sequences, state.num_executed, self.tail)
