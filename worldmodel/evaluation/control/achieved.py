"""From what controllers did to what they achieved: rates, returns and regret, with intervals."""

from dataclasses import dataclass

import numpy as np

from worldmodel.evaluation.control.driving import Outcome
from worldmodel.measures.statistics import difference_interval, mean_interval, share_won_back, wilson_interval
from worldmodel.runs.results import (
    ChangeResult,
    ControllerName,
    ControllerResult,
    Regret,
    Returns,
    Success,
    as_interval,
)
from worldmodel.settings import ChangeConfig

Outcomes = dict[ControllerName, list[Outcome]]
"""Controller -> what it did, one outcome for each run."""


def achieved(outcomes: Outcomes, rewarded: bool) -> tuple[dict[ControllerName, ControllerResult], Regret | None]:
    """What every controller achieved over all its runs, and the regret where the oracle is among them.

    rewarded: whether returns are measured instead of goals reached.
    """
    controllers: dict[ControllerName, ControllerResult] = {
        name: _controller(of, rewarded) for name, of in outcomes.items()
    }
    if "oracle" not in outcomes:
        return controllers, None
    (oracle,) = outcomes["oracle"]
    of_returns_or_goals = _regret_of_returns if rewarded else _regret_of_success
    return controllers, of_returns_or_goals(outcomes["latent"], oracle)


@dataclass(frozen=True)
class ChangedOutcomes:
    """Outcomes of one run's latent planner on the same tasks, with the robot as it is and as it changes in mid-task."""

    unchanged: Outcome
    fixed: Outcome
    """With the change, without adaptation."""
    adapting: Outcome
    mean_context: Outcome | None
    """With the change and mean constants, for a run that knows constants."""


def change_result(change: ChangeConfig, of_runs: list[ChangedOutcomes]) -> ChangeResult:
    """What a change costs, and what adaptation wins back, over all runs."""
    unchanged, fixed, adapting = ([getattr(of, name) for of in of_runs] for name in ("unchanged", "fixed", "adapting"))
    mean = [of.mean_context for of in of_runs if of.mean_context is not None]
    won, lost, before = (np.concatenate([of.solved for of in part]) for part in (adapting, fixed, unchanged))
    won_back, interval = share_won_back(won, lost, before)
    return ChangeResult(
        change=change,
        unchanged=_success(unchanged),
        fixed=_success(fixed),
        adapting=_success(adapting),
        mean_context=_success(mean) if mean else None,
        won_back=won_back,
        won_back_interval=as_interval(interval),
        cpu_ms_per_decision=1e3 * sum(of.decision_cpu_s for of in adapting) / sum(of.num_decisions for of in adapting),
    )


def _success(outcomes: list[Outcome]) -> Success:
    return success_of([of.solved_at for of in outcomes])


def _controller(outcomes: list[Outcome], rewarded: bool) -> ControllerResult:
    num_tasks, num_runs = len(outcomes[0].solved_at), len(outcomes)
    if rewarded:
        returns = np.concatenate([of.returns for of in outcomes])
        found = Returns(float(returns.mean()), as_interval(mean_interval(returns)))
        flags = [of.succeeded_at for of in outcomes if of.succeeded_at is not None]
        own = success_of(flags) if flags else None
        return ControllerResult(num_tasks, num_runs, returns=found, own_success=own)
    return ControllerResult(num_tasks, num_runs, success=_success(outcomes))


def success_of(solved_at: list[np.ndarray]) -> Success:
    """The share of tasks solved over all runs.

    solved_at: for each run, the control step from which each task was solved, int (n,); -1 if never.
    """
    steps = np.concatenate(solved_at)
    solved = steps >= 0
    low, high = wilson_interval(int(solved.sum()), len(solved))
    return Success(
        rate=float(solved.mean()),
        interval=(low, high),
        by_run=[float((of_run >= 0).mean()) for of_run in solved_at],
        median_steps=float(np.median(steps[solved])) if solved.any() else None,
    )


def _regret_of_returns(latent: list[Outcome], oracle: Outcome) -> Regret:
    num = len(oracle.returns)
    gap = np.concatenate([oracle.returns - of.returns[:num] for of in latent])
    return Regret(float(gap.mean()), as_interval(mean_interval(gap)))


def _regret_of_success(latent: list[Outcome], oracle: Outcome) -> Regret:
    num = len(oracle.solved_at)
    best, reached = _count([oracle.solved]), _count([of.solved[:num] for of in latent])
    gap = best[0] / best[1] - reached[0] / reached[1]
    return Regret(gap, as_interval(difference_interval(best, reached)))


def _count(solved: list[np.ndarray]) -> tuple[int, int]:
    """Tasks solved and tasks tried, over all runs."""
    return sum(int(flags.sum()) for flags in solved), sum(len(flags) for flags in solved)
