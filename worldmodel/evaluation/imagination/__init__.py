"""What a model imagines: open-loop futures of held-out episodes and of chosen plans, as films and as errors.

verb          the verb: opens a run, films, records
held_out      held-out episodes, encoded, and windows of them
open_loop     errors of the imagined state, by how far it looks ahead
state_units   the state that latents show, in degrees and millimetres
plans         plans that the controller chose, imagined and carried out
"""

from worldmodel.evaluation.imagination.verb import imagine

__all__ = ["imagine"]
