"""Where the planner's context comes from: what was seen so far, the true constants, or nothing."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from worldmodel.data.store import DataSet
from worldmodel.data.truth import half_constants, physical_constants
from worldmodel.envs import MujocoWorld
from worldmodel.evaluation.control.tasks import Tasks
from worldmodel.learning.constants import Windows, linear_contexts
from worldmodel.learning.sources import latent_table
from worldmodel.models import WorldModel
from worldmodel.models.context_encoder import ContextEncoder
from worldmodel.settings import TrainConfig


class OnlineContexts:
    """Estimated from the latents and actions of the episode so far; before enough was seen, the mean context."""

    def __init__(self, encoder: ContextEncoder, num: int, device: torch.device) -> None:
        self._encoder, self.num_steps = encoder, encoder.config.window
        self._mean = torch.zeros(num, encoder.config.num_values, device=device)

    @torch.no_grad()
    def __call__(self, latents: Sequence[Tensor], actions: Sequence[Tensor]) -> Tensor:
        """Latents of the frames so far, T+1 times (n, D), and the T actions (n, A) between them -> (n, C).

        Of a longer episode the last `num_steps` steps are enough.
        """
        if len(actions) < self._encoder.min_steps:
            return self._mean
        window = self._encoder.config.window
        return self._encoder(torch.stack([*latents[-window - 1 :]], 1), torch.stack([*actions[-window:]], 1))

    def keep(self, which: Tensor) -> None:
        """Go on with some of the episodes, int64 (n',)."""
        self._mean = self._mean[which]


class KnownContexts:
    """The same context for the whole of each episode, (n, C)."""

    num_steps = 0

    def __init__(self, contexts: Tensor) -> None:
        self._contexts = contexts

    def __call__(self, latents: Sequence[Tensor], actions: Sequence[Tensor]) -> Tensor:
        return self._contexts

    def keep(self, which: Tensor) -> None:
        self._contexts = self._contexts[which]


ContextSource = OnlineContexts | KnownContexts


def context_source(
    name: str, model: WorldModel, trained: TrainConfig, world: MujocoWorld, tasks: Tasks
) -> ContextSource | None:
    """The source that `control.context` names; None where the model knows no constants.

    "known" fits the map from constants to contexts on the run's data set, and so needs it.
    """
    encoder = model.context_encoder
    if encoder is None:
        return None
    if name == "online":
        return OnlineContexts(encoder, len(tasks), model.device)
    if name == "mean":
        return KnownContexts(torch.zeros(len(tasks), encoder.config.num_values, device=model.device))
    data = DataSet(trained.collection.directory, trained.collection.num_episodes)
    data = data.with_room_for(encoder.config.window)
    table = latent_table(model, data)
    episodes = data.split("train")
    to_context = linear_contexts(encoder, Windows(encoder, table), episodes, half_constants(data, episodes))
    names = physical_constants(data).names
    coordinates = [[world.factors[n].standardize(values[n]) for n in names] for values in tasks.factors]
    return KnownContexts(to_context(torch.from_numpy(np.array(coordinates)).float()).to(model.device))
