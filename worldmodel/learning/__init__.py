"""How a world model learns: encoder methods and losses, latent dynamics, constants, the training loop."""

from worldmodel.learning.constants import Windows, context_stage
from worldmodel.learning.dynamics import encode_rows, predictor_stage
from worldmodel.learning.loop import LossModule, Stage, Trainer
from worldmodel.learning.losses import alignment, epps_pulley, infonce, sigreg, spread_directions, whitening_penalty
from worldmodel.learning.losses.sigreg import NUM_KNOTS, T_MAX
from worldmodel.learning.losses.torus import torus_sigreg
from worldmodel.learning.methods import Recipe, Views, build_recipe, encoder_stage
from worldmodel.learning.methods.contrastive import InfoNCE
from worldmodel.learning.methods.gaussian import LeJEPA, SIGRegWeight
from worldmodel.learning.train import collect, pick_device, set_cpu_threads, train

__all__ = [
    "NUM_KNOTS",
    "T_MAX",
    "InfoNCE",
    "LeJEPA",
    "LossModule",
    "Recipe",
    "SIGRegWeight",
    "Stage",
    "Trainer",
    "Views",
    "Windows",
    "alignment",
    "build_recipe",
    "collect",
    "context_stage",
    "encode_rows",
    "encoder_stage",
    "epps_pulley",
    "infonce",
    "pick_device",
    "predictor_stage",
    "set_cpu_threads",
    "sigreg",
    "spread_directions",
    "torus_sigreg",
    "train",
    "whitening_penalty",
]
