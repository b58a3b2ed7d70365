"""What to record next: the excitation that would narrow the intervals most, searched at the estimate.

`worldmodel design` asks the same before anything was recorded, over the whole prior.

Letters: P constants, n recordings.
"""

from pathlib import Path

import numpy as np
import yaml

from worldmodel.designing import ChosenPolicy
from worldmodel.designing.design_result import SHARE_OUTSIDE
from worldmodel.designing.policy_search import PolicySearch
from worldmodel.envs.rollout import rollout
from worldmodel.envs.snapshot import SimulationDiverged
from worldmodel.identifying.explained import Explained
from worldmodel.identifying.least_squares import Layout, LeastSquares
from worldmodel.identifying.observation import Start
from worldmodel.identifying.tracks import Track
from worldmodel.runs import NextExcitation
from worldmodel.system.files import write_atomically
from worldmodel.system.progress import progress

_SCREENED, _COMPARED = 3, 8
"""Simulated recordings behind the score of a candidate: at first, and of the few that are compared at last."""


class NextRecording:
    """Says what a further recording under some policy would tell, beside what the recordings at hand have told."""

    def __init__(self, explained: Explained, num_steps: int, seed: int) -> None:
        self._explained, self._num_steps, self._seed = explained, num_steps, seed
        place = explained.layout.places[0][: len(explained.simulator.constants)]
        deviations = explained.deviations[place]
        covariance = explained.solution.covariance[np.ix_(place, place)]
        widened = deviations / np.sqrt(np.diag(covariance))
        self.covariance = covariance * np.outer(widened, widened)
        """What is left unknown of the constants of the first recording, (P, P)."""
        numbers = explained.calibration.errors.field.local
        self._least, self._most = (quantile * numbers.scale for quantile in np.quantile(numbers.places, [0.0, 1.0], 0))

    def after(self, policy: ChosenPolicy, num: int) -> np.ndarray:
        """What would be left unknown after one more recording, (num, P, P): constants drawn from what is known now.

        Raises:
            SimulationDiverged, ValueError: the policy does not work in this world, or drives it out of what is read.
        """
        return np.stack([self._after_one(policy, index) for index in range(num)])

    def _after_one(self, policy: ChosenPolicy, index: int) -> np.ndarray:
        explained, rng = self._explained, np.random.default_rng([self._seed, index])
        simulator, observation = explained.simulator, explained.simulator.observation
        world, num_positions = simulator.world, simulator.world.scene.model.nq
        factors = [world.factors[name] for name in simulator.constants]
        drawn = rng.multivariate_normal(explained.coordinates(0), self.covariance)
        values = {factor.name: factor.value(t) for factor, t in zip(factors, drawn, strict=True)}
        episode = rollout(
            world, policy.make(), seed=index, num_steps=self._num_steps, factors=values, render=False
        )  # fmt: skip
        states = episode.states.astype(np.float64)
        numbers = observation.numbers(states[:, :num_positions])
        if ((numbers < self._least) | (numbers > self._most)).any(1).mean() > SHARE_OUTSIDE:
            raise ValueError(f"{policy.name} leaves what the readout knows")
        first = explained.tracks[0].start
        start = Start(states[0], first.columns, first.spread)
        nuisances = explained.tracks[0].nuisances
        track = Track("", numbers, episode.actions, start, observation, simulator.replay, nuisances)
        whitening = explained.calibration.errors.field.whitening(numbers)
        layout = Layout.of([track], ())
        at = np.zeros(len(layout.prior))
        at[: len(factors)] = simulator.coordinates(values)
        hessian = LeastSquares([track], [whitening], layout).hessian(at)
        alone = np.linalg.inv(hessian + 1e-12 * np.eye(len(hessian)))[: len(factors), : len(factors)]
        information = np.linalg.inv(alone) - np.eye(len(factors))
        return np.linalg.inv(np.linalg.inv(self.covariance) + information)


def next_excitation(
    explained: Explained, given: ChosenPolicy, num_policies: int, seed: int, folder: Path, file: str
) -> NextExcitation:
    """Search the policies of `collect` for the one after whose recording least is unknown; written as YAML.

    Args:
        explained: the recordings at hand.
        given: the policy of the run, the first candidate.
        num_policies: how many are tried.
        seed: of the search.
        folder: the run's; `file` is relative to it.
        file: where the policy is written.
    """
    simulator, rng = explained.simulator, np.random.default_rng(seed)
    num_steps = explained.tracks[0].num_steps
    coming = NextRecording(explained, num_steps, seed)
    search = PolicySearch(given, simulator.world, num_steps * simulator.world.control_dt_s, rng)

    def score(policy: ChosenPolicy, num: int) -> float:
        try:
            return -float(np.linalg.slogdet(coming.after(policy, num))[1].mean())
        except (SimulationDiverged, ValueError):
            return -np.inf

    with progress(total=num_policies, desc="next excitation", delay=2) as bar:
        best = search.run(score, num_policies, _SCREENED, _COMPARED, bar.update)
    text = yaml.safe_dump({"name": best.policy.name, **best.policy.parameters}, sort_keys=False)
    write_atomically(folder / file, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    before = np.sqrt(np.diag(coming.covariance))

    def shares(policy: ChosenPolicy) -> dict[str, float]:
        after = np.sqrt(np.diagonal(coming.after(policy, _COMPARED), axis1=1, axis2=2)).mean(0)
        return dict(zip(simulator.constants, (after / before).tolist(), strict=True))

    return NextExcitation(best.policy.options, file, shares(best.policy), shares(given))
