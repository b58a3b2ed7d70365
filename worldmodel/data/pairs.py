"""Positive pairs and windows: which rows of a data set training looks at together.

Samplers hold row indices only; they know nothing of pixels or models. All randomness comes from the generator passed.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from worldmodel.data.store import EpisodeIndex
from worldmodel.system.errors import UserError


class PairSampler(Protocol):
    """Draws positive pairs."""

    def sample(self, num_pairs: int, generator: torch.Generator) -> Tensor:
        """Rows of the first, the second, … view of each pair, int64 (V, num_pairs)."""
        ...


class OUPairs:
    """Pairs z, z' of an exact OU process, looked up in an atlas of rendered poses.

    An atlas is a data set of poses whose latents are known. A pair is z = sqrt(rho) w + sqrt(1 - rho) eta and z' =
    sqrt(rho) w + sqrt(1 - rho) eta' with independent w, eta, eta' ~ N(0, I), in standardised latents: both are N(0, I)
    with correlation rho. Each is replaced by the nearest pose of the atlas, which costs far less than rendering the
    pair and is as good where the atlas is dense: with two latents its typical spacing is sqrt(2 pi / poses) standard
    deviations. More views of one w (`num_views`) are such pairs two by two; they reduce the noise of the alignment
    where rho is low.

    The atlas need not have the distribution of the latents, but must be dense where they are. Where an image shows the
    latents modulo `period` (angles), the nearest pose is looked up on the circle. With several rhos each pair has one
    of them, drawn at random, like pairs at several lags of one process.

    Where every pose was rendered several times with different nuisances (light, colour), `same_pose_fraction` of the
    pairs are two renderings of one pose: the encoder learns to ignore the nuisances.
    """

    def __init__(
        self,
        latents: np.ndarray,
        rows: np.ndarray,
        rho: float | Sequence[float],
        same_pose_fraction: float = 0.0,
        num_pairs: int = 400_000,
        seed: int = 0,
        num_views: int = 2,
        period: float | None = None,
    ) -> None:
        """latents: standardised, float (poses, Z). rows: of the R renderings of each pose, int64 (poses, R)."""
        if not (0.0 < np.min(rho) and np.max(rho) < 1.0):
            raise UserError(f"rho must lie strictly between 0 and 1, got {rho}; set method.rho")
        if same_pose_fraction > 0 and rows.shape[1] < 2:
            raise UserError(
                "same_pose_fraction needs every pose rendered at least twice (env.kinematic.rho=1, episode_steps=1)"
            )
        rng = np.random.default_rng(seed)
        shape = (num_pairs, latents.shape[1])
        noise = rng.standard_normal((num_views, *shape))
        parent = rng.standard_normal(shape)
        shared = rho if isinstance(rho, float) else rng.choice(np.asarray(rho), (num_pairs, 1))
        pose = nearest_poses(latents, np.sqrt(shared) * parent + np.sqrt(1 - shared) * noise, period)
        view = rng.integers(0, rows.shape[1], (num_views, num_pairs))
        same = rng.random(num_pairs) < same_pose_fraction
        pose[1, same] = pose[0, same]
        other = (view[0] + rng.integers(1, max(2, rows.shape[1]), num_pairs)) % rows.shape[1]
        view[1] = np.where(same, other, view[1])
        self._pairs = torch.from_numpy(rows[pose, view])

    def sample(self, num_pairs: int, generator: torch.Generator) -> Tensor:
        return self._pairs[:, torch.randint(self._pairs.shape[1], (num_pairs,), generator=generator)]


def nearest_poses(latents: np.ndarray, z: np.ndarray, period: float | None = None) -> np.ndarray:
    """Index of the latent, of (poses, Z), that is nearest to each of `z` (…, Z): int (…,).

    period: of every latent; distances are then measured around the circle.
    """
    if period is None:
        return np.asarray(cKDTree(latents).query(z, workers=-1)[1])
    turned = latents % period
    turned[turned == period] = 0.0  # a tiny negative number modulo the period rounds to the period
    return np.asarray(cKDTree(turned, boxsize=period).query(z % period, workers=-1)[1])


class LagPairs:
    """Pairs of frames of one episode, `lag` control steps apart."""

    def __init__(self, episodes: EpisodeIndex, lag: int) -> None:
        self._starts = window_starts(episodes, lag + 1)
        self._lag = lag

    def sample(self, num_pairs: int, generator: torch.Generator) -> Tensor:
        start = self._starts[torch.randint(len(self._starts), (num_pairs,), generator=generator)]
        return torch.stack([start, start + self._lag])


def window_starts(episodes: EpisodeIndex, num_rows: int) -> Tensor:
    """Every row from which `num_rows` rows of one episode follow (itself included), int64 (windows,)."""
    if not len(episodes):
        raise UserError(f"there is no episode to take windows of {num_rows - 1} steps from; collect more episodes")
    starts = [np.arange(o, o + n - num_rows + 1) for o, n in zip(episodes.offset, episodes.length, strict=True)]
    flat = np.concatenate(starts)
    if len(flat) == 0:
        longest = int(episodes.length.max()) - 1
        raise UserError(
            f"windows of {num_rows - 1} steps do not fit into episodes of at most {longest} steps; "
            "shorten the window (lag, horizon) or collect longer episodes (episode_steps)"
        )
    return torch.from_numpy(flat)
