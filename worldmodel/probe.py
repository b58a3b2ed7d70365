"""`worldmodel probe`: what can be read from a run's latents and contexts, beside the controls that keep it honest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worldmodel.config import read_run_config
from worldmodel.data.frames import Frames, load_frames
from worldmodel.data.store import DataSet, EpisodeIndex
from worldmodel.data.truth import Variables, factor_value, latent_variables, physical_constants, state_variables
from worldmodel.dynamics import Contexts, LatentTable, Windows, canonical_correlations, fit_context_scale
from worldmodel.errors import UserError
from worldmodel.models import WorldModel
from worldmodel.models.context import ContextEncoder
from worldmodel.probes import Examples, Score, Split, linear_probe, linear_r2, mlp_probe
from worldmodel.progress import progress
from worldmodel.report import figures
from worldmodel.run_directory import RunDirectory
from worldmodel.settings import ProbeConfig
from worldmodel.train import latent_table, pick_device, set_cpu_threads

SPLIT_NAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class _Subject:
    """What is probed: a run's model and its data, with latents of every row."""

    model: WorldModel
    data: DataSet
    frames: Frames
    table: LatentTable
    random_table: LatentTable


def probe(config: ProbeConfig) -> Path:
    """Probe state variables, and physical constants where they vary; adds "probes" to the run's summary."""
    run = RunDirectory.open(Path(config.run))
    subject = _open(config, run)
    rng = np.random.default_rng(config.seed)
    probes = _probe_states(subject, config, run, rng)
    sections: dict[str, Any] = {}
    if subject.model.context_encoder is not None:
        constants, sections = _probe_constants(subject, config, run, rng)
        probes = constants | probes
    figures.probe_bars(run.figures / "probes.png", probes)
    run.update_summary("probe", probes=probes, **sections)
    return run.path


