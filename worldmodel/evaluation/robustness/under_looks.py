"""Control, and reading of state and constants, look by look."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from worldmodel import figures
from worldmodel.envs import MujocoWorld
from worldmodel.evaluation.control.achieved import success_of
from worldmodel.evaluation.control.context_sources import context_source
from worldmodel.evaluation.control.controllers import GoalController, check_heads
from worldmodel.evaluation.control.driving import run_tasks
from worldmodel.evaluation.control.evaluate import check_same_world
from worldmodel.evaluation.control.landmarks import LandmarkGraph, possible, ways
from worldmodel.evaluation.control.moments import Moments, draw_moments
from worldmodel.evaluation.control.planning import planner_of
from worldmodel.evaluation.control.tasks import (
    Tasks,
    draw_tasks,
    goal_distance,
    make_protocol,
    photographs,
    photographs_of_tasks,
    task_policy,
)
from worldmodel.evaluation.control.tolerance import set_tolerance
from worldmodel.evaluation.doubting import Doubter, Doubts, doubt_result
from worldmodel.evaluation.fits import check_fits
from worldmodel.evaluation.robustness.constants_under_looks import ConstantReader
from worldmodel.evaluation.robustness.grid import GridCell, check_can_look, shifts_of
from worldmodel.evaluation.robustness.state_reading import StateReader, mean_r2
from worldmodel.evaluation.trust import trusted_world, warn_if_edited
from worldmodel.measures.statistics import mean_known, share_kept
from worldmodel.models import PlanningModel, WorldModel
from worldmodel.models.encoders import set_cpu_threads
from worldmodel.planners import Planner
from worldmodel.runs import DoubtResult, LookResult, RobustResult, Run, TaskProtocol, check_out, find_runs, write_record
from worldmodel.runs.results import as_interval
from worldmodel.runs.robust_result import ENCODER_LABELS
from worldmodel.settings import ControlConfig, EncoderName, PlanConfig, RobustConfig, TrainConfig
from worldmodel.system.devices import pick_device, torch_kept
from worldmodel.system.progress import progress

_SHOWN = 5  # pictures of each look


@dataclass(frozen=True)
class _Bench:
    """Settings, world, tasks and frames, which all runs and all looks share."""

    config: RobustConfig
    trained: TrainConfig
    world: MujocoWorld
    protocol: TaskProtocol
    plan: PlanConfig
    planner: Planner
    tasks: Tasks
    fitted: Moments
    judged: Moments
    shifts: list[GridCell]


@dataclass(frozen=True)
class _Subject:
    """The model of a run, and what reads from its latents."""

    model: WorldModel
    planning: PlanningModel
    graph: LandmarkGraph | None
    positions: StateReader
    constants: ConstantReader | None
    """None where the run knows of no constants."""
    doubter: Doubter | None
    """None without a decoder."""


@dataclass(frozen=True)
class _Found:
    """Outcomes of one run under one look."""

    solved_at: np.ndarray
    """Control step from which each task was solved, int (n,); -1 if never."""
    unseen: np.ndarray
    """Tasks whose start or goal shows nothing that moves, or which look exactly the same, bool (n,)."""
    r2: float | None
    """Mean R2 of positions."""
    constants: dict[str, float | None]
    """Constant -> R2."""
    shown: np.ndarray
    """Examples, uint8 (n, S, S, 3): a goal as each instance shows it; for looks that move, moments of one episode."""
    doubts: list[Doubts]
    """Doubts about the tasks of each instance; none without a decoder."""


_ByEncoder = dict[EncoderName, list[list[_Found]]]
"""Encoder -> for each run, what it did under each look."""


@torch_kept()
def robust(config: RobustConfig) -> RobustResult:
    """Drive to goal images, and read positions, under every look of a grid; recorded in each run.

    Returns:
        What all runs did together.

    Raises:
        UserError: there is no such run, look or folder of pictures, or a strength is out of range.
    """
    check_out(config.out, RobustResult, config.overwrite)
    runs = find_runs(config.run)
    env = runs[0].config.env
    shifts = shifts_of(config, env.image_size, env.world)
    with ExitStack() as stack:
        for run in runs:
            stack.enter_context(run.directory.locked())
        world = trusted_world(env, config.trust_world)
        stack.callback(world.close)
        warn_if_edited(runs[0], world)
        check_can_look(world)
        bench = _prepare(config, runs[0].config, world, shifts)
        models = [_load(bench, run) for run in runs]
        found: _ByEncoder = {
            name: [_measure(bench, run, model.seeing_by(name)) for run, model in zip(runs, models, strict=True)]
            for name in _encoders(models)
        }
        for number, run in enumerate(runs):
            of_run: _ByEncoder = {name: [of_runs[number]] for name, of_runs in found.items()}
            result = _result(bench, [run], of_run)
            _draw(run, result, next(iter(of_run.values()))[0])
            run.directory.record(result)
    together = _result(bench, runs, found)
    if config.out:
        write_record(Path(config.out), together)
    return together


def _prepare(config: RobustConfig, trained: TrainConfig, world: MujocoWorld, shifts: list[GridCell]) -> _Bench:
    """The tasks and the moments; drawn in the world as it is."""
    plan = possible(trained.plan, trained)
    as_control = ControlConfig(
        protocol=config.protocol,
        tasks=config.tasks,
        goal_steps=config.goal_steps,
        budget_steps=config.budget_steps,
        seed=config.seed,
    )
    policy, steps = task_policy(trained, as_control), trained.collection.episode_steps
    tolerance = set_tolerance(world, config.goal_tolerance, policy, steps)
    protocol = make_protocol(as_control, world.name, goal_distance(trained.goal_s, world))
    protocol = replace(protocol, goal_tolerance=tolerance)
    tasks = draw_tasks(world, trained, protocol, as_control, plan)
    fitted, judged = draw_moments(world, trained.collection, config.frames, config.seed)
    planner = planner_of(plan)
    return _Bench(config, trained, world, protocol, plan, planner, tasks, fitted, judged, shifts)


def _encoders(models: list[WorldModel]) -> list[EncoderName]:
    """The encoders that all models have, that of the first one's choice first."""
    if any(model.robust_encoder is None for model in models):
        return ["encoder"]
    agree = all(model.config.agreement is not None for model in models)
    names: list[EncoderName] = ["both" if agree else "robust", "encoder"]
    return sorted(names, key=lambda name: name != models[0].config.sees_by)


