"""`worldmodel positions`: constants from true positions, with noise, in place of frame latents.

What a context method could find if the frame encoder were perfect up to that noise, in minutes and without rendering:
for choosing an excitation, a window or a method, and as the control beside results from pixels.
"""

from pathlib import Path
from typing import Any

import torch

from worldmodel.designing import chosen_policy, judge, settings_for
from worldmodel.evaluation.positions.context_trials import ContextStudy, ContextTrial, OptimSetting, ReportedFigures
from worldmodel.evaluation.positions.positions_result import (
    ConstantReading,
    MethodReading,
    PositionNoise,
    PositionsResult,
)
from worldmodel.measures.statistics import OverSeeds, best_known, over_seeds
from worldmodel.runs import check_out, write_record
from worldmodel.settings import ContextMethod, PositionsConfig
from worldmodel.system.devices import pick_device, torch_kept
from worldmodel.system.progress import progress

GRID = tuple(OptimSetting(*pair) for pair in ((1e-3, 1.0), (3e-3, 1.0), (1e-3, 0.3), (3e-3, 0.3)))
"""Settings over which every method is tuned."""
TUNING_SEED = 1000


@torch_kept()
def positions(config: PositionsConfig) -> PositionsResult:
    """Simulate, tune, train and probe every method; writes positions.json.

    Trials that an earlier command finished are taken from its cells.

    Raises:
        UserError: no physical constant varies, or nothing moves.
    """
    check_out(config.out, PositionsResult, config.overwrite)
    check_out(str(result_file(config)), PositionsResult, overwrite=True)
    device = pick_device(config.training.device)
    torch.set_num_threads(config.training.threads or 1)
    study = ContextStudy(config, device)
    bound = _bound(config)
    collection = config.training.collection
    result = PositionsResult(
        env=config.training.env.label,
        policy=chosen_policy(collection),
        constants=list(study.constants),
        window_steps=config.training.context_or_default.window,
        episodes=collection.episodes,
        episode_steps=collection.episode_steps,
        drift_rho=collection.drift_rho,
        restart_midway=collection.restart_midway,
        noise=PositionNoise(config.noise_m, config.noise_rad),
        num_seeds=config.num_seeds,
        tuning=_tuning(config),
        methods={method: _method(study, config, method) for method in config.methods},
        **bound,
    )
    for path in (result_file(config), *([Path(config.out)] if config.out else [])):
        write_record(path, result)
    return result


def result_file(config: PositionsConfig) -> Path:
    """Where `positions` writes its result."""
    return config.run_directory / "positions.json"


def _tuning(config: PositionsConfig) -> str:
    if not config.tune:
        return "none: defaults"
    return (
        f"{len(GRID)} settings of learning rate and weight decay each, by R2 on validation episodes with a seed of its "
        "own"
    )


def _bound(config: PositionsConfig) -> dict[str, Any]:
    """The fields of the result that are about the bound on any reader; none where none is asked for."""
    if not config.bound_trajectories:
        return {}
    judged = judge(settings_for(config.training, config.noise_m, config.noise_rad, config.bound_trajectories))
    return {
        "r2_bound": judged.r2_bound,
        "r2_bound_interval": judged.r2_bound_interval,
        "identifiable": judged.identifiable,
        "combinations": judged.combinations,
    }


def _method(study: ContextStudy, config: PositionsConfig, method: ContextMethod) -> MethodReading:
    """Tune one method, train it with every seed, and probe it on test episodes."""
    default = config.training.context_training_or_default.optim
    setting = OptimSetting(default.lr, default.weight_decay)
    tried: dict[OptimSetting, float | None] = {}
    if config.tune:
        for candidate in GRID:
            tried[candidate] = study.validated(ContextTrial(method, candidate, TUNING_SEED)).r2
        setting = best_known(tried)
    seeds = range(config.training.seed, config.training.seed + config.num_seeds)
    found = [study.tested(ContextTrial(method, setting, seed)) for seed in progress(seeds, desc=method, unit="seed")]
    return MethodReading(
        lr=setting.lr,
        weight_decay=setting.weight_decay,
        validation_r2={str(candidate): score for candidate, score in tried.items()},
        constants={name: _reading(found, k) for k, name in enumerate(study.constants)},
        num_constants=[figures.num_constants for figures in found],
        correlations=[figures.correlations for figures in found],
    )


def _reading(found: list[ReportedFigures], k: int) -> ConstantReading:
    """How well constant number k is read, over the seeds."""

    def far(values: list[list[float | None] | None]) -> OverSeeds | None:
        drawn = [of_seed[k] for of_seed in values if of_seed is not None]
        return over_seeds(drawn) if drawn else None

    return ConstantReading(
        r2_linear=over_seeds([figures.r2_linear[k] for figures in found]),
        r2_mlp=over_seeds([figures.r2_mlp[k] for figures in found]),
        r2_out_of_range=far([figures.r2_out_of_range for figures in found]),
        r2_out_of_range_averaged=far([figures.r2_out_of_range_averaged for figures in found]),
    )
