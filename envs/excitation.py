"""Excitation: open-loop policies that move a world enough for its state and constants to be learned.

A policy is a frozen dataclass of parameters; `begin(world, rng)` starts it for one episode and returns a function
from the state, float64 (X,), to the action, float32 (A,) in [-1, 1]. Time constants are in seconds, so that a policy
means the same at any control rate.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields
from typing import Any, Protocol

import mujoco
import numpy as np

from worldmodel.envs.world import MujocoWorld

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
        around: positions by name, one per action, on which the reference is centred instead of the origin: those of an
            object that is to be met. outward: as a share of their distance from the origin, how far beyond them, so
            that pushes lead back towards it.
    """

    std: float | Sequence[float] = 0.5
    time_constant_s: float = 1.0
    stiffness: float = 2.0
    damping: float = 0.4
    around: Sequence[str] = ()
    outward: float = 0.0

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
        object_index = self._object(world, len(driven))

        def act(state: np.ndarray) -> np.ndarray:
            centre = (1 + self.outward) * state[object_index] if len(object_index) else 0.0
            error = centre + std * noise() - state[pos_index]
            return _clip(np.where(driven, self.stiffness * error - self.damping * state[vel_index], 0.0))

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


@dataclass(frozen=True)
class DesignedGaussian:
    """Torques that make the positions of a real, dynamic rollout Gaussian, stationary and alike in autocorrelation.

    Each joint follows a reference of its own: white noise through three equal first-order filters, so that position,
    velocity and acceleration exist, all jointly Gaussian, with autocorrelation exp(-x) (1 + x + x^2 / 3) after
    x = bandwidth_rad_s * seconds, the same for every joint. Computed torque (MuJoCo's inverse dynamics, which knows
    masses, gravity and damping) holds the joints on it, and the episode starts in the reference's own law. These are
    the assumptions of arXiv:2605.26379, Theorem 1, met by design; only torque limits break them, so keep the torques
    within.

    Attributes:
        std: of the positions in metres or radians around the model's reference, one for all joints or one each.
        bandwidth_rad_s: of the filters; torques grow with its square.
        tracking_rad_s: how fast an error is undone, both poles of the error.
    """

    std: float | Sequence[float] = 0.5
    bandwidth_rad_s: float = 4.0
    tracking_rad_s: float = 20.0

    def __post_init__(self) -> None:
        _require("std", float(np.min(self.std)), float(np.min(self.std)) > 0, "> 0")
        for name in ("bandwidth_rad_s", "tracking_rad_s"):
            _require(name, getattr(self, name), getattr(self, name) > 0, "> 0")

    def autocorrelation(self, lag_s: float) -> float:
        """Of every position with itself `lag_s` seconds later."""
        x = self.bandwidth_rad_s * lag_s
        return float(np.exp(-x) * (1 + x + x * x / 3))

    def begin(self, world: MujocoWorld, rng: np.random.Generator) -> Actor:
        inverse = _InverseDynamics(world)
        num_joints = world.scene.model.nv
        std = np.asarray(self.std, float)
        if std.shape not in ((), (num_joints,)):
            raise ValueError(f"std must be one number or one for each of {num_joints} joints, got {self.std}")
        reference = _smooth_reference(rng, num_joints, world.control_dt_s, self.bandwidth_rad_s)
        centre = world.scene.model.qpos0
        position, velocity, acceleration = std * reference()
        world.set_state(np.concatenate([centre + position, velocity, world.scene.data.act]))
        pole = self.tracking_rad_s

        def act(state: np.ndarray) -> np.ndarray:
            nonlocal position, velocity, acceleration
            q, v = state[:num_joints] - centre, state[num_joints : 2 * num_joints]
            wanted = acceleration + 2 * pole * (velocity - v) + pole**2 * (position - q)
            position, velocity, acceleration = std * reference()
            return _clip(inverse.action(state, wanted))

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
    "designed_gaussian": DesignedGaussian,
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


