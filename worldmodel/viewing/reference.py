"""Reference episodes, on which a view fits its readouts and from which it takes goals."""

from dataclasses import dataclass

import numpy as np

from worldmodel.data.store import DataSet
from worldmodel.envs import Episode, MujocoWorld, rollout
from worldmodel.envs.excitation import make_policy
from worldmodel.settings import TrainConfig
from worldmodel.system.errors import StoreError
from worldmodel.system.progress import progress
from worldmodel.system.resident import require_frames

_SEED_STREAM = 7_004
STATE_EPISODES, STATE_STEPS = 24, 80
"""Episodes, and control steps of each, for readouts of the state alone."""
CONSTANT_EPISODES = 160
"""Episodes for readouts of constants as well."""
_FEWEST_FRAMES = 3  # of a stretch that shows a velocity


@dataclass(frozen=True)
class Reference:
    """Episodes of a run's world, under its own policy and priors."""

    origin: str
    """Where the episodes come from, for the page."""
    episodes: list[Episode]
    """The episodes, cut to the frames that are needed."""


def reference(trained: TrainConfig, world: MujocoWorld, seed: int, window: int | None) -> Reference:
    """Episodes from the run's data set; where that is missing, or holds single pairs, as many are simulated instead.

    Args:
        trained: settings of the run.
        world: the world to simulate in.
        seed: seed of simulated episodes.
        window: control steps from which constants are estimated; None for a model without a context encoder.
    """
    num, steps = (STATE_EPISODES, STATE_STEPS) if window is None else (CONSTANT_EPISODES, window)
    try:
        data = DataSet(trained.collection.directory, trained.collection.num_episodes)
    except StoreError:
        return _simulated(trained, world, seed, num, steps, "is not there")
    if not len(data.split("train").at_least(_FEWEST_FRAMES)):
        return _simulated(trained, world, seed, num, steps, "holds episodes of two frames")
    return recorded(data, num, steps)


def recorded(data: DataSet, num: int = STATE_EPISODES, steps: int = STATE_STEPS) -> Reference:
    """At most `num` stretches of `steps` control steps of a data set.

    They are from the start of every other training episode and from the end of the others, as constants may drift.
    """
    split = data.split("train")
    split = split.at_least(min(_FEWEST_FRAMES, int(split.length.max())))
    chosen = np.linspace(0, len(split) - 1, min(num, len(split))).astype(int)
    episodes = []
    for k, (offset, length) in enumerate(zip(split.offset[chosen], split.length[chosen], strict=True)):
        frames = min(steps + 1, int(length - (length - 1) // 2))
        first = int(offset if k % 2 == 0 else offset + length - frames)
        rows = slice(first, first + frames)
        actions = np.nan_to_num(data.actions[first : first + frames - 1])
        rewards = data.rewards[first : first + frames - 1]
        episodes.append(Episode(data.frames(rows), data.states[rows], actions, rewards, data.factors[rows], 0))
    return Reference(f"{len(episodes)} training episodes of {data.directory}", episodes)


def _simulated(trained: TrainConfig, world: MujocoWorld, seed: int, num: int, steps: int, why: str) -> Reference:
    policy = make_policy(**trained.collection.policy)
    require_frames(num * (steps + 1), world.image_size, "episodes to fit readouts on", "train on smaller frames")
    seeds = np.random.SeedSequence([_SEED_STREAM, seed]).generate_state(num)
    shown = progress(seeds, desc="episodes to fit readouts on", unit="episode")
    episodes = [rollout(world, policy, seed=int(each), num_steps=steps) for each in shown]
    where = trained.collection.directory
    return Reference(f"{num} episodes simulated now, since the run's data set {where} {why}", episodes)
