"""`worldmodel control`: runs judged by a protocol, beside a random policy, the simulator oracle and supervised runs."""

import dataclasses
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.envs import MujocoWorld
from worldmodel.envs.futures import can_simulate
from worldmodel.evaluation.control.achieved import ChangedOutcomes, Outcomes, achieved, change_result
from worldmodel.evaluation.control.changes import Change, check_change, world_that_changes
from worldmodel.evaluation.control.context_sources import context_source
from worldmodel.evaluation.control.controllers import (
    GoalController,
    LatentController,
    OracleController,
    RandomController,
    RecordedController,
    RewardController,
    check_heads,
    plans_by_head,
)
from worldmodel.evaluation.control.driving import Controller, Outcome, run_tasks
from worldmodel.evaluation.control.goal_rules import AUDITED, goal_rule
from worldmodel.evaluation.control.landmarks import possible, ways
from worldmodel.evaluation.control.manifests import manifest_tasks
from worldmodel.evaluation.control.moments import draw_moments
from worldmodel.evaluation.control.planning import planner_of
from worldmodel.evaluation.control.showing import draw, film, track
from worldmodel.evaluation.control.tasks import (
    Tasks,
    draw_tasks,
    far_turns,
    goal_distance,
    goal_frames,
    make_protocol,
    photographs,
    photographs_of_tasks,
    task_policy,
)
from worldmodel.evaluation.control.tolerance import check_names, set_tolerance
from worldmodel.evaluation.doubting import Doubter, Doubts, doubt_result
from worldmodel.evaluation.fits import check_fits
from worldmodel.evaluation.trust import trusted_world, warn_if_edited
from worldmodel.models import DTYPES, PlanningModel, WorldModel
from worldmodel.models.encoders import set_cpu_threads
from worldmodel.planners import Planner
from worldmodel.runs import (
    ControlResult,
    Run,
    TaskProtocol,
    check_out,
    check_tracker,
    find_runs,
    write_record,
)
from worldmodel.settings import ControlConfig, PlanConfig, TrainConfig
from worldmodel.system.devices import pick_device, torch_kept
from worldmodel.system.errors import UserError
from worldmodel.system.printable import say

_USUAL_FRAMES = 400
"""Frames from which the usual doubt is measured."""
_DECISIONS = 5
"""Actions in a plan to a far goal image, each held equally long: more would be harder to search (docs/LOG.md)."""


@dataclass(frozen=True)
class Evaluation:
    """Settings, world, tasks and planner, which all controllers of one evaluation share."""

    config: ControlConfig
    plan: PlanConfig
    world: MujocoWorld
    label: str
    """Name of the world with its settings."""
    protocol: TaskProtocol
    tasks: Tasks
    planner: Planner
    change: Change | None = None
    """A change of the robot in the middle of a task; None: the robot stays as it is."""


@torch_kept()
def control(config: ControlConfig) -> ControlResult:
    """Drive the robot by MPC in the latent space of one or several runs, and record in each what it achieved.

    Returns:
        What all runs achieved together; `Run(path).control` has it for each of `ControlResult.runs`.

    Raises:
        UserError: a run cannot be used: there is none, its world is another one, or it has no predictor.
    """
    check_out(config.out, ControlResult, config.overwrite)
    check_tracker(config.track)
    runs = find_runs(config.run)
    supervised = find_runs(config.supervised) if config.supervised else []
    with ExitStack() as locks:
        for run in runs:
            locks.enter_context(run.directory.locked())
        evaluation = prepare(config, runs[0])
        try:
            return _judge(evaluation, runs, supervised)
        finally:
            evaluation.world.close()


