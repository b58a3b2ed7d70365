"""Driving: the loop in which a controller does its tasks, and what came out of it."""

import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from worldmodel.envs import BatchWorld, MujocoWorld
from worldmodel.evaluation.control.changes import Arrival, Change
from worldmodel.evaluation.control.goal_rules import goal_rule
from worldmodel.evaluation.control.tasks import Tasks
from worldmodel.runs import TaskProtocol
from worldmodel.system.progress import progress
from worldmodel.system.resident import require_frames

VIDEO_TAIL_STEPS = 8


class Controller(Protocol):
    """Decides actions. It starts with all tasks, and learns which of them are still open by `keep`."""

    sees: bool
    """Whether it reads frames; where it does not, none are rendered."""

    def act(self, frames: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Actions (n, A) for frames uint8 (n, S, S, 3) and states (n, X) of the open tasks."""
        ...

    def watch(self, frames: np.ndarray, actions: np.ndarray) -> None:
        """Before the clock runs: frames (n, S, S, 3), and the actions (n, A) that someone else takes then."""
        ...

    def keep(self, open_: np.ndarray) -> None:
        """Go on with some of the open tasks: bool (n,)."""
        ...


@dataclass(frozen=True)
class Outcome:
    """Outcome of a controller on n tasks, f of them filmed."""

    solved_at: np.ndarray
    """Control step from which each task was solved, int (n,); -1 if never."""
    returns: np.ndarray
    """Sum of the world's rewards, (n,)."""
    decision_cpu_s: float
    """CPU seconds spent deciding."""
    num_decisions: int
    """Decisions made: one a task and step."""
    frames: np.ndarray
    """Frames of the filmed tasks, uint8 (T+1, f, S, S, 3)."""
    succeeded_at: np.ndarray | None = None
    """Control step after which the world's own flag first said success, int (n,); -1 if never, None where it has no
    such flag."""

    @property
    def solved(self) -> np.ndarray:
        """Whether each task was solved, bool (n,)."""
        return self.solved_at >= 0


def run_tasks(
    world: MujocoWorld,
    tasks: Tasks,
    controller: Controller,
    protocol: TaskProtocol,
    name: str | None,
    num_filmed: int = 0,
    drift_rho: float | None = None,
    change: Change | None = None,
) -> Outcome:
    """Run all tasks side by side for the protocol's budget; a solved task is dropped, a filmed one a little later.

    Where rewards count, a task ends where the world ends its episode. Where tasks have a lead, the controller first
    watches how their starts come about.

    Args:
        world: the robots' world.
        tasks: n tasks in it.
        controller: decides the actions.
        protocol: budget, and when a task counts as solved.
        name: label of the progress bar; None shows no bar.
        num_filmed: number of tasks to film, the first ones.
        drift_rho: after a quarter of the budget the randomised constants are redrawn with this correlation.
        change: a change of the robots in the middle of the tasks.
    """
    num = len(tasks)
    if controller.sees:
        num_frames = num + num_filmed * (protocol.budget_steps + 1)
        require_frames(num_frames, world.image_size, "the frames of tasks", "lower tasks, videos or budget_steps")
    batch = BatchWorld(world, num, render=controller.sees)
    frames, states = begin(batch, tasks, controller, protocol)
    open_tasks, returns, judge = np.arange(num), np.zeros(num), _Judge(world, tasks, protocol)
    flags = _Flags(num)
    film = [frames[:num_filmed]]
    cpu_s, num_decisions, arrival = 0.0, 0, Arrival(change)
    for step in progress(range(1, protocol.budget_steps + 1), desc=name, unit="step", disable=name is None):
        begun = time.process_time()
        actions = controller.act(frames, states)
        cpu_s += time.process_time() - begun
        num_decisions += len(open_tasks)
        if drift_rho is not None and step == 1 + protocol.budget_steps // 4:
            batch.drift(world.randomized("physical"), drift_rho)
        frames, states = batch.step(arrival(actions, batch))
        returns[open_tasks] += batch.rewards
        flags.look(step, open_tasks, batch.succeeded)
        film.append(film[-1].copy())
        filmed = open_tasks < num_filmed
        film[-1][open_tasks[filmed]] = frames[filmed]
        judge.look(step, open_tasks, states)
        solved_at = judge.solved_at[open_tasks]
        resting = filmed & (step < solved_at + protocol.hold_steps + VIDEO_TAIL_STEPS)
        stays = ~batch.ended if protocol.rewarded else (solved_at < 0) | resting
        if not stays.all():
            open_tasks, frames, states = open_tasks[stays], frames[stays], states[stays]
            if not len(open_tasks):
                break
            for part in (batch, controller, arrival):
                part.keep(stays)
    return Outcome(judge.solved_at, returns, cpu_s, num_decisions, np.stack(film), flags.succeeded_at)


def begin(
    batch: BatchWorld, tasks: Tasks, controller: Controller, protocol: TaskProtocol
) -> tuple[np.ndarray, np.ndarray]:
    """Put n episodes at the starts of the tasks: their frames uint8 (n, S, S, 3) and states (n, X).

    Where tasks have a lead, the controller watches it.
    """
    first, watched = (tasks.start, None) if tasks.lead is None else tasks.lead
    if tasks.moments is not None:
        batch.go_on(tasks.moments)
    else:
        # a target that frames do not show earns its reward all the same: the goal's picture tells where it is
        batch.reset(states=first, factors=tasks.factors, seed=tasks.seed, reward_hidden=protocol.rewarded)
    frames, states = batch.frames(), batch.states
    for actions in () if watched is None else watched.swapaxes(0, 1):
        controller.watch(frames, actions)
        frames, states = batch.step(actions)
    return frames, states


class _Flags:
    """When the world's own flag first said success."""

    def __init__(self, num_tasks: int) -> None:
        self._at, self._known = np.full(num_tasks, -1), False

    def look(self, step: int, open_tasks: np.ndarray, flags: list[bool | None]) -> None:
        """The flags of the open tasks, int (n,), after this step."""
        self._known |= flags[0] is not None
        now = open_tasks[[bool(flag) for flag in flags]]
        self._at[now[self._at[now] < 0]] = step

    @property
    def succeeded_at(self) -> np.ndarray | None:
        """See `Outcome.succeeded_at`."""
        return self._at if self._known else None


class _Judge:
    """Which tasks are solved, and since when: those whose goal was held for as many steps as the protocol says."""

    def __init__(self, world: MujocoWorld, tasks: Tasks, protocol: TaskProtocol) -> None:
        self._rule, self._goals, self._protocol = goal_rule(world, protocol), tasks.goal, protocol
        self._held = np.zeros(len(tasks), int)
        self.solved_at = np.full(len(tasks), -1)

    def look(self, step: int, open_tasks: np.ndarray, states: np.ndarray) -> None:
        """Judge the states (n, X) that the open tasks, int (n,), are in after this step."""
        if self._protocol.rewarded:
            return
        for task, state in zip(open_tasks, states, strict=True):
            near = self._rule.reached(state, self._goals[task])
            self._held[task] = self._held[task] + 1 if near else 0
            if self.solved_at[task] < 0 and self._held[task] >= self._protocol.hold_steps:
                self.solved_at[task] = step - self._protocol.hold_steps + 1
