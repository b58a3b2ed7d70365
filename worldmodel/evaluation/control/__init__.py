"""`worldmodel control`: tasks by protocol, controllers that solve them, and what they achieved."""

from worldmodel.evaluation.control.controllers import OracleController
from worldmodel.evaluation.control.driving import run_tasks
from worldmodel.evaluation.control.evaluate import control, farther, prepare
from worldmodel.evaluation.control.oracle import SimulatorDynamics, goal_features
from worldmodel.evaluation.control.tasks import draw_tasks, make_protocol

__all__ = [
    "OracleController",
    "SimulatorDynamics",
    "control",
    "draw_tasks",
    "farther",
    "goal_features",
    "make_protocol",
    "prepare",
    "run_tasks",
]
