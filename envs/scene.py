"""Scenes: what is simulated. `MujocoWorld` is the environment around a scene.

Shape letters are those of planners/interfaces.py. The state is qpos, qvel and actuator activations, in that order,
float64 (X,), in SI units and radians.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from worldmodel.envs.angles import shorter_way

from worldmodel.envs.rendering import Camera, FreeCamera  # first: it sets MUJOCO_GL  # isort: skip

import mujoco
import numpy as np

from worldmodel.envs.factors import Factor
from worldmodel.envs.state_variables import (
    SUFFIXES,
    check_names,
    quaternions,
    state_names,
    unlimited_hinges,
    wide_hinges,
)

_MOST_SUBSTEPS = 10_000
"""Physics steps of a control step; more take a hundredth of a second or longer."""
FREE = "free"
"""Name of the camera that is `Scene.free_camera`."""


@dataclass(frozen=True)
class OUProcess:
    """An Ornstein-Uhlenbeck process that moves a scene in place of forces; see `OUScene`."""

    latents: Mapping[str, float]
    """Position name -> its stationary standard deviation, in metres or radians."""

    rho: float
    """Correlation between successive control steps, in [0, 1]."""


class Scene(ABC):
    """What is simulated: a model with its data, one control step, a start distribution, a reward.

    `reset` may write to the model: what it writes belongs to the episode, and is undone before the next reset.
    `advance` may move what `EPISODE_FIELDS` lists, and nothing else of the model. After either of them, all that `data`
    derives from qpos and qvel must belong to the current qpos and qvel (`mj_step1` or `mj_forward` does that).
    """

    name: str
    """Name of the world, e.g. "puck"."""

    model: mujoco.MjModel
    data: mujoco.MjData

    camera: str | int
    """Name or number of the camera that sees the frames."""

    free_camera: FreeCamera | None = None
    """The camera named `FREE`; None where the world has none."""

    control_dt_s: float
    """Seconds per control step."""

    time_limit_s: float
    """Seconds after which an episode is truncated."""

    action_dim: int
    """A, the numbers in an action."""

    ctrl_centre: np.ndarray
    """(nu,), the controls of action 0."""

    ctrl_half_range: np.ndarray
    """(nu,), the difference between the controls of actions 1 and 0: controls are centre + half range * action."""

    num_substeps: int
    """Physics steps per control step."""

    factors: tuple[Factor, ...] = ()
    """Factors that can be set and randomised."""

    goal_tolerance: Mapping[str, float] = {}
    """State name -> how near counts as reached, in the state's own unit."""

    angle_names: tuple[str, ...] = ()
    """The state names that live on a circle."""

    symmetries: Mapping[str, float] = {}
    """State name -> the turn, in radians, after which a picture is the same, where that is less than a full one. No
    goal image can ask for more, so a goal counts as reached up to whole such turns, by every protocol."""

    kinematic: OUProcess | None = None
    """What moves the scene in place of forces; None where forces do."""

    holds_control: bool = False
    """Whether `advance` only holds the controls for `num_substeps` physics steps, so that another engine can do it."""

    is_task: bool = True
    """Whether `reward` or `terminated` ever say anything."""

    hides_task: bool = False
    """Whether frames do not show what the reward asks for, such as a target that is not drawn. Reward and termination
    then count only where `MujocoWorld.restart` is told so: nobody who sees frames alone could earn such a reward."""

    goes_on_after_end: bool = False
    """Whether recordings go on where `terminated` says that the episode has ended: other libraries end episodes for the
    sake of a task, a robot that has fallen, where there is still much to be seen."""

    state_is_whole: bool = True
    """Whether state, factors and what the reset wrote to the model determine an episode, so that one can begin in any
    state; else tasks begin from snapshots."""

    tells_state: bool = False
    """Whether the state is what the world tells of itself, and not MuJoCo's, which notices what is not finite."""

    @cached_property
    def state_names(self) -> tuple[str, ...]:
        """A name for each number of the state; see `state_names`."""
        return state_names(self.model)

    @cached_property
    def position_units(self) -> dict[str, str]:
        """Name of each position of the state -> its unit, "rad" or "m"; "" where it has none."""
        return dict(zip(self.state_names, position_units(self.model), strict=False))

    @property
    def actuated(self) -> list[tuple[int, int] | None]:
        """For each action the state indices of the position and velocity that it drives.

        None for an action that does not drive one joint of one degree of freedom.
        """
        model = self.model
        pairs: list[tuple[int, int] | None] = []
        for index in range(self.action_dim):
            joint = model.actuator_trnid[index, 0]
            drives_joint = model.actuator_trntype[index] == mujoco.mjtTrn.mjTRN_JOINT
            if drives_joint and mujoco.mjtJoint(model.jnt_type[joint]) not in SUFFIXES:
                pairs.append((int(model.jnt_qposadr[joint]), int(model.nq + model.jnt_dofadr[joint])))
            else:
                pairs.append(None)
        return pairs

    @abstractmethod
    def reset(self, rng: np.random.Generator) -> None:
        """Draw the start of an episode. A scene that draws later too keeps `rng`, and uses no other randomness."""

    @abstractmethod
    def advance(self, action: np.ndarray) -> None:
        """Simulate one control step under an action, float32 (A,) in [-1, 1]."""

    def reward(self) -> float:
        """The reward of the state just reached; 0 in a world that is about goals."""
        return 0.0

    def terminated(self) -> bool:
        """Whether the state just reached ends the episode."""
        return False

    def spec(self) -> mujoco.MjSpec:
        """The source of the model, to be edited and written: what was compiled, before Python code changed the model.

        Raises:
            ValueError: the scene has no such source.
        """
        raise ValueError(f"{self.name} is not made from an MJCF; give its scene a method spec")

    def success(self) -> bool | None:
        """Whether the state just reached is a success by the world's own flag; None where it has none."""
        return None

    def state(self) -> np.ndarray:
        """The current state, a new float64 (X,)."""
        return np.concatenate((self.data.qpos, self.data.qvel, self.data.act))

    def put_state(self, state: np.ndarray) -> None:
        """Put the simulation into a state, float64 (X,)."""
        model, data = self.model, self.data
        data.qpos[:], data.qvel[:], data.act[:] = np.split(state, (model.nq, model.nq + model.nv))
        data.qacc_warmstart[:] = 0  # what follows depends on this state alone
        mujoco.mj_forward(model, data)

    def picture(self, size: int) -> np.ndarray | None:
        """The current picture, uint8 (size, size, 3), of a scene that draws itself; None: it is rendered."""
        return None

    @property
    def draws_itself(self) -> bool:
        """Whether it has a `picture` of its own, of which neither looks nor cameras can be changed."""
        return type(self).picture is not Scene.picture

    def view_of(self, camera: str | int) -> Camera:
        """A camera as the renderer takes it."""
        return self.free_camera if camera == FREE and self.free_camera is not None else camera

    def drawn(self) -> mujoco.MjData:
        """What pictures are rendered from; the renderer brings its poses up to date."""
        return self.data

    def moment(self) -> object:
        """What an episode holds besides MuJoCo's integration state, the model and the factors; None: nothing."""
        return None

    def go_back(self, moment: object) -> None:  # noqa: B027  # most scenes hold nothing
        """Return to what `moment` gave, after simulation, model and factors have returned."""

    def close(self) -> None:  # noqa: B027  # most scenes hold nothing
        """Free what Python does not free by itself, such as windows; nothing is asked of the scene afterwards."""

    def task_goal(self) -> np.ndarray | None:
        """A state, float (X,), that this episode's reward asks for; None where it asks for no one state."""
        return None

    def reached(self, state: np.ndarray, goal_state: np.ndarray, wrap: bool = True) -> bool:
        """Whether every number of a state that has a goal tolerance is within it.

        Args:
            state, goal_state: (X,).
            wrap: measure angles around the circle; False compares their raw values. Angles with a symmetry are
                measured around it all the same.

        Raises:
            ValueError: the scene has no goal tolerance.
        """
        if not self.goal_tolerance:
            raise ValueError(f"world {self.name} has no goal tolerance; give its scene goal_tolerance")
        error = np.abs(self.difference(state, goal_state, wrap))
        return all(error[self.state_names.index(name)] <= most for name, most in self.goal_tolerance.items())

    def difference(self, state: np.ndarray, other: np.ndarray, wrap: bool = True) -> np.ndarray:
        """How far a state (X,) is from another in each of its numbers, (X,), as far as pictures can show it.

        wrap: measure angles the shorter way around the circle, and turns of a free body by the nearer of the two
            quaternions that stand for them; False compares raw values. Angles with a symmetry are measured around it
            all the same.
        """
        error = state - other
        turns = dict.fromkeys((*self.angle_names, *self._wide_hinges), 2 * np.pi) if wrap else {}
        for name, turn in (turns | dict(self.symmetries)).items():
            index = self.state_names.index(name)
            error[index] = shorter_way(error[index], turn)
        for rows in self._quaternions if wrap else ():
            error[rows] = min(error[rows], state[rows] + other[rows], key=np.linalg.norm)
        return error

    @cached_property
    def _wide_hinges(self) -> tuple[str, ...]:
        return wide_hinges(self.model)

    @cached_property
    def _quaternions(self) -> list[slice]:
        return quaternions(self.model)


