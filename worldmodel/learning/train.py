"""`worldmodel train`: data set in, run directory out."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import torch

from worldmodel import envs, figures
from worldmodel.data.collecting import collect
from worldmodel.data.frames import check_frame_size
from worldmodel.data.pairs import window_starts
from worldmodel.data.store import DataSet
from worldmodel.data.truth import latent_variables, physical_constants
from worldmodel.learning.checkpoints import check_settings
from worldmodel.learning.constants import half_windows
from worldmodel.learning.decoding import Pictures, decoder_stage, fit_normalization, judge_decoder, training_pictures
from worldmodel.learning.dynamics_stages import measured_prediction, train_dynamics, train_heads
from worldmodel.learning.imagining import film_held_out
from worldmodel.learning.judging import judge_latents
from worldmodel.learning.looks_stage import robust_encoder_config, train_robust_encoder
from worldmodel.learning.loop import CHECKPOINT_EVERY_S, Stage, Trainer
from worldmodel.learning.methods import check_pairs, encoder_objective, encoder_stage
from worldmodel.learning.reward_stage import reward_range, train_reward
from worldmodel.learning.round_stages import recorded_rounds, stage_parts, train_rounds
from worldmodel.learning.sources import Source, latent_table, motions, open_sources, segments, spread_rows
from worldmodel.models import ModelConfig, WorldModel
from worldmodel.models.decoder import Decoder
from worldmodel.models.encoders import check_installed, set_cpu_threads
from worldmodel.runs import (
    DataUsed,
    ModelSize,
    RunDirectory,
    TrainResult,
    check_tracker,
    open_tracker,
    peak_memory_mb,
    show_media,
)
from worldmodel.settings import (
    HEADS,
    RECORDED,
    REWARD,
    CollectConfig,
    DecoderConfig,
    HeadsConfig,
    TrainConfig,
    write_run_config,
)
from worldmodel.settings.base import flatten
from worldmodel.system.devices import pick_device, torch_kept
from worldmodel.system.distributed import Processes, launch
from worldmodel.system.errors import UserError

DEFAULT_LATENT_DIM = 16
"""Dimension of the latent in worlds that are not kinematic."""
PARTS = {
    "encoder": "encoder.",
    "context": "context_encoder.",
    "predictor": "predictor.",
    "heads": "heads.",
    "decoder": "decoder.",
    "looks": "robust_encoder.",
    "reward": "reward_head.",
}
"""Stage -> prefix of the weights that it trains."""
FEWEST_EPISODES = 10
"""With ten episodes, one is for validation and one for testing."""


@torch_kept()
def train(config: TrainConfig, checkpoint_every_s: float = CHECKPOINT_EVERY_S) -> TrainResult:
    """Train a world model as `config` says; its run directory is `TrainResult.run`.

    With devices above 1 this command, or the script that calls this, runs once in each process.

    Args:
        config: what to train, on what, and where.
        checkpoint_every_s: seconds between checkpoints.
    """
    device = pick_device(config.device)
    check_installed(config.encoder)
    check_tracker(config.track)
    check_settings(config.run_directory, config.stage_settings())
    collected_s = collect_all(config)
    processes = launch(config.devices, config.strategy, device)
    set_cpu_threads(config.encoder, config.threads)
    try:
        with _locked(RunDirectory(config.run_directory), processes) as run:
            result = _train(config, run, processes, collected_s, checkpoint_every_s)
            processes.wait()
            return result or run.read_summary().train
    finally:
        processes.leave()


@contextmanager
def _locked(run: RunDirectory, processes: Processes) -> Iterator[RunDirectory]:
    """The run, locked by the first process; where that fails, all processes raise."""
    with ExitStack() as stack:
        refused: UserError | None = None
        if processes.is_first:
            try:
                stack.enter_context(run.locked())
            except UserError as error:
                refused = error
        (any_refused,) = processes.agree([refused is not None])
        if any_refused:
            raise refused or UserError(f"the first process could not lock {run.path}")
        yield run


def _train(
    config: TrainConfig, run: RunDirectory, processes: Processes, collected_s: float, checkpoint_every_s: float
) -> TrainResult | None:
    """Load the model and the state of its training, and train on from there, on every process."""
    episodes, poses = open_sources(config, processes.device)
    torch.manual_seed(config.seed)
    model = WorldModel(architecture(config, episodes.data, poses.data)).to(processes.device)
    _check_windows(config, model, episodes, poses)
    stages, parts = config.stage_settings(), stage_parts(PARTS, config.rounds)
    trainer = Trainer(run, model, stages, config.seed, checkpoint_every_s, processes=processes, parts=parts)
    if processes.is_first:
        write_run_config(run.path, config)
    with _tracked(config, run, trainer) if processes.is_first else nullcontext():
        return _train_stages(config, run, processes, model, trainer, episodes, poses, collected_s)


@contextmanager
def _tracked(config: TrainConfig, run: RunDirectory, trainer: Trainer) -> Iterator[None]:
    """Send the settings, every line of the log, and at the end the figures to the chosen tracker."""
    with closing(open_tracker(config.track, run.path)) as tracker:
        tracker.settings(dict(flatten(config)))
        trainer.tracker = tracker
        yield
        show_media(tracker, "figures", sorted(run.figures.glob("*.png")))
        show_media(tracker, "videos", sorted(run.videos.glob("imagination.mp4")))


def _train_stages(
    config: TrainConfig,
    run: RunDirectory,
    processes: Processes,
    model: WorldModel,
    trainer: Trainer,
    episodes: Source,
    poses: Source,
    collected_s: float,
) -> TrainResult | None:
    """Run the stages that are not done yet; the first process records the result."""
    seconds = {"collect": collected_s}
    found, table, first = _begun(config, run, model, episodes, poses), None, processes.is_first
    if "encoder" not in trainer.stages_done:
        model.encoder.fit_normalization(poses.frames.gather(spread_rows(poses.train, 4096)))
    encoder_stage = partial(_encoder_stage, config, model, poses)
    seconds["encoder"] = trainer.fit(encoder_stage())
    if first:
        model.save(run.path)
    if model.predictor is not None:
        table = latent_table(model, episodes.data, episodes.frames, shown=first)
        # each of several processes may hold only a part of the weights, and cannot imagine with it
        seconds |= train_dynamics(config, model, trainer, episodes, table, run if processes.size == 1 else None)
        if config.rounds:
            of_rounds, table = train_rounds(config, model, trainer, episodes, table, encoder_stage)
            seconds |= of_rounds
        seconds |= train_heads(model, trainer, episodes, table)
    if first:
        start = time.monotonic()
        if poses.data.state_names:  # a recording from elsewhere may hold frames and actions only
            found = replace(found, identifiability=judge_latents(model, poses, run))
        seconds["identifiability"] = time.monotonic() - start
        if table is not None:
            found = replace(found, prediction=measured_prediction(model, episodes, table, run))
    if model.decoder is not None:
        pictures = training_pictures(model.encoder, model.decoder, episodes)
        seconds["decoder"] = _train_decoder(config, model.decoder, trainer, pictures)
        if first:
            decoding = judge_decoder(model, episodes, pictures, run)
            videos = film_held_out(model, episodes, table, run) if table is not None else []
            found = replace(found, decoding=replace(decoding, videos=videos))
    if model.robust_encoder is not None:
        settings = config.distillation_or_default
        seconds["looks"], robust = train_robust_encoder(model, trainer, episodes.data, settings, config.seed)
        found = replace(found, robust=robust)
    if model.reward_head is not None and table is not None:
        seconds["reward"], reward = train_reward(model, trainer, episodes, table)
        found = replace(found, reward=reward)
    return _finished(run, model, found, seconds) if first else None


def _begun(config: TrainConfig, run: RunDirectory, model: WorldModel, episodes: Source, poses: Source) -> TrainResult:
    """The result as far as it is known before training."""
    return TrainResult(
        run=str(run.path),
        env=config.env.label,
        method=config.method.name,
        seed=config.seed,
        data=_data_used(config, episodes.data, poses.data),
        model=_model_size(config, model),
        rounds=recorded_rounds(episodes.data),
    )


def _finished(run: RunDirectory, model: WorldModel, found: TrainResult, seconds: Mapping[str, float]) -> TrainResult:
    """Save the model, draw the curves, and record the result."""
    model.save(run.path)
    with figures.drawing("training_curves.png"):
        figures.training_curves(run.figures / "training_curves.png", run.read_metrics())
    result = replace(
        found,
        seconds={stage: round(value, 2) for stage, value in seconds.items()},
        peak_memory_mb=round(peak_memory_mb(), 1),
    )
    run.record(result)
    return result


def _data_used(config: TrainConfig, episodes: DataSet, poses: DataSet) -> DataUsed:
    low, high = reward_range(episodes)
    return DataUsed(
        episodes=episodes.num_episodes,
        frames=episodes.num_rows,
        image_size=config.env.image_size,
        encoder_frames=poses.num_rows,
        lowest_reward=low,
        highest_reward=high,
        world=episodes.index.digest,
    )


def _model_size(config: TrainConfig, model: WorldModel) -> ModelSize:
    encoder = f"{config.encoder.kind} {config.encoder.input_size}x{config.encoder.input_size}"
    return ModelSize(model.latent_dim, encoder, sum(p.numel() for p in model.parameters()))


def collect_all(config: TrainConfig) -> float:
    """Collect what is missing of the episodes for the dynamics and the frames for the encoder; returns seconds."""
    check_collection(config)
    seconds = collect(config.collection).seconds
    return seconds + (collect(config.atlas).seconds if config.atlas else 0.0)


def check_collection(config: TrainConfig) -> None:
    """Refuse what cannot be trained, before anything is collected for it.

    Raises:
        UserError: the settings ask for too few episodes, or too short ones, for OU pairs in a world that has none, or
            for plans by goal heads that are not learned.
    """
    collection, plan = config.collection, config.plan
    if not config.goal_heads and plan.metric != "l2":
        raise UserError(f"plan.metric={plan.metric} needs goal heads: leave goal_heads=true, or set plan.metric=l2")
    if collection.env.world != RECORDED and collection.episodes < FEWEST_EPISODES:
        raise UserError(
            f"{collection.episodes} episodes are too few for a train, a validation and a test split; collect at least "
            f"{FEWEST_EPISODES} (episodes={FEWEST_EPISODES})"
        )
    _check_halves(collection, config.context_or_default.window)
    for one in (collection, config.poses):
        if one.env.world != RECORDED:  # what a recording holds is known once it is open
            check_frame_size(one.env.image_size, config.encoder.input_size)
    if config.poses.env.world != RECORDED:
        check_pairs(config.method, config.poses.env.label, bool(config.poses.env.kinematic))


def _check_halves(collection: CollectConfig, window: int) -> None:
    """UserError where physical constants vary and half an episode holds no context window."""
    steps, env = collection.episode_steps, collection.env
    if steps >= 2 * (window + collection.restart_midway) or not env.randomize or env.world == RECORDED:
        return
    with closing(envs.make(**env.make_arguments())) as world:
        if world.randomized("physical") and world.scene.kinematic is None:
            raise UserError(
                f"two windows of {window} steps do not fit into episodes of {steps} steps, and {world.name} varies "
                f"{', '.join(world.randomized('physical'))}; set context.window to at most half of episode_steps"
            )


def architecture(config: TrainConfig, episodes: DataSet, poses: DataSet) -> ModelConfig:
    """The architecture that settings and data ask for, with what the settings leave open decided from the data.

    Raises:
        UserError: there are more latents than the data support, or context windows do not fit into half an episode.
    """
    latent_dim, context = config.encoder.latent_dim, config.context_or_default
    if latent_dim is None:
        latent_dim = latent_variables(poses).values.shape[1] if poses.index.world.kinematic else DEFAULT_LATENT_DIM
    _check_support(latent_dim, config.encoder.input_size, poses)
    num_constants = physical_constants(episodes).values.shape[1]
    has_dynamics = episodes.actions.shape[1] > 0 and not episodes.index.world.kinematic
    with_context = has_dynamics and num_constants > 0
    if with_context:
        half_windows(episodes.split("train"), context.window)  # refused here, not after the encoder's training
    encoder = replace(config.encoder, latent_dim=latent_dim)
    lowest, highest = reward_range(episodes)
    return ModelConfig(
        encoder=encoder,
        action_dim=episodes.actions.shape[1],
        predictor=config.predictor if has_dynamics else None,
        context=replace(context, dim=context.dim or num_constants) if with_context else None,
        heads=_goal_heads(config, episodes) if has_dynamics and config.goal_heads else None,
        decoder=DecoderConfig(image_size=episodes.index.world.image_size) if config.decoder else None,
        robust=robust_encoder_config(encoder, episodes.index.world.image_size) if config.robust else None,
        reward=REWARD if has_dynamics and config.reward_head and lowest < highest else None,
    )


def _goal_heads(config: TrainConfig, episodes: DataSet) -> HeadsConfig:
    """The goal heads; where episodes are short, goals lie no further ahead than an episode shows."""
    longest = int(segments(episodes, episodes.split("train")).length.max()) - config.predictor.num_context_frames
    return replace(HEADS, reach=max(1, min(HEADS.reach, longest)))


def _check_windows(config: TrainConfig, model: WorldModel, episodes: Source, poses: Source) -> None:
    """UserError where a window that training needs does not fit into the episodes; before any stage is trained."""
    if poses.data.index.world.kinematic is None and config.method.name != "lewm":
        window_starts(motions(poses.train), config.method.lag + 1)
    if model.predictor is None:
        return
    num_frames, horizon = config.predictor.num_context_frames, config.predictor.horizon
    longest = max(horizon, model.heads.config.reach) if model.heads else horizon
    window_starts(segments(episodes.data, episodes.train), num_frames + longest)
    window_starts(segments(episodes.data, episodes.test), num_frames + horizon)


def _check_support(latent_dim: int, input_size: int, poses: DataSet) -> None:
    """UserError where there are as many latents as frames, or as numbers in a frame: they could not all vary."""
    num_frames, num_inputs = int(poses.split("train").length.sum()), 3 * input_size**2
    if latent_dim >= min(num_frames, num_inputs):
        raise UserError(
            f"encoder.latent_dim={latent_dim} is more than the data supports: {num_frames} training frames of "
            f"{num_inputs} numbers in {poses.index.name}; lower it, or collect more"
        )


# ---------------------------------------------------------------------------------------------------------------------
# the encoder


def _encoder_stage(config: TrainConfig, model: WorldModel, poses: Source) -> Stage:
    method = config.method
    stretches = motions(poses.train)
    objective = encoder_objective(method, model.encoder, poses.data, stretches, config.seed, None, model.predictor)
    return encoder_stage(objective, model.encoder, poses.frames, method.optim, method.on_collapse)


def _train_decoder(config: TrainConfig, decoder: Decoder, trainer: Trainer, pictures: Pictures) -> float:
    """Frames from frozen latents; returns seconds."""
    if "decoder" not in trainer.stages_done:
        fit_normalization(decoder, pictures)
    return trainer.fit(decoder_stage(decoder, pictures, config.decoder_steps))
