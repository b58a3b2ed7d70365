"""The stages on frozen latents, one after the other, and the test error of the predictor that they train."""

import numpy as np
import torch

from worldmodel import figures
from worldmodel.data.table import LatentTable
from worldmodel.data.truth import half_constants
from worldmodel.learning.constants import Contexts, Windows, context_stage, fit_context_scale
from worldmodel.learning.dynamics import fit_metrics, heads_stage, prediction_errors, predictor_stage
from worldmodel.learning.imagination_watch import ImaginationWatch
from worldmodel.learning.imagining import held_out_contexts, with_past
from worldmodel.learning.loop import Trainer
from worldmodel.learning.retrieval import steps_off
from worldmodel.learning.sources import Source, segments
from worldmodel.models import WorldModel
from worldmodel.runs import PredictionErrors, RunDirectory
from worldmodel.settings import HEADS_TRAINING, TrainConfig


def train_dynamics(
    config: TrainConfig,
    model: WorldModel,
    trainer: Trainer,
    source: Source,
    table: LatentTable,
    watched: RunDirectory | None,
) -> dict[str, float]:
    """The context encoder, where constants vary; then the predictor, given its contexts.

    watched: the run that gets pictures of what the predictor imagines while it is trained; None draws none.

    Returns:
        The seconds of each stage.
    """
    assert model.predictor is not None
    seconds: dict[str, float] = {}
    contexts = None
    if model.context_encoder is not None:
        encoder = model.context_encoder
        if "context" not in trainer.stages_done:
            fit_context_scale(encoder, table, source.train)
        windows = Windows(encoder, table)
        constants = torch.from_numpy(half_constants(source.data, source.train)).float().to(table.latents.device)
        stage = context_stage(encoder, windows, source.train, config.context_training_or_default, constants)
        seconds["context"] = trainer.fit(stage)
        contexts = Contexts(encoder, windows, source.train, source.data.num_rows)
    stretches = segments(source.data, source.train)
    stage = predictor_stage(model.predictor, table, stretches, config.predictor_training, contexts)
    watch = None
    if watched:
        watch = ImaginationWatch(model, source, table, watched, trainer.tracker, config.predictor_training.steps)
    seconds["predictor"] = trainer.fit(stage, watch)
    return seconds


def train_heads(model: WorldModel, trainer: Trainer, source: Source, table: LatentTable) -> dict[str, float]:
    """Train the goal heads, where the model has any; returns their seconds."""
    if model.heads is None or model.predictor is None:
        return {}
    stretches, contexts = segments(source.data, source.train), None
    if model.context_encoder is not None:
        windows = Windows(model.context_encoder, table)
        contexts = Contexts(model.context_encoder, windows, source.train, source.data.num_rows)
    fit_metrics(model.heads, model.predictor, table, stretches, contexts)
    return {"heads": trainer.fit(heads_stage(model.heads, model.predictor, table, stretches, HEADS_TRAINING))}


def measured_prediction(model: WorldModel, source: Source, table: LatentTable, run: RunDirectory) -> PredictionErrors:
    """Prediction error on test episodes relative to persistence, by steps ahead; also draws it.

    A model that knows constants is given what the frames up to the last one seen tell of them (`PastContexts`).
    """
    assert model.predictor is not None
    context_of = held_out_contexts(model, source, table)
    test, num_rows = segments(source.data, source.test), model.num_context_frames + model.predictor.config.horizon
    judged = with_past(model, test, num_rows)
    errors, persistence = prediction_errors(model.predictor, table, judged, context_of)
    stride, horizon = model.predictor.config.stride, model.predictor.config.horizon
    steps = range(stride, horizon + 1, stride)
    with figures.drawing("predictor_error.png"):
        figures.predictor_error(run.figures / "predictor_error.png", steps, errors, persistence)
    shown = {1, *range(5, horizon + 1, 5), horizon}
    found = zip(steps, shares(errors, persistence), strict=True)
    off = steps_off(model, table, test, context_of)
    return PredictionErrors(horizon, {step: value for step, value in found if step in shown}, off)


def shares(errors: np.ndarray, persistence: np.ndarray) -> list[float | None]:
    """Errors (h,) over those of persistence (h,), to four digits; None where latents stand still, or are not finite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = errors / persistence
    return [round(float(share), 4) if np.isfinite(share) else None for share in found]
