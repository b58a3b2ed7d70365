"""How much of the true state the latents hold, on test episodes."""

import numpy as np
import torch
from torch import Tensor

from worldmodel import figures
from worldmodel.data.store import DataSet
from worldmodel.data.truth import latent_variables
from worldmodel.learning.dynamics import encode_rows
from worldmodel.learning.sources import Source, spread_rows
from worldmodel.measures.identifiability import (
    Identifiability,
    affine_apply,
    affine_fit,
    measure,
    wrapped_angle_ceiling,
)
from worldmodel.models import WorldModel
from worldmodel.runs import RunDirectory


def judge_latents(model: WorldModel, poses: Source, run: RunDirectory) -> Identifiability:
    """Measure on test episodes with maps fitted on training episodes; draw latents against truth."""
    variables = latent_variables(poses.data)
    kinematic = poses.data.index.world.kinematic
    z = variables.values if kinematic else variables.standardized(poses.train.rows())
    fit_rows, test_rows = (spread_rows(split, 20_000) for split in (poses.train, poses.test))
    h_fit, h = (_latents(model, poses, rows) for rows in (fit_rows, test_rows))
    fitted, tested = fit_rows.numpy(), test_rows.numpy()
    pairs = rho = ceiling = None
    if kinematic:
        if 0 < kinematic.rho < 1:
            first = torch.from_numpy(poses.test.offset)
            pairs, rho = (_latents(model, poses, first), _latents(model, poses, first + 1)), kinematic.rho
        ceiling = r2_ceiling(poses.data, variables.names)
    found = measure((z[fitted], h_fit), (z[tested], h), variables.names, pairs, rho, ceiling)
    readout = affine_apply(affine_fit(h_fit, variables.values[fitted]), h[:4000])
    with figures.drawing("latents_against_truth.png"):
        figures.latents_against_truth(
            run.figures / "latents_against_truth.png",
            variables.values[tested[:4000]],
            readout,
            h[:4000],
            variables.names,
            variables.units,
            list(found.per_variable.values()),
        )
    return found


def r2_ceiling(data: DataSet, names: list[str]) -> float:
    """Highest mean R2 with which any encoder can read these latents: on kinematic worlds angles wrap."""
    world = data.index.world
    if not world.kinematic:
        return 1.0
    scales, angles = world.kinematic.latents, set(world.angle_names)
    return float(np.mean([wrapped_angle_ceiling(scales[name]) if name in angles else 1.0 for name in names]))


def _latents(model: WorldModel, source: Source, rows: Tensor) -> np.ndarray:
    return encode_rows(model.encoder, source.frames, rows).cpu().numpy()