def _open(config: ProbeConfig, run: RunDirectory) -> _Subject:
    device = pick_device(config.device)
    trained = read_run_config(run.path)
    model = WorldModel.load(run.path, device)
    set_cpu_threads(model.config.encoder)
    data = DataSet(Path(config.data or trained.data) / trained.env.label, trained.num_episodes)
    frames = load_frames(data, model.config.encoder.input_size, device)
    torch.manual_seed(config.seed + 1)
    untrained = WorldModel(model.config).to(device)
    untrained.encoder.fit_normalization(frames.gather(torch.arange(0, data.num_rows, max(1, data.num_rows // 2048))))
    return _Subject(model, data, frames, latent_table(model, data, frames), latent_table(untrained, data, frames))


# ---------------------------------------------------------------------------------------------------------------------
# state variables


def _probe_states(
    subject: _Subject, config: ProbeConfig, run: RunDirectory, rng: np.random.Generator
) -> dict[str, dict[str, Any]]:
    """Read positions and velocities from the latents of now and of the oldest frame that the predictor sees."""
    data = subject.data
    kinematic = data.info["world"]["kinematic"] is not None
    variables = latent_variables(data) if kinematic else state_variables(data)
    previous = 0 if subject.model.predictor is None else subject.model.predictor.config.history[-1]
    rows = {name: _frame_rows(data.split(name), previous, config.max_frames, rng) for name in SPLIT_NAMES}

    def split_of(table: LatentTable) -> Split:
        return Split(
            *(_examples(_history(table, rows[name][0], previous), variables, *rows[name]) for name in SPLIT_NAMES)
        )

    latents = split_of(subject.table)
    pixels = Split(
        *(_examples(_pixel_history(subject.frames, rows[n][0], previous), variables, *rows[n]) for n in SPLIT_NAMES)
    )
    controls = {
        "random_encoder": linear_r2(split_of(subject.random_table)),
        "raw_pixels": linear_r2(pixels),
        "shuffled_labels": linear_r2(Split(latents.train.shuffled(rng), latents.validation, latents.test)),
        "true_state": np.ones(len(variables.names)),
    }
    linear = linear_probe(latents, config.bootstrap, rng)
    nonlinear = mlp_probe(latents, config.bootstrap, rng, config.seed)
    for k, name in enumerate(variables.names):
        _scatter(run, name, variables.units[k], latents.test.targets[:, k], linear, k)
    return _results(variables, "state", linear, nonlinear, controls)


def _frame_rows(
    episodes: EpisodeIndex, previous: int, most: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Random rows that have `previous` rows before them, and the episode of each."""
    rows = np.concatenate(
        [np.arange(o + previous, o + n) for o, n in zip(episodes.offset, episodes.length, strict=True)]
    )
    episode = np.repeat(np.arange(len(episodes)), episodes.length - previous)
    chosen = rng.permutation(len(rows))[:most]
    return rows[chosen], episode[chosen]


def _history(table: LatentTable, rows: np.ndarray, previous: int) -> np.ndarray:
    latents = table.latents.cpu().numpy().astype(np.float64)
    return _with_change(latents[rows], latents[rows - previous] if previous else None)


def _pixel_history(frames: Frames, rows: np.ndarray, previous: int) -> np.ndarray:
    def pixels(chosen: np.ndarray) -> np.ndarray:
        return frames.gather(torch.from_numpy(chosen)).flatten(1).cpu().numpy().astype(np.float32) / 255

    return _with_change(pixels(rows), pixels(rows - previous) if previous else None)


def _with_change(now: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    return now if before is None else np.concatenate([now, now - before], 1)


def _examples(inputs: np.ndarray, variables: Variables, rows: np.ndarray, episode: np.ndarray) -> Examples:
    return Examples(inputs, variables.values[rows], episode)


# ---------------------------------------------------------------------------------------------------------------------
# physical constants


def _probe_constants(
    subject: _Subject, config: ProbeConfig, run: RunDirectory, rng: np.random.Generator
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Read the constants of every half episode, in their standardised coordinates, from its context."""
    encoder, data = subject.model.context_encoder, subject.data
    assert encoder is not None
    variables = physical_constants(data)
    _check_varies(variables, data)
    torch.manual_seed(config.seed + 2)
    untrained = ContextEncoder(encoder.config, encoder.latent_dim, encoder.action_dim).to(subject.model.device)
    splits = {
        "context": _context_split(encoder, subject.table, data, variables, config),
        "random_encoder": _context_split(
            _scaled(untrained, subject.random_table, data), subject.random_table, data, variables, config
        ),
    }
    latents = splits["context"]
    controls = {
        "random_encoder": linear_r2(splits["random_encoder"]),
        "raw_pixels": linear_r2(_pixel_split(subject, encoder.config.window, variables)),
        "shuffled_labels": linear_r2(Split(latents.train.shuffled(rng), latents.validation, latents.test)),
        "true_state": linear_r2(_true_state_split(subject, encoder, variables)),
    }
    linear = linear_probe(latents, config.bootstrap, rng)
    nonlinear = mlp_probe(latents, config.bootstrap, rng, config.seed)
    factors = {factor["name"]: factor for factor in data.info["world"]["factors"]}
    for k, name in enumerate(variables.names):
        truth, read = (factor_value(factors[name], x[:, k]) for x in (latents.test.targets, linear.prediction))
        figures.probe_scatter(
            run.figures / f"probe_{name}.png", name, variables.units[k], truth, read, linear.r2[k], _pair(linear, k)
        )
    sections = _count_constants(encoder, subject, run)
    return _results(variables, "physical", linear, nonlinear, controls), sections


def _check_varies(variables: Variables, data: DataSet) -> None:
    if not variables.names:
        raise UserError(
            f"no physical constant varies in {data.directory}; collect with env.randomize=[physical] to probe them"
        )


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


def _context_split(
    encoder: ContextEncoder, table: LatentTable, data: DataSet, variables: Variables, config: ProbeConfig
) -> Split:
    """Contexts averaged over `config.windows` windows of each half episode, and the constants at work there."""
    windows = Windows(encoder, table)
    parts = []
    for name in SPLIT_NAMES:
        episodes = data.split(name)
        contexts = Contexts(encoder, windows, episodes, data.num_rows)
        c = contexts.of_halves(config.windows, torch.Generator().manual_seed(config.seed)).mean(2)
        parts.append(_half_examples(c.cpu().numpy(), episodes, variables))
    return Split(*parts)


def _half_examples(inputs: np.ndarray, episodes: EpisodeIndex, variables: Variables) -> Examples:
    """Inputs (E, 2, p) of both halves against the constants at the half's second frame."""
    targets = np.stack([variables.values[half.offset + 1] for half in episodes.halves()], 1)
    flat = inputs.reshape(-1, inputs.shape[-1]).astype(np.float64)
    return Examples(flat, targets.reshape(len(flat), -1), np.repeat(np.arange(len(episodes)), 2))


def _pixel_split(subject: _Subject, window: int, variables: Variables) -> Split:
    """Control: mean and spread of every pixel over a window, without any encoder."""
    parts = []
    for name in SPLIT_NAMES:
        episodes = subject.data.split(name)
        inputs = []
        for half in episodes.halves():
            rows = torch.from_numpy(half.offset[:, None] + np.arange(window + 1))
            moments = []
            for part in progress(rows.split(256), desc=f"pixels {name}", leave=False):
                frames = subject.frames.gather(part).float().flatten(2) / 255
                moments.append(torch.cat([frames.mean(1), frames.std(1)], -1).cpu())
            inputs.append(torch.cat(moments).numpy())
        parts.append(_half_examples(np.stack(inputs, 1), episodes, variables))
    return Split(*parts)


def _true_state_split(subject: _Subject, encoder: ContextEncoder, variables: Variables) -> Split:
    """Control: the same window moments from true positions, read by a supervised linear probe."""
    data = subject.data
    positions = latent_variables(data)
    values = torch.from_numpy(positions.standardized(data.split("train").rows())).float()
    table = LatentTable(values, subject.table.actions.cpu())
    reader = ContextEncoder(encoder.config, values.shape[1], encoder.action_dim)
    fit_context_scale(reader, table, data.split("train"))
    windows = Windows(reader, table)
    parts = []
    for name in SPLIT_NAMES:
        episodes = data.split(name)
        moments = [windows.moments(torch.from_numpy(half.offset)).numpy() for half in episodes.halves()]
        parts.append(_half_examples(np.stack(moments, 1), episodes, variables))
    return Split(*parts)


def _count_constants(encoder: ContextEncoder, subject: _Subject, run: RunDirectory) -> dict[str, Any]:
    """Canonical correlations of the two halves' contexts, where the constants drift between them."""
    drift_rho = subject.data.info["settings"]["drift_rho"]
    episodes = subject.data.split("test")
    contexts = Contexts(encoder, Windows(encoder, subject.table), episodes, subject.data.num_rows)
    halves = contexts.of_halves(1, torch.Generator().manual_seed(0))[:, :, 0].cpu().numpy()
    correlations = canonical_correlations(halves[:, 0], halves[:, 1])
    if drift_rho is not None and 0 < drift_rho < 1:
        figures.canonical_correlations(run.figures / "canonical_correlations.png", correlations, drift_rho)
    return {"canonical_correlations": {"values": [float(c) for c in correlations], "drift_rho": drift_rho}}


# ---------------------------------------------------------------------------------------------------------------------
# results


def _pair(score: Score, k: int) -> tuple[float, float]:
    return float(score.interval[k, 0]), float(score.interval[k, 1])


def _scatter(run: RunDirectory, name: str, unit: str, truth: np.ndarray, score: Score, k: int) -> None:
    shown = slice(0, 3000)
    figures.probe_scatter(
        run.figures / f"probe_{name.replace(' ', '_')}.png",
        name, unit, truth[shown], score.prediction[shown, k], float(score.r2[k]), _pair(score, k),
    )  # fmt: skip


def _results(
    variables: Variables, kind: str, linear: Score, nonlinear: Score, controls: dict[str, np.ndarray]
) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "r2_linear": float(linear.r2[k]),
            "r2_linear_interval": list(_pair(linear, k)),
            "r2_mlp": float(nonlinear.r2[k]),
            "r2_mlp_interval": list(_pair(nonlinear, k)),
            "unit": variables.units[k],
            "kind": kind,
            "controls": {control: float(values[k]) for control, values in controls.items()},
        }
        for k, name in enumerate(variables.names)
    }
