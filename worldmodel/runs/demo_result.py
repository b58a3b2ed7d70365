"""The figures of the demo, from its three runs."""

from dataclasses import dataclass
from typing import ClassVar

from worldmodel.measures.identifiability import Identifiability
from worldmodel.runs.probe_result import ContextCorrelations, ProbedVariable
from worldmodel.runs.results import ControlResult, PredictionErrors


@dataclass(frozen=True)
class DemoResult:
    """Result of `worldmodel demo`: each figure from the run that is about it."""

    kind: ClassVar[str] = "demo"
    identifiability: Identifiability
    """How well the latents of the first run show the joint angles."""
    prediction: PredictionErrors
    """Error of the second run's dynamics."""
    control: ControlResult
    """Control result of the second run."""
    variables: dict[str, ProbedVariable]
    """Variables probed in the second and the third run."""
    correlations: ContextCorrelations
    """How many constants the third run's contexts hold."""
    seconds: dict[str, float]
    """Step -> wall seconds, and "total"."""
    stage_seconds: dict[str, dict[str, float]]
    """Run -> stage of training -> wall seconds."""
