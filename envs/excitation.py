"""Excitation: open-loop policies that move a world enough for its state and constants to be learned.

A policy is a frozen dataclass of parameters; `begin(world, rng)` starts it for one episode and returns a function
from the state, float64 (X,), to the action, float32 (A,) in [-1, 1]. Time constants are in seconds, so that a policy
means the same at any control rate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from envs.world import MujocoWorld

Actor = Callable[[np.ndarray], np.ndarray]


class Policy(Protocol):
    """Anything that can begin an episode."""

    def begin(self, world: MujocoWorld, rng: np.random.Generator) -> Actor: ...


@dataclass(frozen=True)
class Uniform:
    """Independent uniform actions in [-1, 1], each held for `hold_steps` control steps."""

    hold_steps: int = 1

    def __post_init__(self) -> None:
        _require("hold_steps", self.hold_steps, self.hold_steps >= 1, ">= 1")

    def begin(self, world: MujocoWorld, rng: np.random.Generator) -> Actor:
        held = np.zeros(_action_dim(world), np.float32)
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
    """Actions that follow a stationary Ornstein-Uhlenbeck process, clipped to [-1, 1].

    Attributes:
        std: stationary standard deviation before clipping.
        time_constant_s: the autocorrelation falls to 1/e over this time.
    """

    std: float = 0.65
    time_constant_s: float = 0.15

    def __post_init__(self) -> None:
        _require_process(self.std, self.time_constant_s)

    def begin(self, world: MujocoWorld, rng: np.random.Generator) -> Actor:
        noise = ou_process(rng, _action_dim(world), world.control_dt_s, self.time_constant_s)
        return lambda state: _clip(self.std * noise())


@dataclass(frozen=True)
class ColoredNoise:
    """Actions with power spectrum 1/frequency**exponent over a period: 0 white, 1 pink, 2 red (as in iCEM).

    Attributes:
        exponent: of the spectrum.
        std: standard deviation over a period, before clipping to [-1, 1].
        period_s: length of one draw; a longer episode goes on with a new one.
    """

    exponent: float = 1.0
    std: float = 0.65
    period_s: float = 10.0

    def __post_init__(self) -> None:
        _require("exponent", self.exponent, self.exponent >= 0, ">= 0")
        _require_process(self.std, self.period_s)

    def begin(self, world: MujocoWorld, rng: np.random.Generator) -> Actor:
        num_steps = max(2, round(self.period_s / world.control_dt_s))
        noise = np.empty((0, _action_dim(world)))
        step = 0

        def act(state: np.ndarray) -> np.ndarray:
            nonlocal noise, step
            if step % num_steps == 0:
                noise = self.std * colored_noise(rng, num_steps, _action_dim(world), self.exponent)
            step += 1
            return _clip(noise[(step - 1) % num_steps])

        return act


@dataclass(frozen=True)
class Coasting:
    """Bursts of thrust and free coasting, kept near the origin.

    OU thrust plus a centring PD controller on the actuated joints, gated on and off at random: coasting shows
    friction and damping, thrust shows mass. When |position + 0.3 s * velocity| exceeds the boundary, the gate is on,
    the PD controller stiffer and the thrust weaker, so that the scene stays in view.

    Attributes:
        std, time_constant_s: of the OU thrust.
        stiffness: PD gain, action per metre (or radian).
        damping: PD gain, action per metre/second.
        release_prob: chance per step that an engaged gate lets go.
        engage_prob: chance per step that a released gate engages.
        boundary: in metres (or radians); infinity never forces the gate.
    """

    std: float = 0.65
    time_constant_s: float = 0.3
    stiffness: float = 0.8
    damping: float = 0.25
    release_prob: float = 0.15
    engage_prob: float = 0.25
    boundary: float = 1.1

    def __post_init__(self) -> None:
        _require_process(self.std, self.time_constant_s)
        for name in ("release_prob", "engage_prob"):
            _require(name, getattr(self, name), 0 <= getattr(self, name) <= 1, "in [0, 1]")
        _require("boundary", self.boundary, self.boundary > 0, "> 0")

    def begin(self, world: MujocoWorld, rng: np.random.Generator) -> Actor:
        driven, pos_index, vel_index = _driven(world)
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
            return _clip(thrust if engaged else np.zeros_like(thrust))

        return act


@dataclass(frozen=True)
class OUTracking:
    """PD control of the actuated joints along an OU reference: near-Gaussian, stationary states from real dynamics.

    Attributes:
        std: stationary standard deviation of the reference in metres or radians, one for all actions or one each.
        time_constant_s: of the reference.
        stiffness: PD gain, action per metre or radian of error.
        damping: PD gain, action per unit of velocity.
    """

    std: float | Sequence[float] = 0.5
    time_constant_s: float = 1.0
    stiffness: float = 2.0
    damping: float = 0.4

    def __post_init__(self) -> None:
        _require_process(float(np.min(self.std)), self.time_constant_s)

    def begin(self, world: MujocoWorld, rng: np.random.Generator) -> Actor:
        driven, pos_index, vel_index = _driven(world)
        std = np.asarray(self.std, float)
        if std.shape not in ((), (len(driven),)):
            raise ValueError(f"std must be one number or one for each of {len(driven)} actions, got {self.std}")
        if not driven.any():
            raise ValueError(f"no action of {world.name} drives one joint, so there is nothing to track; use ou")
        noise = ou_process(rng, len(driven), world.control_dt_s, self.time_constant_s)

        def act(state: np.ndarray) -> np.ndarray:
            error = std * noise() - state[pos_index]
            return _clip(np.where(driven, self.stiffness * error - self.damping * state[vel_index], 0.0))

        return act


@dataclass(frozen=True)
class Mixture:
    """One of several policies per episode, chosen with probabilities proportional to the weights (default: equal)."""

    policies: Sequence[Policy]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if not self.policies:
            raise ValueError("policies must not be empty")
        if self.weights is not None and (
            len(self.weights) != len(self.policies) or min(self.weights) < 0 or sum(self.weights) <= 0
        ):
            raise ValueError(f"weights must be {len(self.policies)} numbers >= 0, not all 0, got {self.weights}")

    def begin(self, world: MujocoWorld, rng: np.random.Generator) -> Actor:
        weights = np.ones(len(self.policies)) if self.weights is None else np.asarray(self.weights, float)
        return self.policies[rng.choice(len(self.policies), p=weights / weights.sum())].begin(world, rng)


POLICIES: dict[str, type] = {
    "uniform": Uniform,
    "ou": OU,
    "colored_noise": ColoredNoise,
    "coasting": Coasting,
    "ou_tracking": OUTracking,
    "mixture": Mixture,
}


def make_policy(name: str, **params: Any) -> Policy:
    """A policy by name; the policies of a mixture may be given as mappings {"name": ..., parameter: ...}.

    Raises:
        ValueError: an unknown name or parameter, or a parameter out of range.
    """
    if name not in POLICIES:
        raise ValueError(f"unknown policy {name!r}; known: {', '.join(POLICIES)}")
    known = [field.name for field in fields(POLICIES[name])]
    if unknown := [param for param in params if param not in known]:
        raise ValueError(f"policy {name} has no parameter {', '.join(unknown)}; it has {', '.join(known)}")
    if "policies" in params:
        parts = [make_policy(**part) if isinstance(part, Mapping) else part for part in params["policies"]]
        params = {**params, "policies": parts}
    if "policies" in params:  # a mixture, spelled out as settings: each part is a name and its parameters
        params["policies"] = [make_policy(**part) if isinstance(part, Mapping) else part for part in params["policies"]]
    return POLICIES[name](**params)


def ou_process(rng: np.random.Generator, dim: int, dt_s: float, time_constant_s: float) -> Callable[[], np.ndarray]:
    """A stationary OU process of unit variance, sampled exactly: each call gives the next value (dim,)."""
    rho = np.exp(-dt_s / time_constant_s)
    value = rng.standard_normal(dim)

    def advance() -> np.ndarray:
        nonlocal value
        current = value
        value = rho * value + np.sqrt(1 - rho**2) * rng.standard_normal(dim)
        return current

    return advance


def colored_noise(rng: np.random.Generator, num_steps: int, dim: int, exponent: float) -> np.ndarray:
    """Noise (num_steps, dim) of unit expected variance with power spectrum 1/frequency**exponent."""
    amplitude = np.maximum(np.fft.rfftfreq(num_steps), 1 / num_steps) ** (-exponent / 2)
    spectrum = rng.standard_normal((2, len(amplitude), dim)) * amplitude[:, None]
    # A bin and its mirror image carry each frequency twice, save for the first and, if num_steps is even, the last.
    twice = np.full(len(amplitude), 2.0)
    twice[0] = 1.0
    if num_steps % 2 == 0:
        twice[-1] = 1.0
    spectrum[1, twice == 1.0] = 0.0  # these bins are real
    power = amplitude**2 * np.where(twice == 2.0, 4.0, 1.0)
    noise = np.fft.irfft(spectrum[0] + 1j * spectrum[1], num_steps, axis=0)
    return noise * num_steps / np.sqrt(power.sum())


def _action_dim(world: MujocoWorld) -> int:
    return world.scene.action_dim


def _driven(world: MujocoWorld) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per action: whether it drives one joint, and that joint's position and velocity indices (0 if not), all (A,)."""
    pairs = np.array([pair or (-1, -1) for pair in world.actuated], int).reshape(-1, 2)
    return pairs[:, 0] >= 0, np.maximum(pairs[:, 0], 0), np.maximum(pairs[:, 1], 0)


def _clip(action: np.ndarray) -> np.ndarray:
    return np.clip(action, -1, 1).astype(np.float32)


def _require(name: str, value: float, holds: bool, expected: str) -> None:
    if not holds:
        raise ValueError(f"{name} must be {expected}, got {value}")


def _require_process(std: float, time_constant_s: float) -> None:
    _require("std", std, std >= 0, ">= 0")
    _require("time_constant_s", time_constant_s, time_constant_s > 0, "> 0")
