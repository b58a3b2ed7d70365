"""Planning by rolling out a learned model: planners, objectives and receding-horizon control. Needs torch only."""

from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from worldmodel.planners.capture import CapturedPlanner, capture
from worldmodel.planners.cem import CEM
from worldmodel.planners.ensemble import Ensemble, MeanOverMembers
from worldmodel.planners.follow import Follow
from worldmodel.planners.gradient import GradientPlanner
from worldmodel.planners.icem import ICEM
from worldmodel.planners.interfaces import LatentDynamics, Objective, Plan, Planner, evaluate_objective
from worldmodel.planners.mpc import MPC, MPCState
from worldmodel.planners.mppi import MPPI
from worldmodel.planners.objectives import (
    REDUCTIONS,
    ActionCost,
    ActionRate,
    Constraint,
    GoalDistance,
    LearnedDistance,
    OverHorizon,
    RewardCost,
    Staged,
    WeightedSum,
)
from worldmodel.planners.random_shooting import RandomShooting

__all__ = [
    "CEM",
    "ICEM",
    "MPC",
    "MPPI",
    "PLANNERS",
    "REDUCTIONS",
    "ActionCost",
    "ActionRate",
    "CapturedPlanner",
    "Constraint",
    "Ensemble",
    "Follow",
    "GoalDistance",
    "GradientPlanner",
    "LatentDynamics",
    "LearnedDistance",
    "MPCState",
    "MeanOverMembers",
    "Objective",
    "OverHorizon",
    "Plan",
    "Planner",
    "RandomShooting",
    "RewardCost",
    "Staged",
    "WeightedSum",
    "capture",
    "evaluate_objective",
    "make_planner",
]

PLANNERS: dict[str, type] = {
    "cem": CEM,
    "icem": ICEM,
    "mppi": MPPI,
    "gradient": GradientPlanner,
    "random_shooting": RandomShooting,
    "follow": Follow,
}


def make_planner(name: str, **params: Any) -> Planner:
    """The planner of this name in `PLANNERS` with these hyperparameters.

    Raises ValueError for a name or a hyperparameter that does not exist, or a value out of range.
    """
    if name not in PLANNERS:
        raise ValueError(_unknown("planner", name, list(PLANNERS)))
    allowed = [field.name for field in fields(PLANNERS[name])]
    for param in params:
        if param not in allowed:
            raise ValueError(_unknown(f"parameter of planner {name}", param, allowed))
    return PLANNERS[name](**params)


def _unknown(what: str, got: str, allowed: list[str]) -> str:
    """One line: what was not found, what it may have meant, and what there is."""
    close = get_close_matches(got, allowed, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown {what} {got!r}; {hint}choose from {', '.join(allowed)}"
