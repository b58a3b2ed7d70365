"""`worldmodel imagine`: what a model expects to happen, filmed beside what happened, and how far off its state is."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from worldmodel import figures
from worldmodel.data.store import DataSet
from worldmodel.envs import MujocoWorld
from worldmodel.evaluation.control.landmarks import possible
from worldmodel.evaluation.fits import check_actions, check_fits, check_frames
from worldmodel.evaluation.imagination.disagreement import check_alike, disagreement
from worldmodel.evaluation.imagination.forecasts import Forecaster, Forecasts
from worldmodel.evaluation.imagination.imagined_errors import error_bounds, state_errors
from worldmodel.evaluation.imagination.plans import film_plans
from worldmodel.evaluation.trust import distrusted, trusted_world, warn_if_edited
from worldmodel.learning.imagining import NUM_STRIPS, Futures, film_futures, show_futures
from worldmodel.models import WorldModel
from worldmodel.models.encoders import set_cpu_threads
from worldmodel.runs import ImagineResult, Run, StateErrors, StatePath, find_runs
from worldmodel.settings import RECORDED, ImagineConfig
from worldmodel.system.devices import pick_device, torch_kept
from worldmodel.system.errors import CheckpointError, UserError
from worldmodel.system.files import check_replaceable

_FILM = "imagination"
_FILM_OF_ALL = "imagination_of_all"


@torch_kept()
def imagine(config: ImagineConfig) -> ImagineResult:
    """Imagine held-out episodes, open loop. Films and figures go into each run, the errors into its summary.

    Several runs imagine the same windows, and every result says how far they disagree.

    Returns:
        What was found of the first run; `Run(path).imagine` has that of each.

    Raises:
        UserError: there is no such run, it has no dynamics or no decoder, no test episode is long enough, or several
            runs do not see the same windows.
    """
    if config.out:
        check_replaceable(Path(config.out), [b"ftyp", b"GIF8"], "video", "choose another out=, or delete it")
    runs = find_runs(config.run)
    with ExitStack() as locks:
        for run in runs:
            locks.enter_context(run.directory.locked())
        plan = possible(runs[0].config.plan, runs[0].config)
        models = [_model(run, config) for run in runs]
        with _world(runs[0], config.trust_world) as world:
            units = {} if world is None else world.scene.position_units
            if world is not None:
                check_fits(models[0], world)
            each = [
                Forecaster(model, _data(run, config, model), config.steps, units)
                for run, model in zip(runs, models, strict=True)
            ]
            names = [str(run.path) for run in runs]
            check_alike({name: _sees(of) for name, of in zip(names, each, strict=True)})
            found = [of.forecasts(config.windows) for of in each]
            results = [_imagined(config, *of) for of in zip(runs, each, found, strict=True)]
            if len(runs) > 1:
                results = _together(config, runs, each, found, results)
            else:
                with suppress(OSError):  # of an earlier command
                    (runs[0].figures / f"{_FILM_OF_ALL}.png").unlink()
            if len(runs) == 1 and world is not None and config.tasks:
                films = film_plans(config, runs[0], models[0], world, plan)
                results = [replace(results[0], videos=[*results[0].videos, *films])]
        for run, result in zip(runs, results, strict=True):
            run.directory.record(result)
    return results[0]


def _model(run: Run, config: ImagineConfig) -> WorldModel:
    model = run.model(pick_device(config.device))
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
    set_cpu_threads(model.config.encoder)
    return model


def _data(run: Run, config: ImagineConfig, model: WorldModel) -> DataSet:
    """The run's recordings, which the model must fit."""
    data = run.episodes(config.data)
    check_frames(model, data.index.world.image_size, str(data.directory))
    check_actions(model, data.actions.shape[1], str(data.directory))
    return data


def _sees(of: Forecaster) -> tuple[object, ...]:
    """What decides which windows a run imagines."""
    folders = sorted({str(path.parent) for path in of.data.shards})
    return folders, of.num_seen, of.ahead.tolist()


