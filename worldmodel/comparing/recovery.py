"""Measures of an encoder's latents: recovery of the true variables, distances, nuisances, and R2 during training."""

import time

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from worldmodel.comparing.compare_result import CurvePoint
from worldmodel.comparing.encoder_cells import EncoderReading, Recovery
from worldmodel.comparing.shifts import Shift, nuisances
from worldmodel.data.store import EpisodeIndex
from worldmodel.data.truth import Variables
from worldmodel.learning.dynamics import encode_rows
from worldmodel.learning.loop import spread
from worldmodel.learning.sources import Source, spread_rows
from worldmodel.measures.identifiability import affine_apply, affine_fit, measure, scores
from worldmodel.measures.statistics import mean_known, varies
from worldmodel.models.encoders import Encoder

NUM_MEASURED = 2000
"""Frames of each split behind a figure."""
NUM_CURVE_POINTS, NUM_CURVE_FRAMES = 12, 1500
"""Points of a training curve, and frames of each split behind a point."""
NUM_DISTANCES = 20_000
"""Pairs of frames behind a rank correlation."""


def latents_of(encoder: Encoder, source: Source, rows: torch.Tensor) -> np.ndarray:
    """Latents float64 (n, D) of rows of a data set."""
    return encode_rows(encoder, source.frames, rows).double().cpu().numpy()


def read_encoder(
    encoder: Encoder, poses: Source, variables: Variables, shifts: list[Shift], episodes: EpisodeIndex
) -> EncoderReading:
    """Recovery on validation and test episodes, nuisances, spread, and the shifted test sets.

    Linear maps are fitted on the training `episodes`.
    """
    fit_rows = spread_rows(episodes, NUM_MEASURED)
    z, names = variables.values, variables.names
    fit = z[fit_rows.numpy()], latents_of(encoder, poses, fit_rows)
    weights = affine_fit(fit[1], fit[0])
    held_out = {name: spread_rows(poses.data.split(name), NUM_MEASURED) for name in ("validation", "test")}
    read = {name: (z[rows.numpy()], latents_of(encoder, poses, rows)) for name, rows in held_out.items()}
    return EncoderReading(
        validation=_recovery(fit, read["validation"], names),
        test=_recovery(fit, read["test"], names),
        nuisances=_nuisances(poses, fit[1], read["test"][1], fit_rows, held_out["test"]),
        spread=spread(torch.from_numpy(fit[1])),
        shifts={
            shift.name: shift.score(affine_apply(weights, latents_of(encoder, shift.source, shift.rows)), names)
            for shift in shifts
        },
    )


def _recovery(
    fit: tuple[np.ndarray, np.ndarray], held_out: tuple[np.ndarray, np.ndarray], names: list[str]
) -> Recovery:
    found = measure(fit, held_out, names)
    return Recovery(
        r2_h_to_z=found.r2_h_to_z,
        r2_z_to_h=found.r2_z_to_h,
        per_variable=dict(found.per_variable),
        orthogonality_error=found.orthogonality_error,
        rank_correlation=rank_correlation(*held_out),
    )


def _nuisances(
    poses: Source, h_fit: np.ndarray, h: np.ndarray, fit_rows: torch.Tensor, rows: torch.Tensor
) -> dict[str, float | None]:
    """Linear R2 of visual factors that are not to be recovered."""
    unwanted = nuisances(poses.data)
    t_fit, t = unwanted.values[fit_rows.numpy()], unwanted.values[rows.numpy()]
    return dict(zip(unwanted.names, scores(t, affine_apply(affine_fit(h_fit, t_fit), h)), strict=True))


def rank_correlation(z: np.ndarray, h: np.ndarray) -> float | None:
    """Spearman correlation of distances between latents h (n, D) with distances between true variables z (n, Z).

    0 for latents that do not vary, None where the variables do not, or the latents are not finite.
    """
    rng = np.random.default_rng(0)
    i, j = rng.integers(0, len(z), (2, NUM_DISTANCES))
    true, latent = (np.linalg.norm(x[i] - x[j], axis=1) for x in (z, h))
    if not (varies(true) and np.isfinite(latent).all()):
        return None
    if not varies(latent):
        return 0.0
    return float(spearmanr(true, latent).statistic)  # type: ignore[attr-defined]


class TrainingCurve:
    """R2 on validation frames during training, against steps and CPU seconds (without those spent measuring)."""

    def __init__(
        self,
        encoder: Encoder,
        module: nn.Module,
        poses: Source,
        variables: Variables,
        episodes: EpisodeIndex,
        num_steps: int,
    ) -> None:
        """module: the encoder together with the modules that the method trains beside it."""
        self._encoder, self._module, self._poses, self._z = encoder, module, poses, variables.values
        fit_rows = spread_rows(episodes, NUM_MEASURED)
        self._fit_rows = fit_rows[:: max(1, len(fit_rows) // NUM_CURVE_FRAMES)]
        self._rows = spread_rows(poses.data.split("validation"), NUM_CURVE_FRAMES)
        self._due = sorted({round(num_steps * share) for share in np.geomspace(0.02, 1, NUM_CURVE_POINTS)})
        self._begun, self._own_s = time.process_time(), 0.0
        self.points: list[CurvePoint] = []

    def cpu_s(self) -> float:
        """CPU seconds of training so far."""
        return time.process_time() - self._begun - self._own_s

    def observe(self, step: int) -> None:
        """Measure after `step`, if a point is due."""
        if not self._due or step + 1 < self._due[0]:
            return
        spent, start = self.cpu_s(), time.process_time()
        while self._due and step + 1 >= self._due[0]:
            self._due.pop(0)
        fit, held_out = (latents_of(self._encoder, self._poses, rows) for rows in (self._fit_rows, self._rows))
        weights = affine_fit(fit, self._z[self._fit_rows.numpy()])
        value = mean_known(scores(self._z[self._rows.numpy()], affine_apply(weights, held_out))) or 0.0
        self.points.append(CurvePoint(step + 1, round(spent, 3), round(value, 4)))
        self._module.train()
        self._own_s += time.process_time() - start
