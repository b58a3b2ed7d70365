"""Worlds: a `Scene` says what is simulated, `MujocoWorld` is the one environment class around it.

Letters: T time steps, S image side, A action, X state. The state is qpos, qvel and actuator activations, in that
order, float64 (X,), in SI units and radians. `frames[t]` is seen, then `actions[t]` is taken, then `frames[t+1]`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worldmodel.envs.rendering import FrameRenderer, Quality, check_frame_options  # first: it sets MUJOCO_GL  # isort: skip

import gymnasium
import mujoco
import numpy as np

from worldmodel.envs.physics import Factor, FactorError, write_factors

_FREE_POS = ("x", "y", "z", "qw", "qx", "qy", "qz")
_FREE_VEL = ("x_vel", "y_vel", "z_vel", "wx_vel", "wy_vel", "wz_vel")
_SUFFIXES = {  # of the position and velocity names of joints with more than one degree of freedom
    mujoco.mjtJoint.mjJNT_FREE: (_FREE_POS, _FREE_VEL),
    mujoco.mjtJoint.mjJNT_BALL: (_FREE_POS[3:], _FREE_VEL[3:]),
}
# Model fields that a scene's reset may move (targets, lights, tendon gains, terrain): part of the episode's state.
EPISODE_FIELDS = ("geom_pos", "site_pos", "body_pos", "body_quat", "light_pos", "wrap_prm", "hfield_data")
LARGEST_SPREAD = 10.0  # of a prior: most draws of a wider one would be out of bounds
_DIVERGENCE = [
    int(warning)
    for warning in (
        mujoco.mjtWarning.mjWARN_BADQPOS,
        mujoco.mjtWarning.mjWARN_BADQVEL,
        mujoco.mjtWarning.mjWARN_BADQACC,
    )
]


class SimulationDiverged(RuntimeError):
    """The physics left the finite numbers."""


def state_names(model: mujoco.MjModel) -> tuple[str, ...]:
    """A name per state coordinate: joint "wrist" gives "wrist" and "wrist_vel", a free joint "root" gives
    "root_x" ... "root_qz" and "root_x_vel" ... "root_wz_vel", actuator "lift" with an activation "lift_act"."""
    positions, velocities = [], []
    for index in range(model.njnt):
        name = model.joint(index).name or f"joint{index}"
        pos, vel = _SUFFIXES.get(mujoco.mjtJoint(model.jnt_type[index]), ((), ()))
        positions += [f"{name}_{suffix}" for suffix in pos] or [name]
        velocities += [f"{name}_{suffix}" for suffix in vel] or [f"{name}_vel"]
    activations = []
    for index in range(model.nu):
        name, num = model.actuator(index).name or f"actuator{index}", model.actuator_actnum[index]
        activations += [f"{name}_act"] if num == 1 else [f"{name}_act{i}" for i in range(num)]
    return (*positions, *velocities, *activations)


def unlimited_hinges(model: mujoco.MjModel) -> tuple[str, ...]:
    """The hinge joints without limits: the positions that live on a circle."""
    hinge = model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE
    indices = np.flatnonzero(hinge & ~model.jnt_limited.astype(bool))
    return tuple(model.joint(index).name or f"joint{index}" for index in indices)


def hide_geoms(model: mujoco.MjModel, geoms: Sequence[str]) -> None:
    """Make geoms invisible; they go on colliding."""
    for name in geoms:
        model.geom_matid[model.geom(name).id] = -1
        model.geom_rgba[model.geom(name).id, 3] = 0


class Scene(ABC):
    """What is simulated: a model with its data, one control step, a start distribution, a reward.

    Attributes:
        name: of the world, e.g. "puck".
        model, data: the simulation. After `reset` and `advance`, all that `data` derives from qpos and qvel
            must belong to the current qpos and qvel (`mj_step1` or `mj_forward` does that).
        camera: the name or number of the camera that sees the frames.
        control_dt_s: seconds per control step.
        time_limit_s: seconds after which an episode is truncated.
        action_dim: A.
        factors: what can be set and randomised.
        goal_tolerance: state name -> how near counts as reached, in the state's own unit.
        angle_names: state names that live on a circle.
        symmetries: state name -> the turn in radians after which a picture is the same, where it is less than a full
            one. As no goal image can ask for more, a goal is reached up to whole such turns, whatever the protocol.
        ctrl_centre, ctrl_half_range: (nu,); controls are centre + half range * action.
        num_substeps: physics steps per control step.
        kinematic: None where forces move the scene, else what does, ready for JSON.
        holds_control: whether `advance` does no more than to hold those controls for `num_substeps` physics steps, so
            that another engine can do it.
        is_task: whether `reward` or `terminated` ever say anything; may be set where pictures hide what is asked for.
    """

    name: str
    model: mujoco.MjModel
    data: mujoco.MjData
    camera: str | int
    control_dt_s: float
    time_limit_s: float
    action_dim: int
    ctrl_centre: np.ndarray
    ctrl_half_range: np.ndarray
    num_substeps: int
    factors: tuple[Factor, ...] = ()
    goal_tolerance: Mapping[str, float] = {}
    angle_names: tuple[str, ...] = ()
    symmetries: Mapping[str, float] = {}
    kinematic: dict[str, Any] | None = None
    holds_control: bool = False
    is_task: bool = True

    @abstractmethod
    def reset(self, rng: np.random.Generator) -> None:
        """Draw the start of an episode. A scene that draws later too keeps `rng`, and no other randomness."""

    @abstractmethod
    def advance(self, action: np.ndarray) -> None:
        """Simulate one control step under an action, float32 (A,) in [-1, 1]."""

    def reward(self) -> float:
        """The reward of the state just reached; 0 in a world that is about goals."""
        return 0.0

    def terminated(self) -> bool:
        """Whether the state just reached ends the episode."""
        return False

    def task_goal(self) -> np.ndarray | None:
        """A state, float (X,), that this episode's reward asks for; None where the reward asks for no one state."""
        return None


