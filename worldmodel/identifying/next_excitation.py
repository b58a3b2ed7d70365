"""What to record next: the excitation that would narrow the intervals most, searched at the estimate.

`worldmodel design` asks the same before anything was recorded, over the whole prior.

Letters: P constants, n recordings.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from worldmodel.designing import ChosenPolicy
from worldmodel.designing.design_result import SHARE_OUTSIDE
from worldmodel.designing.policy_search import PolicySearch
from worldmodel.envs.rollout import rollout
from worldmodel.envs.snapshot import SimulationDiverged
from worldmodel.identifying.estimation import known_at
from worldmodel.identifying.explained import Explained
from worldmodel.identifying.observation import Start
from worldmodel.identifying.tracks import Track
from worldmodel.runs import NextExcitation
from worldmodel.system.files import write_text
from worldmodel.system.progress import progress

_SCREENED, _COMPARED = 3, 8
"""Simulated recordings per candidate: in the first screening, and in the final comparison of the best few."""


class NextRecording:
    """Predicts what a further recording under some policy would add to the recordings at hand."""

    def __init__(self, explained: Explained, num_steps: int, seed: int) -> None:
        self._explained, self._num_steps, self._seed = explained, num_steps, seed
        self.covariance, self._widened = explained.widened()
        """Posterior covariance of the constants of the first recording, (P, P)."""
        numbers = explained.calibration.errors.field.local
        self._least, self._most = (quantile * numbers.scale for quantile in np.quantile(numbers.places, [0.0, 1.0], 0))

    def after(self, policy: ChosenPolicy, num: int, within: bool) -> np.ndarray:
        """Posterior covariances after one more recording, (num, P, P), for constants drawn from the posterior now.

        within: refuse policies that leave the range of positions that the readout knows.

        Raises:
            SimulationDiverged, ValueError: the policy does not work in this world, or leaves that range.
        """
        return np.stack([self._after_one(policy, index, within) for index in range(num)])

    def _after_one(self, policy: ChosenPolicy, index: int, within: bool) -> np.ndarray:
        explained, rng = self._explained, np.random.default_rng([self._seed, index])
        simulator, observation = explained.simulator, explained.simulator.observation
        world, num_positions = simulator.world, simulator.world.scene.model.nq
        factors = [world.factors[name] for name in simulator.constants]
        drawn = rng.multivariate_normal(explained.coordinates(0), self.covariance)
        values = {factor.name: factor.value(t) for factor, t in zip(factors, drawn, strict=True)}
        episode = rollout(world, policy.make(), seed=index, num_steps=self._num_steps, factors=values, render=False)
        states = episode.states.astype(np.float64)
        numbers = observation.numbers(states[:, :num_positions])
        if within and ((numbers < self._least) | (numbers > self._most)).any(1).mean() > SHARE_OUTSIDE:
            raise ValueError(f"{policy.name} leaves what the readout knows")
        first = explained.tracks[0].start
        start = Start(states[0], first.columns, first.spread)
        nuisances = explained.tracks[0].nuisances
        track = Track("", numbers, episode.actions, start, observation, simulator.replay, nuisances)
        alone = known_at(track, explained.calibration.errors, simulator.coordinates(values))
        # errors are larger than the error model has them, by as much as intervals were widened
        information = (np.linalg.inv(alone) - np.eye(len(factors))) / np.outer(self._widened, self._widened)
        return np.linalg.inv(np.linalg.inv(self.covariance) + information)


@dataclass(frozen=True)
class FoundExcitation:
    """The excitation to record next, as designed at an estimate."""

    policy: ChosenPolicy
    """The excitation."""
    shrinks_to: dict[str, float]
    """Constant -> width of its interval after that recording, as a share of the width now."""
    repeated: dict[str, float]
    """These widths after another recording under the run's own policy."""


def search_excitation(explained: Explained, given: ChosenPolicy, num_policies: int, seed: int) -> FoundExcitation:
    """Search the policies of `collect` for the one after whose recording least is unknown.

    Args:
        explained: the recordings at hand.
        given: the policy of the run, the first candidate.
        num_policies: how many are tried.
        seed: of the search.
    """
    simulator, rng = explained.simulator, np.random.default_rng(seed)
    num_steps = explained.tracks[0].num_steps
    coming = NextRecording(explained, num_steps, seed)
    search = PolicySearch(given, simulator.world, num_steps * simulator.world.control_dt_s, rng)

    def score(policy: ChosenPolicy, num: int) -> float:
        try:
            return -float(np.linalg.slogdet(coming.after(policy, num, within=True))[1].mean())
        except (SimulationDiverged, ValueError):
            return -np.inf

    with progress(total=num_policies, desc="next excitation", delay=2) as bar:
        best = search.run(score, num_policies, _SCREENED, _COMPARED, bar.update)
    before = np.sqrt(np.diag(coming.covariance))

    def shares(policy: ChosenPolicy) -> dict[str, float]:
        after = np.sqrt(np.diagonal(coming.after(policy, _COMPARED, within=False), axis1=1, axis2=2)).mean(0)
        return dict(zip(simulator.constants, (after / before).tolist(), strict=True))

    return FoundExcitation(best.policy, shares(best.policy), shares(given))


def next_excitation(
    explained: Explained, given: ChosenPolicy, num_policies: int, seed: int, folder: Path, file: str
) -> NextExcitation:
    """Search the next excitation, and write its policy as YAML to `file`, relative to the run's folder."""
    found = search_excitation(explained, given, num_policies, seed)
    text = yaml.safe_dump({"name": found.policy.name, **found.policy.parameters}, sort_keys=False)
    write_text(folder / file, text)
    return NextExcitation(found.policy.options, file, found.shrinks_to, found.repeated)
