"""`worldmodel positions`: constants from true positions instead of pixels, beside the bound on any reader.

episodes   positions with noise, simulated without pictures
contexts   one context encoder for each method, setting and seed, trained and probed
study      methods tuned and measured over seeds
result     what is found
"""

from worldmodel.evaluation.positions.result import ConstantReading, MethodReading, PositionNoise, PositionsResult
from worldmodel.evaluation.positions.study import positions, result_file

__all__ = ["ConstantReading", "MethodReading", "PositionNoise", "PositionsResult", "positions", "result_file"]
