"""Episodes, data sets and encoders with known content; all dimensions differ, so that no transposed axis passes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from worldmodel.data.index import FactorRecord, Index, RecordingRecord, WorldRecord, write_index
from worldmodel.data.shards import shard_path, write_shard
from worldmodel.envs.rollout import Episode

X, A, P, S = 3, 2, 4, 8
EPISODES_PER_SHARD = 5


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fake_episode(index: int, num_steps: int = 6) -> Episode:
    """An episode of noise that depends on its index alone."""
    rng = np.random.default_rng(index)

    def numbers(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    rows = num_steps + 1
    frames = rng.integers(0, 256, (rows, S, S, 3), dtype=np.uint8)
    return Episode(frames, numbers(rows, X), numbers(num_steps, A), numbers(num_steps), numbers(rows, P), index)


KINEMATIC = {"kinematic": {"latents": {"x": 1.0, "y": 1.0}, "rho": 0.9}, "factor_rho": {}}


def write_fake_data(
    directory: Path, episodes: list[Episode], world: dict[str, Any] | None = None, **settings: Any
) -> None:
    """A data set on the disk, as `worldmodel collect` leaves it; `world` adds to its description."""
    for start in range(0, len(episodes), EPISODES_PER_SHARD):
        write_shard(shard_path(directory, start // EPISODES_PER_SHARD), episodes[start : start + EPISODES_PER_SHARD])
    write_index(directory, fake_index(len(episodes), world, **settings))


def fake_index(num_episodes: int, world: dict[str, Any] | None = None, **settings: Any) -> Index:
    """The index of a fake data set; `world` and `settings` add to its description, as JSON holds them."""
    factors = [FactorRecord(f"factor{i}", "1", 0.0, (-9.0, 9.0), "linear", 1.0, "physical") for i in range(P)]
    description = {
        "name": "fake",
        "image_size": S,
        "control_dt_s": 0.1,
        "state_names": ["x", "y", "x_vel"],
        "angle_names": [],
        "factors": msgspec.to_builtins(factors),
        "randomize": [],
        "factor_rho": {},
        "kinematic": None,
    }
    record = msgspec.convert(description | (world or {}), WorldRecord)
    recording = msgspec.convert({"drift_rho": None, **settings}, RecordingRecord)
    return Index("fake", num_episodes, EPISODES_PER_SHARD, recording, record)


@dataclass
class RowEncoder:
    """Stands in for a context encoder: the feature of a step is the row it begins at, the context its window's mean.

    A window of W actions that begins at row s has W - 1 features, s ... s + W - 2, and so the context s + (W - 2) / 2.
    """

    window: int
    margin: int = 1
    num_values: int = 1
    config: Any = field(init=False)

    def __post_init__(self) -> None:
        self.config = self

    @property
    def min_steps(self) -> int:
        return 2 * self.margin + 1

    def step_features(self, latents: Tensor, actions: Tensor) -> Tensor:
        return latents[..., :-2, :1]

    def from_moments(self, moments: Tensor) -> Tensor:
        return moments

    features = from_features = from_moments

    def eval(self) -> "RowEncoder":
        return self

    def starts(self, contexts: Tensor) -> np.ndarray:
        """The rows at which the windows behind these contexts begin."""
        return np.rint(contexts[..., 0].numpy() - (self.window - 2) / 2).astype(int)
