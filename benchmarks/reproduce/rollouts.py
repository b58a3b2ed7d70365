"""Dynamic rollouts as training data: encoders from lag pairs, and how far the data are from the theorem's premises."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.reproduce.definitions import Cell
from benchmarks.reproduce.pixels import PairsOfSplit, PixelRun, Pixels, Scenes, figures_of, open_scenes, train_encoder
from benchmarks.settings import ReproduceConfig
from worldmodel.data import LagPairs
from worldmodel.models import Encoder

UNIFORM = {"name": "uniform", "hold_steps": 1}


_kept: dict[str, Pixels] = {}  # the last recording, for the next seed


def open_rollouts(settings: Mapping[str, Any], request: ReproduceConfig) -> Pixels:
    """The recording that a condition's settings ask for, kept in memory for the next seed."""
    world = settings["world"]
    scenes = Scenes(
        name=f"{world}_{settings['policy']['name']}",
        world=world,
        names=tuple(settings["names"]),
        episodes=settings["episodes"],
        episode_steps=settings["episode_steps"],
        policy=settings["policy"],
        supersample=settings.get("supersample", 1),
    )
    key = f"{scenes.name}-{scenes.episodes}"
    if key not in _kept:
        _kept.clear()
        _kept[key] = open_scenes(scenes, request)
    return _kept[key]


def measure_rollouts(cell: Cell) -> dict[str, float]:
    """Train on pairs `stride` control steps apart; R2 on held-out episodes, and the data's own statistics."""
    pixels, encoder = learn_rollouts(cell)
    return rollout_figures(pixels, encoder, cell)


def learn_rollouts(cell: Cell) -> tuple[Pixels, Encoder]:
    """The recording, and an encoder trained on its lag pairs."""
    settings = cell.settings
    pixels = open_rollouts(settings, cell.request)
    rho = float(autocorrelations(pixels, settings["stride"]).mean())
    latent_dim = settings.get("latent_dim", pixels.z.shape[1])
    run = PixelRun(latent_dim=latent_dim, sigreg_end=settings["sigreg_end"], **settings["run"])
    return pixels, train_encoder(run, pixels, lag_pairs(pixels, settings["stride"])("train"), rho, cell)


def rollout_figures(pixels: Pixels, encoder: Encoder, cell: Cell) -> dict[str, float]:
    """R2 on held-out episodes, and how far the data are from the theorem's assumptions."""
    stride = cell.settings["stride"]
    rhos = autocorrelations(pixels, stride)
    return figures_of(encoder, pixels, lag_pairs(pixels, stride), cell) | {
        "autocorrelation": float(rhos.mean()),
        "autocorrelation_spread": float(np.ptp(rhos)),
        "excess_kurtosis": float(np.abs(stats.kurtosis(pixels.z)).max()),
        "clipped_actions": float((np.abs(np.nan_to_num(pixels.data.actions)) >= 1).mean()),
    }


def lag_pairs(pixels: Pixels, stride: int) -> PairsOfSplit:
    """Pairs of frames of one episode, by split."""
    return lambda split: LagPairs(pixels.split(split), stride)


def autocorrelations(pixels: Pixels, stride: int) -> np.ndarray:
    """Autocorrelation of every variable over `stride` control steps within an episode, (Z,)."""
    starts = pixels.data.offset[:, None] + np.arange(int(pixels.data.length.min()) - stride)
    first = starts.ravel()
    z = pixels.z - pixels.z.mean(0)
    return (z[first] * z[first + stride]).mean(0) / z.var(0)
