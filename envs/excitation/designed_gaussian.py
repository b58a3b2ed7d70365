"""The policy that makes the states of a real, dynamic rollout meet the assumptions of an identifiability theorem."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import mujoco
import numpy as np

from worldmodel.envs.excitation.noise import smooth_process
from worldmodel.envs.excitation.policy import Actor, clip, require
from worldmodel.envs.world import MujocoWorld


@dataclass(frozen=True)
class DesignedGaussian:
    """Torques that make the positions of a dynamic rollout Gaussian, stationary and alike in autocorrelation.

    Each joint follows a reference of its own: white noise through three equal first-order filters, so that position,
    velocity and acceleration exist and are jointly Gaussian. Its autocorrelation is exp(-x) (1 + x + x^2 / 3) after
    x = bandwidth_rad_s * seconds, the same for every joint. Computed torque (MuJoCo's inverse dynamics, which knows
    masses, gravity and damping) holds the joints on it, and the episode starts in the reference's stationary
    distribution. So the assumptions of arXiv:2605.26379, Theorem 1, hold by design. Only clipped torques break them:
    choose `std` and `bandwidth_rad_s` so that torques stay within their limits.
    """

    std: float | Sequence[float] = 0.5
    """Standard deviation of the positions around the model's reference pose, in metres or radians; one for all joints
    or one each."""

    bandwidth_rad_s: float = 4.0
    """Bandwidth of the filters; torques grow with its square."""

    tracking_rad_s: float = 20.0
    """How fast an error of tracking decays: both poles of the error."""

    def __post_init__(self) -> None:
        require("std", float(np.min(self.std)), float(np.min(self.std)) > 0, "> 0")
        for name in ("bandwidth_rad_s", "tracking_rad_s"):
            require(name, getattr(self, name), getattr(self, name) > 0, "> 0")

    def autocorrelation(self, lag_s: float) -> float:
        """The correlation of every position with itself `lag_s` seconds later."""
        x = self.bandwidth_rad_s * lag_s
        return float(np.exp(-x) * (1 + x + x * x / 3))

    def begin(self, world: MujocoWorld, rng: np.random.Generator) -> Actor:
        inverse = _InverseDynamics(world)
        num_joints = world.scene.model.nv
        std = np.asarray(self.std, float)
        if std.shape not in ((), (num_joints,)):
            raise ValueError(f"std must be one number or one for each of {num_joints} joints, got {self.std}")
        reference = smooth_process(rng, num_joints, world.control_dt_s, self.bandwidth_rad_s)
        centre = world.scene.model.qpos0
        position, velocity, acceleration = std * reference()
        world.set_state(np.concatenate([centre + position, velocity, world.scene.data.act]))
        pole = self.tracking_rad_s

        def act(state: np.ndarray) -> np.ndarray:
            nonlocal position, velocity, acceleration
            q, v = state[:num_joints] - centre, state[num_joints : 2 * num_joints]
            wanted = acceleration + 2 * pole * (velocity - v) + pole**2 * (position - q)
            position, velocity, acceleration = std * reference()
            return clip(inverse.action(state, wanted))

        return act


class _InverseDynamics:
    """Which action gives the joints of a fully actuated world an acceleration: MuJoCo's discrete inverse dynamics.

    Raises:
        ValueError: the world has joints or actuators for which there is no such action.
    """

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
