"""How fast plans are made, by their parts."""

from pathlib import Path
from typing import Any

import torch

from benchmarks.peer_planning import time_peer
from benchmarks.plan_timing import (
    LEWM_PLANNER,
    Clock,
    closed_loop_ms,
    default_model,
    machine_rates,
    time_lewm_size,
    time_plan,
)
from benchmarks.settings import BenchConfig
from worldmodel.models import DTYPES, PlanningModel, WorldModel
from worldmodel.planners import make_planner
from worldmodel.system import pick_device


def plan(config: BenchConfig) -> dict[str, Any]:
    """Milliseconds per environment of a plan by part, beside the floor: the configured planner alone and in a batch,
    LeWM's budget (on a GPU for 256 environments too), and the closed loop with rendering."""
    device = pick_device("auto")
    if device.type == "cpu":
        torch.set_num_threads(1)
    clock = Clock(device)
    dtype = DTYPES[config.dtype]
    rates = machine_rates(clock, device, config.repeats, dtype)
    loaded = WorldModel.load(Path(config.run), device) if config.run else default_model().to(device)
    model, planner = PlanningModel(loaded, dtype), make_planner(**config.planner)
    figures: dict[str, Any] = {"planner": dict(config.planner), "device": str(device), "dtype": config.dtype, **rates}
    cases = {"alone": (planner, 1), f"batch_{config.batch}": (planner, config.batch), "lewm_budget": (LEWM_PLANNER, 1)}
    if device.type == "cuda":
        cases["lewm_budget_batch_256"] = (LEWM_PLANNER, 256)
    for name, (searcher, batch) in cases.items():
        timed = time_plan(model, searcher, batch, config.repeats, clock, rates)
        figures |= {f"{name}_{key}": value for key, value in timed.items()}
    if not config.run:
        figures["closed_loop_cpu_ms"] = closed_loop_ms(model, planner, clock)
        figures["closed_loop_hz"] = 1e3 / figures["closed_loop_cpu_ms"]
    if config.lewm_size:
        figures |= time_lewm_size(config.repeats, clock, device, dtype)
        figures |= time_peer(config.repeats, clock, device, dtype)
    return figures
