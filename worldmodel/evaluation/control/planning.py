"""The planner that settings name."""

from worldmodel.planners import PLANNERS, Planner, make_planner
from worldmodel.settings import PlanConfig
from worldmodel.settings.names import check_parameters
from worldmodel.system.errors import UserError

_IN_STAGES = ("hierarch", "subgoal", "stage", "landmark", "waypoint")
"""Words in names of planners that plan in stages, which here every planner can."""


def planner_of(plan: PlanConfig) -> Planner:
    """The planner of these settings; cheap, so that a bad one is refused before anything is recorded or trained.

    Raises:
        ValueError: there is none of this name, or its hyperparameters do not fit together.
    """
    name = plan.planner.get("name")
    if isinstance(name, str) and any(word in name.lower() for word in _IN_STAGES):
        raise UserError(
            f"there is no planner {name!r}: with subgoals=true any planner goes to far goals in stages; write "
            f"subgoals=true in place of planner={name}, or choose from {', '.join(PLANNERS)}"
        )
    check_parameters("planner", plan.planner, PLANNERS)
    return make_planner(**plan.planner)
