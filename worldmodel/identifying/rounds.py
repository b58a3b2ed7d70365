"""Estimate, design, record, estimate again: in simulation, where the constants at work are known."""

from collections.abc import Sequence

import numpy as np

from worldmodel.designing import ChosenPolicy
from worldmodel.envs.rollout import rollout
from worldmodel.identifying.alarms import alarms_of
from worldmodel.identifying.explained import Explained
from worldmodel.identifying.explaining import explain
from worldmodel.identifying.next_excitation import FoundExcitation, search_excitation
from worldmodel.identifying.posterior import constants_found
from worldmodel.identifying.recordings import RecordedMotion
from worldmodel.identifying.rendered import Simulator
from worldmodel.models import WorldModel
from worldmodel.runs.identify_result import RoundResult
from worldmodel.settings import IdentifyConfig
from worldmodel.system.errors import UserError

_SEED_STREAM = 9_018
_TRIED = 48
"""Excitations tried in a round, unless the settings name a number."""


def true_constants(first: RecordedMotion, constants: Sequence[str]) -> dict[str, float]:
    """The constants at work in the first recording.

    Raises:
        UserError: its file does not tell them.
    """
    if first.factors is None or any(name not in first.factors for name in constants):
        raise UserError(
            f"rounds= simulates further recordings with the true constants, which {first.name} does not tell; give an "
            "episode of a data set of this world, or record what search=48 proposes"
        )
    return {name: first.factors[name] for name in constants}


def run_rounds(
    first: Explained, model: WorldModel, config: IdentifyConfig, given: ChosenPolicy
) -> tuple[Explained, list[RoundResult]]:
    """Design, simulate and explain one more recording per round: the last explanation, and the result of each round.

    Stops after a fit that is not to be trusted.

    Args:
        first: the recordings at hand.
        model: what sees them.
        config: how many rounds, and how many excitations are tried in each.
        given: the policy of the run.
    """
    simulator, explained = first.simulator, first
    constants = true_constants(first.recordings[0], simulator.constants)
    alarms, _ = alarms_of(first, model)
    found: list[RoundResult] = []
    while len(found) < config.rounds and not alarms:
        number = len(found) + 1
        design = search_excitation(explained, given, config.search or _TRIED, config.seed + number)
        coming = simulated_recording(
            simulator, design.policy, constants, first.tracks[0].num_steps, [config.seed, number]
        )
        before, recordings = explained, [*explained.recordings, coming]
        explained = explain(simulator, first.calibration, model, config, recordings)
        alarms, _ = alarms_of(explained, model)
        found.append(_told(design, (first, before, explained), alarms))
    return explained, found


def simulated_recording(
    simulator: Simulator, policy: ChosenPolicy, constants: dict[str, float], num_steps: int, seed: list[int]
) -> RecordedMotion:
    """A recording under a policy, rendered in light and colours of its own; the last number of the seed names it."""
    (drawn,) = np.random.SeedSequence([_SEED_STREAM, *seed]).generate_state(1)
    episode = rollout(simulator.world, policy.make(), seed=int(drawn), num_steps=num_steps, factors=constants)
    states = episode.states.astype(np.float64)
    return RecordedMotion(f"round {seed[-1]}", episode.frames, episode.actions, states, constants)


def _told(design: FoundExcitation, explained: tuple[Explained, Explained, Explained], alarms: list[str]) -> RoundResult:
    """The result of a round, from explanations of the first recordings, of those before it, and with it."""
    constants = explained[0].simulator.constants
    first, before, after = (one.deviations[one.place(0)] for one in explained)
    shrunk_to, since_first = (dict(zip(constants, (after / of).tolist(), strict=True)) for of in (before, first))
    intervals = {item.name: item.interval for item in constants_found(explained[-1], not alarms)}
    return RoundResult(design.policy.options, design.shrinks_to, shrunk_to, since_first, intervals, alarms)
