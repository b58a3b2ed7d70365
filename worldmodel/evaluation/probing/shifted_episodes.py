"""Constants read outside the training distribution: other ranges of constants, other looks, another excitation."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from worldmodel.data.recording import record, recording_of
from worldmodel.data.store import DataSet
from worldmodel.data.table import LatentTable
from worldmodel.data.truth import physical_constants
from worldmodel.evaluation.probing.subject import Subject
from worldmodel.learning.constants import Windows
from worldmodel.learning.sources import latent_table
from worldmodel.measures.identifiability import scores
from worldmodel.measures.regression import Examples, linear_predict
from worldmodel.models.context_encoder import ContextEncoder
from worldmodel.runs import ShiftedReading
from worldmodel.settings import SHELL_SD, ProbeConfig, TrainConfig

OTHER_EXCITATION = {"name": "coasting", "std": 1.3, "release_prob": 0.3, "engage_prob": 0.5}


def probe_shift(subject: Subject, train: Examples, config: ProbeConfig, shift: str) -> dict[str, ShiftedReading]:
    """Constant -> how well the linear probe of `train` reads it on fresh episodes under a shift; their constants are
    held."""
    data = _collect(subject.trained, shift, config.shift_episodes)
    encoder = subject.model.context_encoder
    assert encoder is not None
    table = latent_table(subject.model, data)
    long_enough = data.length > encoder.config.window  # some worlds end an episode early
    offset = data.offset[long_enough]
    read = read_held(encoder, table, offset, data.length[long_enough], train)
    variables = physical_constants(data)
    truth = variables.values[offset]
    single, averaged = scores(truth, read.single), scores(truth, read.averaged)
    rmse = np.sqrt(((read.single - truth) ** 2).mean(0))
    return {name: ShiftedReading(single[k], averaged[k], float(rmse[k])) for k, name in enumerate(variables.names)}


@dataclass(frozen=True)
class HeldReading:
    """Predictions of a linear probe of P constants in E episodes in which they are held."""

    single: np.ndarray
    """From one window in the middle, (E, P)."""
    averaged: np.ndarray
    """From the mean over all windows that fit, (E, P)."""


def read_held(
    encoder: ContextEncoder, table: LatentTable, offset: np.ndarray, length: np.ndarray, train: Examples
) -> HeldReading:
    """Read episodes at rows `offset` (E,), `length` (E,) frames long, by the linear probe of `train`."""
    windows, room = Windows(encoder, table), int(length.min()) - encoder.config.window
    spread = np.unique(np.linspace(0, room - 1, max(2, 2 * room // encoder.config.window)).astype(int))
    starts = torch.from_numpy(offset[:, None] + spread)
    with torch.no_grad():
        contexts = encoder.from_moments(windows.moments(starts.flatten())).cpu().numpy()
    read = linear_predict(train, contexts).reshape(len(offset), len(spread), -1)
    return HeldReading(read[:, len(spread) // 2], read.mean(1))


def _collect(trained: TrainConfig, shift: str, num_episodes: int) -> DataSet:
    """Record (or find) the data set of a shift, beside the run's own."""
    shells = {"constants": "physical", "nuisances": "visual"}
    # shifts are from the prior, however wide training was
    env = replace(trained.env, factor_spread={}, name=f"{trained.env.label}-{shift}")
    policy = OTHER_EXCITATION if shift == "excitation" else trained.collection.policy
    moved = replace(
        trained.collection,
        env=env,
        policy=dict(policy),
        drift_rho=None,
        restart_midway=False,
        data_seed=trained.collection.data_seed + 1,  # constants and starts that no training episode had
        episodes=num_episodes,
    )
    recording = recording_of(moved)
    if shift in shells:
        recording = replace(recording, world={**recording.world, "factor_shell": {shells[shift]: list(SHELL_SD)}})
    record(moved.directory, recording, num_episodes, moved.workers)
    return DataSet(moved.directory, num_episodes)
