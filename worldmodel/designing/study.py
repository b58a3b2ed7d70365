"""`worldmodel design`: which constants an excitation makes identifiable, and an excitation that does better.

Needs no data and no training: the simulator is differentiated around trajectories at constants drawn from the prior.
"""

import dataclasses
from pathlib import Path

import msgspec
import numpy as np

from worldmodel import figures
from worldmodel.designing.design_result import (
    SHARE_OUTSIDE,
    ChosenPolicy,
    ConstantPrior,
    DesignResult,
    ExcitationBounds,
    FiniteDifferences,
)
from worldmodel.designing.differentiation import choose_differences
from worldmodel.designing.information import posterior_covariance, r2_bounds
from worldmodel.designing.judgement import bounds_of, gain_of
from worldmodel.designing.policy_search import PolicySearch, ScoredPolicy
from worldmodel.designing.problem import DesignProblem, open_problem
from worldmodel.designing.windows import window_information
from worldmodel.envs.sensitivity import position_names
from worldmodel.envs.world import SimulationDiverged
from worldmodel.figures import design_figure
from worldmodel.runs import RunDirectory, check_out, write_record
from worldmodel.settings import DesignConfig, TrainConfig
from worldmodel.system.errors import UserError
from worldmodel.system.files import check_folder
from worldmodel.system.progress import progress

NUM_SCREENED, NUM_COMPARED = 6, 16
"""Trajectories per candidate of the search: in the first screening, and in the final comparison of the best few."""
_REPORTED, _SEARCHED = 10_000, 1000
"""First index of the trajectories behind reported figures, and of those that the search uses."""


def design(config: DesignConfig) -> DesignResult:
    """Judge the environment's excitation and search for a better one; writes design.json and a figure.

    Raises:
        UserError: the world has no physical constants, or nothing of it moves or is observed.
    """
    check_out(config.out, DesignResult, config.overwrite)
    check_out(str(result_file(config)), DesignResult, overwrite=True)
    check_folder(config.run_directory / "figures")
    problem = open_problem(config)
    differences = choose_differences(problem)
    given = problem.given_policy
    seeds = range(_REPORTED, _REPORTED + config.num_trajectories)
    before = window_information(problem, differences, given, seeds, "given excitation")
    result = _result(problem, differences, bounds_of(problem, given, before))
    best = _search(problem, differences, given)
    if best is not None and best.policy != given:
        after = window_information(problem, differences, best.policy, seeds, "designed excitation")
        designed = bounds_of(problem, best.policy, after)
        result = dataclasses.replace(result, designed=designed, gain=gain_of(before, after))
    run = RunDirectory(config.run_directory)
    with figures.drawing("design.png"):
        _draw(run.figures / "design.png", result)
    for path in (result_file(config), *([Path(config.out)] if config.out else [])):
        write_record(path, result)
    return result


def result_file(config: DesignConfig) -> Path:
    """Where `design` writes its result."""
    return config.run_directory / "design.json"


def settings_for(trained: TrainConfig, noise_m: float, noise_rad: float, num_trajectories: int) -> DesignConfig:
    """Settings with which `judge` bounds the windows that a training sees, for constants drawn from their priors."""
    env = dataclasses.replace(trained.env, factor_spread={})
    training = dataclasses.replace(trained, collection=dataclasses.replace(trained.collection, env=env))
    return DesignConfig(
        training, noise_m=noise_m, noise_rad=noise_rad, num_trajectories=num_trajectories, seed=trained.seed
    )


def judge(config: DesignConfig) -> ExcitationBounds:
    """Bounds under the environment's own excitation; writes nothing."""
    problem = open_problem(config)
    given = problem.given_policy
    seeds = range(_REPORTED, _REPORTED + config.num_trajectories)
    return bounds_of(problem, given, window_information(problem, choose_differences(problem), given, seeds, "bound"))


def _search(problem: DesignProblem, differences: FiniteDifferences, given: ChosenPolicy) -> ScoredPolicy | None:
    """The best policy found; scores are of trajectories that no reported figure uses."""
    config = problem.config
    if not config.search:
        return None
    rng = np.random.default_rng(config.seed)
    search = PolicySearch(given, problem.world, config.window_steps * problem.world.control_dt_s, rng)

    def score(policy: ChosenPolicy, num: int) -> float:
        try:
            found = window_information(problem, differences, policy, range(_SEARCHED, _SEARCHED + num))
        except (SimulationDiverged, UserError):
            return -np.inf
        return -np.inf if found.outside > SHARE_OUTSIDE else objective(config.objective, found.windows)

    with progress(total=config.search, desc="search") as bar:
        return search.run(score, config.search, NUM_SCREENED, NUM_COMPARED, bar.update)


def objective(name: str, information: np.ndarray) -> float:
    """The figure that a design maximises, from information (W, P, P)."""
    match name:
        case "logdet":
            return float(np.linalg.slogdet(np.eye(information.shape[-1]) + information)[1].mean())
        case "trace":
            return -float(np.trace(posterior_covariance(information)))
        case _:
            return float(r2_bounds(posterior_covariance(information)).min())


def _result(problem: DesignProblem, differences: FiniteDifferences, given: ExcitationBounds) -> DesignResult:
    config, world = problem.config, problem.world
    names = position_names(world)
    return DesignResult(
        env=config.training.env.label,
        world=world.name,
        constants=[msgspec.convert(world.factors[name].describe(), ConstantPrior) for name in problem.constants],
        observed={names[i]: float(noise) for i, noise in zip(problem.observed, problem.noise, strict=True)},
        control_dt_s=world.control_dt_s,
        window_steps=config.window_steps,
        episode_steps=config.training.collection.episode_steps,
        num_trajectories=config.num_trajectories,
        identifiable_r2=config.identifiable_r2,
        seed=config.seed,
        finite_difference=differences,
        given=given,
    )


def _draw(path: Path, result: DesignResult) -> None:
    drawn = {
        name: design_figure.Excitation(
            policy=bounds.policy.name,
            bounds=bounds.r2_bound,
            intervals=bounds.r2_bound_interval,
            growth=[
                (item.noise_ratio, item.window_steps * result.control_dt_s, item.r2_bound)
                for item in bounds.r2_bound_by_noise_and_steps
            ],
            information=bounds.information,
            correlation=np.array(bounds.posterior_correlation),
        )
        for name, bounds in result.excitations.items()
    }
    design_figure.design(path, drawn, result.identifiable_r2)
