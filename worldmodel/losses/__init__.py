"""Objectives, as pure functions of latents."""

from worldmodel.losses.alignment import alignment, stillness, without_explained
from worldmodel.losses.contrastive import SIMILARITIES, infonce, similarity_logits
from worldmodel.losses.sigreg import epps_pulley, sigreg, spread_directions
from worldmodel.losses.torus import torus_sigreg
from worldmodel.losses.unfolding import unfolding
from worldmodel.losses.variance import covariance, decorrelation, variance_hinge, whiten, whitening_penalty

__all__ = [
    "SIMILARITIES",
    "alignment",
    "covariance",
    "decorrelation",
    "epps_pulley",
    "infonce",
    "sigreg",
    "similarity_logits",
    "spread_directions",
    "stillness",
    "torus_sigreg",
    "unfolding",
    "variance_hinge",
    "whiten",
    "whitening_penalty",
    "without_explained",
]
