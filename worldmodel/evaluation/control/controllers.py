"""Controllers: MPC in the latent space from pixels, the same planner on the true simulator, and random actions."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from worldmodel.envs import MujocoWorld
from worldmodel.evaluation.control.adaptation import Adaptation
from worldmodel.evaluation.control.context_sources import ContextSource
from worldmodel.evaluation.control.landmarks import LandmarkGraph
from worldmodel.evaluation.control.oracle import SimulatorDynamics, goal_features
from worldmodel.evaluation.control.static_scenes import StaticScenes
from worldmodel.evaluation.control.tasks import Tasks
from worldmodel.models import PlanningModel, WorldModel
from worldmodel.models.heads import GoalHeads
from worldmodel.models.inference import WithReference
from worldmodel.models.reward_head import RewardHead
from worldmodel.planners import (
    MPC,
    ActionCost,
    CapturedPlanner,
    GoalDistance,
    LatentDynamics,
    LearnedDistance,
    MPCState,
    Objective,
    OverHorizon,
    Planner,
    Problem,
    ReturnAhead,
    Staged,
    WeightedSum,
)
from worldmodel.settings import PlanConfig
from worldmodel.system.errors import UserError


class LatentController(ABC):
    """MPC in the latent space from pixels alone; a subclass defines the objective. Records what its figure shows."""

    sees = True

    def __init__(
        self,
        model: PlanningModel,
        planner: Planner,
        plan: PlanConfig,
        num_tasks: int,
        contexts: ContextSource | None = None,
        seed: int = 0,
        adapts: bool = False,
        goals: Tensor | None = None,
    ) -> None:
        """
        Args:
            num_tasks: n.
            contexts: where the planner's context comes from; None for a model that knows no constants.
            seed: of every plan's samples.
            adapts: whether the predictor is corrected by its own errors as each task goes on.
            goals: further pictures of the scene of each task, uint8 (n, 3, S, S); None: there are none.
        """
        self._model, self._plan = model, plan
        self._adaptation = Adaptation(model, num_tasks, planner.horizon, model.device) if adapts else None
        # a recorded plan would keep the corrections that it was recorded with
        self._mpc = MPC(model, planner if adapts else CapturedPlanner(planner), plan.replan_every)
        self._generator = torch.Generator(model.device).manual_seed(seed)
        self._contexts = contexts
        self._num_tasks, self._open = num_tasks, torch.arange(num_tasks)
        self._state: MPCState | None = None
        self._scenes = StaticScenes(goals, num_tasks) if model.uses_reference else None
        readers = [part for part in (self._contexts, self._adaptation) if part]
        self._num_kept = 1 + max([part.num_steps for part in readers], default=0)
        """Control steps that are remembered: those that are read, and the one that is being decided."""
        self._latents: list[Tensor] = []
        """Of the frames at the start and end of each of these steps."""
        self._actions: list[Tensor] = []
        self._progress: list[np.ndarray] = []
        self._cost_curve: np.ndarray | None = None
        self.num_invalid = 0
        """Plans in which no sample had a finite cost."""

    @abstractmethod
    def _objective(self, state: MPCState) -> Objective:
        """The cost of plans from here, asked for once a decision and before its proposal."""

    @abstractmethod
    def _reached_so_far(self, state: MPCState) -> Tensor:
        """How far each open task has come, (n',), for the picture."""

    def _proposal(self, state: MPCState) -> Callable[[Tensor], Tensor] | None:
        """Maps planning states to further action sequences to try; None: none are proposed."""
        return None

    def watch(self, frames: np.ndarray, actions: np.ndarray) -> None:
        self._see(frames)
        self._take(torch.from_numpy(actions).to(self._model.device))

    def act(self, frames: np.ndarray, states: np.ndarray) -> np.ndarray:
        state = self._see(frames)
        context = self._context(self._actions)
        mpc = replace(self._mpc, dynamics=self._dynamics(context))
        objective = self._objective(state)
        # a decision alone takes a sixth less time on a CPU where PyTorch keeps nothing for gradients
        with torch.inference_mode(self._model.device.type == "cpu"):
            actions, self._state, plan = mpc.act(state, objective, self._generator, context, self._proposal(state))
        if plan is not None:
            self.num_invalid += int((~plan.valid).sum())
            if self._cost_curve is None:
                self._cost_curve = plan.cost_curve.cpu().numpy()
        self._take(actions)
        return actions.cpu().numpy()

    def took(self, actions: np.ndarray) -> None:
        """Note that actions (n, A) were taken instead of the ones decided last, for example with noise."""
        self._actions[-1] = torch.from_numpy(actions).to(self._model.device)

    def keep(self, open_: np.ndarray) -> None:
        which = torch.from_numpy(np.flatnonzero(open_))
        self._open = self._open[which]
        self._state = None if self._state is None else self._state.select(which)
        if self._contexts:
            self._contexts.keep(which)
        if self._adaptation:
            self._adaptation.keep(which)
        if self._scenes:
            self._scenes.keep(which.tolist())
        self._latents = [latents[which] for latents in self._latents]
        self._actions = [actions[which] for actions in self._actions]

    @torch.no_grad()
    def expected(self) -> tuple[np.ndarray, Tensor]:
        """The plan that is being carried out, (n, H, A), and the latents that are seen now and expected after each of
        its actions, (n, H+1, D)."""
        assert self._state is not None and self._state.plan is not None, "act first"
        actions, context = self._state.plan.actions, self._context(self._actions[:-1])
        z0 = self._model.encode(self._state.latents, self._state.actions)
        expected = self._model.rollout(z0, actions[:, None], context)[:, 0]
        return actions.cpu().numpy(), torch.cat([self._latents[-1][:, None], expected], 1)

    def traces(self) -> tuple[np.ndarray, np.ndarray]:
        """Best cost by iteration of the first plan (I, n), and how far each task has come by step (T, n): the latent
        distance to its goal, or the value of its state. NaN once it is over."""
        assert self._cost_curve is not None
        return self._cost_curve, np.stack(self._progress)

    @torch.no_grad()
    def _see(self, frames: np.ndarray) -> MPCState:
        """The state after a look at the frames uint8 (n, S, S, 3) of the open tasks."""
        seen = self._tensor(frames)
        mpc = replace(self._mpc, dynamics=self._eyes(seen))
        if self._state is None:
            self._state = mpc.init(seen)
        else:
            self._state = mpc.observe(self._state, seen, self._actions[-1])
        self._latents = [*self._latents[-self._num_kept :], self._state.latents[:, -1]]
        progress = np.full(self._num_tasks, np.nan)
        progress[self._open.numpy()] = self._reached_so_far(self._state).double().cpu().numpy()
        self._progress.append(progress)
        return self._state

    def _take(self, actions: Tensor) -> None:
        """Remember actions (n', A) as those taken after the last look."""
        self._actions = [*self._actions, actions][-self._num_kept :]

    def _eyes(self, seen: Tensor) -> LatentDynamics:
        """The model, embedding the frames of the open tasks, uint8 (n', 3, S, S), with their references."""
        if self._scenes is None:
            return self._model
        self._scenes.look(seen)
        return WithReference(self._model, self._scenes.reference(seen))

    def _context(self, actions: list[Tensor]) -> Tensor | None:
        return self._contexts(self._latents, actions) if self._contexts else None

    def _dynamics(self, context: Tensor | None) -> LatentDynamics:
        """The model, corrected by what was seen so far where the controller adapts."""
        if self._adaptation is None:
            return self._model
        return self._adaptation.dynamics(self._latents, self._actions, context)

    def _with_effort(self, objective: Objective) -> Objective:
        """The objective, and what the plan's settings charge for actions."""
        if not self._plan.action_cost:
            return objective
        return WeightedSum(((1.0, objective), (self._plan.action_cost, ActionCost(1.0))))

    def _tensor(self, frames: np.ndarray) -> Tensor:
        return torch.from_numpy(frames).movedim(-1, -3).to(self._model.device)


class GoalController(LatentController):
    """Plans to goal images."""

    def __init__(
        self,
        model: PlanningModel,
        planner: Planner,
        plan: PlanConfig,
        goal_frames: np.ndarray,
        contexts: ContextSource | None = None,
        seed: int = 0,
        graph: LandmarkGraph | None = None,
        adapts: bool = False,
    ) -> None:
        """
        Args:
            goal_frames: pictures of the goals of n tasks, uint8 (n, S, S, 3).
            contexts, seed, adapts: see `LatentController`.
            graph: says by which subgoals far goals are reached; None plans to the goals themselves.
        """
        goals = torch.from_numpy(goal_frames).movedim(-1, -3).to(model.device)
        super().__init__(model, planner, plan, len(goal_frames), contexts, seed, adapts, goals)
        self._graph = graph
        self._horizon = planner.horizon
        self._goal_frames, self._goal = goals, model.embed(goals)
        self._target = self._goal
        """The latents (n', D) that the present decision plans to: those of the goals, or of what lies on the way."""

    def aim(self, goal_frames: np.ndarray) -> None:
        """Plan to other goals from now on, uint8 (n', S, S, 3): what was seen is kept, the plan to the last goals is
        not."""
        self._goal_frames = torch.from_numpy(goal_frames).movedim(-1, -3).to(self._model.device)
        reference = None
        if self._scenes:
            self._scenes.aim(self._goal_frames)
            reference = self._scenes.reference(self._goal_frames)
        self._goal = self._model.embed(self._goal_frames, reference)
        if self._state is not None:
            self._state = replace(self._state, plan=None, num_executed=0)

    def keep(self, open_: np.ndarray) -> None:
        super().keep(open_)
        which = torch.from_numpy(np.flatnonzero(open_))
        self._goal_frames, self._goal = self._goal_frames[which], self._goal[which]

    def _eyes(self, seen: Tensor) -> LatentDynamics:
        eyes = super()._eyes(seen)
        if self._scenes and self._scenes.changed:  # a better reference shows more of the goal as well
            self._goal = self._model.embed(self._goal_frames, self._scenes.reference(self._goal_frames))
        return eyes

    def _objective(self, state: MPCState) -> Objective:
        self._target = self._goal if self._graph is None else self._graph.subgoals(state.latents, self._goal)
        now, reduction = self._latents[-1], OverHorizon(self._plan.reduction)
        return self._with_effort(goal_objective(self._target, now, self._model.heads, self._plan, reduction))

    def _reached_so_far(self, state: MPCState) -> Tensor:
        return (state.latents[:, -1] - self._goal).norm(dim=-1)

    def _proposal(self, state: MPCState) -> Callable[[Tensor], Tensor] | None:
        heads, target = self._model.heads, self._target
        if not self._plan.proposal or heads is None:
            return None
        return lambda z0: heads.propose(z0, target, self._horizon)


def plans_by_head(model: WorldModel, world: MujocoWorld) -> bool:
    """Whether to plan by the model's reward head. A picture of the rewarded state tells more where the world names one;
    and the head knows nothing where frames hide what is rewarded."""
    return model.reward_head is not None and world.scene.task_goal() is None and not world.scene.hides_task


class RewardController(LatentController):
    """Plans for the reward that the model's reward head predicts, plus the value of the state where a plan ends."""

    def _objective(self, state: MPCState) -> Objective:
        head = self._head
        return self._with_effort(ReturnAhead(state.latents, head.rewards, head.values, head.config.discount))

    def _reached_so_far(self, state: MPCState) -> Tensor:
        return self._head.values(state.latents)

    @property
    def _head(self) -> RewardHead:
        head = self._model.reward_head
        assert head is not None, "the run has been checked"
        return head


def check_heads(model: WorldModel, plan: PlanConfig) -> None:
    """UserError where the settings ask for goal heads that the model does not have."""
    if model.heads is None and (plan.proposal or plan.metric != "l2"):
        wish = "proposal=true" if plan.proposal else f"metric={plan.metric}"
        raise UserError(f"{wish} needs goal heads, which this run does not have; train it with goal_heads=true")


def goal_objective(
    goal: Tensor, now: Tensor, heads: GoalHeads | None, plan: PlanConfig, reduction: OverHorizon
) -> Objective:
    """The latent cost that `plan.metric` names, of goals (B, D) seen from latents `now` (B, D)."""
    straight = GoalDistance(goal, reduction)
    if plan.metric == "l2" or heads is None:
        return straight
    if plan.metric in ("whitened", "learned"):
        return GoalDistance(goal, reduction, heads.whitening if plan.metric == "whitened" else heads.precision)
    shortest_way = LearnedDistance(goal, heads.squared_time, reduction)
    if plan.metric == "temporal":
        return shortest_way
    return Staged(straight, shortest_way, heads.squared_time(now, goal) < _NEAR_STEPS**2)


_NEAR_STEPS = 5
"""Control steps to the goal within which latent distance is more precise than learned travel time."""


class OracleController:
    """The same planner on the true simulator and the true state."""

    sees = False

    def __init__(self, world: MujocoWorld, tasks: Tasks, planner: Planner, plan: PlanConfig, seed: int) -> None:
        self._dynamics = SimulatorDynamics(world, tasks.factors, tasks.moments)
        self._planner, self._reduction = planner, OverHorizon(plan.reduction)
        self._generator = torch.Generator().manual_seed(seed)
        self._goal = torch.from_numpy(goal_features(world, tasks.goal)).float()
        self._warm: Tensor | None = None

    def act(self, frames: np.ndarray, states: np.ndarray) -> np.ndarray:
        objective = GoalDistance(self._goal, self._reduction)
        problem = Problem(self._dynamics, objective, torch.from_numpy(states), warm_start=self._warm)
        plan = self._planner.plan(problem, self._generator)
        self._warm = torch.cat([plan.actions[:, 1:], torch.zeros_like(plan.actions[:, :1])], 1)
        return plan.actions[:, 0].numpy()

    def watch(self, frames: np.ndarray, actions: np.ndarray) -> None:
        pass

    def keep(self, open_: np.ndarray) -> None:
        which = np.flatnonzero(open_)
        self._dynamics = self._dynamics.subset(which)
        self._goal = self._goal[which]
        self._warm = None if self._warm is None else self._warm[which]


class RecordedController:
    """The actions that led to the goals when they were recorded, and then none: whether the tasks can be done."""

    sees = False

    def __init__(self, way: np.ndarray) -> None:
        """way: (n, H, A), from each task's start."""
        self._way, self._step = way, 0

    def act(self, frames: np.ndarray, states: np.ndarray) -> np.ndarray:
        self._step += 1
        if self._step > self._way.shape[1]:
            return np.zeros_like(self._way[:, 0])
        return self._way[:, self._step - 1]

    def watch(self, frames: np.ndarray, actions: np.ndarray) -> None:
        pass

    def keep(self, open_: np.ndarray) -> None:
        self._way = self._way[open_]


class RandomController:
    """Uniform actions."""

    sees = False

    def __init__(self, action_dim: int, seed: int) -> None:
        self._rng, self._action_dim = np.random.default_rng(seed), action_dim

    def act(self, frames: np.ndarray, states: np.ndarray) -> np.ndarray:
        return self._rng.uniform(-1, 1, (len(states), self._action_dim)).astype(np.float32)

    def watch(self, frames: np.ndarray, actions: np.ndarray) -> None:
        pass

    def keep(self, open_: np.ndarray) -> None:
        pass
