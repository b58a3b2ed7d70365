"""How well physical constants are read from windows that look different, by a linear map from clean ones."""

import numpy as np
import torch

from worldmodel.envs import MujocoWorld, rollout
from worldmodel.envs.excitation import make_policy
from worldmodel.measures.identifiability import scores
from worldmodel.measures.regression import LinearMap
from worldmodel.models import PlanningModel
from worldmodel.models.context_encoder import ContextEncoder
from worldmodel.settings import CollectConfig

_SEED_STREAM = 7_005
_FITTED = 4  # windows that the map is fitted on, for each that it is judged on


class ConstantReader:
    """A linear map from contexts to constants in their standardised coordinates, fitted on clean windows.

    Every window is that of a fresh episode, moved as the run's data set was; its motion is the same under every look.
    """

    def __init__(
        self,
        world: MujocoWorld,
        model: PlanningModel,
        context_encoder: ContextEncoder,
        collection: CollectConfig,
        num: int,
        seed: int,
    ) -> None:
        """num: windows to judge the map on. seed: of their episodes."""
        self._world, self._model, self._context_encoder = world, model, context_encoder
        self._policy = make_policy(**collection.policy)
        self.names = world.randomized("physical")
        seeds = np.random.SeedSequence([_SEED_STREAM, seed]).generate_state((_FITTED + 1) * num)
        self._judged = seeds[:num]
        self._map = LinearMap.fit(*self._windows(seeds[num:]))

    def windows(self, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Contexts (n, C) of the windows from number `first` to before `end`, as the world looks now, and the constants
        (n, P) at work in them."""
        return self._windows(self._judged[first:end])

    def r2(self, contexts: np.ndarray, constants: np.ndarray) -> dict[str, float | None]:
        """Constant -> R2 with which it is read from these contexts; None where that is not known."""
        read = self._map(contexts) if len(contexts) else constants
        return dict(zip(self.names, scores(constants, read), strict=True))

    @torch.no_grad()
    def _windows(self, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Contexts (n, C) of windows and the constants (n, P) at work in them; of episodes that last long enough."""
        device, encoder = self._model.device, self._context_encoder
        contexts: list[np.ndarray] = []
        constants: list[list[float]] = []
        for seed in seeds:
            episode = rollout(self._world, self._policy, seed=int(seed), num_steps=encoder.config.window)
            if len(episode.actions) < encoder.min_steps:
                continue
            latents = self._model.embed(torch.from_numpy(episode.frames).movedim(-1, -3).to(device))
            actions = torch.from_numpy(episode.actions).to(device)
            contexts.append(encoder(latents[None], actions[None])[0].cpu().numpy())
            values = dict(zip(self._world.factors, episode.factors[0].astype(np.float64), strict=True))
            constants.append([self._world.factors[name].standardize(values[name]) for name in self.names])
        return (
            np.array(contexts, np.float64).reshape(-1, encoder.config.num_values),
            np.array(constants, np.float64).reshape(-1, len(self.names)),
        )
