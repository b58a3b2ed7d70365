"""What can be identified before anything is learned: Fisher information of an excitation, and a better excitation.

problem           the world, its constants, what is observed
differentiation   how the simulator is differentiated
windows           information of windows of motion, through `information`, the mathematics
judgement         bounds, directions and combinations that follow
policy_search     the search for a better excitation
study             `design`, and `judge` for one excitation
design_result     what is found
survey            which worlds there are, and what one of them shows and can vary
"""

from worldmodel.designing.design_result import (
    ChosenPolicy,
    CombinationBound,
    ConstantPrior,
    DesignResult,
    ExcitationBounds,
    FiniteDifferences,
    Gain,
    WindowBound,
)
from worldmodel.designing.problem import chosen_policy
from worldmodel.designing.study import design, judge, result_file, settings_for
from worldmodel.designing.survey import FactorView, WorldsResult, WorldSummary, WorldView, worlds

__all__ = [
    "ChosenPolicy",
    "CombinationBound",
    "ConstantPrior",
    "DesignResult",
    "ExcitationBounds",
    "FactorView",
    "FiniteDifferences",
    "Gain",
    "WindowBound",
    "WorldSummary",
    "WorldView",
    "WorldsResult",
    "chosen_policy",
    "design",
    "judge",
    "result_file",
    "settings_for",
    "worlds",
]
