"""Dynamic rollouts as training data: encoders from lag pairs, and how far the data is from what the theorem assumes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

from worldmodel.data.pairs import LagPairs
from worldmodel.reproduce.core import Cell, Request
from worldmodel.reproduce.pixels import PixelRun, Pixels, Scenes, figures_of, open_scenes, train_encoder

UNIFORM = {"name": "uniform", "hold_steps": 1}


def scenes_of(settings: Mapping[str, Any], request: Request) -> Scenes:
    """The recording that a condition's settings ask for."""
    world = settings["world"]
    return Scenes(
        name=f"{world}_{settings['policy']['name']}",
        world=world,
        names=tuple(settings["names"]),
        episodes=settings["episodes"],
        episode_steps=settings["episode_steps"],
        policy=settings["policy"],
        supersample=settings.get("supersample", 1),
    )


def open_rollouts(settings: Mapping[str, Any], request: Request) -> Pixels:
    """The recording, kept in memory for the next seed."""
    scenes = scenes_of(settings, request)
    key = f"{scenes.name}-{scenes.episodes}"
    if key not in _kept:
        _kept.clear()
        _kept[key] = open_scenes(scenes, request)
    return _kept[key]


_kept: dict[str, Pixels] = {}


def measure_rollouts(cell: Cell) -> dict[str, float]:
    """Train on pairs `stride` control steps apart; R2 on held-out episodes, and the data's own statistics."""
    settings = cell.settings
    pixels = open_rollouts(settings, cell.request)
    pairs = LagPairs(pixels.split("train"), settings["stride"])
    rhos = autocorrelations(pixels, settings["stride"])
    run = PixelRun(latent_dim=pixels.z.shape[1], sigreg_end=settings["sigreg_end"], **settings["run"])
    encoder = train_encoder(run, pixels, pairs, float(rhos.mean()), cell)
    return figures_of(encoder, pixels, pairs, cell) | {
        "autocorrelation": float(rhos.mean()),
        "autocorrelation_spread": float(np.ptp(rhos)),
        "excess_kurtosis": float(np.abs(stats.kurtosis(pixels.z)).max()),
        "clipped_actions": float((np.abs(np.nan_to_num(pixels.data.actions)) >= 1).mean()),
    }


def autocorrelations(pixels: Pixels, stride: int) -> np.ndarray:
    """Of every variable over `stride` control steps within an episode, (Z,)."""
    starts = pixels.data.offset[:, None] + np.arange(int(pixels.data.length.min()) - stride)
    first = starts.ravel()
    z = pixels.z - pixels.z.mean(0)
    return (z[first] * z[first + stride]).mean(0) / z.var(0)
