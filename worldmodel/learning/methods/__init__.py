"""Methods by name: how a frame encoder learns. A method is a sampler of rows and a loss of their latents."""

from worldmodel.learning.methods.build import check_pairs, encoder_objective, positive_pairs
from worldmodel.learning.methods.views import EncoderObjective, Views, encoder_stage

__all__ = [
    "EncoderObjective",
    "Views",
    "check_pairs",
    "encoder_objective",
    "encoder_stage",
    "positive_pairs",
]
