"""Planning by rolling out a learned model: planners, objectives and receding-horizon control. Needs torch only.

    planner = make_planner("icem", horizon=20)
    plan = planner.plan(Problem(model, GoalDistance(goal), z0), generator)

A model of your own needs no base class, see `LatentDynamics`; a cost may be any function, see `Objective`.
"""

from typing import Any

from worldmodel.planners.capture import CapturedPlanner, capture
from worldmodel.planners.cem import CEM
from worldmodel.planners.checks import check_known, check_parameters
from worldmodel.planners.ensemble import Ensemble, MeanOverMembers
from worldmodel.planners.follow import Follow
from worldmodel.planners.gradient import GradientPlanner
from worldmodel.planners.icem import ICEM
from worldmodel.planners.interfaces import (
    LatentDynamics,
    NotRecordable,
    Objective,
    Plan,
    Planner,
    Problem,
    RecordableObjective,
    evaluate_objective,
    form_of,
    form_of_function,
    map_tensors,
)
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
    Recordable,
    ReturnAhead,
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
    "NotRecordable",
    "Objective",
    "OverHorizon",
    "Plan",
    "Planner",
    "Problem",
    "RandomShooting",
    "Recordable",
    "RecordableObjective",
    "ReturnAhead",
    "RewardCost",
    "Staged",
    "WeightedSum",
    "capture",
    "evaluate_objective",
    "form_of",
    "form_of_function",
    "make_planner",
    "map_tensors",
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
    """The planner of this name in `PLANNERS`, with these hyperparameters.

    Raises:
        ValueError: a name or a hyperparameter that does not exist, or a value of a wrong type or out of range.
    """
    check_known("planner", name, [*PLANNERS])
    check_parameters(name, PLANNERS[name], params)
    return PLANNERS[name](**params)
