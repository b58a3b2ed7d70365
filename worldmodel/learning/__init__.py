"""How a world model learns: encoder methods and losses, latent dynamics, constants, the training loop."""

from worldmodel.learning.checkpoints import read_checkpoint
from worldmodel.learning.constants import Windows, context_stage
from worldmodel.learning.dynamics import encode_rows, predictor_stage
from worldmodel.learning.loop import LossModule, Stage, Trainer
from worldmodel.learning.losses import alignment, epps_pulley, infonce, sigreg, spread_directions, whitening_penalty
from worldmodel.learning.losses.sigreg import NUM_KNOTS, T_MAX
from worldmodel.learning.losses.torus import torus_sigreg
from worldmodel.learning.methods import EncoderObjective, Views, encoder_objective, encoder_stage
from worldmodel.learning.methods.infonce import InfoNCE
from worldmodel.learning.methods.lejepa import LeJEPA, SIGRegWeight
from worldmodel.learning.train import train
from worldmodel.learning.verifying import RunCheck, verify_run

__all__ = [
    "NUM_KNOTS",
    "T_MAX",
    "EncoderObjective",
    "InfoNCE",
    "LeJEPA",
    "LossModule",
    "RunCheck",
    "SIGRegWeight",
    "Stage",
    "Trainer",
    "Views",
    "Windows",
    "alignment",
    "context_stage",
    "encode_rows",
    "encoder_objective",
    "encoder_stage",
    "epps_pulley",
    "infonce",
    "predictor_stage",
    "read_checkpoint",
    "sigreg",
    "spread_directions",
    "torus_sigreg",
    "train",
    "verify_run",
    "whitening_penalty",
]
