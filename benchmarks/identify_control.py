"""Goals reached by planning in a calibrated simulator: `python -m benchmarks.identify_control run=runs/puck`.

Pucks of unknown mass and friction, as `worldmodel control protocol=strict replan_every=5 lead_steps=40` draws them. The
simulator is calibrated from what a controller sees before the clock starts.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from benchmarks import command
from benchmarks.identify import Bench, about, open_bench
from worldmodel.evaluation import SimulatorDynamics, control, goal_features, prepare, run_tasks
from worldmodel.identifying import Explained, RecordedMotion, alarms_of, explain
from worldmodel.measures import wilson_interval
from worldmodel.planners import GoalDistance, OverHorizon, Problem
from worldmodel.runs import Run
from worldmodel.settings import ControlConfig, Count, IdentifyConfig, NonNegativeInt, Settings
from worldmodel.system import write_json

_REPLAN_EVERY = 5
_POSITION_GAIN, _VELOCITY_GAIN = 0.2, 0.02
"""Gains of an alpha-beta filter: shares of a reading's deviation from the prediction that correct position and, over
a control step, the velocity."""


@dataclass(frozen=True)
class IdentifyControlBench(Settings):
    """Goals held by planning in simulators with known, calibrated and nominal constants, and by learned dynamics."""

    run: str = ""
    """A run whose world has constants."""
    tasks: Count = 40
    """Tasks, each of constants of its own."""
    lead_steps: Count = 40
    """Control steps that are watched before the clock starts: the recording."""
    calibration_recordings: Count = 64
    """Simulated recordings behind error model and width of intervals."""
    seed: NonNegativeInt = 0
    """Seed of tasks, plans and calibration."""
    out: str | None = None
    """Also write the figures there, as JSON."""


class SimulatorController:
    """MPC in simulators of given constants, from true states, or from pixels where it starts from an estimate."""

    def __init__(self, bench: Bench, evaluation: Any, coordinates: np.ndarray, start: np.ndarray | None) -> None:
        """
        Args:
            bench: simulator and readout.
            evaluation: world, tasks and planner, of `worldmodel.evaluation.prepare`.
            coordinates: standardised constants of each task, (n, P).
            start: estimated states (n, X) at which the clock starts; None: true states are given.
        """
        tasks, replay = evaluation.tasks, bench.simulator.replay
        values = [{**of, **replay.values(row)} for of, row in zip(tasks.factors, coordinates, strict=True)]
        self._dynamics = SimulatorDynamics(evaluation.world, values)
        self._bench, self._planner, self.sees = bench, evaluation.planner, start is not None
        self._coordinates, self._state = coordinates, start
        self._goal = torch.from_numpy(goal_features(evaluation.world, tasks.goal)).float()
        self._generator = torch.Generator().manual_seed(0)
        self._actions: torch.Tensor | None = None
        self._step, self._last = 0, None

    def watch(self, frames: np.ndarray, actions: np.ndarray) -> None:
        """The lead has been explained before."""

    def act(self, frames: np.ndarray, states: np.ndarray) -> np.ndarray:
        """See `worldmodel.evaluation`'s controllers."""
        seen = states if self._state is None else self._seen(frames)
        if self._step % _REPLAN_EVERY == 0:
            warm = None
            if self._actions is not None:
                left = self._actions[:, _REPLAN_EVERY:]
                warm = torch.cat([left, torch.zeros_like(self._actions[:, :_REPLAN_EVERY])], 1)
            objective = GoalDistance(self._goal, OverHorizon("sum"))
            problem = Problem(self._dynamics, objective, torch.from_numpy(seen), warm_start=warm)
            self._actions = self._planner.plan(problem, self._generator).actions
        assert self._actions is not None
        self._last = self._actions[:, self._step % _REPLAN_EVERY].numpy()
        self._step += 1
        return self._last

    def keep(self, open_: np.ndarray) -> None:
        """Go on with some tasks."""
        which = np.flatnonzero(open_)
        self._dynamics, self._goal = self._dynamics.subset(which), self._goal[which]
        self._coordinates = self._coordinates[which]
        self._actions = None if self._actions is None else self._actions[which]
        self._last = None if self._last is None else self._last[which]
        self._state = None if self._state is None else self._state[which]

    def _seen(self, frames: np.ndarray) -> np.ndarray:
        """States (n, X) predicted from the last action, corrected by the readings of the frames."""
        simulator, state = self._bench.simulator, self._state
        assert state is not None
        if self._last is not None:
            state = simulator.replay.end(self._coordinates, state, self._last[:, None])
            columns, nq = simulator.observation.columns, simulator.world.scene.model.nq
            off = self._bench.read(frames) - state[:, columns]
            state[:, columns] += _POSITION_GAIN * off
            state[:, nq + columns] += _VELOCITY_GAIN * off / simulator.world.control_dt_s
        self._state = state
        return state


