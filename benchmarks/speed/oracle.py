"""CPU-seconds of the oracle: the planner of a world's recipe on the true simulator."""

from contextlib import closing
from typing import Any

from benchmarks.settings import BenchConfig
from benchmarks.speed.cpu_time import cpu_seconds
from worldmodel import envs
from worldmodel.evaluation import OracleController, draw_tasks, make_protocol, run_tasks
from worldmodel.planners import make_planner
from worldmodel.settings import ControlConfig, recipe

TASKS = 60
"""As many as took 4,800 CPU-seconds when candidates were simulated one by one."""


def oracle_cost(config: BenchConfig) -> dict[str, Any]:
    """CPU-seconds of all tasks by the oracle, drawing them left out, and of its plans alone."""
    trained, settings = recipe(config.world), ControlConfig(tasks=TASKS, seed=config.seed)
    plan = trained.plan
    with closing(envs.make(**trained.env.make_arguments())) as world:
        protocol = make_protocol(settings, world.name)
        tasks = draw_tasks(world, trained, protocol, settings, plan)
        oracle = OracleController(world, tasks, make_planner(**plan.planner), plan, settings.seed)
        begun = cpu_seconds()
        outcome = run_tasks(world, tasks, oracle, protocol, "simulator oracle")
        spent = cpu_seconds() - begun
    return {
        "tasks": TASKS,
        "planner": plan.planner,
        "reduction": plan.reduction,
        "cpu_s": spent,
        "planning_cpu_s": outcome.decision_cpu_s,
        "decisions": outcome.num_decisions,
        "success": float(outcome.solved.mean()),
    }
