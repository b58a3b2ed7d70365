"""Kinematic worlds: nothing is simulated; positions follow an exact Ornstein-Uhlenbeck process, rendered by MuJoCo."""

from collections.abc import Mapping

import mujoco
import numpy as np

from worldmodel.envs.scene import OUProcess, Scene


class OUScene(Scene):
    """A scene in which some positions, its latents, are Gaussian, stationary and independent.

    Each latent is scale * z with z ~ N(0, I), and a control step draws z' = rho z + sqrt(1 - rho^2) eta, eta ~ N(0, I).
    The other positions stay at the model's reference pose, velocities at zero; joint limits do not apply.
    `OUScene(reacher, {"shoulder": 1.0, "wrist": 1.0}, rho)` is the reacher protocol of arXiv:2605.26379.

    The process reads z from the state, so that setting the state sets the process. There are no actions: A is 0.
    The scene keeps its inner scene's name; (name, kinematic) together rebuild it.

    Args:
        inner: the scene whose model is posed; its forces, reward and termination are not used.
        latents: position name -> scale, in metres or radians.
        rho: correlation between successive control steps, in [0, 1].

    Raises:
        ValueError: no or unknown latents, a scale that is not positive, or rho outside [0, 1].
    """

    def __init__(self, inner: Scene, latents: Mapping[str, float], rho: float) -> None:
        positions = inner.state_names[: inner.model.nq]
        if unknown := [name for name in latents if name not in positions]:
            raise ValueError(f"unknown latents {', '.join(unknown)}; {inner.name} has {', '.join(positions)}")
        if not latents or min(latents.values()) <= 0:
            raise ValueError(f"latents must map position names to scales > 0, got {dict(latents)}")
        if not 0 <= rho <= 1:
            raise ValueError(f"rho must be in [0, 1], got {rho}")
        self.model, self.data = inner.model, inner.data
        self.name, self.camera = inner.name, inner.camera
        self.control_dt_s, self.time_limit_s = inner.control_dt_s, inner.time_limit_s
        self.action_dim = 0
        self.is_task = False
        self.factors = tuple(factor for factor in inner.factors if factor.kind == "visual")
        self.goal_tolerance = inner.goal_tolerance
        self.angle_names, self.symmetries = inner.angle_names, inner.symmetries
        self.kinematic = OUProcess({name: float(scale) for name, scale in latents.items()}, float(rho))
        self._inner = inner
        self._indices = [positions.index(name) for name in latents]
        self._scales = np.array([*latents.values()], float)
        self._rho = rho
        self._rng = np.random.default_rng(0)

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._inner.reset(rng)
        self.data.qpos[:] = self.model.qpos0
        self.data.qvel[:] = 0
        self.data.act[:] = 0
        self._pose(rng.standard_normal(len(self._indices)))

    def advance(self, action: np.ndarray) -> None:
        z = self.data.qpos[self._indices] / self._scales
        eta = self._rng.standard_normal(len(z))
        self.data.time += self.control_dt_s
        self._pose(self._rho * z + np.sqrt(1 - self._rho**2) * eta)

    def _pose(self, z: np.ndarray) -> None:
        self.data.qpos[self._indices] = self._scales * z
        mujoco.mj_forward(self.model, self.data)