class MjcfScene(Scene):
    """A scene from an MJCF file or string: all that a world of one's own needs.

    An action in [-1, 1] spans each actuator's control range, or is the control where there is no range.

    Args:
        mjcf: path of an MJCF file, or its text.
        name, camera, control_dt_s, time_limit_s, factors, goal_tolerance, symmetries: see `Scene`.
        reset: `reset(model, data, rng)` draws a start after `data` was set to the model's initial state.
        reward: `reward(model, data)` of the state just reached.
        terminated: `terminated(model, data)`.
        angle_names: see `Scene`; by default the hinges without limits.
        hidden: names of geoms that are not drawn.

    Raises:
        ValueError: control_dt_s is no whole number of physics steps.
    """

    def __init__(
        self,
        mjcf: str | Path,
        *,
        name: str,
        camera: str | int = 0,
        control_dt_s: float,
        time_limit_s: float = 20.0,
        factors: Sequence[Factor] = (),
        reset: Callable[[mujoco.MjModel, mujoco.MjData, np.random.Generator], None] | None = None,
        reward: Callable[[mujoco.MjModel, mujoco.MjData], float] | None = None,
        terminated: Callable[[mujoco.MjModel, mujoco.MjData], bool] | None = None,
        goal_tolerance: Mapping[str, float] | None = None,
        angle_names: Sequence[str] | None = None,
        symmetries: Mapping[str, float] | None = None,
        hidden: Sequence[str] = (),
    ) -> None:
        is_text = isinstance(mjcf, str) and mjcf.lstrip().startswith("<")
        load = mujoco.MjModel.from_xml_string if is_text else mujoco.MjModel.from_xml_path
        self.model = load(str(mjcf))
        self.data = mujoco.MjData(self.model)
        hide_geoms(self.model, hidden)
        self.name, self.camera = name, camera
        self.control_dt_s, self.time_limit_s = control_dt_s, time_limit_s
        self.action_dim = self.model.nu
        self.factors = tuple(factors)
        self.goal_tolerance = dict(goal_tolerance or {})
        self.angle_names = unlimited_hinges(self.model) if angle_names is None else tuple(angle_names)
        self.symmetries = dict(symmetries or {})
        self._reset, self._reward, self._terminated = reset, reward, terminated
        self.holds_control = type(self).advance is MjcfScene.advance
        self.is_task = reward is not None or terminated is not None
        self.num_substeps = round(control_dt_s / self.model.opt.timestep)
        if not np.isclose(self.num_substeps * self.model.opt.timestep, control_dt_s) or self.num_substeps < 1:
            raise ValueError(
                f"control_dt_s must be a multiple of the physics step {self.model.opt.timestep:g} s, "
                f"got {control_dt_s:g} s; change control_dt_s or the MJCF option timestep"
            )
        low, high = np.where(self.model.actuator_ctrllimited, self.model.actuator_ctrlrange.T, [[-1.0], [1.0]])
        self.ctrl_centre, self.ctrl_half_range = (low + high) / 2, (high - low) / 2

    def reset(self, rng: np.random.Generator) -> None:
        mujoco.mj_resetData(self.model, self.data)
        if self._reset is not None:
            self._reset(self.model, self.data, rng)
        mujoco.mj_forward(self.model, self.data)

    def advance(self, action: np.ndarray) -> None:
        self.data.ctrl[:] = self.ctrl_centre + self.ctrl_half_range * action
        mujoco.mj_step(self.model, self.data, self.num_substeps)
        mujoco.mj_step1(self.model, self.data)

    def reward(self) -> float:
        return 0.0 if self._reward is None else float(self._reward(self.model, self.data))

    def terminated(self) -> bool:
        return self._terminated is not None and bool(self._terminated(self.model, self.data))


