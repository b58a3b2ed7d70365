"""`worldmodel control`: tasks by protocol, controllers that solve them, and what they achieved."""

from worldmodel.evaluation.control.driving import run_tasks
from worldmodel.evaluation.control.evaluate import control, farther, prepare
from worldmodel.evaluation.control.oracle import SimulatorDynamics, goal_features

__all__ = ["SimulatorDynamics", "control", "farther", "goal_features", "prepare", "run_tasks"]
