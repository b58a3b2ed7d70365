"""An environment of Gymnasium without a MuJoCo model, as a scene: its pictures, actions, rewards and info.

Its state cannot be set. A moment of an episode is stored as the reset and the actions that led to it. Going back
repeats them, or continues in a copy of the environment that is at this moment already. So resets must be reproducible
by seed.
"""

import os
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import worldmodel.envs.rendering  # noqa: F401  # first: it sets MUJOCO_GL  # isort: skip

import gymnasium
import mujoco
import numpy as np

from worldmodel.envs.gym_ids import acting, global_seed, max_steps, quietly
from worldmodel.envs.gym_scene import action_range, native_action, objects_of, plain_attributes, put_back, success_flag
from worldmodel.envs.scene import Scene, one_number

_MOST_COPIES = 128  # of an environment, each at a moment of its own
_DEFAULT_FPS = 10.0
_KNOWN_ANGLES = {"gym_pusht": ("block_pose_2",)}
"""Package -> which numbers of its environments' info are angles, in radians, where the environments do not say so."""
_DEFAULT_STEPS = 1000


@dataclass(frozen=True, eq=False)
class _Moment:
    """The seed of an episode's reset, or an action after another moment."""

    seed: int
    before: "_Moment | None" = None
    action: np.ndarray | None = None
    outcome: tuple[float, bool, bool | None] = (0.0, False, None)
    numbers: np.ndarray | None = None


