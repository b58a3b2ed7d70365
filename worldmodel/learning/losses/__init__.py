"""Loss terms: pure functions of latents."""

from worldmodel.learning.losses.alignment import alignment, stillness, without_explained
from worldmodel.learning.losses.contrastive import infonce, similarity_logits
from worldmodel.learning.losses.second_moments import (
    covariance,
    decorrelation,
    variance_hinge,
    whiten,
    whitening_penalty,
)
from worldmodel.learning.losses.sigreg import epps_pulley, sigreg, spread_directions
from worldmodel.learning.losses.torus import torus_sigreg
from worldmodel.learning.losses.unfolding import unfolding

__all__ = [
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
