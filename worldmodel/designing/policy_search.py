"""Searching the excitation policies and their parameters: random candidates, then perturbations of the best."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from worldmodel.designing.design_result import ChosenPolicy
from worldmodel.envs.excitation import POLICIES
from worldmodel.envs.world import MujocoWorld

Score = Callable[[ChosenPolicy, int], float]
"""Policy, number of trajectories -> score, the larger the better."""
KEPT = 4
"""How many of the screened policies are compared on more trajectories."""


@dataclass(frozen=True)
class Parameter:
    """A policy's parameter, searched in logarithms between two bounds."""

    name: str
    """Its name."""
    low: float
    """Least value."""
    high: float
    """Greatest value."""
    whole: bool = False
    """Whether it is a whole number."""

    def clip(self, value: float) -> float | int:
        """The value between the bounds, whole or rounded to three digits."""
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else float(f"{value:.3g}")


@dataclass(frozen=True)
class ScoredPolicy:
    """A policy with its score."""

    policy: ChosenPolicy
    """The policy."""
    score: float
    """The larger the better."""


class PolicySearch:
    """Proposes policies for a world, and compares them.

    Args:
        given: the environment's own policy; the first candidate, and a finalist.
        world: the world to excite; policies that cannot run in it are left out.
        window_s: length of a window, the slowest change of actions that is proposed.
        rng: draws the proposals.
    """

    def __init__(self, given: ChosenPolicy, world: MujocoWorld, window_s: float, rng: np.random.Generator) -> None:
        self._given, self._rng = given, rng
        self._spaces = {
            name: space
            for name, space in _spaces(world.control_dt_s, window_s).items()
            if _runs_in(world, ChosenPolicy(name))
        }

    def run(
        self, score: Score, num: int, num_screened: int, num_compared: int, advance: Callable[[int], Any]
    ) -> ScoredPolicy:
        """Score `num` candidates on few trajectories, half of them drawn and half perturbed; the best few on more."""
        screened = [ScoredPolicy(self._given, score(self._given, num_screened))]
        advance(1)
        while len(screened) < num:
            drawn = len(screened) < num / 2
            policy = self._draw() if drawn else self._perturbed(sorted(screened, key=_score)[-KEPT:])
            screened.append(ScoredPolicy(policy, score(policy, num_screened)))
            advance(1)
        finalists = [self._given, *(candidate.policy for candidate in sorted(screened, key=_score)[-KEPT:])]
        return max((ScoredPolicy(policy, score(policy, num_compared)) for policy in finalists), key=_score)

    def _draw(self) -> ChosenPolicy:
        name = self._rng.choice([*self._spaces])
        space = self._spaces[name]
        values = {p.name: p.clip(np.exp(self._rng.uniform(np.log(p.low), np.log(p.high)))) for p in space}
        return ChosenPolicy(str(name), values)

    def _perturbed(self, best: list[ScoredPolicy]) -> ChosenPolicy:
        policy = best[self._rng.integers(len(best))].policy
        space = self._spaces.get(policy.name)
        if space is None:
            return self._draw()
        default = ChosenPolicy(policy.name).make()
        values = {p.name: policy.parameters.get(p.name, getattr(default, p.name)) for p in space}
        moved = {
            p.name: p.clip(values[p.name] * np.exp(0.15 * np.log(p.high / p.low) * self._rng.standard_normal()))
            for p in space
            if isinstance(values[p.name], int | float)  # not a list, one value an action
        }
        return ChosenPolicy(policy.name, {**policy.parameters, **moved})


def _score(candidate: ScoredPolicy) -> float:
    return candidate.score


def _runs_in(world: MujocoWorld, policy: ChosenPolicy) -> bool:
    try:
        policy.make().begin(world, np.random.default_rng(0))
    except ValueError:
        return False
    return True


def _spaces(dt_s: float, window_s: float) -> dict[str, tuple[Parameter, ...]]:
    """The parameters of each policy that are searched. A std above 1 makes clipped, nearly bang-bang actions."""
    std = Parameter("std", 0.3, 4.0)
    time_constant = Parameter("time_constant_s", dt_s, window_s)
    spaces = {
        "uniform": (Parameter("hold_steps", 1, max(2, round(window_s / dt_s / 3)), whole=True),),
        "ou": (std, time_constant),
        "colored_noise": (Parameter("exponent", 0.1, 2.0), std),
        "coasting": (
            std,
            time_constant,
            Parameter("stiffness", 0.05, 2.0),
            Parameter("damping", 0.02, 1.0),
            Parameter("release_prob", 0.02, 0.5),
            Parameter("engage_prob", 0.05, 0.9),
            Parameter("boundary", 0.3, 10.0),
        ),
        "ou_tracking": (
            Parameter("std", 0.1, 2.0),
            time_constant,
            Parameter("stiffness", 0.5, 20.0),
            Parameter("damping", 0.02, 2.0),
        ),
    }
    assert spaces.keys() <= POLICIES.keys()
    return spaces
