"""An environment of Gymnasium that holds a MuJoCo model, as a scene: `envs.make("gym:Hopper-v5")`.

Its own controller, reward, end and success are kept: a control step is its `step`. Its state besides the simulation (a
goal, a controller's target) is saved as the plain values among its attributes. Pictures are rendered here.
"""

import copy
import dataclasses
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from worldmodel.envs.rendering import FreeCamera  # first: it sets MUJOCO_GL  # isort: skip

import gymnasium
import mujoco
import numpy as np

from worldmodel.envs.factors import Factor
from worldmodel.envs.gym_ids import acting, global_seed, max_steps, quietly
from worldmodel.envs.named_factors import named_factors
from worldmodel.envs.scene import FREE, Scene, one_number
from worldmodel.envs.scenes import palette
from worldmodel.envs.snapshot import PHYSICS, physics_of
from worldmodel.envs.state_variables import unlimited_hinges

_DEFAULT_STEPS = 1000  # of an episode that the environment itself never ends
_UNBOUNDED = 1e10  # some write the largest number of their type for none
_SUCCESS_KEYS = ("success", "is_success")
# Of the model, what environments are known to change while an episode runs: colours of success, locks of joints.
_STEP_FIELDS = ("geom_rgba", "site_rgba", "mat_rgba", "dof_damping", "dof_frictionloss", "jnt_range", "jnt_stiffness")


@dataclass(frozen=True)
class GymMoment:
    """What a moment of an episode holds besides MuJoCo's integration state."""

    data: mujoco.MjData
    """All of it: controllers and rewards read what the last step derived, one physics step behind its state."""

    model: Mapping[str, np.ndarray]
    """Fields of the model that steps may change."""

    attributes: list[dict[str, object]]
    """Plain attributes of each Python object of the environment."""

    outcome: tuple[float, bool, bool | None]
    """Reward, end and success of the last step."""


class GymScene(Scene):
    """An environment around a MuJoCo model.

    Actions in [-1, 1] span its action range, and are the action itself where that is unbounded.

    Raises:
        ValueError: it has no continuous actions.
    """

    goes_on_after_end = True
    state_is_whole = False

    def __init__(self, name: str, env: gymnasium.Env) -> None:
        self.name, self._env = name, env
        self._base: Any = env.unwrapped
        with quietly():
            self._action_space = env.action_space  # ogbench makes a new one each time, with a warning
        self.action_dim, self._low_high = action_range(name, self._action_space)
        self._seeded_reset(0)
        _spare_pictures(self._base)
        self.model, self.data = _simulation(self._base)
        self._holders = [*objects_of(env)]
        self._pristine = {field: getattr(self.model, field).copy() for field in _STEP_FIELDS}
        self._drawn = mujoco.MjData(self.model)
        self._spare: list[mujoco.MjData] = []
        self._outcome: tuple[float, bool, bool | None] = (0.0, False, None)
        self.camera, self.free_camera = _camera(self._base, self.model, self.data)
        self.num_substeps, self.control_dt_s = self._measured_rate()
        self.time_limit_s = (max_steps(env) or _DEFAULT_STEPS) * self.control_dt_s
        self.ctrl_centre = self.ctrl_half_range = np.zeros(self.model.nu)
        self.holds_control = self._measure_control()
        self.angle_names = unlimited_hinges(self.model)
        self.factors = _general_factors(self.model)
        self._seeded_reset(0)

    @property
    def environment(self) -> Any:
        """The environment of the other library, without wrappers."""
        return self._base

    def reset(self, rng: np.random.Generator) -> None:
        for field, value in self._pristine.items():
            getattr(self.model, field)[:] = value
        self._outcome = (0.0, False, None)
        self._seeded_reset(int(rng.integers(2**31)))
        if _simulation(self._base)[0] is not self.model:
            raise ValueError(f"{self.name} compiles another model at each reset, which worldmodel cannot follow")

    def advance(self, action: np.ndarray) -> None:
        native = native_action(action, self._low_high, self._action_space)
        with acting(self.name, "step"):
            _, reward, ended, _, info = self._env.step(native)
        self._outcome = one_number(reward), bool(ended), success_flag(info)
        if getattr(self._base, "_reset_next_step", False):  # ogbench would start another episode by itself
            self._base._reset_next_step = False

    def reward(self) -> float:
        return self._outcome[0]

    def terminated(self) -> bool:
        return self._outcome[1]

    def success(self) -> bool | None:
        return self._outcome[2]

    def drawn(self) -> mujoco.MjData:
        """Poses of the state as it is, apart from what the environment itself will read in its next step."""
        mujoco.mj_setState(self.model, self._drawn, physics_of(self), PHYSICS)
        mujoco.mj_fwdPosition(self.model, self._drawn)
        return self._drawn

    def moment(self) -> GymMoment:
        data = self._spare.pop() if self._spare else mujoco.MjData(self.model)
        mujoco.mj_copyData(data, self.model, self.data)
        model = {field: getattr(self.model, field).copy() for field in _STEP_FIELDS}
        moment = GymMoment(data, model, [plain_attributes(holder) for holder in self._holders], self._outcome)
        weakref.finalize(moment, self._spare.append, data)  # a new MjData takes longer than to fill one
        return moment

    def go_back(self, moment: object) -> None:
        assert isinstance(moment, GymMoment)
        for field, value in moment.model.items():
            getattr(self.model, field)[:] = value
        mujoco.mj_copyData(self.data, self.model, moment.data)
        for holder, saved in zip(self._holders, moment.attributes, strict=True):
            put_back(holder, saved)
        self._outcome = moment.outcome

    def close(self) -> None:
        self._env.close()

    def _seeded_reset(self, seed: int) -> None:
        with quietly(), acting(self.name, "reset"), global_seed(seed):
            self._env.reset(seed=seed)

    def _measured_rate(self) -> tuple[int, float]:
        """Physics steps in a control step, and its seconds."""
        before = self.data.time
        self.advance(np.zeros(self.action_dim, np.float32))
        num = max(1, round((self.data.time - before) / self.model.opt.timestep))
        return num, num * self.model.opt.timestep

    def _measure_control(self) -> bool:
        """Whether a step only holds controls that are linear in the action, found by doing both; sets which."""
        if self.action_dim != self.model.nu:
            return False
        controls = []
        for level in (0.0, 1.0):
            self.advance(np.full(self.action_dim, level, np.float32))
            controls.append(self.data.ctrl.copy())
        self.ctrl_centre, self.ctrl_half_range = controls[0], controls[1] - controls[0]
        rng, other = np.random.default_rng(0), mujoco.MjData(self.model)
        for _ in range(20):
            action = rng.uniform(-1, 1, self.action_dim).astype(np.float32)
            mujoco.mj_copyData(other, self.model, self.data)
            self.advance(action)
            other.ctrl[:] = self.ctrl_centre + self.ctrl_half_range * action
            if not np.allclose(other.ctrl, self.data.ctrl, atol=1e-6):
                return False
            other.ctrl[:] = self.data.ctrl
            mujoco.mj_step(self.model, other, self.num_substeps)
            if not (np.array_equal(other.qpos, self.data.qpos) and np.array_equal(other.qvel, self.data.qvel)):
                return False
        return True


