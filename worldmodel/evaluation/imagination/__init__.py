"""What a model imagines: open-loop futures of held-out episodes and of chosen plans, as films and as errors.

verb              the verb: opens runs, films, records
held_out_windows  held-out episodes, encoded, and windows of them
forecasts         what one model imagines of these windows, and the state that it shows
imagined_errors   errors of the imagined state, by how far it looks ahead, and bands
disagreement      how far several runs lie apart
plans             plans that the controller chose, imagined and carried out
"""

from worldmodel.evaluation.imagination.verb import imagine

__all__ = ["imagine"]
