"""`worldmodel train`: data set in, run directory out."""

import dataclasses
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor

from worldmodel.config import compose
from worldmodel.data.frames import Frames, load_frames
from worldmodel.data.recording import record
from worldmodel.data.store import DataSet, EpisodeIndex
from worldmodel.data.truth import latent_variables, physical_constants
from worldmodel.dynamics import (
    Contexts,
    LatentTable,
    Windows,
    context_stage,
    encode_rows,
    fit_context_scale,
    prediction_errors,
    predictor_stage,
)
from worldmodel.errors import UserError
from worldmodel.files import write_atomically
from worldmodel.identifiability import Identifiability, measure, wrapped_angle_ceiling
from worldmodel.methods import build_recipe, encoder_stage
from worldmodel.models import ModelConfig, WorldModel
from worldmodel.models.encoders import EncoderConfig
from worldmodel.report import figures
from worldmodel.run_directory import RunDirectory
from worldmodel.settings import CollectConfig, TrainConfig
from worldmodel.training import Stage, Trainer

DEFAULT_LATENT_DIM = 16


def pick_device(name: str) -> torch.device:
    """ "auto" takes CUDA where there is a GPU."""
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"device is one of auto, cpu, cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda was asked for, but torch sees no CUDA GPU; use device=auto or device=cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def set_cpu_threads(encoder: EncoderConfig, threads: int = 0) -> None:
    """Set torch's threads on the CPU; 0: one for MLPs, whose barriers cost more than they gain, else every core."""
    torch.set_num_threads(threads or (1 if encoder.kind == "mlp" else os.cpu_count() or 1))


def collect(config: CollectConfig) -> float:
    """Complete the data set of `config`; returns seconds (0 when it stood already)."""
    return record(config.directory, config.recording(), config.episodes, config.workers)


@dataclass(frozen=True)
class Source:
    """A data set ready for training: its frames at the encoder's size, its episodes by split."""

    data: DataSet
    frames: Frames
    train: EpisodeIndex
    test: EpisodeIndex


def train(config: TrainConfig) -> Path:
    """Train a world model as `config` says and return its run directory."""
    device = pick_device(config.device)
    set_cpu_threads(config.encoder, config.threads)
    collected_s, episodes, poses = prepare_data(config, device)
    run = RunDirectory(config.run_directory)
    run.path.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    model = WorldModel(architecture(config, episodes.data, poses.data)).to(device)
    trainer = Trainer(run, model, config.fingerprint(), config.seed)
    settings = OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(config)))
    write_atomically(run.path / "config.yaml", lambda path: path.write_text(settings))

    seconds = {"collect": collected_s}
    sample = poses.frames.gather(spread_rows(poses.train, 4096))
    if "encoder" not in trainer.stages_done:
        model.encoder.fit_normalization(sample)
    seconds["encoder"] = trainer.fit(_encoder_stage(config, model, poses))
    model.save(run.path)

    start = time.monotonic()
    identified = _identifiability(config, model, poses, run)
    sections: dict[str, object] = {"identifiability": identified.to_json()}
    seconds["identifiability"] = time.monotonic() - start
    if model.predictor is not None:
        seconds |= _train_dynamics(config, model, trainer, episodes)
        sections |= _evaluate_dynamics(model, episodes, run)
    model.save(run.path)

    figures.training_curves(run.figures / "training_curves.png", run.read_metrics())
    run.update_summary(
        "train",
        name=config.name,
        env=config.env.label,
        method=config.method.name,
        seed=config.seed,
        seconds={key: round(value, 2) for key, value in seconds.items()},
        data={
            "episodes": episodes.data.num_episodes,
            "frames": episodes.data.num_rows,
            "image_size": config.env.image_size,
            "encoder_frames": poses.data.num_rows,
        },
        model={
            "latent_dim": model.latent_dim,
            "encoder": f"{config.encoder.kind} {config.encoder.input_size}x{config.encoder.input_size}",
            "parameters": sum(p.numel() for p in model.parameters()),
        },
        **sections,
    )
    return run.path