def _load(bench: _Bench, run: Run) -> WorldModel:
    check_same_world(run, bench.trained.env.label)
    model = run.model(pick_device(bench.config.device))
    set_cpu_threads(model.eye.config)
    check_fits(model, bench.world)
    check_heads(model, bench.plan)
    return model


def _measure(bench: _Bench, run: Run, model: WorldModel) -> list[_Found]:
    """Outcomes of one run under every look."""
    subject, found = _subject(bench, run, model), []
    bar = progress(bench.shifts, desc=f"{run.path.name}, by {model.config.sees_by}", unit="look")
    for shift in bar:
        bar.set_postfix(look=shift.look)
        found.append(_under(bench, subject, shift))
    bench.world.appearance = None
    return found


def _subject(bench: _Bench, run: Run, model: WorldModel) -> _Subject:
    """The model with its readers, which are fitted in the world as it is."""
    config, world, planning = bench.config, bench.world, PlanningModel(model)
    world.appearance = None
    usual = photographs(world, bench.fitted.states, bench.fitted.factors)
    encoder, collection = model.context_encoder, bench.trained.collection
    return _Subject(
        model,
        planning,
        ways(bench.plan, model, run.config),
        StateReader(world, planning, bench.fitted),
        ConstantReader(world, planning, encoder, collection, config.windows, config.seed) if encoder else None,
        Doubter(model, usual) if model.decoder is not None else None,
    )


def _under(bench: _Bench, subject: _Subject, shift: GridCell) -> _Found:
    """Outcomes of a model under one look: every instance has its share of the tasks, the moments and the windows."""
    solved_at, unseen, read, shown, doubts, contexts = [], [], [], [], [], []
    moves = shift.suite is not None and shift.suite.motion == "dynamic"
    numbers = (len(bench.tasks), len(bench.judged), bench.config.windows)
    cuts = [_cuts(number, bench.config.instances) for number in numbers]
    for instance, (of_tasks, of_moments, of_windows) in enumerate(zip(*cuts, strict=True)):
        bench.world.appearance = shift.appearance(bench.config.seed * 1000 + instance)
        bench.world.restart(seed=bench.config.seed)  # what moves begins with the episode, in the goal image too
        tasks = bench.tasks.part(*of_tasks)
        goals = photographs_of_tasks(bench.world, tasks, tasks.goal)
        starts = photographs_of_tasks(bench.world, tasks, tasks.start)
        empty = photographs_of_tasks(bench.world, tasks, tasks.start, moving=False)
        controller = _controller(bench, subject, tasks, goals)
        outcome = run_tasks(bench.world, tasks, controller, bench.protocol, None, int(moves and not instance))
        solved_at.append(outcome.solved_at)
        unseen.append(_same(goals, starts) | _same(goals, empty) | _same(starts, empty))
        shown += [*_moments(outcome.frames[:, 0])] if outcome.frames.shape[1] else [] if moves else [goals[0]]
        if subject.doubter is not None:
            doubts.append(subject.doubter.of_tasks(starts, goals))
        bench.world.restart(seed=bench.config.seed)
        read.append(subject.positions.read(bench.judged.part(*of_moments)))
        if subject.constants is not None:
            contexts.append(subject.constants.windows(*of_windows))
    r2 = mean_r2(bench.judged.positions, np.concatenate(read))
    constants = subject.constants.r2(*map(np.concatenate, zip(*contexts, strict=True))) if subject.constants else {}
    return _Found(np.concatenate(solved_at), np.concatenate(unseen), r2, constants, np.stack(shown[:_SHOWN]), doubts)