@contextmanager
def _world(run: Run, trust_world: bool) -> Iterator[MujocoWorld | None]:
    """The run's world; None where there is none, or it is code that the user has not agreed to run."""
    env = run.config.env
    if env.world == RECORDED or (distrusted(env.world) and not trust_world):
        yield None
        return
    world = trusted_world(env, trust_world)
    try:
        warn_if_edited(run, world)
        yield world
    finally:
        world.close()


def _imagined(config: ImagineConfig, run: Run, of: Forecaster, found: Forecasts) -> ImagineResult:
    """Films and errors of one run."""
    few = _filmed(config, found)
    decoded = of.model.decode(found.latents[few]).cpu().numpy()
    futures = Futures(found.rows[few], {"imagined": decoded}, of.num_seen)
    videos = show_futures(run.directory, of.data, futures, _FILM)
    if config.out:  # of several runs, the film of all of them takes its place
        film_futures(Path(config.out), of.data, futures)
    errors: dict[str, StateErrors] = {}
    if of.reader:
        validation = of.validation_forecasts(config.windows)
        bounds = error_bounds(of.reader, of.imagined(validation), of.truth(validation)) if validation else None
        rng, truth = np.random.default_rng(config.seed), of.truth(found)
        errors = state_errors(
            of.reader, of.imagined(found), of.seen(found), truth, found.episode, config.bootstrap, rng, bounds
        )
        with figures.drawing("imagination_errors.png"):
            figures.state_errors(run.figures / "imagination_errors.png", of.ahead.tolist(), errors)
    paths = [_paths(of, found, window) for window in few[:NUM_STRIPS]] if of.reader else []
    if paths:
        with figures.drawing("imagination_paths.png"):
            figures.state_paths(run.figures / "imagination_paths.png", of.ahead.tolist(), paths, errors)
    return ImagineResult(
        world=run.config.env.label,
        num_seen=of.num_seen,
        num_windows=len(found.latents),
        num_episodes=len(np.unique(found.episode)),
        steps=of.ahead.tolist(),
        errors=errors,
        seed=config.seed,
        videos=videos,
        paths=paths,
    )


def _filmed(config: ImagineConfig, found: Forecasts) -> list[int]:
    """Which windows are filmed."""
    most = min(config.shown, len(found.latents))
    return np.unique(np.linspace(0, len(found.latents) - 1, most).astype(int)).tolist()


def _paths(of: Forecaster, found: Forecasts, window: int) -> dict[str, StatePath]:
    """The state along one future. An imagined angle is drawn on the turn of the true one."""
    assert of.reader is not None
    truth, off = of.truth(found), of.signed_errors(found)
    true = {name: of.reader.path(name, values[window]) for name, values in truth.items()}
    return {name: StatePath(path.tolist(), (path + off[name][window]).tolist()) for name, path in true.items()}


def _together(
    config: ImagineConfig, runs: list[Run], each: list[Forecaster], found: list[Forecasts], results: list[ImagineResult]
) -> list[ImagineResult]:
    """What all runs imagine of the same windows, in one film, and how far they disagree; both go into each run."""
    few = _filmed(config, found[0])
    decoded = {
        run.path.name: of.model.decode(one.latents[few]).cpu().numpy()
        for run, of, one in zip(runs, each, found, strict=True)
    }
    futures = Futures(found[0].rows[few], decoded, each[0].num_seen)
    spread = disagreement([of.signed_errors(one) for of, one in zip(each, found, strict=True)])
    names = [str(run.path) for run in runs]
    if config.out:
        film_futures(Path(config.out), each[0].data, futures)
    together = []
    for run, of, result in zip(runs, each, results, strict=True):
        videos = [*result.videos, *show_futures(run.directory, of.data, futures, _FILM_OF_ALL)]
        together.append(replace(result, videos=videos, runs=names, disagreement=spread))
    return together
