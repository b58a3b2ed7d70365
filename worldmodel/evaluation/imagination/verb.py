"""`worldmodel imagine`: what a model expects to happen, filmed beside what happened, and how far off its state is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from worldmodel import figures
from worldmodel.data.frames import DiskFrames
from worldmodel.data.store import DataSet
from worldmodel.envs import MujocoWorld
from worldmodel.evaluation.imagination.held_out_windows import HeldOutWindows, held_out_windows
from worldmodel.evaluation.imagination.imagined_errors import error_bounds, state_errors
from worldmodel.evaluation.imagination.plans import film_plans
from worldmodel.evaluation.imagination.state_units import UnitReader, fit_reader
from worldmodel.evaluation.trust import trusted_world
from worldmodel.learning.imagining import Futures, film_futures, imagine_futures
from worldmodel.models import WorldModel
from worldmodel.models.encoders import set_cpu_threads
from worldmodel.runs import ImagineResult, Run, StateErrors
from worldmodel.settings import RECORDED, EnvConfig, ImagineConfig
from worldmodel.system.devices import pick_device
from worldmodel.system.errors import CheckpointError, UserError


def imagine(config: ImagineConfig) -> ImagineResult:
    """Imagine held-out episodes, open loop. Films and figures go into the run, the errors into its summary.

    Raises:
        UserError: there is no such run, it has no dynamics or no decoder, or no test episode is long enough.
    """
    run = Run(config.run)
    with run.directory.locked():
        trained, model = run.config, run.model(pick_device(config.device))
        _check_fits(run, model, config)
        set_cpu_threads(model.config.encoder)
        collection = replace(trained.collection, data=config.data) if config.data else trained.collection
        data = DataSet(collection.directory, collection.num_episodes)
        with _world(trained.env, config.trust_world) as world:
            units = {} if world is None else world.scene.position_units
            result = _open_loop(config, run, model, data, units)
            if world is not None and config.tasks:
                result = replace(result, videos=[*result.videos, film_plans(config, run, model, world)])
        run.directory.record(result)
    return result


def _check_fits(run: Run, model: WorldModel, config: ImagineConfig) -> None:
    if model.predictor is None:
        raise UserError(f"{run.path} has no dynamics predictor (its world has no actions), so it imagines nothing")
    if model.decoder is None:
        raise CheckpointError(
            f"{run.path} has no decoder, which makes pictures of latents; give the `worldmodel train` command of this "
            "run again, which adds one"
        )
    stride = model.predictor.config.stride
    if config.steps is not None and config.steps % stride:
        raise UserError(f"steps must be a multiple of {stride}, the predictor's block of actions, got {config.steps}")


@contextmanager
def _world(env: EnvConfig, trust_world: bool) -> Iterator[MujocoWorld | None]:
    """The run's world; None where there is none, or it is code that the user has not agreed to run."""
    if env.world == RECORDED or (".py:" in env.world and not trust_world):
        yield None
        return
    world = trusted_world(env, trust_world)
    try:
        yield world
    finally:
        world.close()


def _open_loop(
    config: ImagineConfig, run: Run, model: WorldModel, data: DataSet, units: dict[str, str]
) -> ImagineResult:
    """Films and errors of held-out episodes. units: state variable -> its unit, as far as the world tells them."""
    assert model.predictor is not None
    num_seen, stride = model.num_context_frames, model.predictor.config.stride
    horizon = config.steps or model.predictor.config.horizon
    frames = DiskFrames(data, model.config.encoder.input_size, model.device)
    held_out = held_out_windows(model, data, frames, num_seen + horizon, config.windows)
    table_rows, latents, rows = _imagined(model, held_out, horizon)
    few = np.unique(np.linspace(0, len(latents) - 1, min(config.shown, len(latents))).astype(int))
    film = film_futures(model, data, Futures(rows[few], latents[few], num_seen), run.directory, config.out)
    ahead = np.arange(stride, horizon + 1, stride)
    at = num_seen - 1 + ahead
    errors: dict[str, StateErrors] = {}
    if data.state_names:
        reader = fit_reader(model, data, frames, units)
        calibration = held_out_windows(model, data, frames, num_seen + horizon, config.windows, "validation")
        _, of_calibration, its_rows = _imagined(model, calibration, horizon)
        bounds = error_bounds(reader, of_calibration[:, at], _truth(data, its_rows[:, at], reader))
        seen = held_out.table.latents[table_rows[:, [num_seen - 1, *at]]]
        rng = np.random.default_rng(config.seed)
        truth = _truth(data, rows[:, at], reader)
        errors = state_errors(reader, latents[:, at], seen, truth, held_out.episode, config.bootstrap, rng, bounds)
        figures.state_errors(run.figures / "imagination_errors.png", ahead.tolist(), errors)
    return ImagineResult(
        world=run.config.env.label,
        num_seen=num_seen,
        num_windows=len(latents),
        num_episodes=len(np.unique(held_out.episode)),
        steps=ahead.tolist(),
        errors=errors,
        seed=config.seed,
        videos=[film],
    )


def _imagined(
    model: WorldModel, windows: HeldOutWindows, horizon: int
) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Of n windows: rows of the table (n, T), the latents that the model saw and imagined (n, T, D), and rows of the
    data set (n, T)."""
    rows = windows.start[:, None] + torch.arange(model.num_context_frames + horizon)
    latents = imagine_futures(model, windows.table, windows.start, horizon, windows.context)
    return rows, latents, windows.rows[rows.numpy()]


def _truth(data: DataSet, rows: np.ndarray, reader: UnitReader) -> dict[str, np.ndarray]:
    """State variable -> its true values (n, h) at rows of the data set."""
    return {name: data.states[rows, data.state_names.index(name)].astype(np.float64) for name in reader.units}
