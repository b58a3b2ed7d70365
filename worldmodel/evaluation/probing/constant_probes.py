"""Probes of physical constants: contexts of half episodes against the constants at work in them."""

from dataclasses import replace

import numpy as np
import torch

from worldmodel.data.frames import Frames
from worldmodel.data.store import DataSet
from worldmodel.data.table import LatentTable
from worldmodel.data.truth import Variables, half_constants, latent_variables, physical_constants
from worldmodel.evaluation.probing.bound import position_errors, reader_bounds
from worldmodel.evaluation.probing.context_value import context_errors
from worldmodel.evaluation.probing.count import count_constants
from worldmodel.evaluation.probing.readings import Reading, scored
from worldmodel.evaluation.probing.shifted_episodes import probe_shift
from worldmodel.evaluation.probing.subject import SPLIT_NAMES, Subject
from worldmodel.learning.constants import Contexts, Windows, fit_context_scale, learn_contexts
from worldmodel.measures.canonical import canonical_correlations
from worldmodel.measures.regression import Examples, Split, linear_probe, linear_r2, mlp_probe
from worldmodel.models.context_encoder import ContextEncoder
from worldmodel.runs import ContextCorrelations, ProbeResult, WindowLengths
from worldmodel.settings import ContextTraining, ProbeConfig
from worldmodel.system.errors import UserError
from worldmodel.system.progress import progress

NUM_LENGTHS = 5


def probe_constants(
    subject: Subject, config: ProbeConfig, rng: np.random.Generator
) -> tuple[ProbeResult, list[Reading]]:
    """Read the constants of every half episode, in their standardised coordinates, from its context."""
    encoder, data = subject.model.context_encoder, subject.data
    assert encoder is not None
    variables = physical_constants(data)
    _check_varies(variables, data)
    windows = Windows(encoder, subject.table)
    latents = context_split(encoder, windows, data, config.windows, config.seed)
    linear = linear_probe(latents, config.bootstrap, rng)
    nonlinear = mlp_probe(latents, config.bootstrap, rng, config.seed)
    readings = _readings(data, variables, latents.test.targets, linear.prediction)
    lengths, correlations = _by_length(encoder, windows, subject, config), _correlations(encoder, windows, subject)
    errors = context_errors(subject)
    shifts = {shift: probe_shift(subject, latents.train, config, shift) for shift in config.shifts}
    controls = _controls(subject, latents, variables, config, rng)
    probed = scored(variables, "physical", linear, nonlinear, controls)
    noise = None
    if config.bound_trajectories:
        noise = position_errors(subject)
        for name, (bound, interval) in reader_bounds(subject, noise, config.bound_trajectories).items():
            probed[name] = replace(probed[name], r2_bound=bound, r2_bound_interval=interval)
    return ProbeResult(probed, correlations, lengths, errors, shifts, noise), readings


def _readings(data: DataSet, variables: Variables, truth: np.ndarray, prediction: np.ndarray) -> list[Reading]:
    """Standardised coordinates (n, P), true and read, in the units of the constants."""
    factors = [data.index.world.factor(name) for name in variables.names]
    readings = []
    for k, name in enumerate(variables.names):
        true, read = (factors[k].value(coordinates[:, k]) for coordinates in (truth, prediction))
        readings.append(Reading(name, true, read, log=factors[k].transform == "log"))
    return readings


def _check_varies(variables: Variables, data: DataSet) -> None:
    if not variables.names:
        raise UserError(
            f"no physical constant varies in {data.directory}; collect with env.randomize=[physical] to probe them"
        )


# ---------------------------------------------------------------------------------------------------------------------
# examples


def context_split(encoder: ContextEncoder, windows: Windows, data: DataSet, num_windows: int, seed: int) -> Split:
    """Contexts averaged over `num_windows` of the windows of each half episode, and the constants at work there.

    seed: of the windows.
    """
    parts = []
    for name in SPLIT_NAMES:
        episodes = data.split(name)
        constants = half_constants(data, episodes)
        contexts = Contexts(encoder, windows, episodes, data.num_rows)
        parts.append(context_examples(contexts, constants, num_windows, seed))
    return Split(*parts)


def context_examples(contexts: Contexts, constants: np.ndarray, num_windows: int, seed: int) -> Examples:
    """Contexts of half episodes, averaged over `num_windows` windows, against the constants (E, 2, P) at work."""
    averaged = contexts.of_halves(num_windows, torch.Generator().manual_seed(seed)).mean(2)
    return half_examples(averaged.cpu().numpy(), constants)


def _moment_split(reader: ContextEncoder, table: LatentTable, data: DataSet) -> Split:
    """Window moments themselves, for a linear reader without any learned encoder."""
    fit_context_scale(reader, table, data.split("train"))
    windows = Windows(reader, table)
    parts = []
    for name in SPLIT_NAMES:
        episodes = data.split(name)
        moments = [windows.moments(torch.from_numpy(half.offset)).cpu().numpy() for half in episodes.halves()]
        parts.append(half_examples(np.stack(moments, 1), half_constants(data, episodes)))
    return Split(*parts)


def half_examples(inputs: np.ndarray, constants: np.ndarray) -> Examples:
    """Inputs (E, 2, p) of both halves of episodes against the constants (E, 2, P) at work in them."""
    flat = inputs.reshape(-1, inputs.shape[-1]).astype(np.float64)
    return Examples(flat, constants.reshape(len(flat), -1), np.repeat(np.arange(len(constants)), 2))


