"""`worldmodel control`: runs judged by a protocol, beside a random policy, the simulator oracle and supervised runs."""

import dataclasses
import glob
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.envs import MujocoWorld
from worldmodel.evaluation.control.context_sources import context_source
from worldmodel.evaluation.control.controllers import LatentController, OracleController, RandomController, check_heads
from worldmodel.evaluation.control.episodes import VIDEO_TAIL_STEPS, Outcome, run_tasks
from worldmodel.evaluation.control.tasks import Protocol, Tasks, draw_tasks, make_protocol, trusted_world
from worldmodel.figures import figures, videos
from worldmodel.measures.statistics import difference_interval, mean_interval, wilson_interval
from worldmodel.models import WorldModel
from worldmodel.models.encoders import set_cpu_threads
from worldmodel.planners import Planner, make_planner
from worldmodel.runs.run_directory import RunDirectory, hardware, versions
from worldmodel.settings import ControlConfig, PlanConfig, read_run_config
from worldmodel.system.devices import pick_device
from worldmodel.system.errors import UserError
from worldmodel.system.files import write_json

Outcomes = dict[str, list[Outcome]]  # of each controller, one for each training seed


@dataclass(frozen=True)
class _Setting:
    """What all controllers of one evaluation share."""

    config: ControlConfig
    plan: PlanConfig
    world: MujocoWorld
    protocol: Protocol
    tasks: Tasks
    planner: Planner


def control(config: ControlConfig) -> list[Path]:
    """Run the tasks, add the "control" section to each run's summary, and return the runs."""
    runs, supervised = _find_runs(config.run), _find_runs(config.supervised or "")
    trained = read_run_config(runs[0].path)
    world = trusted_world(trained.env, config.trust_world)
    protocol, plan = make_protocol(config), config.plan or trained.plan
    planner = make_planner(**plan.planner)
    setting = _Setting(config, plan, world, protocol, draw_tasks(world, trained, protocol, config, plan), planner)
    for run in (*runs, *supervised):  # before anything runs: a run that cannot be used is named at once
        _check_same_world(run, trained.env.label)
        _load(setting, run)

    beside: Outcomes = {"random": [_run(setting, RandomController(world.scene.action_dim, config.seed), "random")]}
    if config.oracle:
        few = setting.tasks.first(config.oracle_tasks)
        oracle = OracleController(world, few, planner, plan, config.seed)
        beside["oracle"] = [_run(dataclasses.replace(setting, tasks=few), oracle, "simulator oracle")]
    if supervised:
        beside["supervised"] = [_latent(setting, run)[0] for run in supervised]
    latent: list[Outcome] = []
    for run in runs:
        outcome, controller = _latent(setting, run, config.videos)
        latent.append(outcome)
        _draw(run, setting, {"": [outcome], **beside}, controller)
    world.close()
    if config.out:
        pooled = _section(setting, {"": latent, **beside})
        environment = {"world": trained.env.label, "versions": versions(), "hardware": hardware()}
        write_json(Path(config.out), {**pooled, **environment})
    return [run.path for run in runs]


def _find_runs(pattern: str) -> list[RunDirectory]:
    """The finished runs that a path or pattern names, in order; none for an empty pattern."""
    if not pattern:
        return []
    paths = sorted(path for path in glob.glob(pattern) if Path(path).is_dir()) or [pattern]
    return [RunDirectory.open(Path(path)) for path in paths]


def _check_same_world(run: RunDirectory, label: str) -> None:
    other = read_run_config(run.path).env.label
    if other != label:
        raise UserError(f"{run.path} was trained on {other}, the other runs on {label}; runs of one world share tasks")


def _run(setting: _Setting, controller: Any, name: str, num_filmed: int = 0) -> Outcome:
    drift_rho = setting.config.drift_rho
    return run_tasks(setting.world, setting.tasks, controller, setting.protocol, name, num_filmed, drift_rho)


def _latent(setting: _Setting, run: RunDirectory, num_filmed: int = 0) -> tuple[Outcome, LatentController]:
    """Latent MPC by the model of a run."""
    model = _load(setting, run)
    trained = read_run_config(run.path)
    contexts = context_source(setting.config.context, model, trained, setting.world, setting.tasks)
    controller = LatentController(
        model,
        setting.planner,
        setting.plan,
        setting.config,
        setting.tasks,
        setting.world,
        setting.protocol.budget_steps,
        contexts,
    )
    outcome = _run(setting, controller, f"latent MPC, {run.path.name}", num_filmed)
    if controller.num_invalid:
        print(f"{run.path}: {controller.num_invalid} plans found no finite cost; the plan before was followed")
    return outcome, controller


def _load(setting: _Setting, run: RunDirectory) -> WorldModel:
    """The model of a run, fit for the world."""
    model = WorldModel.load(run.path, pick_device(setting.config.device))
    set_cpu_threads(model.config.encoder)
    _check_fits(model, setting.world)
    check_heads(model, setting.plan)
    return model


def _check_fits(model: WorldModel, world: MujocoWorld) -> None:
    if model.predictor is None:
        raise UserError(
            "this run has no dynamics predictor (its world has no actions); control needs one, e.g. env=reacher"
        )
    if model.action_dim != world.scene.action_dim:
        raise UserError(
            f"the model's actions have {model.action_dim} numbers, those of {world.name} {world.scene.action_dim}; "
            "use the world the model was trained on"
        )


