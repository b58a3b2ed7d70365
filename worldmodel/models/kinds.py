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
    """A new predictor of the kind that `config` names.

    Args:
        latent_dim: D, numbers of a latent.
        action_dim: A, numbers of an action.
        context_dim: C, numbers of a context; 0 for a predictor without one.
    """
    return _KINDS[config.kind](config, latent_dim, action_dim, context_dim)
