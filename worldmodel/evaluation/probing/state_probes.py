"""Probes of state variables: positions and velocities from the latents of now and of a few steps ago."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from worldmodel.data.frames import Frames
from worldmodel.data.store import EpisodeIndex
from worldmodel.data.table import LatentTable
from worldmodel.data.truth import latent_variables, state_variables
from worldmodel.evaluation.probing.readings import Reading, scored
from worldmodel.evaluation.probing.subject import SPLIT_NAMES, Subject
from worldmodel.learning.sources import motions
from worldmodel.measures.regression import Examples, Split, linear_probe, linear_r2, mlp_probe
from worldmodel.runs import ProbedVariable
from worldmodel.settings import ProbeConfig


def probe_states(
    subject: Subject, config: ProbeConfig, rng: np.random.Generator
) -> tuple[dict[str, ProbedVariable], list[Reading]]:
    """Read positions and velocities from the latents of now and of the oldest frame that the predictor sees."""
    data = subject.data
    kinematic = data.index.world.kinematic is not None
    variables = latent_variables(data) if kinematic else state_variables(data)
    previous = 0 if subject.model.predictor is None else subject.model.predictor.config.history[-1]
    rows = [_frame_rows(data.split(name), previous, config.max_frames, rng) for name in SPLIT_NAMES]

    def split_of(values_of: Callable[[np.ndarray], np.ndarray]) -> Split:
        """Inputs are the values of rows (n,), beside their change since `previous` rows before."""
        parts = []
        for chosen, episode in rows:
            inputs = values_of(chosen)
            if previous:
                inputs = np.concatenate([inputs, inputs - values_of(chosen - previous)], 1)
            parts.append(Examples(inputs, variables.values[chosen], episode))
        return Split(*parts)

    latents = split_of(_latents(subject.table))
    controls: dict[str, list[float | None]] = {}
    if subject.random_table is not None:
        controls = {
            "random_encoder": linear_r2(split_of(_latents(subject.random_table))),
            "raw_pixels": linear_r2(split_of(partial(_pixels, subject.frames))),
            "shuffled_labels": linear_r2(Split(latents.train.shuffled(rng), latents.validation, latents.test)),
            "true_state": [1.0] * len(variables.names),
        }
    linear = linear_probe(latents, config.bootstrap, rng)
    nonlinear = mlp_probe(latents, config.bootstrap, rng, config.seed)
    readings = [
        Reading(name, latents.test.targets[:, k], linear.prediction[:, k]) for k, name in enumerate(variables.names)
    ]
    return scored(variables, "state", linear, nonlinear, controls), readings


def _frame_rows(
    episodes: EpisodeIndex, previous: int, most: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Random rows that have `previous` rows of the same motion before them, and the episode of each."""
    whole = motions(episodes)
    rows = np.concatenate([np.arange(o + previous, o + n) for o, n in zip(whole.offset, whole.length, strict=True)])
    chosen = rows[rng.permutation(len(rows))[:most]]
    return chosen, np.searchsorted(episodes.offset, chosen, "right") - 1


def _latents(table: LatentTable) -> Callable[[np.ndarray], np.ndarray]:
    return table.latents.cpu().numpy().astype(np.float64).__getitem__


def _pixels(frames: Frames, rows: np.ndarray) -> np.ndarray:
    return frames.gather(torch.from_numpy(rows)).flatten(1).cpu().numpy().astype(np.float32) / 255
