"""`worldmodel control`: tasks by protocol, controllers that solve them, and what they achieved."""

from worldmodel.control.evaluate import control
from worldmodel.control.tasks import trusted_world

__all__ = ["control", "trusted_world"]
