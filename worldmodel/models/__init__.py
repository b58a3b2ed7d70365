"""Encoders, predictor, context encoder, and the world model that holds them."""

from worldmodel.models.inference import DTYPES, PlanningModel
from worldmodel.models.world_model import ModelConfig, WorldModel

__all__ = ["DTYPES", "ModelConfig", "PlanningModel", "WorldModel"]