class PixelScene(Scene):
    """An environment that shows pictures.

    Args:
        name: "gym:ID".
        make: makes a copy of the environment that renders "rgb_array". Its attribute `angle_names`, if it has one, says
            which numbers of the state are angles, in radians.

    Raises:
        ValueError: it has no continuous actions, or shows no pictures.
    """

    camera = "own"
    state_is_whole = False
    tells_state = True
    num_substeps = 1

    def __init__(self, name: str, make: Callable[[], gymnasium.Env]) -> None:
        self.name, self._make = name, make
        self.model = mujoco.MjModel.from_xml_string("<mujoco/>")  # nothing: what is simulated is not MuJoCo's
        self.data = mujoco.MjData(self.model)
        self._copies: list[tuple[gymnasium.Env, weakref.ref[_Moment]]] = []
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame would look for a screen
        env = make()
        self._new = [plain_attributes(holder) for holder in objects_of(env)]
        self.action_dim, self._low_high = action_range(name, env.action_space)
        self.ctrl_centre = self.ctrl_half_range = np.zeros(0)
        self._env, self._now = env, _Moment(0)
        at_reset = self._seeded_reset(0)
        observation, _, _, _, info = self._step(np.zeros(self.action_dim, np.float32))
        self._told = _told(at_reset, (observation, info))
        self._now = _Moment(0, numbers=self._numbers(*self._seeded_reset(0)))
        package = type(env.unwrapped).__module__.partition(".")[0]
        self.angle_names = tuple(getattr(env.unwrapped, "angle_names", _KNOWN_ANGLES.get(package, ())))
        self.picture(1)
        self.control_dt_s = 1 / _control_steps_a_second(name, env)
        self.time_limit_s = (max_steps(env) or _DEFAULT_STEPS) * self.control_dt_s

    @cached_property
    def state_names(self) -> tuple[str, ...]:
        """Names of the state, in the order of the environment's observation or info."""
        names: list[str] = []
        for key, size in self._told.items():
            names += [key] if size == 1 else [f"{key}_{index}" for index in range(size)]
        return tuple(names)

    @property
    def actuated(self) -> list[tuple[int, int] | None]:
        return [None] * self.action_dim

    def reset(self, rng: np.random.Generator) -> None:
        seed = int(rng.integers(2**31))
        observation, info = self._seeded_reset(seed)
        self._now = _Moment(seed, numbers=self._numbers(observation, info))

    def advance(self, action: np.ndarray) -> None:
        observation, reward, ended, _, info = self._step(action)
        outcome = one_number(reward), bool(ended), success_flag(info)
        self._now = _Moment(self._now.seed, self._now, action.copy(), outcome, self._numbers(observation, info))
        self.data.time += self.control_dt_s

    def reward(self) -> float:
        return self._now.outcome[0]

    def terminated(self) -> bool:
        return self._now.outcome[1]

    def success(self) -> bool | None:
        return self._now.outcome[2]

    def state(self) -> np.ndarray:
        assert self._now.numbers is not None
        return self._now.numbers.copy()

    def put_state(self, state: np.ndarray) -> None:
        raise ValueError(f"{self.name} holds no MuJoCo model: it cannot be put into a state, only reset and stepped")

    def picture(self, size: int) -> np.ndarray:
        picture: Any = None
        with quietly(), acting(self.name, "render"), suppress(NotImplementedError):  # as gymnasium.Env itself
            picture = self._env.render()
        if not _is_picture(picture):
            given = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
            raise ValueError(
                f"{self.name} shows no pictures, from which worldmodel learns: render gives {given}, uint8 "
                "(height, width, 3) is expected; make it with render_mode='rgb_array', or wrap it"
            )
        return reduced(picture if picture.ndim == 3 else picture[..., None], size)

    def moment(self) -> object:
        return self._now

    def go_back(self, moment: object) -> None:
        assert isinstance(moment, _Moment)
        if moment is self._now:
            return
        at = next((k for k, (_, stands) in enumerate(self._copies) if stands() is moment), None)
        if at is not None:
            self._leave_for(self._copies.pop(at)[0])
            self._now = moment
            return
        self._leave_for(self._free_copy())
        actions, start = [], moment
        while start.before is not None:
            actions.append(start.action)
            start = start.before
        observation, info = self._seeded_reset(start.seed)
        for action in reversed(actions):
            observation, _, _, _, info = self._step(action)
        self._check_same(moment, self._numbers(observation, info))
        self._now = moment

    def close(self) -> None:
        for env in (self._env, *(env for env, _ in self._copies)):
            env.close()
        self._copies.clear()

    def _leave_for(self, env: gymnasium.Env) -> None:
        """Go on in another copy, and leave the present one at its moment."""
        if env is not self._env:
            self._copies.append((self._env, weakref.ref(self._now)))
            self._env = env

    def _free_copy(self) -> gymnasium.Env:
        """A copy to repeat an episode in: one at a moment that nobody can go back to, or a new one.

        Where there are as many as there may be, the present one: episodes take turns, so that its moment will be asked
        for last of all, and that of the copy which was left first is next.
        """
        at = next((k for k, (_, stands) in enumerate(self._copies) if stands() is None), None)
        if at is not None:
            return self._copies.pop(at)[0]
        return self._make() if len(self._copies) + 1 < _MOST_COPIES else self._env

    def _check_same(self, moment: _Moment, numbers: np.ndarray) -> None:
        """ValueError where repeating an episode has not led to the moment that it led to before."""
        assert moment.numbers is not None
        other = ~np.isclose(numbers, moment.numbers, rtol=1e-4, atol=1e-6, equal_nan=True)
        if other.any():
            index = int(np.flatnonzero(other)[0])
            raise ValueError(
                f"{self.name} does not come back to a moment of an episode: {self.state_names[index]} was "
                f"{moment.numbers[index]:.4g}, and {numbers[index]:.4g} when the same actions were repeated; after "
                "reset(seed=…) it must draw from self.np_random alone, and tell no time in info"
            )

    def _seeded_reset(self, seed: int) -> tuple[Any, dict[str, Any]]:
        # as a new environment: some draw what was left from the episode before (gym-pusht its last action)
        for holder, attributes in zip(objects_of(self._env), self._new, strict=False):
            put_back(holder, attributes)
        with quietly(), acting(self.name, "reset"), global_seed(seed):
            observation, info = self._env.reset(seed=seed)
            if not isinstance(info, dict):
                raise TypeError("Gymnasium's reset returns (observation, info)")
            return observation, info

    def _step(self, action: np.ndarray) -> Any:
        native = native_action(action, self._low_high, self._env.action_space)
        with acting(self.name, "step"):
            observation, reward, ended, truncated, info = self._env.step(native)
            return observation, reward, ended, truncated, info

    def _numbers(self, observation: Any, info: dict[str, Any]) -> np.ndarray:
        told = {**_numbers_in({"obs": observation}), **_numbers_in(info)}
        for key, size in self._told.items():
            if key not in told or told[key].size != size:
                raise ValueError(
                    f"{self.name} told {size} numbers as {key} when it was made, and {told.get(key, np.zeros(0)).size} "
                    "now; wrap the environment so that it tells the same in every step"
                )
        return np.concatenate([np.zeros(0), *(told[key] for key in self._told)])