def _smooth_reference(
    rng: np.random.Generator, dim: int, dt_s: float, bandwidth_rad_s: float
) -> Callable[[], np.ndarray]:
    """White noise through three equal filters, sampled exactly: each call gives position, velocity and acceleration
    (3, dim) of the next step, in units in which the position has unit variance."""
    w = bandwidth_rad_s
    # in units of 1/w: y1' = -y1 + noise, y2' = -y2 + y1, y3' = -y3 + y2, and y3 is the position
    shift = np.diag([1.0, 1.0], -1)
    decay = np.exp(-w * dt_s) * (np.eye(3) + shift * w * dt_s + shift @ shift * (w * dt_s) ** 2 / 2)
    # stationary covariance of the cascade under unit noise, by its own time scale: E y_i y_j = C(i+j-2, i-1) /
    # 2^(i+j-1)
    stationary = np.array([[math.comb(i + j, i) / 2 ** (i + j + 1) for j in range(3)] for i in range(3)])
    stationary /= stationary[2, 2]
    first = np.linalg.cholesky(stationary)
    step = np.linalg.cholesky(stationary - decay @ stationary @ decay.T)
    # position, velocity, acceleration of y3
    read = np.array([[0.0, 0.0, 1.0], [0.0, w, -w], [w * w, -2 * w * w, w * w]])
    value = first @ rng.standard_normal((3, dim))

    def advance() -> np.ndarray:
        nonlocal value
        current = read @ value
        value = decay @ value + step @ rng.standard_normal((3, dim))
        return current

    return advance


class _InverseDynamics:
    """Which action gives the joints of a fully actuated world an acceleration, by MuJoCo's discrete inverse
    dynamics."""

    def __init__(self, world: MujocoWorld) -> None:
        scene = world.scene
        # a copy: the flag makes mj_inverse account for how the integrator treats damping
        self._model = copy(scene.model)
        self._model.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_INVDISCRETE
        self._data = mujoco.MjData(self._model)
        self._scene = scene
        model = self._model
        if model.nq != model.nv or model.nu == 0 or model.na:
            raise ValueError(
                f"designed_gaussian needs hinges and slides driven by plain motors, {world.name} has other joints or "
                "actuators; use ou_tracking"
            )
        self._force_of_ctrl = self._forces(model.qpos0)
        elsewhere = self._forces(model.qpos0 + 0.3)
        fixed = np.allclose(self._force_of_ctrl, elsewhere, atol=1e-9)
        if not fixed or np.linalg.matrix_rank(self._force_of_ctrl) < model.nv:
            raise ValueError(
                f"designed_gaussian needs every joint of {world.name} driven by a motor of fixed gain: "
                f"{model.nu} actuators cannot push all of {model.nv} joints; use ou_tracking"
            )
        self._ctrl_of_force = np.linalg.pinv(self._force_of_ctrl)

    def _forces(self, qpos: np.ndarray) -> np.ndarray:
        """Generalised force per unit of control, (nv, nu), at a posture."""
        model, data = self._model, self._data
        columns = []
        for index in range(model.nu):
            data.qpos[:], data.qvel[:], data.ctrl[:] = qpos, 0, np.eye(model.nu)[index]
            mujoco.mj_forward(model, data)
            columns.append(data.qfrc_actuator.copy())
        return np.stack(columns, 1)

    def action(self, state: np.ndarray, acceleration: np.ndarray) -> np.ndarray:
        """State (X,), acceleration (nv,) in rad/s^2 or m/s^2 -> action (A,), not yet clipped to [-1, 1]."""
        model, data = self._model, self._data
        data.qpos[:], data.qvel[:] = state[: model.nq], state[model.nq : model.nq + model.nv]
        data.qacc[:] = acceleration
        mujoco.mj_inverse(model, data)
        ctrl = self._ctrl_of_force @ data.qfrc_inverse
        return (ctrl - self._scene.ctrl_centre) / self._scene.ctrl_half_range


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
