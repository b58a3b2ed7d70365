"""How well positions are read from frames that look different, by a linear map that was fitted on clean frames."""

import numpy as np
import torch

from worldmodel.envs import MujocoWorld
from worldmodel.evaluation.control.moments import Moments
from worldmodel.evaluation.control.tasks import photographs
from worldmodel.measures.identifiability import scores
from worldmodel.measures.regression import LinearMap
from worldmodel.measures.statistics import mean_known
from worldmodel.models import PlanningModel

_BATCH = 256


class StateReader:
    """A linear map from an encoder's latents to positions, fitted on clean frames."""

    def __init__(self, world: MujocoWorld, model: PlanningModel, fitted: Moments) -> None:
        self._world, self._model = world, model
        self._map = LinearMap.fit(self._latents(fitted), fitted.positions)

    def read(self, moments: Moments) -> np.ndarray:
        """Positions (n, Z) as they are read from frames of the world as it looks now."""
        return self._map(self._latents(moments))

    def _latents(self, moments: Moments) -> np.ndarray:
        latents = []
        for first in range(0, len(moments), _BATCH):
            part = moments.part(first, first + _BATCH)
            frames = torch.from_numpy(photographs(self._world, part.states, part.factors)).movedim(-1, -3)
            latents.append(self._model.embed(frames.to(self._model.device)).cpu().numpy())
        return np.concatenate(latents).astype(np.float64)


def mean_r2(truth: np.ndarray, read: np.ndarray) -> float | None:
    """R2 of positions (n, Z), mean over those that vary; None where none does."""
    return mean_known(scores(truth, read)) if truth.shape[1] else None