@dataclass(frozen=True)
class Snapshot:
    """A moment of an episode, from which it continues exactly; see `MujocoWorld.snapshot`."""

    physics: np.ndarray
    episode_fields: dict[str, np.ndarray]
    coordinates: dict[str, float]
    values: dict[str, float]
    num_steps: int
    rng_state: dict[str, Any]


class MujocoWorld(gymnasium.Env):
    """The environment around a scene: pixels and state, factors, goal frames, exact snapshots, seeding.

    Args:
        scene: what is simulated.
        image_size: S, the side of a frame in pixels.
        supersample: a frame is rendered this many times larger and box-averaged.
        quality: "fast" or "suite"; see `FrameRenderer`.
        randomize: factor names, or the words "physical", "visual" and "all": drawn from their priors at each
            reset; the others stay nominal.
        factor_rho: factor name, "physical" or "visual" -> rho. After each step a randomised factor's
            standardised coordinate becomes rho * t + sqrt(1 - rho^2) * eps: 1 (the default) keeps it for the
            episode, 0 redraws it for every frame. A factor's own name wins over its kind.
        factor_shell: factor name, "physical" or "visual" -> (low, high): at a reset the size of a randomised factor's
            standardised coordinate is drawn uniformly between these, instead of from the prior: for tests out of range.
        factor_spread: factor name, "physical" or "visual" -> how many times as wide as its prior a randomised factor is
            drawn, and drifts: for training beyond the prior. Coordinates stay those of the prior.
        time_limit_s: seconds until truncation; by default the scene's.
        camera: the camera that sees the frames; by default the scene's.
        render_mode: "rgb_array", for Gymnasium.

    Raises:
        ValueError: an option that is out of range or names an unknown factor.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        image_size: int = 64,
        supersample: int = 1,
        quality: Quality = "fast",
        randomize: Sequence[str] = (),
        factor_rho: Mapping[str, float] | None = None,
        factor_shell: Mapping[str, Sequence[float]] | None = None,
        factor_spread: Mapping[str, float] | None = None,
        time_limit_s: float | None = None,
        camera: str | int | None = None,
        render_mode: str | None = "rgb_array",
    ) -> None:
        check_frame_options(image_size, supersample, quality)
        self.scene = scene
        self.render_mode = render_mode
        self.image_size, self.supersample = image_size, supersample
        self.quality: Quality = quality
        self.camera = _checked_camera(scene, scene.camera if camera is None else camera)
        self.time_limit_s = scene.time_limit_s if time_limit_s is None else time_limit_s
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / scene.control_dt_s)}
        self.state_names = state_names(scene.model)
        self.factors = {factor.name: factor for factor in scene.factors}
        self.randomize = self._select_factors(randomize, "randomize")
        self.factor_rho = self._resolve_rho(factor_rho or {})
        self.factor_shell = self._resolve_shell(factor_shell or {})
        self.factor_spread = self._resolve_spread(factor_spread or {})
        self._renderer: FrameRenderer | None = None
        self._pristine = copy(scene.model)
        self._scratch = mujoco.MjData(scene.model)
        self._coordinates = dict.fromkeys(self.factors, 0.0)
        self._values = {name: factor.nominal for name, factor in self.factors.items()}
        self._written = dict.fromkeys(self.factors, float("nan"))
        self._num_steps = 0
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (scene.action_dim,), np.float32)
        self.observation_space = gymnasium.spaces.Dict(
            pixels=gymnasium.spaces.Box(0, 255, (image_size, image_size, 3), np.uint8),
            state=gymnasium.spaces.Box(-np.inf, np.inf, (len(self.state_names),), np.float64),
        )

    # What the world is

    @property
    def name(self) -> str:
        return self.scene.name

    @property
    def control_dt_s(self) -> float:
        return self.scene.control_dt_s

    @property
    def max_steps(self) -> int:
        """Control steps until truncation."""
        return round(self.time_limit_s / self.control_dt_s)

    @property
    def factor_values(self) -> dict[str, float]:
        """The current value of every factor, in its unit."""
        return dict(self._values)

    @property
    def actuated(self) -> list[tuple[int, int] | None]:
        """Per action, the state indices of the position and velocity it drives; None where it drives no one joint."""
        model = self.scene.model
        pairs: list[tuple[int, int] | None] = []
        for index in range(self.scene.action_dim):
            joint = model.actuator_trnid[index, 0]
            drives_joint = model.actuator_trntype[index] == mujoco.mjtTrn.mjTRN_JOINT
            if drives_joint and mujoco.mjtJoint(model.jnt_type[joint]) not in _SUFFIXES:
                pairs.append((int(model.jnt_qposadr[joint]), int(model.nq + model.jnt_dofadr[joint])))
            else:
                pairs.append(None)
        return pairs

    def describe(self) -> dict[str, Any]:
        """What a data set records about its world, ready for JSON."""
        return {
            "name": self.name,
            "image_size": self.image_size,
            "supersample": self.supersample,
            "quality": self.quality,
            "camera": self.camera,
            "control_dt_s": self.control_dt_s,
            "time_limit_s": self.time_limit_s,
            "state_names": list(self.state_names),
            "angle_names": list(self.scene.angle_names),
            "goal_tolerance": dict(self.scene.goal_tolerance),
            "factors": [factor.describe() for factor in self.factors.values()],
            "randomize": list(self.randomize),
            "factor_rho": dict(self.factor_rho),
            "factor_shell": {name: list(shell) for name, shell in self.factor_shell.items()},
            "factor_spread": dict(self.factor_spread),
            "kinematic": self.scene.kinematic,
        }

    # An episode, as Gymnasium runs it

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Start an episode.

        Args:
            seed: makes the start, and all that is drawn later in the episode, reproducible.
            options: "factors": {name: value} and "state": float (X,) replace what would be drawn.

        Returns:
            The observation {"pixels": uint8 (S, S, 3), "state": float64 (X,)} and {"factors": {name: value}}.
        """
        self.restart(seed=seed, **_known_options(options))
        return self._observe(), {"factors": self.factor_values}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """One control step: `advance`, then the observation, reward, terminated, truncated and info."""
        reward, terminated = self.advance(action)
        truncated = self._num_steps >= self.max_steps
        return self._observe(), reward, terminated, truncated, {"factors": self.factor_values}

    def render(self) -> np.ndarray | None:
        """Gymnasium's name for `frame`; None unless render_mode is "rgb_array"."""
        return self.frame() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Free the renderer; a later frame makes a new one."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    # The same in parts, for loops that do not want a frame at each step

    def restart(
        self, *, seed: int | None = None, factors: Mapping[str, float] | None = None, state: np.ndarray | None = None
    ) -> None:
        """Start an episode without rendering; see `reset`."""
        super().reset(seed=seed)
        self._num_steps = 0
        # The start is drawn before the factors and from the nominal model, so that one seed gives one start,
        # whatever is randomised and whatever the last episode's factors were.
        self.set_factors({name: factor.nominal for name, factor in self.factors.items()})
        self.scene.reset(self.np_random)
        for name, factor in self.factors.items():
            self._assign(name, self._drawn(factor) if name in self.randomize else factor.nominal)
        for name, value in (factors or {}).items():
            self._assign(name, self._factor(name).check(value))
        self._write_factors()
        if state is not None:
            self.set_state(state)

    def advance(self, action: np.ndarray) -> tuple[float, bool]:
        """Physics only: one control step under an action (A,), clipped to [-1, 1]; the reward and terminated.

        Raises:
            ValueError: the action has another shape, or a value that is not finite.
            SimulationDiverged: the state is no longer finite.
        """
        self.scene.data.warning.number[_DIVERGENCE] = 0
        self.scene.advance(self._checked_action(action))
        self._num_steps += 1
        self._check_finite(self._num_steps)
        result = self.scene.reward(), self.scene.terminated()
        self.drift()
        return result

    def simulate(self, actions: np.ndarray) -> np.ndarray:
        """Physics alone under actions (T, A) as they were recorded: the states float64 (T+1, X), the current one first.

        Nothing else of an episode happens: no reward, no end, no drift of factors, no step counted.

        Raises:
            SimulationDiverged: a state is no longer finite.
        """
        self.scene.data.warning.number[_DIVERGENCE] = 0
        states = [self.state()]
        for action in actions:
            self.scene.advance(action)
            states.append(self.state())
        self._check_finite(len(actions))
        return np.stack(states)

    def frame(self) -> np.ndarray:
        """The current state as uint8 (S, S, 3)."""
        if self._renderer is None:
            self._renderer = FrameRenderer(self.scene.model, self.image_size, self.supersample, self.quality)
        return self._renderer.render(self.scene.data, self.camera)

    def state(self) -> np.ndarray:
        """The current state, a new float64 (X,)."""
        data = self.scene.data
        return np.concatenate((data.qpos, data.qvel, data.act))

    def set_state(self, state: np.ndarray) -> None:
        """Put the simulation into a state (X,); the episode's clock, factors and randomness go on.

        Raises:
            ValueError: another shape, or a value that is not finite.
        """
        state = np.asarray(state, np.float64)
        if state.shape != (len(self.state_names),) or not np.isfinite(state).all():
            raise ValueError(
                f"state must be {len(self.state_names)} finite numbers ({', '.join(self.state_names)}), "
                f"got {_summary(state)}"
            )
        model, data = self.scene.model, self.scene.data
        data.qpos[:], data.qvel[:], data.act[:] = np.split(state, (model.nq, model.nq + model.nv))
        data.qacc_warmstart[:] = 0  # what follows depends on this state alone
        mujoco.mj_forward(model, data)

    def reached(self, state: np.ndarray, goal_state: np.ndarray, wrap: bool = True) -> bool:
        """Whether every coordinate with a goal tolerance is within it.

        Args:
            state, goal_state: (X,).
            wrap: measure angles around the circle; False compares their raw values. Angles with a symmetry are
                measured around it all the same.

        Raises:
            ValueError: the world has no goal tolerance.
        """
        if not self.scene.goal_tolerance:
            raise ValueError(f"world {self.name} has no goal tolerance; give its scene goal_tolerance")
        for name, tolerance in self.scene.goal_tolerance.items():
            index = self.state_names.index(name)
            error = state[index] - goal_state[index]
            turn = self.scene.symmetries.get(name, 2 * np.pi if wrap and name in self.scene.angle_names else None)
            if turn:
                error = (error + turn / 2) % turn - turn / 2
            if abs(error) > tolerance:
                return False
        return True

    def goal_frame(self, state: np.ndarray, factors: Mapping[str, float] | None = None) -> np.ndarray:
        """The frame of another state (X,), and of other factors if given; the episode is left as it was."""
        before = self.snapshot()
        try:
            self.set_factors(factors or {})
            self.set_state(state)
            return self.frame()
        finally:
            self.restore(before)

    # Factors

    def set_factors(self, values: Mapping[str, float]) -> None:
        """Change factors at any time, without recompiling.

        Raises:
            FactorError: an unknown name, or a value out of bounds; then nothing has changed.
        """
        checked = {name: self._factor(name).check(value) for name, value in values.items()}
        for name, value in checked.items():
            self._assign(name, value)
        if checked:
            self._write_factors()

    def drift(self) -> None:
        """Redraw the randomised factors as `factor_rho` says, as every control step does."""
        for rho in sorted({*self.factor_rho.values()} - {1.0}):
            self.drift_factors([name for name in self.randomize if self.factor_rho.get(name) == rho], rho)

    def drift_constants(self, rho: float) -> None:
        """Redraw the randomised physical factors with correlation rho to what they are."""
        self.drift_factors([name for name in self.randomize if self.factors[name].kind == "physical"], rho)

    def start_afresh(self) -> None:
        """Another start of the scene under the same physical constants; visual factors are drawn anew."""
        kept = {name: value for name, value in self._values.items() if self.factors[name].kind == "physical"}
        self.restart(factors=kept)

    def drift_factors(self, names: Sequence[str], rho: float) -> None:
        """Redraw factors with correlation rho to what they are: t becomes rho * t + sqrt(1 - rho^2) * spread * eps."""
        for name in names:
            noise = self.factor_spread.get(name, 1.0) * self.np_random.standard_normal()
            t = rho * self._coordinates[name] + np.sqrt(1 - rho**2) * noise
            self._coordinates[name] = float(t)
            self._values[name] = self.factors[name].value(t)
        if names:
            self._write_factors()

    # Exact continuation

    def snapshot(self) -> Snapshot:
        """This moment of the episode: simulation, factors, step count and randomness."""
        model, data = self.scene.model, self.scene.data
        physics = np.empty(mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION))
        mujoco.mj_getState(model, data, physics, mujoco.mjtState.mjSTATE_INTEGRATION)
        return Snapshot(
            physics,
            {name: getattr(model, name).copy() for name in EPISODE_FIELDS},
            dict(self._coordinates),
            dict(self._values),
            self._num_steps,
            dict(self.np_random.bit_generator.state),
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go back, or over, to a moment; from here the same actions give bit-identical states and frames."""
        model, data = self.scene.model, self.scene.data
        for name, saved in snapshot.episode_fields.items():
            getattr(model, name)[:] = saved
        self._num_steps = snapshot.num_steps
        self.np_random.bit_generator.state = snapshot.rng_state
        self._coordinates = dict(snapshot.coordinates)
        mujoco.mj_setState(model, data, snapshot.physics, mujoco.mjtState.mjSTATE_INTEGRATION)
        self._values = dict(snapshot.values)
        self._write_factors()

    # Details

    def _observe(self) -> dict[str, np.ndarray]:
        return {"pixels": self.frame(), "state": self.state()}

    def _checked_action(self, action: np.ndarray) -> np.ndarray:
        array = np.asarray(action, np.float32)
        if array.shape != self.action_space.shape or not np.isfinite(array).all():
            raise ValueError(
                f"action of {self.name} must be finite with shape {self.action_space.shape}, got {_summary(array)}"
            )
        return np.clip(array, -1.0, 1.0)

    def _check_finite(self, num_steps: int) -> None:
        if self.scene.data.warning.number[_DIVERGENCE].any():  # MuJoCo has put the scene back to its initial state
            raise SimulationDiverged(
                f"{self.name} diverged after {num_steps} steps with factors {self._values}; "
                "narrow the factor bounds or shorten the physics step"
            )

    def _factor(self, name: str) -> Factor:
        if name not in self.factors:
            raise FactorError(f"unknown factor {name!r}; {self.name} has {', '.join(self.factors) or 'none'}")
        return self.factors[name]

    def _select_factors(self, words: Sequence[str], option: str) -> tuple[str, ...]:
        """Factor names for names and kinds, in the order of declaration."""
        if isinstance(words, str):
            raise FactorError(f"{option} must be a list of names, got the string {words!r}; write [{words!r}]")
        known = {*self.factors, "physical", "visual", "all"}
        for word in words:
            if word not in known:
                raise FactorError(
                    f"unknown factor {word!r} in {option}; {self.name} has "
                    f"{', '.join(self.factors) or 'none'}, and the words physical, visual, all"
                )
        return tuple(name for name, factor in self.factors.items() if {name, factor.kind, "all"} & {*words})

    def _resolve_rho(self, factor_rho: Mapping[str, float]) -> dict[str, float]:
        """Randomised factor name -> rho, with kinds spelled out."""
        for word, rho in factor_rho.items():
            if not 0 <= rho <= 1:
                raise FactorError(f"factor_rho of {word} must be in [0, 1], got {rho}")
        return {name: float(rho) for name, rho in self._by_name(factor_rho, "factor_rho").items()}

    def _resolve_shell(self, factor_shell: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, float]]:
        """Randomised factor name -> (low, high), with kinds spelled out."""
        for word, shell in factor_shell.items():
            if len(shell) != 2 or not 0 <= shell[0] <= shell[1]:
                raise FactorError(f"factor_shell of {word} must be [low, high] with 0 <= low <= high, got {shell}")
        return {
            name: (float(low), float(high)) for name, (low, high) in self._by_name(factor_shell, "factor_shell").items()
        }

    def _resolve_spread(self, factor_spread: Mapping[str, float]) -> dict[str, float]:
        """Randomised factor name -> spread, with kinds spelled out."""
        for word, spread in factor_spread.items():
            if not 0 < spread <= LARGEST_SPREAD:
                raise FactorError(f"factor_spread of {word} must be in (0, {LARGEST_SPREAD:g}], got {spread}")
        return {name: float(spread) for name, spread in self._by_name(factor_spread, "factor_spread").items()}

    def _by_name(self, by_word: Mapping[str, Any], option: str) -> dict[str, Any]:
        """What was said of names and kinds, by name of each randomised factor; names win over kinds."""
        resolved: dict[str, Any] = {}
        for word in sorted(by_word, key=lambda word: word in self.factors):
            names = [name for name in self._select_factors([word], option) if name in self.randomize]
            if not names:
                raise FactorError(f"{option} names {word!r}, which is not randomised; add it to randomize")
            resolved |= dict.fromkeys(names, by_word[word])
        return resolved

    def _drawn(self, factor: Factor) -> float:
        shell = self.factor_shell.get(factor.name)
        if shell is not None:
            return factor.sample_shell(self.np_random, *shell)
        return factor.sample(self.np_random, self.factor_spread.get(factor.name, 1.0))

    def _assign(self, name: str, value: float) -> None:
        self._values[name] = value
        self._coordinates[name] = self.factors[name].standardize(value)

    def _write_factors(self) -> None:
        """Bring the model to the current values, and what the data derives from model and state up to date."""
        model = self.scene.model
        changed = {factor.kind for name, factor in self.factors.items() if self._values[name] != self._written[name]}
        if changed:
            values = {self.factors[name]: value for name, value in self._values.items()}
            write_factors(model, self._pristine, values)
            self._written = dict(self._values)
        if "physical" in changed:
            # Subtree masses and inverse weights follow from the masses. The call disturbs the data it is given.
            mujoco.mj_setConst(model, self._scratch)
        mujoco.mj_step1(model, self.scene.data)


def _checked_camera(scene: Scene, camera: str | int) -> str | int:
    names = [scene.model.camera(index).name for index in range(scene.model.ncam)]
    if camera not in names and camera not in range(len(names)):
        raise ValueError(f"{scene.name} has no camera {camera!r}; it has {', '.join(names) or 'none, and needs one'}")
    return camera


def _known_options(options: dict[str, Any] | None) -> dict[str, Any]:
    options = options or {}
    if unknown := options.keys() - {"factors", "state"}:
        raise ValueError(f"unknown reset option {', '.join(map(repr, sorted(unknown)))}; known: 'factors', 'state'")
    return options


def _summary(array: np.ndarray) -> str:
    return f"shape {array.shape}" + ("" if np.isfinite(array).all() else " with values that are not finite")
