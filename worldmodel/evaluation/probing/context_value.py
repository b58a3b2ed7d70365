"""How much the predictor gains from knowing the constants: its error under contexts from several sources."""

import numpy as np
import torch
from torch import Tensor

from worldmodel.data.store import EpisodeIndex
from worldmodel.data.truth import half_constants
from worldmodel.evaluation.probing.subject import Subject
from worldmodel.learning.constants import Windows, linear_contexts
from worldmodel.learning.dynamics import prediction_errors
from worldmodel.runs import ContextErrors


def context_errors(subject: Subject) -> ContextErrors | None:
    """Errors on test episodes under contexts of every source; the true constants become contexts by a linear map fitted
    on training episodes.

    None where the halves of episodes are too short for a window and a prediction after it.
    """
    model = subject.model
    assert model.context_encoder is not None and model.predictor is not None
    if not model.predictor.context_dim:
        return None
    encoder, predictor, data = model.context_encoder, model.predictor.config, subject.data
    lead = encoder.config.window + 1 - predictor.num_context_frames  # the history lies inside the window
    first, second = data.split("test").halves()
    rest = EpisodeIndex(
        np.concatenate([first.offset, second.offset]) + lead, np.concatenate([first.length, second.length]) - lead
    )
    if rest.length.min() < predictor.num_context_frames + predictor.horizon:
        return None
    windows = Windows(encoder, subject.table)
    to_context = linear_contexts(encoder, windows, data.split("train"), half_constants(data, data.split("train")))
    constants = half_constants(data, data.split("test"))
    truth = torch.from_numpy(np.concatenate([constants[:, 0], constants[:, 1]])).float()
    start_of = torch.from_numpy(rest.offset)

    def half_of(rows: Tensor) -> Tensor:
        order = start_of.argsort()
        return order[torch.searchsorted(start_of[order], rows, right=True) - 1]

    sources = {
        "learned": lambda rows: encoder.from_moments(windows.moments(rows - lead)),
        "true": lambda rows: to_context(truth[half_of(rows)]).to(subject.table.latents.device),
        "mean": lambda rows: to_context(torch.zeros(len(rows), truth.shape[1])).to(subject.table.latents.device),
    }
    with torch.no_grad():
        errors = {
            name: prediction_errors(model.predictor, subject.table, rest, source)[0] for name, source in sources.items()
        }
    return ContextErrors(**{name: [float(e) for e in by_horizon] for name, by_horizon in errors.items()})