def has_simulation(env: gymnasium.Env) -> bool:
    """Whether an environment holds a MuJoCo model; it must have been reset."""
    return _find_simulation(env.unwrapped) is not None


def success_flag(info: Mapping[str, object]) -> bool | None:
    """What a step's info says of success; None where it says nothing."""
    return next((bool(info[key]) for key in _SUCCESS_KEYS if key in info), None)


def _spare_pictures(base: Any) -> None:
    """Have an environment that observes pictures return the same one in every step: rendering takes longest, and its
    observations are not used."""
    space = base.observation_space
    parts = space.values() if isinstance(space, gymnasium.spaces.Dict) else (space,)
    if any(part.dtype == np.uint8 and len(part.shape or ()) == 3 for part in parts):
        picture = base.render()
        base.render = lambda *_, **__: picture


def _simulation(base: Any) -> tuple[mujoco.MjModel, mujoco.MjData]:
    found = _find_simulation(base)
    assert found is not None
    return found


def _find_simulation(base: Any) -> tuple[mujoco.MjModel, mujoco.MjData] | None:
    for names in (("model", "data"), ("_model", "_data")):
        model, data = (getattr(base, name, None) for name in names)
        if isinstance(model, mujoco.MjModel) and isinstance(data, mujoco.MjData):
            return model, data
    physics = getattr(base, "physics", None)  # dm_control behind Gymnasium
    model, data = (getattr(getattr(physics, name, None), "ptr", None) for name in ("model", "data"))
    if isinstance(model, mujoco.MjModel) and isinstance(data, mujoco.MjData):
        return model, data
    return None


def action_range(name: str, space: gymnasium.Space) -> tuple[int, tuple[np.ndarray, np.ndarray]]:
    """A, and the lowest and highest action, each (A,).

    Where an action is unbounded they are -1 and 1; where it has one bound, the other is 2 from it.

    Raises:
        ValueError: the actions are not continuous.
    """
    if not isinstance(space, gymnasium.spaces.Box):
        raise ValueError(f"{name} has actions {space}; worldmodel plans continuous ones (gymnasium.spaces.Box)")
    low, high = space.low.reshape(-1).astype(float), space.high.reshape(-1).astype(float)
    if np.isnan(low).any() or np.isnan(high).any() or (high < low).any() or (low.size and (high == low).all()):
        raise ValueError(f"{name} has actions {space}, between whose bounds there is no room; mend its action_space")
    has_low, has_high = np.abs(low) < _UNBOUNDED, np.abs(high) < _UNBOUNDED
    lowest = np.where(has_low, low, np.where(has_high, high - 2, -1.0))
    return low.size, (lowest, np.where(has_high, high, lowest + 2))


