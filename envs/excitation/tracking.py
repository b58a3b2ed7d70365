"""Policies that control the actuated joints: along a random reference, or to stay in view."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worldmodel.envs.excitation.noise import ou_process
from worldmodel.envs.excitation.policy import Actor, clip, driven_joints, require, require_process
from worldmodel.envs.world import MujocoWorld


@dataclass(frozen=True)
class Coasting:
    """Bursts of thrust and free coasting, kept near the origin.

    OU thrust plus a PD controller towards the origin on the actuated joints, gated on and off at random: coasting shows
    friction and damping, thrust shows mass. When |position + 0.3 s * velocity| exceeds the boundary, the gate is on,
    the PD controller stiffer and the thrust weaker, so that the scene stays in view.
    """

    std: float = 0.65
    """Stationary standard deviation of the thrust, in units of action."""

    time_constant_s: float = 0.3
    """Seconds after which the autocorrelation of the thrust has fallen to 1/e."""

    stiffness: float = 0.8
    """PD gain, action per metre or radian."""

    damping: float = 0.25
    """PD gain, action per metre/second or radian/second."""

    release_prob: float = 0.15
    """Chance per control step that the gate goes off."""

    engage_prob: float = 0.25
    """Chance per control step that the gate goes on."""

    boundary: float = 1.1
    """Distance from the origin at which the gate is forced on, in metres or radians; infinity never forces it."""

    def __post_init__(self) -> None:
        require_process(self.std, self.time_constant_s)
        for name in ("release_prob", "engage_prob"):
            require(name, getattr(self, name), 0 <= getattr(self, name) <= 1, "in [0, 1]")
        require("boundary", self.boundary, self.boundary > 0, "> 0")

    def begin(self, world: MujocoWorld, rng: np.random.Generator) -> Actor:
        driven, pos_index, vel_index = driven_joints(world)
        noise = ou_process(rng, len(driven), world.control_dt_s, self.time_constant_s)
        engaged = True

        def act(state: np.ndarray) -> np.ndarray:
            nonlocal engaged
            position = np.where(driven, state[pos_index], 0.0)
            velocity = np.where(driven, state[vel_index], 0.0)
            leaving = bool(np.linalg.norm(position + 0.3 * velocity) > self.boundary)
            if rng.random() < (self.release_prob if engaged else self.engage_prob):
                engaged = not engaged
            engaged = engaged or leaving
            stiffness, damping, share = (1.2, 0.8, 0.3) if leaving else (self.stiffness, self.damping, 1.0)
            thrust = share * self.std * noise() - stiffness * position - damping * velocity
            return clip(thrust if engaged else np.zeros_like(thrust))

        return act


@dataclass(frozen=True)
class OUTracking:
    """PD control of the actuated joints along an OU reference: near-Gaussian, stationary states from real dynamics."""

    std: float | Sequence[float] = 0.5
    """Stationary standard deviation of the reference in metres or radians, one for all actions or one each."""

    time_constant_s: float = 1.0
    """Seconds after which the autocorrelation of the reference has fallen to 1/e."""

    stiffness: float = 2.0
    """PD gain, action per metre or radian of error."""

    damping: float = 0.4
    """PD gain, action per metre/second or radian/second."""

    around: Sequence[str] = ()
    """Names of positions, one per action, on which the reference is centred instead of the origin, such as those of an
    object to be pushed."""

    outward: float = 0.0
    """How far beyond these positions the centre lies, as a share of their distance from the origin, so that pushes lead
    back towards it."""

    def __post_init__(self) -> None:
        require_process(float(np.min(self.std)), self.time_constant_s)

    def begin(self, world: MujocoWorld, rng: np.random.Generator) -> Actor:
        driven, pos_index, vel_index = driven_joints(world)
        std = np.asarray(self.std, float)
        if std.shape not in ((), (len(driven),)):
            raise ValueError(f"std must be one number or one for each of {len(driven)} actions, got {self.std}")
        if not driven.any():
            raise ValueError(f"no action of {world.name} drives one joint, so there is nothing to track; use ou")
        noise = ou_process(rng, len(driven), world.control_dt_s, self.time_constant_s)
        object_index = self._object(world, len(driven))

        def act(state: np.ndarray) -> np.ndarray:
            centre = (1 + self.outward) * state[object_index] if len(object_index) else 0.0
            error = centre + std * noise() - state[pos_index]
            return clip(np.where(driven, self.stiffness * error - self.damping * state[vel_index], 0.0))

        return act

    def _object(self, world: MujocoWorld, num_actions: int) -> list[int]:
        """Indices of the positions named in `around`."""
        known = world.state_names
        if len(self.around) not in (0, num_actions) or any(name not in known for name in self.around):
            raise ValueError(
                f"around names one position of {world.name} for each of {num_actions} actions, or none; "
                f"got {list(self.around)}, known are {', '.join(known)}"
            )
        return [known.index(name) for name in self.around]
