"""`worldmodel control`: tasks by protocol, controllers that solve them, and what they achieved."""

from worldmodel.evaluation.control.evaluate import control
from worldmodel.evaluation.trust import trusted_world

__all__ = ["control", "trusted_world"]