def prepare(config: ControlConfig, run: Run) -> Evaluation:
    """World and tasks of the runs, of which this is one."""
    trained = run.config
    plan = possible(config.plan or trained.plan, trained)
    world, change = _world(trained, config)
    warn_if_edited(run, world)
    goal_steps = goal_distance(config.goal_s or trained.goal_s, world)
    protocol = make_protocol(config, world.name, goal_steps, world.max_steps)
    if protocol.rewarded:
        protocol = replace(protocol, by_head=plans_by_head(run.model(), world))
        if protocol.by_head and plan.subgoals:
            raise UserError(
                f"subgoals lie on the way to a goal, and the reward of {world.name} asks for no one state; leave out "
                "subgoals, or use protocol=lewm or strict"
            )
        plan = plan if protocol.by_head else farther(plan, trained.predictor.horizon)
    elif protocol.name not in AUDITED:
        check_names("goal_apart", config.goal_apart, world)
        policy, steps = task_policy(trained, config), trained.collection.episode_steps
        protocol = replace(protocol, goal_tolerance=set_tolerance(world, config.goal_tolerance, policy, steps))
    tasks = _tasks(world, trained, protocol, config, plan)
    if not protocol.wrap and (wound := far_turns(world, tasks)):
        say(
            f"note: {', '.join(wound)} turns more than half round on the way to a goal, which no picture shows, and "
            f"protocol={protocol.name} compares raw angles; protocol=strict compares them on the circle"
        )
    if change is not None:
        check_change(change, protocol, tasks, world)
    return Evaluation(config, plan, world, trained.env.label, protocol, tasks, planner_of(plan), change)


def _world(trained: TrainConfig, config: ControlConfig) -> tuple[MujocoWorld, Change | None]:
    """The world of a run, and the change that is asked for."""
    if config.change is None:
        return trusted_world(trained.env, config.trust_world), None
    return world_that_changes(trained.env, config.change, config.trust_world)


def farther(plan: PlanConfig, steps: int) -> PlanConfig:
    """How to plan to the picture of the rewarded state, which may lie far ahead.

    A plan that names no horizon looks `steps` control steps ahead, in a few actions that are each held equally long.
    """
    planner = planner_of(plan)
    if plan.planner.keys() & {"horizon", "action_block"} or steps <= planner.horizon:
        return plan
    block = steps // _DECISIONS
    return replace(plan, planner={**plan.planner, "horizon": block * _DECISIONS, "action_block": block})


def _tasks(
    world: MujocoWorld, trained: TrainConfig, protocol: TaskProtocol, config: ControlConfig, plan: PlanConfig
) -> Tasks:
    """The protocol's own tasks, or else tasks drawn like the run's data."""
    if protocol.name not in AUDITED or config.split == "validation":
        return draw_tasks(world, trained, protocol, config, plan)
    if plan.lead_steps:
        raise UserError(f"the tasks of protocol={protocol.name} begin at once; set plan.lead_steps=0")
    return manifest_tasks(protocol.name, world, config.tasks)


def _judge(evaluation: Evaluation, runs: list[Run], supervised: list[Run]) -> ControlResult:
    config = evaluation.config
    for run in (*runs, *supervised):  # before anything runs: a run that cannot be used is named at once
        check_same_world(run, evaluation.label)
        _load(evaluation, run)
    beside = _controllers_beside(evaluation, supervised)
    of_runs: list[ControlResult] = []
    latent: list[Outcome] = []
    doubts: list[tuple[Doubts, np.ndarray]] = []
    changed: list[ChangedOutcomes] = []
    for run in runs:
        outcome, controller = _latent(evaluation, run, config.videos)
        latent.append(outcome)
        doubts += (doubts_of_run := [(of, outcome.solved) for of in _doubts(evaluation, run)])
        changed += (changed_of_run := _changed(evaluation, run, outcome))
        found = _result(evaluation, [run], {"latent": [outcome], **beside}, doubts_of_run, changed_of_run)
        videos = film(evaluation.world, evaluation.tasks, run, outcome)
        found = replace(found, videos=videos)
        draw(run, found, controller)
        run.directory.record(found)
        track(run, found, config.track)
        of_runs.append(found)
    together = (
        of_runs[0] if len(runs) == 1 else _result(evaluation, runs, {"latent": latent, **beside}, doubts, changed)
    )
    if config.out:
        write_record(Path(config.out), replace(together, videos=[]))
    return together