def prepare_data(config: TrainConfig, device: torch.device) -> tuple[float, Source, Source]:
    """Collect what is missing; the episodes for the dynamics, and the frames for the encoder (often the same)."""
    seconds = collect(config)
    episodes = open_source(config, config.encoder.input_size, device)
    if not config.env.encoder_env:
        return seconds, episodes, episodes
    overrides = [f"env={config.env.encoder_env}", f"data={config.data}", f"workers={config.workers}"]
    atlas = compose("collect", overrides, CollectConfig)
    seconds += collect(atlas)
    return seconds, episodes, open_source(atlas, config.encoder.input_size, device)


def open_source(config: CollectConfig, size: int, device: torch.device) -> Source:
    """The finished data set of `config`, with frames of `size` pixels a side."""
    data = DataSet(config.directory, config.episodes)
    return Source(data, load_frames(data, size, device), data.split("train"), data.split("test"))


def architecture(config: TrainConfig, episodes: DataSet, poses: DataSet) -> ModelConfig:
    """The model that the settings and the data ask for: zeros in the settings are decided here."""
    latent_dim = config.encoder.latent_dim
    if latent_dim == 0:
        latent_dim = latent_variables(poses).values.shape[1] if poses.info["world"]["kinematic"] else DEFAULT_LATENT_DIM
    _check_support(latent_dim, config.encoder.input_size, poses)
    num_constants = physical_constants(episodes).values.shape[1]
    has_dynamics = episodes.actions.shape[1] > 0 and not episodes.info["world"]["kinematic"]
    with_context = has_dynamics and num_constants > 0
    return ModelConfig(
        encoder=dataclasses.replace(config.encoder, latent_dim=latent_dim),
        action_dim=episodes.actions.shape[1],
        predictor=config.predictor if has_dynamics else None,
        context=dataclasses.replace(config.context, dim=config.context.dim or num_constants) if with_context else None,
    )


def _check_support(latent_dim: int, input_size: int, poses: DataSet) -> None:
    """Latents can vary in no more directions than there are frames, or numbers in a frame."""
    num_frames, num_inputs = int(poses.split("train").length.sum()), 3 * input_size**2
    if latent_dim >= min(num_frames, num_inputs):
        raise UserError(
            f"encoder.latent_dim={latent_dim} is more than the data supports: {num_frames} training frames of "
            f"{num_inputs} numbers in {poses.info['name']}; lower it, or collect more"
        )


def spread_rows(episodes: EpisodeIndex, num: int) -> Tensor:
    """At most `num` rows, evenly spread over the episodes."""
    rows = episodes.rows()
    return torch.from_numpy(rows[np.linspace(0, len(rows) - 1, min(num, len(rows))).astype(np.int64)])


# ---------------------------------------------------------------------------------------------------------------------
# the encoder


def _encoder_stage(config: TrainConfig, model: WorldModel, poses: Source) -> Stage:
    method = config.method
    recipe = build_recipe(method, model.encoder, poses.data, poses.train, config.seed)
    return encoder_stage(recipe, model.encoder, poses.frames, method.optim, method.on_collapse)


def _identifiability(config: TrainConfig, model: WorldModel, poses: Source, run: RunDirectory) -> Identifiability:
    """Measure on test episodes with maps fitted on training episodes; draw latents against truth."""
    variables = latent_variables(poses.data)
    kinematic = poses.data.info["world"]["kinematic"]
    z = variables.values if kinematic else variables.standardized(poses.train.rows())
    fit_rows, test_rows = spread_rows(poses.train, 20_000), spread_rows(poses.test, 20_000)
    fit, test = ((z[rows.numpy()], _latents(model, poses, rows)) for rows in (fit_rows, test_rows))
    pairs = rho = ceiling = None
    if kinematic:
        if 0 < kinematic["rho"] < 1:
            first = torch.from_numpy(poses.test.offset)
            pairs, rho = (_latents(model, poses, first), _latents(model, poses, first + 1)), kinematic["rho"]
        ceiling = r2_ceiling(poses.data, variables.names)
    shown = slice(0, 4000)
    figures.latents_against_truth(
        run.figures / "latents_against_truth.png", test[0][shown], test[1][shown], variables.names, variables.units
    )
    return measure(fit, test, variables.names, pairs, rho, ceiling)


