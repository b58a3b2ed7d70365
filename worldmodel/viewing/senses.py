"""The observations of a live session's episode so far, and the state and constants read from them."""

from collections import deque
from dataclasses import dataclass

import numpy as np
import torch

from worldmodel.envs import MujocoWorld
from worldmodel.evaluation.control.context_sources import OnlineContexts
from worldmodel.models import WorldModel
from worldmodel.viewing.joints import units
from worldmodel.viewing.messages import ConstantShown, StateShown
from worldmodel.viewing.pilot import Past
from worldmodel.viewing.readouts import ConstantReadout, StateReadout, encode
from worldmodel.viewing.reference import Reference


@dataclass(frozen=True)
class _Seen:
    """A past control step."""

    frame: np.ndarray
    latent: torch.Tensor
    action: np.ndarray
    """The action taken after that frame."""


class Senses:
    """The present and the past latents of an episode, and the state and constants read from them.

    Args:
        model: its encoder makes the latents, its context encoder the contexts.
        world: the world whose state and constants are read.
        reference: episodes on which the readouts are fitted.
    """

    def __init__(self, model: WorldModel, world: MujocoWorld, reference: Reference) -> None:
        self._model, encoder = model, model.context_encoder
        encoded = encode(model, reference.episodes)
        lag = 1 if model.predictor is None else max(1, model.predictor.config.history[-1])
        self.reader = StateReadout(encoded, world.state_names, {*world.scene.angle_names}, units(world), lag)
        self._contexts = None if encoder is None else OnlineContexts(encoder, 1, model.device)
        self._constants = None if encoder is None else ConstantReadout(encoded, encoder, world)
        self._shortest, self._window = (0, 0) if encoder is None else (encoder.min_steps, encoder.config.window)
        self._past: deque[_Seen] = deque(maxlen=max(self._window, lag))
        self._steps_unchanged = 0
        self._frame = np.zeros(0)
        self.latent = torch.zeros(0)
        """Latent of the present frame, float32 (D,)."""

    @property
    def past(self) -> Past:
        """Frames and actions of the steps that are kept."""
        return [(seen.frame, seen.action) for seen in self._past]

    def embedded(self, frame: np.ndarray) -> torch.Tensor:
        """The latent (D,) of a frame uint8 (S, S, 3)."""
        return self._model.embed(torch.from_numpy(frame).movedim(-1, -3)[None].to(self._model.device))[0].cpu()

    def see(self, frame: np.ndarray) -> None:
        """Take a frame uint8 (S, S, 3) as the present one; also where the same moment was rendered anew."""
        self._frame, self.latent = frame, self.embedded(frame)

    def act(self, action: np.ndarray) -> None:
        """Move the present frame to the past, with the action (A,) taken after it."""
        self._past.append(_Seen(self._frame, self.latent, action))
        self._steps_unchanged += 1

    def forget(self) -> None:
        """Drop the past, since another episode begins."""
        self._past.clear()

    def notice_change(self) -> None:
        """Note that a constant has just changed."""
        self._steps_unchanged = 0

    def states(self, truth: np.ndarray) -> list[StateShown]:
        """State variables read from the latents, beside the true state (X,)."""
        lag = self.reader.lag
        before = self._past[-lag].latent if len(self._past) >= lag else self.latent
        return self.reader.readings(self.latent.double().numpy(), before.double().numpy(), truth)

    def constants(self, truth: dict[str, float]) -> list[ConstantShown]:
        """Physical constants estimated from the past, beside their true values by name."""
        if self._constants is None or self._contexts is None:
            return []
        num_steps = min(len(self._past), self._window)
        context = None
        if num_steps >= self._shortest:
            latents = [*(seen.latent for seen in self._past), self.latent]
            actions = [torch.from_numpy(seen.action) for seen in self._past]
            device = self._model.device
            found = self._contexts([z[None].to(device) for z in latents], [a[None].to(device) for a in actions])
            context = found[0].double().cpu().numpy()
        return self._constants.readings(context, num_steps, self._steps_unchanged >= num_steps, truth)