def _controllers_beside(evaluation: Evaluation, supervised: list[Run]) -> Outcomes:
    """Outcomes of random actions, of the oracle or what was recorded, and of runs trained on true states."""
    config, world = evaluation.config, evaluation.world
    few = evaluation.tasks.part(0, config.oracle_tasks)
    beside: Outcomes = {"random": [_run(evaluation, RandomController(world.scene.action_dim, config.seed), "random")]}
    if config.oracle and not can_simulate(world.scene):
        say(f"note: no oracle: the steps of {world.name} are not those of a MuJoCo model under held controls")
        if few.way is not None:
            beside["recorded"] = [_run(replace(evaluation, tasks=few), RecordedController(few.way), "recorded actions")]
    elif config.oracle and not evaluation.tasks.have_goals:
        say(f"note: no oracle: it plans to states, and the reward of {world.name} asks for no one state")
    elif config.oracle:
        oracle = OracleController(world, few, evaluation.planner, evaluation.plan, config.seed)
        beside["oracle"] = [_run(replace(evaluation, tasks=few), oracle, "simulator oracle")]
        if evaluation.change is not None:
            beside |= _oracle_of_the_changed(evaluation, few, evaluation.change)
    if supervised:
        beside["supervised"] = [_latent(evaluation, run)[0] for run in supervised]
    return beside


def _oracle_of_the_changed(evaluation: Evaluation, tasks: Tasks, change: Change) -> Outcomes:
    """Outcome of the oracle with a robot that is changed from the start, where the oracle knows the change.

    Empty for delays and for changes in mid-task, which its simulator cannot express, or where states are not all of an
    episode.
    """
    if change.delay or change.at or not evaluation.world.scene.state_is_whole:
        return {}
    factors = [{**of, **{name: ratio * of[name] for name, ratio in change.ratios.items()}} for of in tasks.factors]
    known = replace(tasks, factors=factors)
    oracle = OracleController(evaluation.world, known, evaluation.planner, evaluation.plan, evaluation.config.seed)
    return {"changed_oracle": [_run(replace(evaluation, tasks=tasks), oracle, "oracle of the changed", 0, change)]}


def _run(
    evaluation: Evaluation, controller: Controller, name: str, num_filmed: int = 0, change: Change | None = None
) -> Outcome:
    world, tasks, drift_rho = evaluation.world, evaluation.tasks, evaluation.config.drift_rho
    return run_tasks(world, tasks, controller, evaluation.protocol, name, num_filmed, drift_rho, change)


def _latent(
    evaluation: Evaluation, run: Run, num_filmed: int = 0, name: str = "latent MPC", change: Change | None = None
) -> tuple[Outcome, LatentController]:
    """Latent MPC by the model of a run."""
    model, config, tasks = _load(evaluation, run), evaluation.config, evaluation.tasks
    contexts = context_source(config.context, model, run.config, evaluation.world, tasks)
    planning = PlanningModel(model, DTYPES[config.dtype]), evaluation.planner, evaluation.plan
    controller: LatentController
    if evaluation.protocol.by_head:
        controller = RewardController(*planning, len(tasks), contexts, config.seed, config.adapt)
    else:
        graph, goals = ways(evaluation.plan, model, run.config), goal_frames(evaluation.world, tasks)
        controller = GoalController(*planning, goals, contexts, config.seed, graph, config.adapt)
    outcome = _run(evaluation, controller, f"{name}, {run.path.name}", num_filmed, change)
    if controller.num_invalid:
        say(f"{run.path}: {controller.num_invalid} plans found no finite cost; the plan before was followed")
    return outcome, controller


def _changed(evaluation: Evaluation, run: Run, outcome: Outcome) -> list[ChangedOutcomes]:
    """Outcomes of a run's model with the robot that changes, beside `outcome`, that with the robot as it is.

    Empty where no change is asked for.
    """
    if evaluation.change is None:
        return []

    def drive(name: str, change: Change | None, config: ControlConfig) -> Outcome:
        return _latent(replace(evaluation, config=config), run, 0, name, change)[0]

    change, config = evaluation.change, replace(evaluation.config, adapt=False)
    knows_constants = _load(evaluation, run).context_encoder is not None and config.context != "mean"
    mean = replace(config, context="mean")
    return [
        ChangedOutcomes(
            unchanged=drive("as it is", None, config) if evaluation.config.adapt else outcome,
            fixed=drive("changed", change, config),
            adapting=drive("changed, adapting", change, replace(config, adapt=True)),
            mean_context=drive("changed, mean constants", change, mean) if knows_constants else None,
        )
    ]


