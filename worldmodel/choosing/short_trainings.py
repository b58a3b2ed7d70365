"""Short trainings of an encoder and a predictor on a part of a recording, what they cost, and how they are judged."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from worldmodel.data.frames import Frames, load_frames
from worldmodel.data.pairs import window_starts
from worldmodel.data.store import DataSet
from worldmodel.learning.dynamics import prediction_errors, predictor_stage
from worldmodel.learning.dynamics_stages import shares
from worldmodel.learning.loop import fit_quietly
from worldmodel.learning.methods import encoder_objective, encoder_stage
from worldmodel.learning.retrieval import retrieved
from worldmodel.learning.round_stages import STEPS_SHARE
from worldmodel.learning.sources import latent_table, motions, segments, spread_rows
from worldmodel.learning.train import architecture
from worldmodel.models import ModelConfig, WorldModel
from worldmodel.models.encoders import Encoder
from worldmodel.settings import OptimConfig, TrainConfig

OptimT = TypeVar("OptimT", bound=OptimConfig)

EPISODES = 80
"""Most episodes of the recording that are used."""
_FITTED = 0.75
"""Share of their training split that short trainings learn from; the rest and the validation split judge them."""
_STEPS_OF_ENCODER, _BATCH_OF_ENCODER = 0.2, 0.5
_STEPS_OF_PREDICTOR, _BATCH_OF_PREDICTOR = 0.1, 0.25
"""Steps and batch of a short training, as shares of those of the whole training."""
_BACKWARD = 3
"""Multiplications of a training step over those of a forward pass."""
_VIEWS = 2
"""Frames of a positive pair."""


@dataclass(frozen=True)
class Judgement:
    """How well the predictions of a short training find the right moment in episodes that it did not learn from."""

    by_episode: np.ndarray
    """Control steps off, mean over the windows of each episode, float64 (E,); empty where it learned nothing finite."""
    ratio_to_persistence: float | None
    """Error of these predictions over that of persistence."""


class ShortTrainings:
    """Trains candidates for a short time on a part of a recording, and judges them on another part."""

    def __init__(self, data: DataSet, device: torch.device) -> None:
        self._data, self._device = data, device
        training, validation = data.split("train"), data.split("validation")
        num = round(_FITTED * len(training))
        self.fitted = replace(training, offset=training.offset[:num], length=training.length[:num])
        """Episodes that short trainings learn from."""
        self.judged = replace(
            training,
            offset=np.concatenate([training.offset[num:], validation.offset]),
            length=np.concatenate([training.length[num:], validation.length]),
        )
        """Episodes that they are judged by."""
        self._frames: Callable[[int], Frames] = cache(lambda size: load_frames(data, size, device))

    def unjudgeable(self, config: TrainConfig, steps_ahead: int) -> str:
        """Why nothing can be chosen by this recording; empty where something can."""
        if self._data.actions.shape[1] == 0:
            return "the recording has no actions"
        window = config.predictor.num_context_frames + 2 * steps_ahead
        if len(segments(self._data, self.judged).at_least(window)) < 2:
            return f"fewer than two held-out episodes have {window} frames"
        return ""

    def architecture(self, config: TrainConfig) -> ModelConfig:
        """Encoder and predictor of a candidate; UserError where the recording does not support it."""
        window_starts(motions(self.fitted), config.method.lag + 1)
        of = architecture(config, self._data, self._data)
        return replace(of, context=None, heads=None, decoder=None, robust=None, reward=None)

    def cost_of_training(self, config: TrainConfig) -> float:
        """Multiplications of the whole training: its encoder and its predictor, rounds included."""
        once = self._cost(config, config.method.optim, config.predictor_training)
        return once * (1 + STEPS_SHARE * config.rounds)

    def cost(self, config: TrainConfig) -> float:
        """Multiplications of a short training, with the encoding of all frames."""
        short = _short(config)
        encoded = self._data.num_rows * _of_a_frame(self.architecture(config))
        return self._cost(config, short.method.optim, short.predictor_training) + encoded

    def _cost(self, config: TrainConfig, encoder: OptimConfig, predictor: OptimConfig) -> float:
        model = self.architecture(config)
        pairs, windows = (of.steps * of.batch_size for of in (encoder, predictor))
        return _BACKWARD * (pairs * _VIEWS * _of_a_frame(model) + windows * _of_a_window(model))

    def judge(self, config: TrainConfig) -> Judgement:
        """Train a candidate for a short time, and judge it."""
        short, data = _short(config), self._data
        torch.manual_seed(config.seed)
        model = WorldModel(self.architecture(config)).to(self._device)
        assert model.predictor is not None
        frames = self._frames(config.encoder.input_size)
        model.encoder.fit_normalization(frames.gather(spread_rows(self.fitted, 4096)))
        pairs_of = motions(self.fitted)
        objective = encoder_objective(short.method, model.encoder, data, pairs_of, config.seed, None, model.predictor)
        fit_quietly(encoder_stage(objective, model.encoder, frames, short.method.optim), config.seed)
        table = latent_table(model, data, frames, shown=False)
        stage = predictor_stage(model.predictor, table, segments(data, self.fitted), short.predictor_training, None)
        fit_quietly(stage, config.seed)
        judged = segments(data, self.judged)
        found = retrieved(model, table, judged, None)
        if found is None or not torch.isfinite(table.latents).all():
            return Judgement(np.zeros(0), None)
        errors, persistence = prediction_errors(model.predictor, table, judged, None)
        last = found.steps_ahead // model.predictor.config.stride - 1
        ratio = shares(errors, persistence)[last]
        return Judgement(self._by_episode(found.start.numpy(), found.off.cpu().numpy()), ratio)

    def _by_episode(self, start: np.ndarray, off: np.ndarray) -> np.ndarray:
        """Mean over the windows of each episode, from windows' first rows (n,) and their steps off (n,)."""
        episode = np.searchsorted(self._data.offset, start, "right")
        return np.array([off[episode == number].mean() for number in np.unique(episode)])


def _short(config: TrainConfig) -> TrainConfig:
    """The settings with fewer steps and smaller batches."""
    encoder = _shorter(config.method.optim, _STEPS_OF_ENCODER, _BATCH_OF_ENCODER)
    predictor = _shorter(config.predictor_training, _STEPS_OF_PREDICTOR, _BATCH_OF_PREDICTOR)
    return replace(config, method=replace(config.method, optim=encoder), predictor_training=predictor)


def _shorter(optim: OptimT, steps: float, batch: float) -> OptimT:
    return replace(optim, steps=max(1, round(steps * optim.steps)), batch_size=max(2, round(batch * optim.batch_size)))


def _of_a_frame(model: ModelConfig) -> float:
    """Multiplications with which the encoder of a model embeds a frame."""
    encoder, size = Encoder(model.encoder).eval(), model.encoder.input_size
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        encoder(torch.zeros(2, 3, size, size, dtype=torch.uint8))
    return counter.get_total_flops() / 2


def _of_a_window(model: ModelConfig) -> float:
    """Multiplications with which the predictor of a model predicts its horizon once."""
    predictor = WorldModel(model).predictor
    assert predictor is not None
    seen, dim, actions = predictor.config.num_context_frames, model.encoder.num_latents, model.action_dim
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        state = predictor.planning_state(torch.zeros(2, seen, dim), torch.zeros(2, seen - 1, actions))
        predictor(state, torch.zeros(2, 1, predictor.config.horizon, actions), None)
    return counter.get_total_flops() / 2