def _draw(run: RunDirectory, setting: _Setting, outcomes: Outcomes, controller: LatentController) -> None:
    """Figures, videos and the summary's section of one run."""
    if not setting.protocol.rewarded:
        names = {"": "latent MPC", "random": "random policy", "oracle": "simulator oracle", "supervised": "supervised"}
        rates = {names[key]: (_rate(of), *_interval(of)) for key, of in outcomes.items()}
        figures.success_bars(run.figures / "success.png", rates)  # type: ignore[arg-type]
    figures.planner_cost(run.figures / "planner_cost.png", *controller.traces())
    filmed = _film(run, controller.goal_frames, 1 / setting.world.control_dt_s, outcomes[""][0])
    content = _section(setting, outcomes) | {"videos": filmed}
    run.update_summary("control", control=content)


def _film(run: RunDirectory, goals: np.ndarray, fps: float, outcome: Outcome) -> list[str]:
    """Videos of the filmed tasks, the goal beside the view; paths relative to the run."""
    paths = []
    for i in range(outcome.frames.shape[1]):
        solved = int(outcome.solved_at[i])
        last = solved + VIDEO_TAIL_STEPS if solved >= 0 else len(outcome.frames) - 1
        views = outcome.frames[: last + 1, i]
        reached = (np.arange(len(views)) >= solved) & (solved >= 0)
        path = run.videos / f"control_{i:03d}.mp4"
        videos.control_video(path, views, goals[i], reached, min(20.0, fps))
        paths.append(str(path.relative_to(run.path)))
    return paths


# ---------------------------------------------------------------------------------------------------------------------
# what was achieved


def _count(outcomes: list[Outcome]) -> tuple[int, int]:
    """Tasks solved and tasks tried, over all training seeds."""
    return sum(int(of.solved.sum()) for of in outcomes), sum(len(of.solved) for of in outcomes)


def _rate(outcomes: list[Outcome]) -> float:
    solved, tried = _count(outcomes)
    return solved / tried


def _interval(outcomes: list[Outcome]) -> list[float]:
    return wilson_interval(*_count(outcomes))


def _section(setting: _Setting, outcomes: Outcomes) -> dict[str, Any]:
    """`section`, and how many tasks took nothing to solve."""
    content = section(setting.config, setting.plan, setting.protocol, outcomes)
    if setting.protocol.rewarded:
        return content
    return content | {"solved_at_start": setting.tasks.solved_at_start(setting.world, setting.protocol.wrap)}


def section(config: ControlConfig, plan: PlanConfig, protocol: Protocol, outcomes: Outcomes) -> dict[str, Any]:
    """Figures of every controller, ready for JSON; "" is the latent planner, the others carry their name in front."""
    content: dict[str, Any] = {
        "protocol": dataclasses.asdict(protocol),
        "num_tasks": len(outcomes[""][0].solved),
        "num_runs": len(outcomes[""]),
        "goal_steps": protocol.goal_steps,
        "budget_steps": protocol.budget_steps,
        "planner": dict(plan.planner),
        "reduction": plan.reduction,
        "shrinking": plan.shrinking,
        "metric": plan.metric,
        "proposal": plan.proposal,
        "context": config.context,
        "lead_steps": plan.lead_steps,
        "drift_rho": config.drift_rho,
        "replan_every": plan.replan_every,
        "dtype": config.dtype,
        "device": str(pick_device(config.device)),
        "cpu_ms_per_decision": 1e3
        * sum(of.decision_cpu_s for of in outcomes[""])
        / sum(of.num_decisions for of in outcomes[""]),
    }
    for name, of in outcomes.items():
        prefix = f"{name}_" if name else ""
        content |= {prefix + key: value for key, value in (_returns(of) if protocol.rewarded else _success(of)).items()}
    if "oracle" in outcomes:
        num = len(outcomes["oracle"][0].solved)
        content |= {"oracle_num_tasks": num, **_regret(protocol, outcomes[""], outcomes["oracle"][0], num)}
    return content


def _success(outcomes: list[Outcome]) -> dict[str, Any]:
    steps = np.concatenate([of.solved_at[of.solved] for of in outcomes])
    return {
        "success_rate": _rate(outcomes),
        "success_interval": _interval(outcomes),
        "success_by_run": [of.rate for of in outcomes],
        "median_steps_to_goal": float(np.median(steps)) if len(steps) else None,
    }


def _returns(outcomes: list[Outcome]) -> dict[str, Any]:
    returns = np.concatenate([of.returns for of in outcomes])
    return {"return": float(returns.mean()), "return_interval": mean_interval(returns)}


def _regret(protocol: Protocol, latent: list[Outcome], oracle: Outcome, num: int) -> dict[str, Any]:
    """What the true state and simulator would add, on the tasks that the oracle was given."""
    if protocol.rewarded:
        gap = np.concatenate([oracle.returns - of.returns[:num] for of in latent])
        return {"regret": float(gap.mean()), "regret_interval": mean_interval(gap)}
    solved = [of.solved[:num] for of in latent]
    count = sum(int(flags.sum()) for flags in solved), sum(len(flags) for flags in solved)
    best = int(oracle.solved.sum()), num
    return {"regret": best[0] / best[1] - count[0] / count[1], "regret_interval": difference_interval(best, count)}
