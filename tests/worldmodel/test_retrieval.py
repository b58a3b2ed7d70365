"""How far off predictions are in time, on latents whose answer is known."""

import numpy as np
import pytest
import torch

from worldmodel.data.store import EpisodeIndex
from worldmodel.data.table import LatentTable
from worldmodel.learning import retrieval
from worldmodel.learning.retrieval import steps_ahead, steps_off
from worldmodel.models import ModelConfig, WorldModel
from worldmodel.runs import StepsOff
from worldmodel.settings import EncoderConfig, PredictorConfig
from worldmodel.settings.architecture import TransformerConfig


def test_predictions_of_the_right_moment_are_zero_steps_off(monkeypatch):
    """A point that moves steadily: foreseen rightly, .4 steps too far, three steps too far, and as standing still."""
    latents = torch.arange(80.0)[:, None].repeat(2, 1)
    table, episodes = LatentTable(latents, torch.zeros(160, 1)), EpisodeIndex(np.array([0, 80]), np.array([80, 80]))
    model = WorldModel(ModelConfig(EncoderConfig(latent_dim=1), 1, PredictorConfig(history=[0, 1], horizon=15)))

    def off_by(steps: float) -> StepsOff | None:
        def imagine(model, table, start, ahead, context=None):
            return table.latents[start[:, None] + torch.arange(2 + ahead)] + steps

        monkeypatch.setattr(retrieval, "imagine_futures", imagine)
        return steps_off(model, table, episodes, None)

    assert [off_by(steps) for steps in (0, 0.4, 3, -15)] == [StepsOff(mean, 15) for mean in (0, 0, 3, 14)]
    assert StepsOff(0, 15).chance == pytest.approx(7.5)
    blocks = PredictorConfig(
        "transformer", history=[0, 20], horizon=20, transformer=TransformerConfig(block=20, window=2)
    )
    assert steps_ahead(blocks) == 20  # a block is predicted as a whole
    short = EpisodeIndex(np.array([0]), np.array([31]))
    assert steps_off(model, table, short, None) is None