class MjcfScene(Scene):
    """A scene from an MJCF file or string: all that a world of one's own needs.

    An action in [-1, 1] spans each actuator's control range, or is the control itself where there is no range.

    Args:
        mjcf: path of an MJCF file, or its text.
        name, camera, control_dt_s, time_limit_s, factors, goal_tolerance, symmetries: see `Scene`.
        reset: `reset(model, data, rng)` draws a start, after `data` was set to the model's initial state.
        reward: `reward(model, data)` of the state just reached.
        terminated: `terminated(model, data)`, whether that state ends the episode.
        success: `success(model, data)`, whether that state is a success, which `control protocol=reward` counts.
        angle_names: see `Scene`; by default the hinges without limits.
        hidden: names of geoms that are not drawn.
        state_is_whole: see `Scene`; False where the functions given keep something of an episode for themselves.

    Raises:
        ValueError: the MJCF is invalid, or control_dt_s is no whole number of physics steps.
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
        success: Callable[[mujoco.MjModel, mujoco.MjData], bool] | None = None,
        goal_tolerance: Mapping[str, float] | None = None,
        angle_names: Sequence[str] | None = None,
        symmetries: Mapping[str, float] | None = None,
        hidden: Sequence[str] = (),
        state_is_whole: bool = True,
    ) -> None:
        text = mjcf.lstrip("\ufeff").lstrip() if isinstance(mjcf, str) else ""  # editors put a byte-order mark first
        is_text = text.startswith("<")
        source = text if is_text else str(mjcf)
        if not is_text and not Path(source).is_file():
            raise ValueError(
                f"there is no MJCF file {Path(source).absolute()}; in a world's Python file, write "
                "Path(__file__).parent / NAME for what stands beside it"
            )
        self.model = (mujoco.MjModel.from_xml_string if is_text else mujoco.MjModel.from_xml_path)(source)
        check_names(self.model)
        self._load_spec = partial(mujoco.MjSpec.from_string if is_text else mujoco.MjSpec.from_file, source)
        self.data = mujoco.MjData(self.model)
        hide_geoms(self.model, hidden)
        self.name, self.camera = name, camera
        self.control_dt_s, self.time_limit_s = control_dt_s, time_limit_s
        self.action_dim = self.model.nu
        self.factors = tuple(factors)
        self.goal_tolerance = dict(goal_tolerance or {})
        self.angle_names = unlimited_hinges(self.model) if angle_names is None else tuple(angle_names)
        self.symmetries = dict(symmetries or {})
        self.state_is_whole = state_is_whole
        self._reset, self._reward, self._terminated, self._success = reset, reward, terminated, success
        self.holds_control = type(self).advance is MjcfScene.advance
        self.is_task = reward is not None or terminated is not None
        self.num_substeps = round(control_dt_s / max(self.model.opt.timestep, 1e-9))
        is_multiple = np.isclose(self.num_substeps * self.model.opt.timestep, control_dt_s)
        if not is_multiple or not 1 <= self.num_substeps <= _MOST_SUBSTEPS:
            raise ValueError(
                f"control_dt_s must be a multiple of the physics step {self.model.opt.timestep:g} s, by at most "
                f"{_MOST_SUBSTEPS}, got {control_dt_s:g} s; change control_dt_s or the MJCF option timestep"
            )
        low, high = np.where(self.model.actuator_ctrllimited, self.model.actuator_ctrlrange.T, [[-1.0], [1.0]])
        self.ctrl_centre, self.ctrl_half_range = (low + high) / 2, (high - low) / 2

    def spec(self) -> mujoco.MjSpec:
        return self._load_spec()

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
        return 0.0 if self._reward is None else one_number(self._reward(self.model, self.data))

    def terminated(self) -> bool:
        return self._terminated is not None and bool(self._terminated(self.model, self.data))

    def success(self) -> bool | None:
        return None if self._success is None else bool(self._success(self.model, self.data))


def one_number(reward: object) -> float:
    """A reward as a float: nan for what is not one number, which `MujocoWorld` refuses."""
    try:
        return float(np.asarray(reward, float).reshape(()))
    except (TypeError, ValueError):
        return float("nan")


def checked_camera(scene: Scene, camera: str | int) -> str | int:
    """`camera`, a name or a number that the scene has; ValueError for another."""
    names = [scene.model.camera(index).name for index in range(scene.model.ncam)]
    own = [scene.camera] if scene.draws_itself or (scene.camera == FREE and scene.free_camera is not None) else []
    if camera not in (*own, *names) and camera not in range(len(names)):
        there = ", ".join(str(name) for name in (*own, *names))
        raise ValueError(f"{scene.name} has no camera {camera!r}; it has {there or 'none, and needs one'}")
    return camera


def position_units(model: mujoco.MjModel) -> tuple[str, ...]:
    """The unit of each position of the state: "rad" of hinges, "m" of what slides or moves freely, "" of rotations."""
    of_type = {mujoco.mjtJoint.mjJNT_HINGE: ("rad",), mujoco.mjtJoint.mjJNT_SLIDE: ("m",)}
    of_type |= {mujoco.mjtJoint.mjJNT_FREE: ("m",) * 3 + ("",) * 4, mujoco.mjtJoint.mjJNT_BALL: ("",) * 4}
    return tuple(unit for kind in model.jnt_type for unit in of_type[mujoco.mjtJoint(kind)])


def hide_geoms(model: mujoco.MjModel, geoms: Sequence[str]) -> None:
    """Make geoms invisible; they still collide."""
    for name in geoms:
        model.geom_matid[model.geom(name).id] = -1
        model.geom_rgba[model.geom(name).id, 3] = 0