def _controller(bench: _Bench, subject: _Subject, tasks: Tasks, goals: np.ndarray) -> GoalController:
    contexts = context_source("online", subject.model, bench.trained, bench.world, tasks)
    return GoalController(
        subject.planning, bench.planner, bench.plan, goals, contexts, bench.config.seed, subject.graph
    )


def _same(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which of n frames (n, S, S, 3) are the same, bool (n,)."""
    return (first == second).all((1, 2, 3))


def _moments(film: np.ndarray) -> np.ndarray:
    """A few frames of a film (T, S, S, 3), evenly spread."""
    return film[np.linspace(0, len(film) - 1, _SHOWN).astype(int)]


def _cuts(num: int, parts: int) -> list[tuple[int, int]]:
    """Bounds of `parts` stretches of nearly equal length in 0..num."""
    bounds = np.linspace(0, num, parts + 1).astype(int)
    return [(int(first), int(end)) for first, end in pairwise(bounds)]


def _result(bench: _Bench, runs: list[Run], found: _ByEncoder) -> RobustResult:
    """The result of all runs together."""
    encoders: dict[EncoderName, list[LookResult]] = {}
    for name, of_runs in found.items():
        by_look = list(zip(*of_runs, strict=True))
        encoders[name] = [_look_result(cell, of, by_look[0]) for cell, of in zip(bench.shifts, by_look, strict=True)]
    return RobustResult(
        world=bench.trained.env.label,
        runs=[str(run.path) for run in runs],
        protocol=bench.protocol,
        plan=bench.plan,
        instances=bench.config.instances,
        frames=bench.config.frames,
        seed=bench.config.seed,
        encoders=encoders,
        doubt={name: doubt for name, of_runs in found.items() if (doubt := _doubt(of_runs)) is not None},
        windows=bench.config.windows if any(of.constants for looks in encoders.values() for of in looks) else None,
    )


def _doubt(of_runs: list[list[_Found]]) -> DoubtResult | None:
    """Doubt of all tasks under all looks."""
    each = [found for of_run in of_runs for found in of_run]
    doubts = [doubts for found in each for doubts in found.doubts]
    return doubt_result(doubts, [found.solved_at >= 0 for found in each if found.doubts]) if doubts else None


def _look_result(shift: GridCell, of_runs: Sequence[_Found], clean: Sequence[_Found]) -> LookResult:
    """One look, over all runs; tasks count where the look hides neither start, goal nor their difference."""
    hidden = of_runs[0].unseen & ~clean[0].unseen
    solved_at = [of.solved_at[~hidden] for of in of_runs]
    before = np.concatenate([of.solved_at[~hidden] for of in clean]) >= 0
    seen = bool(len(before))
    kept, interval = share_kept(np.concatenate(solved_at) >= 0, before) if seen else (None, None)
    return LookResult(
        look=shift.look,
        strength=shift.strength,
        unit=shift.unit,
        success=success_of(solved_at) if seen else None,
        kept=kept,
        kept_interval=as_interval(interval),
        r2=mean_known(of.r2 for of in of_runs),
        num_tasks=int((~hidden).sum()),
        num_hidden=int(hidden.sum()),
        novel=_share_above_one([doubts.novelty for of in of_runs for doubts in of.doubts]),
        doubted=_share_above_one([doubts.doubt for of in of_runs for doubts in of.doubts]),
        constants={name: mean_known(of.constants[name] for of in of_runs) for name in of_runs[0].constants},
        suite=shift.suite,
    )


def _share_above_one(scores: list[np.ndarray]) -> float | None:
    return float((np.concatenate(scores) > 1).mean()) if scores else None


def _draw(run: Run, result: RobustResult, found: list[_Found]) -> None:
    rates = {
        ENCODER_LABELS[encoder]: {of.label: (of.success.rate, *of.success.interval) for of in looks if of.success}
        for encoder, looks in result.encoders.items()
    }
    shown = {of.label: one.shown for of, one in zip(next(iter(result.encoders.values())), found, strict=True)}
    with figures.drawing("looks.png"):
        figures.looks_sheet(run.figures / "looks.png", shown)
    with figures.drawing("robust.png"):
        figures.looks_success(run.figures / "robust.png", rates)