def _doubts(evaluation: Evaluation, run: Run) -> list[Doubts]:
    """How much the model of a run doubts its tasks before they begin.

    Empty without a decoder, in worlds whose states cannot be photographed, and where the world's own reward counts.
    """
    world, tasks, model = evaluation.world, evaluation.tasks, _load(evaluation, run)
    if model.decoder is None or not world.scene.state_is_whole or evaluation.protocol.rewarded:
        return []
    usual, _ = draw_moments(world, run.config.collection, _USUAL_FRAMES // 4, evaluation.config.seed)
    doubter = Doubter(model, photographs(world, usual.states, usual.factors))
    return [doubter.of_tasks(photographs_of_tasks(world, tasks, tasks.start), goal_frames(world, tasks))]


def check_same_world(run: Run, label: str) -> None:
    """UserError where the run was trained on another world than `label`."""
    other = run.config.env.label
    if other != label:
        raise UserError(f"{run.path} was trained on {other}, the other runs on {label}; runs of one world share tasks")


def _load(evaluation: Evaluation, run: Run) -> WorldModel:
    """The model of a run, fit for the world."""
    model = run.model(pick_device(evaluation.config.device))
    model = model.seeing_by(evaluation.config.encoder) if evaluation.config.encoder else model
    set_cpu_threads(model.eye.config)
    check_fits(model, evaluation.world)
    check_heads(model, evaluation.plan)
    if evaluation.protocol.rewarded:
        _check_told(evaluation, run, model)
    return model


def _check_told(evaluation: Evaluation, run: Run, model: WorldModel) -> None:
    """UserError where nothing tells the planner of the reward: neither a reward head, nor a picture of a state."""
    by_head = evaluation.protocol.by_head
    if model.reward_head is not None if by_head else evaluation.tasks.have_goals:
        return
    low, high = run.train.data.lowest_reward, run.train.data.highest_reward
    if by_head or low is None or low != high:
        raise UserError(f"{run.path} has no reward head; give its train command again with reward_head=true")
    raise UserError(
        f"a reward never seen to differ cannot be learned: all rewards that {run.path} was trained on are {low:g}; "
        "record with a policy= that earns some"
    )


def _result(
    evaluation: Evaluation,
    runs: list[Run],
    outcomes: Outcomes,
    doubts: list[tuple[Doubts, np.ndarray]],
    changed: list[ChangedOutcomes],
) -> ControlResult:
    """The result: outcomes, and the settings behind them.

    Args:
        evaluation: settings, world, tasks and planner.
        runs: the runs that are judged together.
        outcomes: controller -> its outcomes.
        doubts: for every run that has a decoder, its doubts, and which of its tasks were solved.
        changed: outcomes of every run with a robot that changes; empty where no change is asked for.
    """
    config, protocol, tasks = evaluation.config, evaluation.protocol, evaluation.tasks
    controllers, regret = achieved(outcomes, protocol.rewarded)
    decisions = sum(of.num_decisions for of in outcomes["latent"])
    return ControlResult(
        world=evaluation.label,
        runs=[str(run.path) for run in runs],
        protocol=protocol,
        plan=replace(evaluation.plan, planner=_in_full(evaluation)),
        context=config.context,
        drift_rho=config.drift_rho,
        dtype=config.dtype,
        device=str(pick_device(config.device)),
        split=config.split,
        seed=config.seed,
        controllers=controllers,
        cpu_ms_per_decision=1e3 * sum(of.decision_cpu_s for of in outcomes["latent"]) / decisions,
        regret=regret,
        solved_at_start=None if protocol.rewarded else tasks.solved_at_start(goal_rule(evaluation.world, protocol)),
        doubt=doubt_result(*zip(*doubts, strict=True)) if doubts else None,
        adapt=config.adapt,
        change=None if config.change is None else change_result(config.change, changed),
    )


def _in_full(evaluation: Evaluation) -> dict[str, Any]:
    """The planner with every hyperparameter, also those at their default."""
    planner = evaluation.planner
    values = {item.name: getattr(planner, item.name) for item in dataclasses.fields(planner)}  # type: ignore[arg-type]
    return {"name": evaluation.plan.planner["name"], **values}