def r2_ceiling(data: DataSet, names: list[str]) -> float:
    """Highest mean R2 with which any encoder can read these latents: on kinematic worlds angles wrap."""
    world = data.info["world"]
    if not world["kinematic"]:
        return 1.0
    scales, angles = world["kinematic"]["latents"], set(world["angle_names"])
    return float(np.mean([wrapped_angle_ceiling(scales[name]) if name in angles else 1.0 for name in names]))


def _latents(model: WorldModel, source: Source, rows: Tensor) -> np.ndarray:
    return encode_rows(model.encoder, source.frames, rows).cpu().numpy()


# ---------------------------------------------------------------------------------------------------------------------
# the dynamics


def latent_table(model: WorldModel, data: DataSet, frames: Frames) -> LatentTable:
    """Latents and actions of every row of a data set."""
    latents = encode_rows(model.encoder, frames, torch.arange(data.num_rows))
    return LatentTable(latents, torch.from_numpy(np.nan_to_num(data.actions)).to(latents.device))


def segments(data: DataSet, episodes: EpisodeIndex) -> EpisodeIndex:
    """Stretches of constant physics: whole episodes, or half ones where the constants drift in the middle."""
    if data.info["settings"]["drift_rho"] is None:
        return episodes
    first, second = episodes.halves()
    return EpisodeIndex(np.concatenate([first.offset, second.offset]), np.concatenate([first.length, second.length]))


def _train_dynamics(config: TrainConfig, model: WorldModel, trainer: Trainer, source: Source) -> dict[str, float]:
    """Context encoder first, where constants vary; then the predictor, conditioned on it. Returns seconds by stage."""
    assert model.predictor is not None
    seconds: dict[str, float] = {}
    table = latent_table(model, source.data, source.frames)
    contexts = None
    if model.context_encoder is not None:
        encoder = model.context_encoder
        if "context" not in trainer.stages_done:
            fit_context_scale(encoder, table, source.train)
        windows = Windows(encoder, table)
        seconds["context"] = trainer.fit(context_stage(encoder, windows, source.train, config.context_training))
        contexts = Contexts(encoder, windows, source.train, source.data.num_rows)
    stretches = segments(source.data, source.train)
    stage = predictor_stage(model.predictor, table, stretches, config.predictor_training, contexts)
    seconds["predictor"] = trainer.fit(stage)
    return seconds


def _evaluate_dynamics(model: WorldModel, source: Source, run: RunDirectory) -> dict[str, object]:
    """Prediction error on test episodes, relative to persistence, by horizon."""
    assert model.predictor is not None
    table = latent_table(model, source.data, source.frames)
    contexts = None
    if model.context_encoder is not None:
        windows = Windows(model.context_encoder, table)
        contexts = Contexts(model.context_encoder, windows, source.test, source.data.num_rows)
    errors, persistence = prediction_errors(model.predictor, table, segments(source.data, source.test), contexts)
    horizon = len(errors)
    figures.predictor_error(run.figures / "predictor_error.png", np.arange(1, horizon + 1), errors, persistence)
    shown = sorted({1, *range(5, horizon + 1, 5), horizon})
    ratio = {str(h): round(float(errors[h - 1] / persistence[h - 1]), 4) for h in shown}
    return {"predictor": {"error_ratio_to_persistence": ratio, "horizon": horizon}}
