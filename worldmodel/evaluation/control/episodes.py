"""Episodes under a controller: the loop, and what came out of it."""

import time
from dataclasses import dataclass
from typing import Protocol as Interface

import numpy as np

from worldmodel.envs import BatchWorld, MujocoWorld
from worldmodel.evaluation.control.tasks import Protocol, Tasks
from worldmodel.measures.statistics import wilson_interval
from worldmodel.system.progress import progress

VIDEO_TAIL_STEPS = 8


class Controller(Interface):
    """Whatever decides actions; it starts with all tasks, and is told which of them are still open.

    sees: whether it reads frames; where it does not, none are rendered.
    """

    sees: bool

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
    """What a controller did.

    solved_at: step from which each task was solved (n,), -1 if never. returns: sum of the world's rewards (n,).
    decision_cpu_s, num_decisions: CPU seconds spent deciding, and decisions made.
    frames: of the filmed tasks (T+1, f, S, S, 3).
    """

    solved_at: np.ndarray
    returns: np.ndarray
    decision_cpu_s: float
    num_decisions: int
    frames: np.ndarray

    @property
    def solved(self) -> np.ndarray:
        return self.solved_at >= 0

    @property
    def rate(self) -> float:
        return float(self.solved.mean())

    def interval(self) -> list[float]:
        return wilson_interval(int(self.solved.sum()), len(self.solved))


def run_tasks(
    world: MujocoWorld,
    tasks: Tasks,
    controller: Controller,
    protocol: Protocol,
    name: str,
    num_filmed: int = 0,
    drift_rho: float | None = None,
) -> Outcome:
    """Run all tasks side by side for the protocol's budget; a solved task is dropped, a filmed one a little later.

    Where tasks have a lead, the controller first watches how their starts come about.

    drift_rho: after a quarter of the budget the randomised constants are redrawn with this correlation.
    """
    num = len(tasks)
    batch = BatchWorld(world, num, render=controller.sees)
    first, watched = (tasks.start, None) if tasks.lead is None else tasks.lead
    # a target that frames do not show earns its reward all the same: the goal's picture tells where it is
    batch.reset(states=first, factors=tasks.factors, seed=tasks.seed, reward_hidden=protocol.rewarded)
    frames, states = batch.frames(), batch.states
    for actions in () if watched is None else watched.swapaxes(0, 1):
        controller.watch(frames, actions)
        frames, states = batch.step(actions)
    open_tasks, held = np.arange(num), np.zeros(num, int)
    solved_at, returns = np.full(num, -1), np.zeros(num)
    film = [frames[:num_filmed]]
    cpu_s, num_decisions = 0.0, 0
    for step in progress(range(1, protocol.budget_steps + 1), desc=name, unit="step"):
        begun = time.process_time()
        actions = controller.act(frames, states)
        cpu_s += time.process_time() - begun
        num_decisions += len(open_tasks)
        if drift_rho is not None and step == 1 + protocol.budget_steps // 4:
            batch.drift([name for name in world.randomize if world.factors[name].kind == "physical"], drift_rho)
        frames, states = batch.step(actions)
        returns[open_tasks] += batch.rewards
        film.append(film[-1].copy())
        for task, frame, state in zip(open_tasks, frames, states, strict=True):
            if task < num_filmed:
                film[-1][task] = frame
            near = not protocol.rewarded and world.reached(state, tasks.goal[task], protocol.wrap)
            held[task] = held[task] + 1 if near else 0
            if solved_at[task] < 0 and held[task] >= protocol.hold_steps:
                solved_at[task] = step - protocol.hold_steps + 1
        solved = solved_at[open_tasks] >= 0
        resting = (open_tasks < num_filmed) & (step < solved_at[open_tasks] + protocol.hold_steps + VIDEO_TAIL_STEPS)
        stays = ~solved | resting
        if not stays.all():
            open_tasks, frames, states = open_tasks[stays], frames[stays], states[stays]
            if not len(open_tasks):
                break
            batch.keep(stays)
            controller.keep(stays)
    return Outcome(solved_at, returns, cpu_s, num_decisions, np.stack(film))
