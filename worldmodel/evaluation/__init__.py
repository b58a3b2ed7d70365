"""What a trained run can do: control, imagination, probing, surprise; and constants from true positions."""

from worldmodel.evaluation.control import (
    OracleController,
    SimulatorDynamics,
    control,
    draw_tasks,
    farther,
    goal_features,
    make_protocol,
    prepare,
    run_tasks,
)
from worldmodel.evaluation.control.manifests import write_manifests
from worldmodel.evaluation.imagination import imagine
from worldmodel.evaluation.positions import PositionsResult, positions
from worldmodel.evaluation.probing import probe
from worldmodel.evaluation.robustness import robust
from worldmodel.evaluation.surprise import surprise

__all__ = [
    "OracleController",
    "PositionsResult",
    "SimulatorDynamics",
    "control",
    "draw_tasks",
    "farther",
    "goal_features",
    "imagine",
    "make_protocol",
    "positions",
    "prepare",
    "probe",
    "robust",
    "run_tasks",
    "surprise",
    "write_manifests",
]
