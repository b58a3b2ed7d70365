"""Test sets out of the training distribution: poses, light and colours that an encoder never saw."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worldmodel.comparing.encoder_cells import ShiftScore, VariableScore
from worldmodel.data.collecting import collect
from worldmodel.data.store import DataSet, EpisodeIndex
from worldmodel.data.truth import Variables, columns_named, latent_variables, standardized_factor
from worldmodel.learning.sources import Source, open_source
from worldmodel.measures.identifiability import scores
from worldmodel.measures.statistics import mean_known, unit_spread
from worldmodel.settings import TrainConfig
from worldmodel.system.errors import UserError

RANGE_SD = 2.5
"""Kinematic latents and visual factors beyond so many standard deviations are kept from training."""
SECTOR_RAD = math.radians(18)
"""Half the angle of the sector around zero that is kept from training; the sector is a tenth of a circle."""
NUM_FRAMES, MIN_FRAMES = 2000, 50
"""Frames of a test set, and the fewest that make one."""
STEPS = 9
"""Control steps of an episode of a dynamic world in a test set."""


@dataclass(frozen=True)
class Shift:
    """Frames to test on."""

    name: str
    """What differs from the training data."""
    source: Source
    """The data set that holds the frames."""
    rows: Tensor
    """Its rows to test on, int64 (n,)."""
    truth: np.ndarray
    """The variables of these rows, (n, Z) in the training data's units."""

    def score(self, prediction: np.ndarray, names: list[str]) -> ShiftScore:
        """How well variables (n, Z) are read by a linear map that was fitted on training frames."""
        values, errors = scores(self.truth, prediction), np.sqrt(((prediction - self.truth) ** 2).mean(0))
        per_variable = {
            name: VariableScore(value, float(error)) for name, value, error in zip(names, values, errors, strict=True)
        }
        return ShiftScore(mean_known(values), float(errors.mean()), per_variable, len(self.rows))


def _moving_factors(data: DataSet) -> list[str]:
    """Visual factors that vary in the data."""
    return [factor.name for factor in data.index.world.drawn("visual")]


def nuisances(data: DataSet) -> Variables:
    """Visual factors that vary and are not among the variables to recover, in standard units."""
    names = [name for name in _moving_factors(data) if name not in latent_variables(data).names]
    columns = [standardized_factor(data, name) for name in names]
    return Variables(names, ["sd"] * len(names), np.stack(columns, 1) if names else np.zeros((data.num_rows, 0)))


def is_inside(data: DataSet) -> np.ndarray:
    """Rows bool (rows,) that training may see: kinematic latents and visual factors within RANGE_SD."""
    beyond_poses, beyond_light = _beyond(data)
    return ~(beyond_poses | beyond_light)


def in_sector(data: DataSet) -> np.ndarray:
    """Rows bool (rows,) of a dynamic world in which its first joint on a circle stands in the sector about zero.

    A joint that turns freely has no range to leave, but a sector of it can be kept from training.
    """
    angles = data.index.world.angle_names
    if data.index.world.kinematic or not angles:
        return np.zeros(data.num_rows, bool)
    angle = data.states[:, data.state_names.index(angles[0])]
    return np.cos(angle) > math.cos(SECTOR_RAD)


def inside_episodes(data: DataSet, episodes: EpisodeIndex) -> EpisodeIndex:
    """The parts of episodes that training may see: all stretches outside the sector, of episodes that stay in range."""
    inside, outside_sector = is_inside(data), ~in_sector(data)
    offset, length = [], []
    for start, num in zip(episodes.offset, episodes.length, strict=True):
        if inside[start : start + num].all():
            edges = np.flatnonzero(np.diff(np.pad(outside_sector[start : start + num].astype(np.int8), 1)))
            offset.append(start + edges[::2])
            length.append(edges[1::2] - edges[::2])
    if not sum(len(of) for of in offset):
        raise UserError(
            f"no training episode of {data.directory} stays in range, so that nothing can be learned inside it; "
            "collect more episodes"
        )
    return EpisodeIndex(np.concatenate(offset), np.concatenate(length))


