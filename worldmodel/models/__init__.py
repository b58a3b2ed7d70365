"""Encoders, predictor, context encoder, and the world model that holds them."""

from worldmodel.models.context_encoder import ContextEncoder
from worldmodel.models.encoders import Encoder, set_cpu_threads
from worldmodel.models.inference import DTYPES, PlanningModel
from worldmodel.models.layers import mlp
from worldmodel.models.predictor import Predictor
from worldmodel.models.transformer import TransformerPredictor
from worldmodel.models.world_model import ModelConfig, WorldModel

__all__ = [
    "DTYPES",
    "ContextEncoder",
    "Encoder",
    "ModelConfig",
    "PlanningModel",
    "Predictor",
    "TransformerPredictor",
    "WorldModel",
    "mlp",
    "set_cpu_threads",
]
