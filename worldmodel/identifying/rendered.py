"""Frames whose positions are known, from the user's own simulator: poses for the readout, windows for its errors.

Letters: n poses, W windows, T+1 frames, X state, P constants.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from worldmodel import envs
from worldmodel.envs import MujocoWorld
from worldmodel.envs.excitation import Policy, make_policy
from worldmodel.envs.rollout import Episode, rollout
from worldmodel.evaluation.trust import check_trusted
from worldmodel.identifying.observation import Observation, observation_of
from worldmodel.identifying.other_model import other_model
from worldmodel.identifying.replay import Replay
from worldmodel.settings import RECORDED, IdentifyConfig, TrainConfig
from worldmodel.settings.recipes import unknown
from worldmodel.system.errors import UserError
from worldmodel.system.progress import progress
from worldmodel.system.resident import require_frames

_SEED_STREAM = 9_017
NUM_MOTIONS = 60
"""Episodes simulated, without rendering, to see the range of motion."""
_WIDENED = 1.3
"""Poses lie up to this many times as far from the mean as the motion does, so that its edges are read too."""
_JITTER = 0.1
"""Noise added to each joint of a pose, in standard deviations of the motion, which makes the joints independent."""


@dataclass(frozen=True)
class Simulator:
    """A world with unknown constants, how it moves, and what is seen of it."""

    world: MujocoWorld
    """Draws constants, light and colours, and renders frames."""
    replay: Replay
    """Replays actions, without pictures."""
    policy: Policy
    """The run's policy."""
    states: np.ndarray
    """States visited under the policy, (m, X)."""
    observation: Observation
    """The positions that are read."""

    @property
    def constants(self) -> tuple[str, ...]:
        """Names of the P constants."""
        return self.replay.constants

    @property
    def still(self) -> np.ndarray:
        """The median state (X,), assumed for coordinates that are not observed."""
        return np.median(self.states, 0)

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation of the state over motion, (X,)."""
        return self.states.std(0)

    @property
    def angles(self) -> np.ndarray:
        """Which of the observed joints are angles, bool (J,)."""
        model = self.world.scene.model
        return model.jnt_type[self.observation.columns] == mujoco.mjtJoint.mjJNT_HINGE

    @property
    def number_scale(self) -> np.ndarray:
        """Standard deviation of the numbers that are read, over motion, (N,)."""
        return self.observation.numbers(self.states).std(0)

    def coordinates(self, values: dict[str, float]) -> np.ndarray:
        """Standardised coordinates (P,) of values of the constants."""
        return np.array([self.world.factors[name].standardize(values[name]) for name in self.constants])


@dataclass(frozen=True)
class Worlds:
    """The world of a run, twice: drawn at random, and nominal."""

    drawing: MujocoWorld
    """Draws the constants that are sought, and those of light and colours that varied in training."""
    nominal: MujocoWorld
    """Randomises nothing; stands at the start of an episode."""
    constants: tuple[str, ...]
    """Names of the constants to find."""


def open_worlds(trained: TrainConfig, config: IdentifyConfig) -> Worlds:
    """The world of a run, or its model file in place of it, with the constants that the settings name unknown.

    Raises:
        UserError: the world is code that is not trusted; a constant or the model file does not fit; nothing is sought.
    """
    if trained.env.world == RECORDED:
        raise UserError("the run was trained on recordings, so there is no simulator; train one on a world: env=NAME")
    check_trusted(trained.env, config.trust_world)
    env = dataclasses.replace(trained.env, factors={**trained.env.factors, **config.factors})
    arguments: dict[str, Any] = {**env.make_arguments(), "factor_rho": {}}
    trained_in = envs.make(**arguments)
    constants = _constants(trained_in, config)
    randomize = [*constants, *trained_in.randomized("visual")]
    drawing, nominal = (_world(arguments | {"randomize": names}, config.mjcf, constants) for names in (randomize, []))
    nominal.restart(seed=0)
    return Worlds(drawing, nominal, constants)


def _world(arguments: dict[str, Any], mjcf: str | None, constants: tuple[str, ...]) -> MujocoWorld:
    made = envs.make(**arguments)
    if mjcf is None:
        return made
    names = ("image_size", "camera", "supersample", "action_repeat", "quality", "randomize", "factor_spread")
    return MujocoWorld(other_model(made.scene, mjcf, constants), **{name: arguments[name] for name in names})


def _constants(world: MujocoWorld, config: IdentifyConfig) -> tuple[str, ...]:
    """The constants to find: those that the settings name, or those that training randomised, or all physical ones."""
    physical = [name for name, factor in world.factors.items() if factor.kind == "physical"]
    for name in (*config.constants, *config.own):
        if name not in physical:
            raise UserError(unknown("constant", name, physical))
    found = tuple(config.constants) or tuple(name for name in world.randomize if name in physical) or tuple(physical)
    if not found:
        raise UserError(f"{world.name} has no physical factors to find; declare some in its scene (factors=)")
    if stray := [name for name in config.own if name not in found]:
        raise UserError(f"own names {stray[0]!r}, which is not among the constants {', '.join(found)}")
    return found


def open_simulator(worlds: Worlds, trained: TrainConfig, num_steps: int) -> Simulator:
    """A simulator; its range of motion is that of episodes of `num_steps` steps.

    Raises:
        UserError: nothing moves, or a joint is not one number.
    """
    policy = make_policy(**trained.collection.policy)
    motions = [
        rollout(worlds.drawing, policy, seed=seed, num_steps=num_steps, render=False) for seed in _seeds(0, NUM_MOTIONS)
    ]
    states = np.concatenate([motion.states for motion in motions]).astype(np.float64)
    observation = observation_of(worlds.drawing, states)
    return Simulator(worlds.drawing, Replay(worlds.nominal, worlds.constants), policy, states, observation)


def _seeds(stream: int, num: int) -> list[int]:
    """Seeds that no data set has."""
    return [int(seed) for seed in np.random.SeedSequence([_SEED_STREAM, stream]).generate_state(num)]


def rendered_poses(simulator: Simulator, num: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames uint8 (num, S, S, 3) of poses in random order, each in light and colours of its own, and what is to be
    read of them (num, N)."""
    rng = np.random.default_rng([_SEED_STREAM, 1, seed])
    world, columns = simulator.world, simulator.observation.columns
    require_frames(num, world.image_size, "rendered poses", "lower poses, or train on smaller frames")
    centre, spread = simulator.states.mean(0), simulator.spread
    states = simulator.states[rng.integers(len(simulator.states), size=num)].copy()
    away = (states - centre)[:, columns] * rng.uniform(1.0, _WIDENED, (num, 1))
    states[:, columns] = centre[columns] + away + _JITTER * spread[columns] * rng.standard_normal(away.shape)
    states[:, world.scene.model.nq :] = 0.0
    world.restart(seed=int(rng.integers(2**31)))
    visual, frames = world.randomized("visual"), []
    for state in progress(states, desc="poses", unit="frame", delay=2):
        world.drift_factors(visual, 0.0)
        world.set_state(state)
        frames.append(world.frame())
    return np.stack(frames), simulator.observation.numbers(states[:, : world.scene.model.nq])


def rendered_windows(simulator: Simulator, num: int, num_steps: int, seed: int) -> list[Episode]:
    """Recordings of known constants under the policy, each in light and colours of its own."""
    remedy = "lower calibration_recordings, or give shorter recordings"
    require_frames(num * (num_steps + 1), simulator.world.image_size, "simulated recordings", remedy)
    seeds = progress(_seeds(2 + seed, num), desc="calibration recordings", unit="recording", delay=2)
    return [rollout(simulator.world, simulator.policy, seed=seed, num_steps=num_steps) for seed in seeds]