# ---------------------------------------------------------------------------------------------------------------------
# controls


def _controls(
    subject: Subject, latents: Split, variables: Variables, config: ProbeConfig, rng: np.random.Generator
) -> dict[str, list[float | None]]:
    """Linear R2, one a constant, of what the contexts are to be held against; none where no controls are asked for."""
    encoder, data, table = subject.model.context_encoder, subject.data, subject.table
    assert encoder is not None
    if subject.random_table is None:
        return {}

    def fresh(latent_dim: int = encoder.latent_dim) -> ContextEncoder:
        torch.manual_seed(config.seed + 2)
        return ContextEncoder(encoder.config, latent_dim, encoder.action_dim).to(table.latents.device)

    positions = latent_variables(data)
    true_values = torch.from_numpy(positions.standardized(data.split("train").rows())).float()
    still, idle = torch.zeros_like(table.latents), torch.zeros_like(table.actions)
    untrained = _scaled(fresh(), subject.random_table, data)
    supervised = _supervised(fresh(), subject, config.seed)

    def contexts(of: ContextEncoder, from_table: LatentTable) -> Split:
        return context_split(of, Windows(of, from_table), data, config.windows, config.seed)

    return {
        "random_encoder": linear_r2(contexts(untrained, subject.random_table)),
        "raw_pixels": linear_r2(pixel_split(data, subject.frames, encoder.config.window)),
        "shuffled_labels": linear_r2(Split(latents.train.shuffled(rng), latents.validation, latents.test)),
        "actions_only": linear_r2(_moment_split(fresh(), LatentTable(still, table.actions), data)),
        "motion_only": linear_r2(_moment_split(fresh(), LatentTable(table.latents, idle), data)),
        "true_state": linear_r2(
            _moment_split(fresh(true_values.shape[1]).cpu(), LatentTable(true_values, table.actions.cpu()), data)
        ),
        "supervised": linear_r2(contexts(supervised, table)),
    }


def _scaled(encoder: ContextEncoder, table: LatentTable, data: DataSet) -> ContextEncoder:
    """An untrained context encoder with the input statistics a trained one would have."""
    episodes = data.split("train")
    fit_context_scale(encoder, table, episodes)
    windows = Windows(encoder, table)
    encoder.train()
    low = torch.from_numpy(episodes.offset)
    for _ in range(50):
        encoder.from_moments(windows.moments(low))
    return encoder.eval()


def _supervised(encoder: ContextEncoder, subject: Subject, seed: int) -> ContextEncoder:
    """The upper bound: a context encoder trained on the true constants, from the same latents and episodes."""
    episodes = subject.data.split("train")
    training = ContextTraining(method="supervised", optim=subject.trained.context_training_or_default.optim)
    learn_contexts(encoder, subject.table, episodes, half_constants(subject.data, episodes), training, seed)
    return encoder


def pixel_split(data: DataSet, frames: Frames, window: int) -> Split:
    """Mean and spread of every pixel over a window of each half episode, without any encoder, and the constants at work
    there."""
    parts = []
    for name in SPLIT_NAMES:
        episodes = data.split(name)
        inputs = []
        for half in episodes.halves():
            rows = torch.from_numpy(half.offset[:, None] + np.arange(window + 1))
            moments = []
            for part in progress(rows.split(256), desc=f"pixels {name}", leave=False):
                pixels = frames.gather(part).float().flatten(2) / 255
                moments.append(torch.cat([pixels.mean(1), pixels.std(1)], -1).cpu())
            inputs.append(torch.cat(moments).numpy())
        parts.append(half_examples(np.stack(inputs, 1), half_constants(data, episodes)))
    return Split(*parts)


# ---------------------------------------------------------------------------------------------------------------------
# how many constants, and how fast they are found


def _by_length(encoder: ContextEncoder, windows: Windows, subject: Subject, config: ProbeConfig) -> WindowLengths:
    """How the estimate sharpens: linear R2 of every constant from shorter windows."""
    lengths = np.unique(np.geomspace(encoder.min_steps, encoder.config.window, NUM_LENGTHS).round().astype(int))
    splits = (
        context_split(encoder, windows.of_length(int(length)), subject.data, config.windows, config.seed)
        for length in lengths
    )
    by_constant = zip(*(linear_r2(split) for split in splits), strict=True)
    names = physical_constants(subject.data).names
    return WindowLengths(
        lengths.tolist(), {name: list(values) for name, values in zip(names, by_constant, strict=True)}
    )


def _correlations(encoder: ContextEncoder, windows: Windows, subject: Subject) -> ContextCorrelations:
    """Canonical correlations of the two halves' contexts, and how many constants they hold; of unseen episodes."""
    halves = np.concatenate([
        Contexts(encoder, windows, subject.data.split(name), subject.data.num_rows)
        .of_halves(1, torch.Generator().manual_seed(0))[:, :, 0].cpu().numpy()
        for name in ("validation", "test")
    ])  # fmt: skip
    return ContextCorrelations(
        values=[float(c) for c in canonical_correlations(halves[:, 0], halves[:, 1])],
        drift_rho=subject.data.index.settings.drift_rho,
        count=count_constants(halves[:, 0], halves[:, 1]),
    )
