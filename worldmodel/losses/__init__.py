"""Objectives, as pure functions of latents."""

from worldmodel.losses.alignment import alignment
from worldmodel.losses.sigreg import epps_pulley, sigreg, spread_directions

__all__ = ["alignment", "epps_pulley", "sigreg", "spread_directions"]
