"""The measured effect of a factor: the same episode at two of its values, compared by states or by pictures."""

import numpy as np

from worldmodel.envs.excitation import Policy
from worldmodel.envs.rollout import rollout
from worldmodel.envs.snapshot import SimulationDiverged
from worldmodel.envs.world import MujocoWorld

_SMALLEST = 1e-9  # of a state: anything below is rounding
_COORDINATE = 1.5  # standard deviations on either side of the nominal value at which a factor is tried


def effect(world: MujocoWorld, factor: str, policy: Policy, *, seed: int = 0, num_steps: int = 50) -> float:
    """How much a factor changes an episode; 0 where it does not act.

    Args:
        world: the world; it is left in another state.
        factor: name of a factor of this world.
        policy: moves the world; a mass that nothing touches has no effect.
        seed, num_steps: seed and control steps of the episode.

    Returns:
        How far apart the episodes are at values 1.5 standard deviations below and above the nominal one: for a physical
        factor the largest difference of a state variable; for a visual factor the mean difference of the first frame,
        in levels of 255. Infinity where a simulation diverges, or one ends before the other.
    """
    tried = world.factors[factor]
    values = [tried.value(t) for t in (-_COORDINATE, _COORDINATE)]
    if tried.kind == "visual":
        frames = []
        for value in values:
            world.restart(seed=seed, factors={factor: value})
            frames.append(world.frame().astype(float))
        return float(np.abs(frames[0] - frames[1]).mean())
    try:
        low, high = (
            rollout(world, policy, seed=seed, num_steps=num_steps, factors={factor: value}, render=False).states
            for value in values
        )
    except SimulationDiverged:
        return float("inf")
    if low.shape != high.shape:
        return float("inf")
    largest = float(np.abs(low - high).max())
    return largest if largest > _SMALLEST else 0.0
