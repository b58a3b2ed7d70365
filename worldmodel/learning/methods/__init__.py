"""Methods by name: how a frame encoder learns. A method is a sampler of rows and a loss of their latents."""

from worldmodel.learning.methods.build import build_recipe, check_pairs, positive_pairs
from worldmodel.learning.methods.views import Recipe, Views, encoder_stage
from worldmodel.settings import METHODS, MethodConfig

__all__ = [
    "METHODS",
    "MethodConfig",
    "Recipe",
    "Views",
    "build_recipe",
    "check_pairs",
    "encoder_stage",
    "positive_pairs",
]
