"""What a trained run can do: control, imagination, probing, surprise; and constants from true positions."""

from worldmodel.evaluation.control import SimulatorDynamics, control, farther, goal_features, prepare, run_tasks
from worldmodel.evaluation.control.manifests import write_manifests
from worldmodel.evaluation.imagination import imagine
from worldmodel.evaluation.positions import PositionsResult, positions
from worldmodel.evaluation.probing import probe
from worldmodel.evaluation.robustness import robust
from worldmodel.evaluation.surprise import surprise

__all__ = [
    "PositionsResult",
    "SimulatorDynamics",
    "control",
    "farther",
    "goal_features",
    "imagine",
    "positions",
    "prepare",
    "probe",
    "robust",
    "run_tasks",
    "surprise",
    "write_manifests",
]