def _beyond(data: DataSet) -> tuple[np.ndarray, np.ndarray]:
    """Rows bool (rows,) with a kinematic latent out of range, and with a visual factor out of range."""
    poses = latent_variables(data).values[:, : len(data.index.world.latent_names)]
    factors = np.zeros((data.num_rows, 0))
    if names := _moving_factors(data):
        factors = np.stack([standardized_factor(data, name) for name in names], 1)
    beyond_poses, beyond_light = (np.asarray((np.abs(v) > RANGE_SD).any(1)) for v in (poses, factors))
    return beyond_poses, beyond_light


def draw_shifts(config: TrainConfig, poses: Source, variables: Variables, device: torch.device) -> list[Shift]:
    """Poses and light beyond the range that `is_inside` leaves to training, and factors that never varied in it.

    variables: those of the rows of `poses`, in the units of the reported errors.
    """
    unseen = [_unseen(config, poses, name, device) for name in _still_factors(poses.data)]
    return [*_beyond_range(poses, variables), *unseen]


def _beyond_range(poses: Source, variables: Variables) -> list[Shift]:
    """Rows of held-out and training episodes alike: training inside the range has seen none of them."""
    poses_beyond, light_beyond = _beyond(poses.data)
    groups = {
        f"poses beyond {RANGE_SD:g} sd": np.flatnonzero(poses_beyond),
        f"light beyond {RANGE_SD:g} sd": np.flatnonzero(light_beyond),
        # no more than in the other sets: a tenth of all frames would take longer to encode than to train on
        "unseen sector of poses": _evenly(np.flatnonzero(in_sector(poses.data)), NUM_FRAMES),
    }
    return [
        Shift(name, poses, torch.from_numpy(rows), variables.values[rows])
        for name, rows in groups.items()
        if len(rows) >= MIN_FRAMES
    ]


def _evenly(rows: np.ndarray, most: int) -> np.ndarray:
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]


def _still_factors(data: DataSet) -> dict[str, list[str]]:
    """Visual factors that stood still in training, by what they change."""
    still = [factor.name for factor in data.index.world.still("visual")]
    lights = [name for name in still if "light" in name]
    groups = {
        "light direction": [name for name in lights if "azimuth" in name],
        "light": [name for name in lights if "azimuth" not in name],
        "colours": [name for name in still if name not in lights],
    }
    return {name: factors for name, factors in groups.items() if factors}


def _unseen(config: TrainConfig, poses: Source, name: str, device: torch.device) -> Shift:
    """Episodes of the same world in which factors vary that stood still in training."""
    index, factors = poses.data.index, _still_factors(poses.data)[name]
    recorded = index.settings.world.randomize if index.settings.world else ()
    label = f"{index.name}-{name.replace(' ', '-')}"
    env = dataclasses.replace(
        config.env,
        name=label,
        randomize=[*recorded, *factors],
    )
    steps = 1 if index.world.kinematic else min(config.collection.episode_steps, STEPS)
    other = dataclasses.replace(
        config.collection,
        env=env,
        episodes=NUM_FRAMES // (steps + 1),
        episode_steps=steps,
        data_seed=config.collection.data_seed + 1,
    )
    collect(other)
    source = open_source(other, poses.frames.size, device)
    rows = torch.arange(source.data.num_rows)
    return Shift(f"unseen {name}", source, rows, _in_training_units(source.data, poses.data))


def _in_training_units(data: DataSet, training: DataSet) -> np.ndarray:
    """Variables of `data` (rows, Z) in the standard units of the training data."""
    reference = latent_variables(training)
    if training.index.world.kinematic:
        own = latent_variables(data)
        return own.values[:, [own.names.index(name) for name in reference.names]]
    chosen = reference.values[training.split("train").rows()]
    # what moves in training may stand still in a set with other factors
    own_values = columns_named(reference.names, data.states, data.state_names)
    return (own_values - chosen.mean(0)) / unit_spread(chosen)