def native_action(action: np.ndarray, low_high: tuple[np.ndarray, np.ndarray], space: gymnasium.Space) -> np.ndarray:
    """An action in [-1, 1] (A,) between the lowest and the highest one, in the type and shape of `space`."""
    low, high = low_high
    return ((low + high) / 2 + (high - low) / 2 * action).astype(space.dtype).reshape(space.shape)


def objects_of(env: gymnasium.Env) -> Iterator[Any]:
    """The environment, its wrappers, and environments that it holds itself."""
    while isinstance(env, gymnasium.Wrapper):
        yield env
        env = env.env
    yield env
    yield from (value for value in vars(env).values() if isinstance(value, gymnasium.Env))


_ATOMS = (int, float, bool, str, bytes, type(None))
_FOREIGN = object()  # stands for what is no plain value


def plain_attributes(holder: Any) -> dict[str, object]:
    """Copies of the attributes that hold plain values: what an episode may change besides the simulation."""
    copies = ((key, _plain_copy(value)) for key, value in vars(holder).items())
    return {key: value for key, value in copies if value is not _FOREIGN}


def _plain_copy(value: Any) -> Any:
    """A copy of a number, text, array or random generator, or of a container of these; else `_FOREIGN`."""
    if isinstance(value, _ATOMS) or isinstance(value, np.generic):
        return value
    if isinstance(value, np.ndarray):
        return _FOREIGN if value.dtype == object else value.copy()
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return copy.deepcopy(value)
    if isinstance(value, dict):
        items = {key: _plain_copy(item) for key, item in value.items()}
        return _FOREIGN if any(item is _FOREIGN for item in items.values()) else items
    if isinstance(value, list | tuple | set) and type(value) in (list, tuple, set):
        parts = [_plain_copy(part) for part in value]
        return _FOREIGN if any(part is _FOREIGN for part in parts) else type(value)(parts)
    if dataclasses.is_dataclass(value) and type(value).__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return value
    return _FOREIGN


def put_back(holder: Any, attributes: Mapping[str, object]) -> None:
    """Give attributes their kept values again: in place, where others may share an array or a generator."""
    for key, value in attributes.items():
        now = vars(holder).get(key)
        if isinstance(now, np.ndarray) and isinstance(value, np.ndarray) and _fits_into(value, now):
            now[...] = value
        elif isinstance(now, np.random.Generator) and isinstance(value, np.random.Generator):
            now.bit_generator.state = value.bit_generator.state
        elif isinstance(now, np.random.RandomState) and isinstance(value, np.random.RandomState):
            now.set_state(value.get_state())
        else:
            vars(holder)[key] = _plain_copy(value)


def _fits_into(value: np.ndarray, array: np.ndarray) -> bool:
    return array.flags.writeable and array.shape == value.shape and array.dtype == value.dtype


def _camera(base: Any, model: mujoco.MjModel, data: mujoco.MjData) -> tuple[str | int, FreeCamera | None]:
    """The camera that the environment's own pictures are taken with, as far as it tells."""
    names = [model.camera(index).name for index in range(model.ncam)]
    inner = next((value for value in vars(base).values() if isinstance(value, gymnasium.Env)), base)
    asked = (getattr(inner, "camera_name", None), getattr(inner, "camera_id", None), "front_pixels", "track")
    for camera in asked:
        if camera is not None and (camera in names or (isinstance(camera, int) and 0 <= camera < len(names))):
            return camera, None
    own: Any = getattr(inner, "custom_camera", None)
    if isinstance(own, mujoco.MjvCamera):
        return FREE, FreeCamera(tuple(own.lookat), own.distance, own.azimuth, own.elevation)
    renderer = getattr(inner, "mujoco_renderer", None)
    if renderer is None and names:
        return 0, None
    # as gymnasium's own renderer looks
    config = getattr(renderer, "default_cam_config", None) or {}
    lookat = np.median(data.geom_xpos, axis=0) if model.ngeom else np.zeros(3)
    return FREE, FreeCamera(
        tuple(float(x) for x in config.get("lookat", lookat)),
        float(config.get("distance", model.stat.extent)),
        float(config.get("azimuth", 90.0)),
        float(config.get("elevation", -45.0)),
    )


def _general_factors(model: mujoco.MjModel) -> tuple[Factor, ...]:
    """What every model has: ratios for its constants, gravity, and the light."""
    paths = {"mass_scale": "body.*.mass", "friction_scale": "geom.*.friction"}
    if model.nu:
        paths["actuator_scale"] = "actuator.*.gain"
    if model.dof_damping.any():
        paths["damping_scale"] = "joint.*.damping"
    if model.opt.gravity.any():
        paths["gravity"] = "option.gravity"
    return (*(factor for name, of in paths.items() for factor in named_factors(model, name, of)), palette.all_lights())
