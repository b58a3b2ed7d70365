"""`worldmodel positions`: constants from true positions instead of pixels, beside the bound on any reader.

simulated          positions with noise, simulated without pictures
context_trials     one context encoder for each method, setting and seed, trained and probed
tuning             methods tuned, and measured over seeds
positions_result   what is found
"""

from worldmodel.evaluation.positions.positions_result import (
    ConstantReading,
    MethodReading,
    PositionNoise,
    PositionsResult,
)
from worldmodel.evaluation.positions.tuning import positions, result_file

__all__ = ["ConstantReading", "MethodReading", "PositionNoise", "PositionsResult", "positions", "result_file"]
