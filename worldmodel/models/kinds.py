"""The kinds of dynamics predictor, by name."""

from worldmodel.models.predictor import Predictor
from worldmodel.models.recurrent import RecurrentPredictor
from worldmodel.models.transformer import TransformerPredictor
from worldmodel.settings import PredictorConfig

AnyPredictor = Predictor | RecurrentPredictor | TransformerPredictor
_KINDS: dict[str, type[AnyPredictor]] = {
    "mlp": Predictor,
    "recurrent": RecurrentPredictor,
    "transformer": TransformerPredictor,
}


def make_predictor(config: PredictorConfig, latent_dim: int, action_dim: int, context_dim: int = 0) -> AnyPredictor:
    """A predictor of the kind that `config` names, for latents of D, actions of A and a context of C numbers."""
    return _KINDS[config.kind](config, latent_dim, action_dim, context_dim)