def measure(config: IdentifyControlBench) -> dict[str, Any]:
    """The figures, ready for JSON."""
    settings = IdentifyConfig(run=config.run, calibration_recordings=config.calibration_recordings, seed=config.seed)
    bench, run = open_bench(settings, config.lead_steps), Run(config.run)
    plan = dataclasses.replace(run.config.plan, lead_steps=config.lead_steps, replan_every=_REPLAN_EVERY)
    settled = ControlConfig(
        run=config.run, plan=plan, protocol="strict", tasks=config.tasks, seed=config.seed, oracle=False, videos=0
    )
    evaluation = prepare(settled, run)
    explained = _explained(bench, evaluation)
    constants = np.stack([one.coordinates(0) for one in explained])
    told = sum(bool(alarms_of(one, bench.model)[0]) for one in explained)
    true = np.stack([bench.simulator.coordinates(values) for values in evaluation.tasks.factors])
    ends = np.concatenate([_end(one) for one in explained])
    arms = {
        "known": (true, None),
        "calibrated": (constants, None),
        "calibrated, states from pixels": (constants, ends),
        "nominal": (np.zeros_like(true), None),
    }
    solved = {
        name: run_tasks(
            evaluation.world,
            evaluation.tasks,
            SimulatorController(bench, evaluation, of, start),
            evaluation.protocol,
            name,
        ).solved.tolist()
        for name, (of, start) in arms.items()
    }
    return {
        "run": bench.trained.run_name,
        "world": bench.simulator.world.name,
        "settings": dataclasses.asdict(config),
        "solved": {name: sum(of) for name, of in solved.items()} | _by_learned_dynamics(settled),
        "told": told,
        **about(bench),
    }


def _by_learned_dynamics(config: ControlConfig) -> dict[str, int]:
    """Goals that the run's own model reaches on the same tasks, by how it knows the constants; kept in the run."""
    contexts: dict[str, Literal["online", "known", "mean"]] = {
        "learned dynamics, conditioned": "online",
        "learned dynamics, known constants": "known",
        "learned dynamics, no context": "mean",
    }
    found = {}
    for name, context in contexts.items():
        success = control(dataclasses.replace(config, context=context)).latent.success
        found[name] = round((success.rate if success else 0.0) * config.tasks)
    return found


def _explained(bench: Bench, evaluation: Any) -> list[Explained]:
    """The lead of every task, explained."""
    states, actions = evaluation.tasks.lead
    found = []
    for start, taken, factors in zip(states, actions, evaluation.tasks.factors, strict=True):
        world = evaluation.world
        world.restart(factors=factors, state=start)
        frames = [world.frame()]
        for action in taken:
            world.advance(action)
            frames.append(world.frame())
        recording = RecordedMotion("lead", np.stack(frames), taken)
        found.append(explain(bench.simulator, bench.calibration, bench.model, bench.settings, [recording]))
    return found


def _end(explained: Explained) -> np.ndarray:
    """The fitted state (1, X) at the end of a recording."""
    track = explained.tracks[0]
    constants, _, start = track.split(explained.solution.x[None])
    return track.replay.end(constants, start, track.actions)


def report(config: IdentifyControlBench) -> str:
    """Measure, write the figures, and return a line for each."""
    found = measure(config)
    if config.out:
        write_json(Path(config.out), found)
    lines = [f"{found['world']}: {config.tasks} tasks, {found['told']} calibrations not to be trusted"]
    for name, solved in found["solved"].items():
        low, high = wilson_interval(solved, config.tasks)
        lines.append(f"  {name}: {solved / config.tasks:.1%} [{low:.1%}, {high:.1%}]")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(command.run(IdentifyControlBench, report))
