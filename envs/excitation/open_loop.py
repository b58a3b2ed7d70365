"""Policies that do not read the state."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worldmodel.envs.excitation.noise import colored_noise, ou_process
from worldmodel.envs.excitation.policy import Actor, Policy, clip, require, require_process
from worldmodel.envs.world import MujocoWorld


@dataclass(frozen=True)
class Uniform:
    """Independent uniform actions in [-1, 1]."""

    hold_steps: int = 1
    """Control steps for which each action is held."""

    def __post_init__(self) -> None:
        require("hold_steps", self.hold_steps, self.hold_steps >= 1, ">= 1")

    def begin(self, world: MujocoWorld, rng: np.random.Generator) -> Actor:
        held = np.zeros(world.scene.action_dim, np.float32)
        step = 0

        def act(state: np.ndarray) -> np.ndarray:
            nonlocal step
            if step % self.hold_steps == 0:
                held[:] = rng.uniform(-1, 1, held.shape)
            step += 1
            return held.copy()

        return act


@dataclass(frozen=True)
class OU:
    """Actions that follow a stationary Ornstein-Uhlenbeck process, clipped to [-1, 1]."""

    std: float = 0.65
    """Stationary standard deviation, before clipping."""

    time_constant_s: float = 0.15
    """Seconds after which the autocorrelation has fallen to 1/e."""

    def __post_init__(self) -> None:
        require_process(self.std, self.time_constant_s)

    def begin(self, world: MujocoWorld, rng: np.random.Generator) -> Actor:
        noise = ou_process(rng, world.scene.action_dim, world.control_dt_s, self.time_constant_s)
        return lambda state: clip(self.std * noise())


@dataclass(frozen=True)
class ColoredNoise:
    """Actions with the power spectrum 1/frequency**exponent, clipped to [-1, 1] (as in iCEM, Pinneri et al., 2020)."""

    exponent: float = 1.0
    """0 is white noise, 1 pink, 2 red."""

    std: float = 0.65
    """Standard deviation over a period, before clipping."""

    period_s: float = 10.0
    """Seconds of one draw; a longer episode continues with a new one."""

    def __post_init__(self) -> None:
        require("exponent", self.exponent, self.exponent >= 0, ">= 0")
        require("std", self.std, self.std >= 0, ">= 0")
        require("period_s", self.period_s, self.period_s > 0, "> 0")

    def begin(self, world: MujocoWorld, rng: np.random.Generator) -> Actor:
        action_dim = world.scene.action_dim
        num_steps = max(2, round(self.period_s / world.control_dt_s))
        noise = np.empty((0, action_dim))
        step = 0

        def act(state: np.ndarray) -> np.ndarray:
            nonlocal noise, step
            if step % num_steps == 0:
                noise = self.std * colored_noise(rng, num_steps, action_dim, self.exponent)
            step += 1
            return clip(noise[(step - 1) % num_steps])

        return act


@dataclass(frozen=True)
class Mixture:
    """One of several policies in each episode, drawn anew."""

    policies: Sequence[Policy]
    """At least one; as settings {"name": ..., parameter: ...} for `make_policy`."""

    weights: Sequence[float] | None = None
    """How often each is drawn, in proportion; None draws all equally often."""

    def __post_init__(self) -> None:
        if not self.policies:
            raise ValueError("policies must not be empty; name at least one, e.g. policies: [{name: ou}]")
        if self.weights is not None and (
            len(self.weights) != len(self.policies) or min(self.weights) < 0 or sum(self.weights) <= 0
        ):
            raise ValueError(
                f"weights must be {len(self.policies)} numbers >= 0, one for each policy and not all 0, "
                f"got {self.weights}; set policy.weights"
            )

    def begin(self, world: MujocoWorld, rng: np.random.Generator) -> Actor:
        weights = np.ones(len(self.policies)) if self.weights is None else np.asarray(self.weights, float)
        return self.policies[rng.choice(len(self.policies), p=weights / weights.sum())].begin(world, rng)
