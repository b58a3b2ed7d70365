"""Receding-horizon control, as functions of an explicit state; batched over environments."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, final

import torch
from torch import Tensor

from worldmodel.planners.checks import check_at_least, check_choice, check_ordered, check_shape
from worldmodel.planners.interfaces import LatentDynamics, Objective, Plan, Planner
from worldmodel.planners.sampling import shift


@dataclass(frozen=True)
class MPCState:
    """What the controller remembers.

    latents: (B,K,D) of the last frames, the newest last. actions: (B,K-1,A), those taken between the frames.
    plan: the plan under execution, or None before the first. num_executed: its actions executed so far.
    """

    latents: Tensor
    actions: Tensor
    plan: Plan | None = None
    num_executed: int = 0

    def select(self, which: Tensor) -> "MPCState":
        """The state of some of the environments, int64 (B',); the plan leaves its diagnostics behind."""
        plan = self.plan
        if plan is not None:
            elites = None if plan.elites is None else plan.elites[which]
            plan = Plan(plan.actions[which], plan.cost[which], {}, elites)
        return MPCState(self.latents[which], self.actions[which], plan, self.num_executed)


@final
@dataclass(frozen=True)
class MPC:
    """Plan, execute `replan_every` actions, plan again from the shifted plan.

        state = mpc.init(frames)
        for _ in range(num_steps):
            actions, state, _ = mpc.act(state, objective, generator)
            frames = ...  # step the environments
            state = mpc.observe(state, frames, actions)

    replan_every: in control steps, from 1 to the planner's horizon.
    tail: what fills the end of a shifted plan, "zero" actions or the last action on "repeat".
    """

    dynamics: LatentDynamics
    planner: Planner
    replan_every: int = 1
    tail: Literal["zero", "repeat"] = "zero"

    def __post_init__(self) -> None:
        check_at_least(1, replan_every=self.replan_every)
        check_ordered(replan_every=self.replan_every, horizon=self.planner.horizon)
        check_choice("tail", self.tail, ("zero", "repeat"))

    @torch.no_grad()
    def init(self, frames: Tensor) -> MPCState:
        """The state after the first frames uint8 (B,3,S,S), as if the world had stood still under zero actions."""
        _check_frames(frames, None)
        num_frames = self.dynamics.num_context_frames
        past_actions = torch.zeros(len(frames), num_frames - 1, self.dynamics.action_dim, device=frames.device)
        return MPCState(self.dynamics.embed(frames).unsqueeze(1).repeat_interleave(num_frames, dim=1), past_actions)

    @torch.no_grad()
    def act(
        self,
        state: MPCState,
        objective: Objective,
        generator: torch.Generator,
        context: Tensor | None = None,
        proposal: Callable[[Tensor], Tensor] | None = None,
    ) -> tuple[Tensor, MPCState, Plan | None]:
        """The actions (B,A) to take now, the next state, and the plan if a new one was made.

        context: (B,C), handed to the dynamics. proposal: planning state (B,D') -> action sequences (B,M,H,A), a learned
        policy's, that the planner tries beside the shifted plan; the first plan is searched around the first of them.
        """
        if state.plan is not None and state.num_executed < self.replan_every:
            return state.plan.actions[:, state.num_executed], state, None
        z0 = self.dynamics.encode(state.latents, state.actions)
        starts = [self._shifted_plan(state), None if proposal is None else proposal(z0)]
        known = [sequences for sequences in starts if sequences is not None]
        warm_start = torch.cat(known, 1) if known else None
        plan = self.planner.plan(
            self.dynamics, objective, z0, warm_start=warm_start, generator=generator, context=context
        )
        return plan.actions[:, 0], replace(state, plan=plan, num_executed=0), plan

    @torch.no_grad()
    def observe(self, state: MPCState, frames: Tensor, actions: Tensor) -> MPCState:
        """The state after actions (B,A) were executed and frames uint8 (B,3,S,S) were seen next."""
        batch_size = len(state.latents)
        _check_frames(frames, batch_size)
        action_shape = (batch_size, self.dynamics.action_dim)
        check_shape("actions", actions, action_shape, "(B, A)", "pass the actions that were executed")
        return MPCState(
            latents=torch.cat([state.latents, self.dynamics.embed(frames)[:, None]], dim=1)[:, 1:],
            actions=torch.cat([state.actions, actions[:, None].to(state.actions)], dim=1)[:, 1:],
            plan=state.plan,
            num_executed=state.num_executed + 1,
        )

    def _shifted_plan(self, state: MPCState) -> Tensor | None:
        """The last plan and its elites, (B,M,H,A), shifted by the steps executed since."""
        if state.plan is None:
            return None
        sequences = state.plan.actions.unsqueeze(1)
        if state.plan.elites is not None:
            sequences = torch.cat([sequences, state.plan.elites], dim=1)
        return shift(sequences, state.num_executed, self.tail)


def _check_frames(frames: Tensor, batch_size: int | None) -> None:
    shape = (batch_size, 3, None, None)
    check_shape("frames", frames, shape, "(B, 3, S, S)", "pass one frame per environment, channels first")
    if frames.dtype != torch.uint8:
        raise ValueError(f"frames must be uint8, got {frames.dtype}; pass pixels from 0 to 255 as they were rendered")