def _control_steps_a_second(name: str, env: gymnasium.Env) -> float:
    given = env.metadata.get("render_fps")
    fps = _DEFAULT_FPS if given is None else given
    if not isinstance(fps, int | float) or not 0 < fps < np.inf:
        raise ValueError(f"{name} has metadata['render_fps'] = {given!r}; give its control steps a second, such as 10")
    return float(fps)


def _told(first: tuple[Any, dict[str, Any]], second: tuple[Any, dict[str, Any]]) -> dict[str, int]:
    """Name -> how many numbers, of what the environment tells of its state: info, or else the observation.

    first, second: observation and info of a reset and of a step; what only one of them tells is left out.
    """

    def told(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, int]:
        found, again = _numbers_in(one), _numbers_in(other)
        sizes = {key: numbers.size for key, numbers in found.items()}
        return {key: size for key, size in sizes.items() if key in again and again[key].size == size}

    return told(first[1], second[1]) or told({"obs": first[0]}, {"obs": second[0]})


def _numbers_in(parts: Mapping[str, Any], within: str = "") -> dict[str, np.ndarray]:
    """Name -> numbers (n,) of every number and vector in nested mappings and tuples; an observation that is a mapping
    gives the names in it."""
    found: dict[str, np.ndarray] = {}
    for key, value in parts.items():
        name = f"{within}_{key}" if within else str(key)
        if isinstance(value, Mapping):
            found |= _numbers_in(value, "" if name == "obs" else name)
        elif isinstance(value, tuple):
            found |= _numbers_in({str(index): part for index, part in enumerate(value)}, name)
        elif isinstance(value, np.ndarray | np.generic | int | float | list):
            array = _array(value)
            if array.dtype.kind in "fiu" and 0 < array.size and array.ndim < 2:
                found[name] = array.reshape(-1).astype(float)
    return found


def _array(value: Any) -> np.ndarray:
    """A value as an array; without numbers where a list is ragged."""
    try:
        return np.asarray(value)
    except ValueError:
        return np.zeros(0)


def _is_picture(picture: object) -> bool:
    """Whether it is uint8 (height, width, 3), with alpha (4), or gray (1, or no third axis)."""
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or 0 in picture.shape:
        return False
    return picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] in (1, 3, 4))


def reduced(picture: np.ndarray, size: int) -> np.ndarray:
    """The middle square of a picture uint8 (height, width, 1 or 3 or 4), averaged over areas: uint8 (size, size, 3)."""
    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    square = picture[top : top + side, left : left + side, :3].astype(float)
    if square.shape[2] == 1:
        square = square.repeat(3, 2)
    for axis in (0, 1):
        square = _averaged(square, size, axis)
    return np.rint(square).astype(np.uint8)


def _averaged(values: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Means over `size` equal stretches of an axis, whose ends may lie within a pixel."""
    sums = np.cumsum(values, axis)
    sums = np.concatenate([np.zeros_like(sums.take([0], axis)), sums], axis)
    ends = np.linspace(0, values.shape[axis], size + 1)
    whole = np.minimum(ends.astype(int), values.shape[axis] - 1)
    share = (ends - whole).reshape([-1 if k == axis else 1 for k in range(values.ndim)])
    at_ends = sums.take(whole, axis) + share * values.take(whole, axis)
    return np.diff(at_ends, axis=axis) * (size / values.shape[axis])
