"""Which tasks a model doubts before it begins them, and whether the doubted ones fail."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from worldmodel.measures.statistics import auroc, auroc_interval, conformal_bound
from worldmodel.models import WorldModel
from worldmodel.models.doubt import unlikeness
from worldmodel.runs import DoubtResult

_USUAL = 0.99


@dataclass(frozen=True)
class Doubts:
    """Doubts about n tasks: the higher value of start and goal image, over the 99th percentile of usual frames."""

    doubt: np.ndarray
    """Error of reading the decoder's picture again, (n,)."""
    novelty: np.ndarray
    """Difference between the frame and that picture, (n,)."""


class Doubter:
    """Compares frames with usual ones."""

    def __init__(self, model: WorldModel, usual: np.ndarray) -> None:
        """
        Args:
            model: has a decoder.
            usual: frames of the world in which the model was trained, uint8 (n, S, S, 3).
        """
        self._model = model
        self._bounds = conformal_bound(self._errors(usual), _USUAL)

    def of_tasks(self, starts: np.ndarray, goals: np.ndarray) -> Doubts:
        """Frames at the start and goal images of n tasks, uint8 (n, S, S, 3)."""
        highest = np.maximum(self._errors(starts), self._errors(goals)) / self._bounds
        return Doubts(highest[:, 1], highest[:, 0])

    def _errors(self, frames: np.ndarray) -> np.ndarray:
        """Errors of pictures and of readings, (n, 2)."""
        found = unlikeness(self._model, torch.from_numpy(frames).movedim(-1, -3).to(self._model.device))
        return torch.stack([found.picture, found.reading], 1).double().cpu().numpy()


def doubt_result(doubts: Sequence[Doubts], solved: Sequence[np.ndarray]) -> DoubtResult:
    """Doubts of some sets of tasks, and which of them were solved, bool (n,) each, taken together."""
    doubt, reached = np.concatenate([of.doubt for of in doubts]), np.concatenate([*solved])
    doubted = doubt > 1
    chance = auroc(doubt[~reached], doubt[reached])
    return DoubtResult(
        auroc=chance,
        auroc_interval=None if chance is None else auroc_interval(chance, int((~reached).sum()), int(reached.sum())),
        doubted=float(doubted.mean()),
        success_doubted=float(reached[doubted].mean()) if doubted.any() else None,
        success_trusted=float(reached[~doubted].mean()) if not doubted.all() else None,
    )
